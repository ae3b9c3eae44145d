//! An owner's quota (spec SMS-18), exact however many write at once on however many replicas (SMS-26).
//!
//! A write counts when it runs. On PostgreSQL others may add in that moment, and neither sees the other. So whoever adds
//! looks again at the end of the transaction, behind the lock of the audit log's head, which transactions hold one by
//! one until their commit. Every secret that others kept meanwhile is an entry of the log: an owner who stays below the
//! quota even if all new entries were its secrets need not be counted again. `SQLite` has one writer: what it counts is
//! true.

use std::collections::BTreeMap;

use iexec_protocol::Address;
use sqlx::{
    AnyConnection, AssertSqlSafe,
    any::{Any, AnyArguments},
    query::QueryAs,
};

use super::{Place, StoreError, TABLE, read_version};
use crate::store::engine::Kind;

/// Deleted secrets that an owner may leave behind, as a multiple of the quota.
const TOMBSTONES: u64 = 10;
/// Most owners that are counted in one statement.
const OWNERS: usize = 256;

/// Secrets that one owner may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota(pub(super) u64);

impl Quota {
    fn rows(self) -> u64 {
        self.0.saturating_mul(TOMBSTONES)
    }
}

/// What a place holds.
pub(super) struct Found {
    /// The sealed value and its data key, unless there is none.
    pub(super) live: Option<(Vec<u8>, i64)>,
    /// 0 if it never had one.
    pub(super) version: i64,
    /// Whether the twin that was asked about ever had the value.
    pub(super) twin_had_it: bool,
    /// The owner's rows, deleted secrets' among them, and its values; counted where there is no value alone.
    owned: (u64, u64),
}

/// A place, and a value's mark there.
pub(super) type Marked<'a> = (&'a Place, Vec<u8>);

type Query<'q> = QueryAs<'q, Any, Columns, AnyArguments>;
type Columns = (Option<Vec<u8>>, Option<i64>, Option<i64>, i64, i64);

impl Place {
    /// What is there, whether the twin had a value of this mark, and how much the owner has if one more value would come:
    /// one statement, and one walk over the owner's rows.
    pub(super) async fn look(&self, db: &mut AnyConnection, twin: Option<Marked<'_>>) -> Result<Found, StoreError> {
        let select = "SELECT s.sealed, s.key_id, s.version, CASE WHEN s.sealed IS NULL
                          THEN (SELECT count(*) * 4294967296 + count(c.sealed) FROM secret AS c WHERE c.owner = $1)
                          ELSE 0 END,
                          (SELECT count(*) FROM secret_mark WHERE owner = $4 AND kind = $5 AND name = $6 AND mark = $7)
                      FROM (SELECT 1 AS one) AS here
                      LEFT JOIN secret AS s ON s.owner = $1 AND s.kind = $2 AND s.name = $3";
        let query = sqlx::query_as(select).bind(self.owner.as_slice()).bind(self.kind).bind(self.name.as_str());
        let (sealed, key, version, counted, marks): Columns = marked(query, twin).fetch_one(db).await?;
        let owned = (read_version(counted >> 32), read_version(counted & 0xffff_ffff));
        Ok(Found { live: sealed.zip(key), version: version.unwrap_or_default(), twin_had_it: marks > 0, owned })
    }
}

/// Asks for the twin, or for a place that cannot be: there is none without an owner.
fn marked<'q>(query: Query<'q>, twin: Option<Marked<'q>>) -> Query<'q> {
    match twin {
        Some((twin, mark)) => query.bind(twin.owner.as_slice()).bind(twin.kind).bind(twin.name.as_str()).bind(mark),
        None => query.bind(Vec::new()).bind("").bind("").bind(Vec::new()),
    }
}

/// The owners that a transaction adds secrets for, and how many each may have.
#[derive(Default)]
pub(in crate::store) struct Grown(BTreeMap<Address, Most>);

struct Most {
    values: u64,
    /// `None` if no row is added: then there may be more than the quota allows, of a time when it was larger.
    rows: Option<u64>,
    /// Rows and values after this transaction, as far as it sees.
    owned: (u64, u64),
}

impl Most {
    fn admits(&self, (rows, values): (u64, u64)) -> bool {
        values <= self.values && self.rows.is_none_or(|most| rows <= most)
    }

    /// Whether it is, even if others added so many meanwhile.
    fn admits_with(&self, others: u64) -> bool {
        let (rows, values) = self.owned;
        self.admits((rows.saturating_add(others), values.saturating_add(others)))
    }
}

impl Grown {
    /// Whether one more value may be kept there.
    pub(super) fn admit(&mut self, owner: Address, quota: Quota, found: &Found) -> bool {
        let (rows, values) = found.owned;
        let adds_row = found.version == 0;
        if values >= quota.0 || (adds_row && rows >= quota.rows()) {
            return false;
        }
        let most = self.0.entry(owner).or_insert(Most { values: quota.0, rows: None, owned: (0, 0) });
        if adds_row {
            most.rows = Some(quota.rows());
        }
        most.owned = (rows + u64::from(adds_row), values + 1);
        true
    }

    /// Counts again, as the last thing before the commit, whom the `others` entries of the log since the transaction began
    /// could have made too many. [`StoreError::Raced`] if they did: what runs again sees them.
    pub(in crate::store) async fn check(
        &self,
        kind: Kind,
        db: &mut AnyConnection,
        others: i64,
    ) -> Result<(), StoreError> {
        if kind == Kind::Sqlite {
            return Ok(());
        }
        let others = read_version(others);
        let near = self.0.iter().filter(|(_, most)| !most.admits_with(others));
        let owners: Vec<&Address> = near.map(|(owner, _)| owner).collect();
        for owners in owners.chunks(OWNERS) {
            for (owner, rows, values) in count(db, owners).await? {
                let most = Address::try_from(owner.as_slice()).ok().and_then(|owner| self.0.get(&owner));
                if !most.is_some_and(|most| most.admits((rows, values))) {
                    return Err(StoreError::Raced { table: TABLE });
                }
            }
        }
        Ok(())
    }
}

/// Owner, rows, values. The last of `owners` is named as often as makes a power of two: few statements to prepare. One
/// count for each owner walks over the index whatever the database believes about the table.
async fn count(db: &mut AnyConnection, owners: &[&Address]) -> Result<Vec<(Vec<u8>, u64, u64)>, StoreError> {
    let size = owners.len().next_power_of_two();
    let places = (1..=size).map(|place| format!("(${place})")).collect::<Vec<_>>().join(", ");
    let select = format!(
        "SELECT o.owner, (SELECT count(*) * 4294967296 + count(s.sealed) FROM secret AS s WHERE s.owner = o.owner)
         FROM (VALUES {places}) AS o (owner)"
    );
    // Numbers that we counted ourselves.
    let mut query = sqlx::query_as(AssertSqlSafe(select));
    for owner in owners.iter().chain(owners.last().into_iter().cycle()).take(size) {
        query = query.bind(owner.to_vec());
    }
    let counted: Vec<(Vec<u8>, i64)> = query.fetch_all(db).await?;
    Ok(counted.into_iter().map(|(owner, owned)| (owner, rows(owned), values(owned))).collect())
}

/// Of `rows * 2^32 + values`, which one walk counts.
fn rows(owned: i64) -> u64 {
    read_version(owned >> 32)
}

fn values(owned: i64) -> u64 {
    read_version(owned & 0xffff_ffff)
}
