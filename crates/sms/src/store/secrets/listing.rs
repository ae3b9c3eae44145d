//! What an owner has, without the values.

use iexec_protocol::{Address, Timestamp};

use super::{Store, StoreError};
use crate::store::read_time;

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// `web2`, `web3`, `app`, `requester` or `storage`.
    pub(crate) kind: String,
    /// Empty for web3 and app.
    pub(crate) name: String,
    /// Counts values and deletions.
    pub(crate) version: u64,
    /// When it was kept first.
    pub(crate) created: Timestamp,
    /// When it changed last.
    pub(crate) updated: Timestamp,
    /// Whether it was deleted: then only the version is left of it.
    pub(crate) deleted: bool,
}

type Columns = (String, String, i64, i64, i64, i64);

impl Store {
    /// The owner's secrets by kind and name, deleted ones among them, from after `after` on; at most `limit`.
    pub(crate) async fn list_secrets(
        &self,
        owner: Address,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let (kind, name) = after.unwrap_or_default();
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let select = "SELECT kind, name, version, created, updated,
                             CAST(CASE WHEN sealed IS NULL THEN 1 ELSE 0 END AS BIGINT)
                      FROM secret WHERE owner = $1 AND (kind > $2 OR (kind = $2 AND name > $3))
                      ORDER BY kind, name LIMIT $4";
        let rows = self.engine.read(|db| {
            let query = sqlx::query_as::<_, Columns>(select).bind(owner.to_vec());
            let query = query.bind(kind.clone()).bind(name.clone()).bind(i64::from(limit));
            Box::pin(async move { Ok(query.fetch_all(db).await?) })
        });
        let listed = |(kind, name, version, created, updated, deleted): Columns| Listed {
            kind,
            name,
            version: read_time(version),
            created: read_time(created),
            updated: read_time(updated),
            deleted: deleted == 1,
        };
        Ok(rows.await?.into_iter().map(listed).collect())
    }

    /// How many secrets the owner has, deleted ones not counted.
    #[cfg(test)]
    pub(crate) async fn count_secrets(&self, owner: Address) -> Result<u64, StoreError> {
        let count = self.engine.read(|db| {
            let count = "SELECT count(*) FROM secret WHERE owner = $1 AND sealed IS NOT NULL";
            let query = sqlx::query_scalar::<_, i64>(count).bind(owner.to_vec());
            Box::pin(async move { Ok(query.fetch_one(db).await?) })
        });
        Ok(read_time(count.await?))
    }
}
