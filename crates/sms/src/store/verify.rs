//! Checking the audit log, and showing it.

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::{Location, engine::Engine, reach};

/// Entries read at a time.
const PAGE: i64 = 500;

/// The end of the log: whoever keeps one elsewhere notices when the log is cut or written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last entry, from 1 on; 0 for an empty log.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl std::fmt::Display for AuditHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, const_hex::encode(self.hash))
    }
}

impl std::str::FromStr for AuditHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (seq, hash) = text.split_once(':')?;
            let mut bytes = [0; 32];
            const_hex::decode_to_slice(hash, &mut bytes).ok()?;
            Some(Self { seq: seq.parse().ok()?, hash: bytes })
        };
        read().ok_or_else(|| format!("expected <number>:<64 hex digits>, got {text:?}"))
    }
}

/// The chain as far as it was followed.
pub(super) struct Chain {
    seq: i64,
    hash: [u8; 32],
}

impl Chain {
    pub(super) const fn start() -> Self {
        Self { seq: 0, hash: [0; 32] }
    }

    pub(super) fn head(&self) -> AuditHead {
        AuditHead { seq: self.seq.unsigned_abs(), hash: self.hash }
    }

    /// The next entry's hash, if it is the next entry.
    pub(super) fn follow(&mut self, seq: i64, entry: &str) -> anyhow::Result<[u8; 32]> {
        let expected = self.seq + 1;
        if seq != expected {
            bail!("audit entry {expected} is missing: the next one is {seq}");
        }
        let said = serde_json::from_str::<serde_json::Value>(entry).ok();
        let said = said.as_ref().and_then(|entry| entry.get("seq")?.as_i64());
        if said != Some(seq) {
            bail!(
                "audit entry {seq} says that it is {}",
                said.map_or_else(|| "none".to_owned(), |seq| seq.to_string())
            );
        }
        self.hash = Sha256::new().chain_update(self.hash).chain_update(entry).finalize().into();
        self.seq = seq;
        Ok(self.hash)
    }
}

type Row = (i64, String, Vec<u8>);

/// Follows the log from entry `from` on (its predecessor's hash is believed), and compares it with its head in the
/// database and with a `known` one.
pub(crate) async fn verify(location: &Location, from: u64, known: Option<AuditHead>) -> anyhow::Result<AuditHead> {
    let engine = reach(location).await?;
    let mut db = engine.connect().await?;
    let mut snapshot = sqlx::Connection::begin_with(&mut db, engine.kind.snapshot()).await?;
    let mut chain = start(&mut snapshot, from).await?;
    check_known(&chain, known)?;
    loop {
        let rows = page(&mut snapshot, chain.seq).await?;
        for (seq, entry, stored) in &rows {
            let hash = chain.follow(*seq, entry)?;
            if hash.as_slice() != stored.as_slice() {
                bail!("audit entry {seq} does not fit the one before it: it, or its hash, was changed");
            }
            check_known(&chain, known)?;
        }
        if rows.is_empty() {
            break;
        }
    }
    let (seq, hash): (i64, Vec<u8>) =
        sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(&mut *snapshot).await?;
    if seq != chain.seq || hash.as_slice() != chain.hash.as_slice() {
        bail!(
            "the audit log ends with entry {}, its head is of entry {seq}: its end was removed or changed",
            chain.seq
        );
    }
    if let Some(known) = known.filter(|known| known.seq > chain.head().seq) {
        bail!("the audit log ends with entry {}, but it had {}: its end was removed", chain.seq, known.seq);
    }
    Ok(chain.head())
}

fn check_known(chain: &Chain, known: Option<AuditHead>) -> anyhow::Result<()> {
    let head = chain.head();
    match known {
        Some(known) if known.seq == head.seq && known.hash != head.hash => {
            bail!("audit entry {} has another hash than it had: the log was written anew", head.seq)
        }
        _ => Ok(()),
    }
}

async fn start(db: &mut AnyConnection, from: u64) -> anyhow::Result<Chain> {
    let before = i64::try_from(from.saturating_sub(1)).context("there is no such entry")?;
    if before == 0 {
        return Ok(Chain::start());
    }
    let hash: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM audit WHERE seq = $1").bind(before).fetch_optional(db).await?;
    let hash = hash.with_context(|| format!("there is no audit entry {before}"))?;
    Ok(Chain { seq: before, hash: hash.try_into().ok().context("a hash has another length than 32 bytes")? })
}

async fn page(db: &mut AnyConnection, after: i64) -> anyhow::Result<Vec<Row>> {
    let select = "SELECT seq, entry, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2";
    Ok(sqlx::query_as(select).bind(after).bind(PAGE).fetch_all(db).await?)
}

/// Hands each entry from `from` on to `show`, as the JSON that was hashed.
pub(crate) async fn show(
    location: &Location,
    from: u64,
    show: &mut (dyn FnMut(&str) -> anyhow::Result<()> + Send),
) -> anyhow::Result<()> {
    let engine = reach(location).await?;
    let mut db = engine.connect().await?;
    let mut after = i64::try_from(from.saturating_sub(1)).context("there is no such entry")?;
    loop {
        let rows = page(&mut db, after).await?;
        let Some((last, _, _)) = rows.last() else { return Ok(()) };
        after = *last;
        rows.iter().try_for_each(|(_, entry, _)| show(entry))?;
    }
}

/// The log's head.
pub(crate) async fn head(location: &Location) -> anyhow::Result<AuditHead> {
    read_head(&reach(location).await?).await
}

async fn read_head(engine: &Engine) -> anyhow::Result<AuditHead> {
    let mut db = engine.connect().await?;
    let (seq, hash): (i64, Vec<u8>) =
        sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(&mut db).await?;
    Ok(AuditHead { seq: seq.unsigned_abs(), hash: hash.try_into().ok().context("a hash has not 32 bytes")? })
}
