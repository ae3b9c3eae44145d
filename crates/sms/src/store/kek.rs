//! Key-encryption keys: each wraps the data keys, and lies apart from the database (spec SMS-21).

use std::path::Path;

use anyhow::{Context as _, bail};
use sqlx::AnyConnection;
use zeroize::Zeroizing;

use super::{KekSource, location::secret_line};
use crate::{
    private_file,
    vault::{Key, Row, Vault, VaultError},
};

/// scrypt's work factor as a power of two: 128 MiB and some tenths of a second.
const COST: u8 = if cfg!(test) { 4 } else { 17 };
/// What a stored cost may be: a changed row must not take all memory.
const COSTS: std::ops::RangeInclusive<u8> = 4..=20;
const SALT: usize = 16;

/// A key-encryption key.
pub(super) struct Kek {
    /// Tells it from others; says nothing about it.
    pub(super) id: String,
    kind: &'static str,
    salt: Option<Vec<u8>>,
    cost: Option<u8>,
    vault: Vault,
}

/// What the table `kek` says of one.
#[derive(sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: String,
    kind: String,
    salt: Option<Vec<u8>>,
    cost: Option<i64>,
}

/// The keys that the store knows, oldest first.
pub(super) async fn known(db: &mut AnyConnection) -> Result<Vec<Known>, sqlx::Error> {
    sqlx::query_as("SELECT id, kind, salt, cost FROM kek ORDER BY created, id").fetch_all(db).await
}

impl Kek {
    /// Of 32 bytes.
    pub(super) fn of_file(key: &Key) -> Self {
        Self::new(key, "file", None)
    }

    /// Of a passphrase, under a fresh salt.
    fn of_passphrase(passphrase: &str) -> anyhow::Result<Self> {
        let salt = Key::random()?.0[..SALT].to_vec();
        let key = stretch(passphrase, &salt, COST)?;
        Ok(Self::new(&key, "passphrase", Some((salt, COST))))
    }

    fn new(key: &Key, kind: &'static str, stretched: Option<(Vec<u8>, u8)>) -> Self {
        let id = const_hex::encode(&key.derive(b"iexec sms kek id v1").0[..8]);
        let (salt, cost) = stretched.unzip();
        Self { id: format!("{kind}-{id}"), kind, salt, cost, vault: Vault::new(&key.derive(b"iexec sms key wrap v1")) }
    }

    pub(super) fn wrap(&self, id: i64, purpose: &str, key: &Key) -> Result<Vec<u8>, VaultError> {
        self.vault.seal(&row(id, purpose), key.0.as_slice())
    }

    pub(super) fn unwrap(&self, id: i64, purpose: &str, wrapped: &[u8]) -> Result<Key, VaultError> {
        Key::from_slice(&self.vault.open(&row(id, purpose), wrapped)?).ok_or(VaultError::Open)
    }

    /// Writes it down, as far as that is no secret.
    pub(super) async fn insert(&self, db: &mut AnyConnection, now: i64) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO kek (id, kind, salt, cost, created) VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(insert).bind(&self.id).bind(self.kind).bind(self.salt.clone());
        query.bind(self.cost.map(i64::from)).bind(now).execute(db).await?;
        Ok(())
    }
}

fn row(id: i64, purpose: &str) -> Row {
    Row::new("data_key", &[&id.to_be_bytes(), purpose.as_bytes()])
}

fn stretch(passphrase: &str, salt: &[u8], cost: u8) -> anyhow::Result<Key> {
    let params = scrypt::Params::new(cost, 8, 1, 32).map_err(|error| anyhow::anyhow!("scrypt: {error}"))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, key.as_mut()).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Key(key))
}

