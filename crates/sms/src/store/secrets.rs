//! The table of secrets, and the marks of the values that each had.
//!
//! A deleted secret keeps its row, without a value: its version goes on counting, and its marks stay.

mod change;
mod deletion;
mod fence;
mod listing;
mod outcome;
mod quota;

use iexec_protocol::{Address, call::sms::SecretId};
use sqlx::AnyConnection;

pub(crate) use fence::Fence;
pub(super) use fence::take_nonce;
pub(crate) use listing::Listed;
pub(crate) use outcome::{Created, Deleted, Put, Updated};
pub(super) use quota::Grown;

use super::{
    Store, StoreError,
    audit::{Entry, Event},
    refusals::{Refused, Source},
};
use crate::vault::Row;

pub(super) const TABLE: &str = "secret";

/// A secret's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) owner: Address,
    pub(super) name: String,
}

/// Kind, owner and name under which it is kept.
pub(super) fn place(id: &SecretId) -> (&'static str, Address, String) {
    let Place { kind, owner, name } = Place::of(id);
    (kind, owner, name)
}

impl Place {
    pub(super) fn of(id: &SecretId) -> Self {
        let (kind, owner, name) = match id {
            // iExec's SMS keeps web2 names in lower case, and requesters' keys as they are.
            SecretId::Web2 { owner, name } => ("web2", owner, name.to_lowercase()),
            SecretId::Web3 { asset } => ("web3", asset, String::new()),
            SecretId::App { app } => ("app", app, String::new()),
            SecretId::Requester { requester, key } => ("requester", requester, key.clone()),
            SecretId::Storage { worker, proxy } => ("storage", worker, proxy.clone()),
        };
        Self { kind, owner: *owner, name }
    }

    pub(super) fn row(&self) -> Row {
        row(self.kind, self.owner.as_slice(), &self.name)
    }

    fn entry(&self, event: Event) -> Entry {
        Entry::new(event).with("kind", self.kind).with("owner", self.owner).with("name", &self.name)
    }

    /// The value and its data key, unless it is deleted; and the version.
    async fn current(&self, db: &mut AnyConnection) -> Result<Option<(Option<Vec<u8>>, i64, i64)>, sqlx::Error> {
        let select = "SELECT sealed, key_id, version FROM secret WHERE owner = $1 AND kind = $2 AND name = $3";
        let query = sqlx::query_as(select).bind(self.owner.as_slice()).bind(self.kind).bind(self.name.as_str());
        query.fetch_optional(db).await
    }
}

/// A write that another process came before.
fn raced(changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Raced { table: TABLE }) }
}

fn read_version(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}

/// What a value is sealed for.
pub(super) fn row(kind: &str, owner: &[u8], name: &str) -> Row {
    Row::new(TABLE, &[kind.as_bytes(), owner, name.as_bytes()])
}

impl Store {
    /// Tells the log of a refusal that the secret's state decided, of somebody whose signature counts.
    async fn refused_at(
        &self,
        place: &Place,
        request: &'static str,
        cause: &'static str,
        signer: Option<Address>,
    ) -> Result<(), StoreError> {
        let refused = Refused { source: Source::Owner(place.owner), request, cause };
        let entry = place.entry(Event::Refused);
        self.refused(refused, signer.into_iter().fold(entry, Entry::by)).await
    }

    /// Whether it is there.
    pub(crate) async fn has_secret(&self, id: &SecretId) -> Result<bool, StoreError> {
        let place = Place::of(id);
        let found = self.engine.read(|db| {
            let query = sqlx::query_scalar::<_, i64>(
                "SELECT version FROM secret WHERE owner = $1 AND kind = $2 AND name = $3 AND sealed IS NOT NULL",
            );
            let query = query.bind(place.owner.to_vec()).bind(place.kind).bind(place.name.clone());
            Box::pin(async move { Ok(query.fetch_optional(db).await?) })
        });
        Ok(found.await?.is_some())
    }
}
