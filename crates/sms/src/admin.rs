//! What an operator does to a store beside the running service: keys, backup, audit log.
//!
//! Each works on a live store, `SQLite` or PostgreSQL, except [`restore`], which makes one.

use std::path::{Path, PathBuf};

use iexec_protocol::{Address, Timestamp};
use iexec_service::BoxFuture;

pub use crate::store::{
    AuditHead, AuditPart, BackupCounts, BackupKey, BackupTo, DatabaseUrl, KekSource, KeyLine, Location, Rotated,
};
use crate::store::{broker_address, export, prune, rotation, verify};

/// The data keys, and what they are wrapped under.
pub fn keys(at: Location) -> BoxFuture<'static, anyhow::Result<Vec<KeyLine>>> {
    Box::pin(async move { rotation::list(&at).await })
}

/// Makes a new data key, seals every value under it, destroys the old ones.
pub fn rotate(at: Location) -> BoxFuture<'static, anyhow::Result<Rotated>> {
    Box::pin(async move { rotation::rotate(&at).await })
}

/// Wraps the data keys under one more key-encryption key, whose id is returned. Services go on with either.
pub fn add_kek(at: Location, new: KekSource) -> BoxFuture<'static, anyhow::Result<String>> {
    Box::pin(async move { rotation::add_kek(&at, &new).await })
}

/// Drops a key-encryption key; `at` names the one that stays.
pub fn drop_kek(at: Location, id: String) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move { rotation::drop_kek(&at, &id).await })
}

/// Writes an encrypted backup of one moment to a new file.
pub fn backup(at: Location, out: PathBuf, to: BackupTo) -> BoxFuture<'static, anyhow::Result<BackupCounts>> {
    Box::pin(async move { crate::store::backup(&at, &out, &to).await })
}

/// Makes a store of a backup: everything is checked first, then written in one transaction.
pub fn restore(at: Location, file: PathBuf, key: BackupKey) -> BoxFuture<'static, anyhow::Result<BackupCounts>> {
    Box::pin(async move { crate::store::restore(&at, &file, &key).await })
}

/// Follows the audit log from an entry on, or from where it was pruned to if that is later; its head.
///
/// # Errors
/// An entry was changed, removed or moved. That the end was cut off shows only against a `known` head.
pub fn verify_audit(
    at: Location,
    from: u64,
    known: Option<AuditHead>,
) -> BoxFuture<'static, anyhow::Result<AuditHead>> {
    Box::pin(async move { verify::verify(&at, from, known).await })
}

/// Writes the audit log's entries from `from` on, and before a time, to a new file, following the chain on the way.
///
/// # Errors
/// There are none, the log does not verify, or the file is there.
pub fn export_audit(
    at: Location,
    out: PathBuf,
    from: u64,
    before: Option<Timestamp>,
) -> BoxFuture<'static, anyhow::Result<AuditPart>> {
    Box::pin(async move { export::export(&at, &out, from, before).await })
}

/// Follows the chain of an exported part of the audit log.
///
/// # Errors
/// It is no export, or something in it was changed, removed or moved.
pub fn verify_export(file: &Path) -> anyhow::Result<AuditPart> {
    export::check(file)
}

/// Exports the audit log's entries from before a time to a new file, then deletes them.
///
/// # Errors
/// There are none, the log does not verify as far as it would be pruned, or the file cannot be written: then nothing is
/// deleted.
pub fn prune_audit(at: Location, before: Timestamp, out: PathBuf) -> BoxFuture<'static, anyhow::Result<AuditPart>> {
    Box::pin(async move { prune::prune(&at, before, &out).await })
}

/// Hands each entry of the audit log from `from` on to `show`, as one JSON object.
pub fn show_audit(
    at: Location,
    from: u64,
    mut show: impl FnMut(&str) -> anyhow::Result<()> + Send + 'static,
) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move { verify::show(&at, from, &mut show).await })
}

/// The audit log's head, to be kept elsewhere.
pub fn audit_head(at: Location) -> BoxFuture<'static, anyhow::Result<AuditHead>> {
    Box::pin(async move { verify::head(&at).await })
}

/// Address of the SMS as a TEE broker; `None` if it was never started as one.
pub fn broker(at: Location) -> BoxFuture<'static, anyhow::Result<Option<Address>>> {
    Box::pin(async move { broker_address(&at).await })
}
