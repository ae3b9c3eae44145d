//! Which orders a request asks for, in which order and page (rules M7 to M10), and that as SQL.

use std::fmt::Debug;

use iexec_protocol::Address;
use iexec_service::Problem;
use sqlx::{QueryBuilder, Sqlite};

use crate::{
    listing::{Kind, MAX_NUMBER, words},
    query::{Params, Party},
};
use iexec_protocol::tag::Tag;

/// Most orders on a page.
pub const MAX_PAGE: u64 = 1000;
const LEAST_PAGE: u64 = 10;
const DEFAULT_PAGE: u64 = 20;

/// A question to the book.
#[derive(Debug)]
pub(crate) struct Filter {
    pub kind: Kind,
    pub skip: u64,
    pub limit: u64,
    signer: Option<Address>,
    /// Columns that must be this.
    exact: Vec<(&'static str, Address)>,
    /// Columns that must be one of these.
    restrict: Vec<(&'static str, Vec<Address>)>,
    category: Option<u64>,
    least_trust: Option<u64>,
    most_trust: Option<u64>,
    least_volume: Option<u64>,
    least_tag: Option<Tag>,
    most_tag: Option<Tag>,
}

/// Columns that name a party, and the parameter that makes their restriction strict.
const PARTIES: [(&str, &str); 4] = [
    ("app", "isAppStrict"),
    ("dataset", "isDatasetStrict"),
    ("workerpool", "isWorkerpoolStrict"),
    ("requester", "isRequesterStrict"),
];

impl Filter {
    /// Reads the parameters of `GET /{kind}orders`.
    pub(crate) fn read(kind: Kind, mut params: Params) -> Result<Self, Problem> {
        let (skip, limit) = page(&mut params)?;
        let owner = owner(kind, &mut params)?;
        let mut filter = Self {
            kind,
            skip,
            limit,
            signer: None,
            exact: Vec::new(),
            restrict: Vec::new(),
            category: None,
            least_trust: None,
            most_trust: None,
            least_volume: params.number("minVolume", 1, MAX_NUMBER)?,
            least_tag: params.tag("minTag")?,
            most_tag: params.tag("maxTag")?,
        };
        if let Some(Party::Is(owner)) = owner {
            filter.signer = Some(owner);
        }
        filter.read_parties(&mut params, owner.is_some())?;
        filter.read_terms(&mut params)?;
        params.finish()?;
        Ok(filter)
    }

    fn read_parties(&mut self, params: &mut Params, by_owner: bool) -> Result<(), Problem> {
        let asset_wanted = !by_owner && matches!(self.kind, Kind::App | Kind::Dataset);
        for (column, strict) in PARTIES {
            let (party, strict) = (params.party(column)?, params.flag(strict)?);
            if party.is_none() && asset_wanted && column == self.kind.name() {
                return Err(Problem::bad_request(format!("{column} or {column}Owner is required")));
            }
            self.add_party(column, party, strict);
        }
        Ok(())
    }

    /// The parameters that only some kinds have.
    fn read_terms(&mut self, params: &mut Params) -> Result<(), Problem> {
        if matches!(self.kind, Kind::Workerpool | Kind::Request) {
            self.category = params.number("category", 0, MAX_NUMBER)?;
        }
        match self.kind {
            Kind::Workerpool => self.least_trust = params.number("minTrust", 0, MAX_NUMBER)?,
            Kind::Request => {
                self.most_trust = params.number("maxTrust", 0, MAX_NUMBER)?;
                if let Some(Party::Is(beneficiary)) = params.party("beneficiary")? {
                    self.exact.push(("beneficiary", beneficiary));
                }
            }
            Kind::Dataset if params.flag("bulkOnly")? => {
                return Err(Problem::bad_request("bulkOnly: this network runs one dataset a task"));
            }
            Kind::App | Kind::Dataset => (),
        }
        Ok(())
    }

    fn add_party(&mut self, column: &'static str, party: Option<Party>, strict: bool) {
        let kind = self.kind;
        let restricts = if kind == Kind::Request { column == "workerpool" } else { column != kind.name() };
        if !restricts {
            if let Some(Party::Is(address)) = party {
                self.exact.push((column, address));
            }
            return;
        }
        match party {
            Some(Party::Any) => (),
            Some(Party::Is(address)) if strict => self.restrict.push((column, vec![address])),
            Some(Party::Is(address)) => self.restrict.push((column, vec![Address::ZERO, address])),
            None => self.restrict.push((column, vec![Address::ZERO])),
        }
    }

    /// `SELECT count(*)` of all that fit.
    pub(crate) fn count(&self) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM orders");
        self.push_where(&mut sql);
        sql
    }

    /// `SELECT` of the page's rows, best first.
    pub(crate) fn rows(&self) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new("SELECT * FROM orders");
        self.push_where(&mut sql);
        sql.push(if self.kind == Kind::Request { " ORDER BY price DESC" } else { " ORDER BY price ASC" });
        sql.push(", published ASC, hash ASC LIMIT ").push_bind(signed(self.limit));
        sql.push(" OFFSET ").push_bind(signed(self.skip));
        sql
    }

