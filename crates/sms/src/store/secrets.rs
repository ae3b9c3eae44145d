//! The table of secrets, and the marks of the values that each had.

use iexec_protocol::{Address, call::sms::SecretId, session::SecretText};
use sqlx::SqliteConnection;

use super::{Store, StoreError};
use crate::{secret::Approved, vault::Row};

const TABLE: &str = "secret";

/// Whether a secret was kept for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is kept now.
    Kept,
    /// There is one already; nothing changed.
    Exists,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The value is kept now, or was the current one.
    Kept,
    /// There is none to update.
    Absent,
    /// The value was replaced before: nothing changed.
    Returned,
}

/// A secret's place.
struct Place {
    kind: &'static str,
    owner: Address,
    name: String,
}

impl Place {
    fn of(id: &SecretId) -> Self {
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

    fn row(&self) -> Row {
        Row::new(TABLE, &[self.kind.as_bytes(), self.owner.as_slice(), self.name.as_bytes()])
    }

    async fn sealed(&self, db: &mut SqliteConnection) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar("SELECT sealed FROM secret WHERE kind = ? AND owner = ? AND name = ?")
            .bind(self.kind)
            .bind(self.owner.as_slice())
            .bind(&self.name)
            .fetch_optional(db)
            .await
    }

    /// Whether the value is new here; it is remembered from now on.
    async fn remember(&self, db: &mut SqliteConnection, mark: Vec<u8>) -> Result<bool, sqlx::Error> {
        let insert = "INSERT INTO secret_mark (kind, owner, name, mark) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(insert).bind(self.kind).bind(self.owner.as_slice()).bind(&self.name).bind(mark);
        Ok(query.execute(db).await?.rows_affected() == 1)
    }
}

impl Store {
    /// Whether it is there.
    pub(crate) async fn has_secret(&self, id: &SecretId) -> Result<bool, StoreError> {
        let mut db = self.sqlite.pool().acquire().await?;
        Ok(Place::of(id).sealed(&mut db).await?.is_some())
    }

    /// Its value.
    pub(crate) async fn secret(&self, id: &SecretId) -> Result<Option<SecretText>, StoreError> {
        let place = Place::of(id);
        let mut db = self.sqlite.pool().acquire().await?;
        let Some(sealed) = place.sealed(&mut db).await? else { return Ok(None) };
        let plain = self.vault.open(&place.row(), &sealed).map_err(StoreError::vault(TABLE))?;
        let text = std::str::from_utf8(&plain).map_err(|error| StoreError::row(TABLE, &error))?;
        Ok(Some(SecretText::new(text)))
    }

    /// Keeps a secret that is not there yet.
    pub(crate) async fn create_secret(&self, approved: Approved<'_>) -> Result<Created, StoreError> {
        let place = Place::of(approved.id());
        let plain = approved.value().expose().as_bytes();
        let sealed = self.vault.seal(&place.row(), plain).map_err(StoreError::vault(TABLE))?;
        let mut db = self.sqlite.begin().await?;
        let insert = "INSERT INTO secret (kind, owner, name, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(insert).bind(place.kind).bind(place.owner.as_slice()).bind(&place.name).bind(sealed);
        if query.execute(&mut *db).await?.rows_affected() == 0 {
            return Ok(Created::Exists);
        }
        place.remember(&mut db, self.vault.mark(&place.row(), plain)).await?;
        db.commit().await?;
        Ok(Created::Kept)
    }

    /// Replaces a secret's value by one that it never had (spec SMS-14).
    pub(crate) async fn update_secret(&self, approved: Approved<'_>) -> Result<Updated, StoreError> {
        let place = Place::of(approved.id());
        let (row, plain) = (place.row(), approved.value().expose().as_bytes());
        let mut db = self.sqlite.begin().await?;
        let Some(current) = place.sealed(&mut db).await? else { return Ok(Updated::Absent) };
        let current = self.vault.open(&row, &current).map_err(StoreError::vault(TABLE))?;
        if current.as_slice() == plain {
            return Ok(Updated::Kept);
        }
        if !place.remember(&mut db, self.vault.mark(&row, plain)).await? {
            return Ok(Updated::Returned);
        }
        let sealed = self.vault.seal(&row, plain).map_err(StoreError::vault(TABLE))?;
        sqlx::query("UPDATE secret SET sealed = ? WHERE kind = ? AND owner = ? AND name = ?")
            .bind(sealed)
            .bind(place.kind)
            .bind(place.owner.as_slice())
            .bind(&place.name)
            .execute(&mut *db)
            .await?;
        db.commit().await?;
        Ok(Updated::Kept)
    }
}
