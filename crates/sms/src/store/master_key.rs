//! The master key's file, and the row by which another key is noticed (spec SMS-21).

use std::path::Path;

use anyhow::{Context as _, bail};
use iexec_service::store::Store as Sqlite;
use zeroize::Zeroizing;

use crate::{
    private_file,
    vault::{MasterKey, Row, Vault},
};

const CHECK: &[u8] = b"iexec sms master key v1";

/// Reads the key at `path`, or makes it for an empty store; refuses a store that was sealed under another one.
pub(super) async fn unlock(sqlite: &Sqlite, path: &Path) -> anyhow::Result<Vault> {
    let sealed: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT sealed FROM master_key WHERE id = 1").fetch_optional(sqlite.pool()).await?;
    let vault = match read(path)? {
        Some(key) => Vault::new(&key),
        None if sealed.is_some() => {
            bail!("is missing, and the store's secrets are sealed under it\nhint: restore the file from its backup")
        }
        None => Vault::new(&create(path)?),
    };
    match sealed {
        Some(sealed) => check(&vault, &sealed)?,
        None => write_check(sqlite, &vault).await?,
    }
    Ok(vault)
}

fn read(path: &Path) -> anyhow::Result<Option<MasterKey>> {
    let Some(text) = private_file::read(path, 128)?.map(Zeroizing::new) else { return Ok(None) };
    let mut key = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(text.trim(), key.as_mut()).ok().context("must be 64 hex digits")?;
    Ok(Some(MasterKey(key)))
}

fn create(path: &Path) -> anyhow::Result<MasterKey> {
    let key = MasterKey::random()?;
    let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(const_hex::encode(key.0.as_slice()))));
    private_file::create(path, text.as_bytes()).context("cannot be written")?;
    tracing::info!(
        "made the master key {}: without it the secrets are lost; back it up apart from them",
        path.display()
    );
    Ok(key)
}

fn row() -> Row {
    Row::new("master_key", &[b"1"])
}

fn check(vault: &Vault, sealed: &[u8]) -> anyhow::Result<()> {
    let right = vault.open(&row(), sealed).is_ok_and(|plain| plain.as_slice() == CHECK);
    if right {
        return Ok(());
    }
    bail!("is not the one that the store's secrets are sealed under\nhint: restore the file that belongs to this store")
}

async fn write_check(sqlite: &Sqlite, vault: &Vault) -> anyhow::Result<()> {
    let sealed = vault.seal(&row(), CHECK)?;
    sqlx::query("INSERT INTO master_key (id, sealed) VALUES (1, ?)").bind(sealed).execute(sqlite.pool()).await?;
    Ok(())
}
