//! Pruning the audit log (spec SMS-65): its oldest entries leave the database, after a file holds them. The chain goes on
//! from an anchor, which an entry of the log itself vouches for.

use std::path::Path;

use anyhow::{Context as _, ensure};
use iexec_protocol::Timestamp;
use iexec_service::clock;
use sqlx::AnyConnection;

use super::{
    Location,
    audit::{self, Entry, Event},
    engine::Engine,
    export::{self, AuditPart},
    reach, rotation, stored_time,
    verify::{AuditHead, anchor, entry_hash},
};

/// Entries that are deleted in one transaction.
const BATCH: i64 = 5000;

/// Exports the entries that are older than `before` to a new file, checks the file, then deletes them. Services go on.
///
/// # Errors
/// There are none; the log does not verify as far as it would be pruned; the file cannot be written. Then nothing is
/// deleted.
pub(crate) async fn prune(location: &Location, before: Timestamp, out: &Path) -> anyhow::Result<AuditPart> {
    let engine = reach(location).await?;
    let part = export(&engine, before, out).await?;
    let written = export::check(out)?;
    ensure!(written == part, "the export {} does not hold what was written: nothing was pruned", out.display());
    move_anchor(&engine, &part).await?;
    sweep(&engine, part.head).await?;
    Ok(part)
}

async fn export(engine: &Engine, before: Timestamp, out: &Path) -> anyhow::Result<AuditPart> {
    let mut db = engine.connect().await?;
    let mut snapshot = sqlx::Connection::begin_with(&mut db, engine.kind.snapshot()).await?;
    let chain = anchor(&mut snapshot).await?;
    export::write(&mut snapshot, out, chain, before).await
}

/// From here on the log begins after the part. That it does is an entry of the log.
async fn move_anchor(engine: &Engine, part: &AuditPart) -> anyhow::Result<()> {
    let mut db = engine.connect().await?;
    let mut transaction = rotation::begin(engine.kind, &mut db).await?;
    let now = anchor(&mut transaction).await?.head();
    ensure!(now == part.after, "somebody else pruned the audit log meanwhile: nothing was pruned here");
    let last = entry_hash(&mut transaction, part.head.seq).await?;
    ensure!(last == Some(part.head.hash), "audit entry {} was changed meanwhile: nothing was pruned", part.head.seq);
    let update = "UPDATE audit_anchor SET seq = $1, hash = $2 WHERE id = 1";
    let query = sqlx::query(update).bind(stored_time(part.head.seq)).bind(part.head.hash.to_vec());
    query.execute(&mut *transaction).await?;
    let entry = pruned(part);
    audit::append(engine.kind, &mut transaction, &[entry], stored_time(clock::now())).await?;
    transaction.commit().await.context("whether the log was pruned is not known")
}

/// What the log says of it.
fn pruned(part: &AuditPart) -> Entry {
    Entry::new(Event::Pruned).with("through", part.head).number("entries", part.entries())
}

/// The anchor that an entry vouches for, if it is such an entry.
pub(super) fn vouched(entry: &serde_json::Value) -> Option<AuditHead> {
    let event = entry.get("event")?.as_str()?;
    if event == Event::Pruned.name() { entry.get("through")?.as_str()?.parse().ok() } else { None }
}

/// Deletes what is before the anchor, in small transactions. One that is interrupted is ended by the next pruning: until
/// then nobody reads what is left.
async fn sweep(engine: &Engine, anchor: AuditHead) -> anyhow::Result<()> {
    let mut db = engine.connect().await?;
    let last = stored_time(anchor.seq);
    while let Some(first) = first(&mut db, last).await? {
        let mut transaction = super::writer::begin(engine.kind, &mut db).await?;
        let through = last.min(first.saturating_add(BATCH));
        sqlx::query("DELETE FROM audit WHERE seq <= $1").bind(through).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn first(db: &mut AnyConnection, last: i64) -> anyhow::Result<Option<i64>> {
    let select = "SELECT seq FROM audit WHERE seq <= $1 ORDER BY seq LIMIT 1";
    Ok(sqlx::query_scalar(select).bind(last).fetch_optional(db).await?)
}