/// The key that `source` names, if it is one of those `known`; for a store that knows none, a new one.
pub(super) fn unlock(source: &KekSource, folder_key: &Path, known: &[Known]) -> anyhow::Result<Kek> {
    match source {
        KekSource::DataFolder => unlock_folder(folder_key, known),
        KekSource::File(path) => unlock_file(path, known, false),
        KekSource::Passphrase(path) => {
            let passphrase = secret_line(path)?;
            if known.is_empty() { Kek::of_passphrase(&passphrase) } else { unlock_passphrase(&passphrase, known) }
                .with_context(|| format!("the passphrase in {}", path.display()))
        }
    }
}

/// The key that `source` names, to be a store's next one.
pub(super) fn next(source: &KekSource, folder_key: &Path, known: &[Known]) -> anyhow::Result<Kek> {
    let kek = match source {
        KekSource::Passphrase(path) => {
            let passphrase = secret_line(path)?;
            if let Ok(old) = unlock_passphrase(&passphrase, known) {
                bail!("the passphrase in {} is that of the present key {}", path.display(), old.id);
            }
            Kek::of_passphrase(&passphrase)?
        }
        KekSource::DataFolder => unlock_folder(folder_key, &[])?,
        KekSource::File(path) => unlock_file(path, &[], true)?,
    };
    if known.iter().any(|known| known.id == kek.id) {
        bail!("the store's keys are wrapped under {} already\nhint: name a new key", kek.id);
    }
    Ok(kek)
}

/// With a database elsewhere, nobody else makes the data folder.
fn unlock_folder(path: &Path, known: &[Known]) -> anyhow::Result<Kek> {
    if let (true, Some(folder)) = (known.is_empty(), path.parent()) {
        iexec_service::store::private_folder(folder)?;
    }
    unlock_file(path, known, true)
}

fn unlock_file(path: &Path, known: &[Known], make: bool) -> anyhow::Result<Kek> {
    let key = match read_file(path).with_context(|| format!("the master key {}", path.display()))? {
        Some(key) => key,
        None if known.is_empty() && make => create_file(path)?,
        None => bail!(
            "the master key {} is missing{}\nhint: restore the file from its backup, or name it with --master-key-file",
            path.display(),
            if known.is_empty() { "" } else { ", and the store's secrets are sealed under one" }
        ),
    };
    let kek = Kek::of_file(&key);
    if known.is_empty() || known.iter().any(|known| known.id == kek.id) {
        return Ok(kek);
    }
    bail!(
        "the master key {} is {}, but the store's data keys are wrapped under {}\nhint: use the file that belongs to this store",
        path.display(),
        kek.id,
        names(known)
    )
}

fn unlock_passphrase(passphrase: &str, known: &[Known]) -> anyhow::Result<Kek> {
    for known in known.iter().filter(|known| known.kind == "passphrase") {
        let (Some(salt), Some(cost)) = (&known.salt, known.cost) else { continue };
        let cost = u8::try_from(cost).ok().filter(|cost| COSTS.contains(cost));
        let cost = cost.with_context(|| format!("key {} has an scrypt cost out of bounds", known.id))?;
        let kek = Kek::new(&stretch(passphrase, salt, cost)?, "passphrase", Some((salt.clone(), cost)));
        if kek.id == known.id {
            return Ok(kek);
        }
    }
    bail!("opens none of the store's keys: its data keys are wrapped under {}", names(known))
}

fn names(known: &[Known]) -> String {
    known.iter().map(|known| known.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The 64 hex digits in a private file.
pub(super) fn read_file(path: &Path) -> anyhow::Result<Option<Key>> {
    let Some(text) = private_file::read(path, 128)?.map(Zeroizing::new) else { return Ok(None) };
    let mut key = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(text.trim(), key.as_mut()).ok().context("must be 64 hex digits")?;
    Ok(Some(Key(key)))
}

fn create_file(path: &Path) -> anyhow::Result<Key> {
    let key = Key::random()?;
    let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(const_hex::encode(key.0.as_slice()))));
    private_file::create(path, text.as_bytes()).with_context(|| format!("the master key {}", path.display()))?;
    tracing::info!(
        "made the master key {}: without it the secrets are lost; back it up apart from them",
        path.display()
    );
    Ok(key)
}