    fn push_where(&self, sql: &mut QueryBuilder<Sqlite>) {
        sql.push(" WHERE status = 'open' AND kind = ").push_bind(self.kind.name());
        if let Some(signer) = self.signer {
            sql.push(" AND signer = ").push_bind(column(signer));
        }
        for (name, address) in &self.exact {
            sql.push(" AND ").push(*name).push(" = ").push_bind(column(*address));
        }
        for (name, addresses) in &self.restrict {
            sql.push(" AND ").push(*name).push(" IN (");
            let mut list = sql.separated(", ");
            for address in addresses {
                list.push_bind(column(*address));
            }
            sql.push(")");
        }
        for (condition, bound) in [
            (" AND category = ", self.category),
            (" AND trust >= ", self.least_trust.filter(|trust| *trust > 1)),
            (" AND trust <= ", self.most_trust),
            (" AND remaining >= ", self.least_volume),
        ] {
            if let Some(bound) = bound {
                sql.push(condition).push_bind(signed(bound));
            }
        }
        self.push_tags(sql);
    }

    fn push_tags(&self, sql: &mut QueryBuilder<Sqlite>) {
        for (index, name) in ["tag0", "tag1", "tag2", "tag3"].into_iter().enumerate() {
            if let Some(least) = self.least_tag.map(|tag| words(tag)[index]).filter(|word| *word != 0) {
                sql.push(" AND ").push(name).push(" & ").push_bind(least).push(" = ").push_bind(least);
            }
            if let Some(most) = self.most_tag.map(|tag| words(tag)[index]) {
                sql.push(" AND ").push(name).push(" & ").push_bind(!most).push(" = 0");
            }
        }
    }
}

/// `appOwner`, `datasetOwner`, `workerpoolOwner`.
fn owner(kind: Kind, params: &mut Params) -> Result<Option<Party>, Problem> {
    match kind {
        Kind::App => params.party("appOwner"),
        Kind::Dataset => params.party("datasetOwner"),
        Kind::Workerpool => params.party("workerpoolOwner"),
        Kind::Request => Ok(None),
    }
}

/// `pageIndex` and `pageSize`, or the older `page` (how many to skip).
pub(crate) fn page(params: &mut Params) -> Result<(u64, u64), Problem> {
    let index = params.number("pageIndex", 0, MAX_NUMBER)?;
    let size = params.number("pageSize", LEAST_PAGE, MAX_PAGE)?;
    let skip = params.number("page", 0, MAX_NUMBER)?;
    let limit = size.unwrap_or(DEFAULT_PAGE);
    Ok((index.map_or(skip.unwrap_or_default(), |index| index.saturating_mul(limit)), limit))
}

/// An address as the tables hold it.
pub(crate) fn column(address: Address) -> String {
    format!("{address:#x}")
}

/// A number as `SQLite` takes it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
