//! Checking the audit log, and showing it.

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::{Location, engine::Engine, prune, reach, stored_time};

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
    /// The anchor that the last entry about a pruning vouches for.
    vouched: Option<AuditHead>,
}

impl Chain {
    pub(super) const fn start() -> Self {
        Self { seq: 0, hash: [0; 32], vouched: None }
    }

    /// From after an entry whose hash is believed.
    pub(super) fn after(entry: AuditHead) -> anyhow::Result<Self> {
        let seq = i64::try_from(entry.seq).context("there is no such entry")?;
        Ok(Self { seq, hash: entry.hash, vouched: None })
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
        self.follow_next(entry)
    }

    /// The next entry's hash, if it says that it is the next.
    pub(super) fn follow_next(&mut self, entry: &str) -> anyhow::Result<[u8; 32]> {
        let seq = self.seq + 1;
        let said = serde_json::from_str::<serde_json::Value>(entry).unwrap_or_default();
        match said.get("seq").and_then(serde_json::Value::as_i64) {
            Some(said) if said == seq => (),
            Some(said) => bail!("audit entry {seq} says that it is {said}"),
            None => bail!("audit entry {seq} says that it is none"),
        }
        self.vouched = prune::vouched(&said).or(self.vouched);
        self.hash = Sha256::new().chain_update(self.hash).chain_update(entry).finalize().into();
        self.seq = seq;
        Ok(self.hash)
    }
}

type Row = (i64, String, Vec<u8>);

/// Follows the log from entry `from` on (its predecessor's hash is believed), or from its anchor if that is later, and
/// compares it with its head in the database and with a `known` one.
pub(crate) async fn verify(location: &Location, from: u64, known: Option<AuditHead>) -> anyhow::Result<AuditHead> {
    let engine = reach(location).await?;
    let mut db = engine.connect().await?;
    let mut snapshot = sqlx::Connection::begin_with(&mut db, engine.kind.snapshot()).await?;
    let anchor = anchor(&mut snapshot).await?.head();
    if let Some(known) = known.filter(|known| known.seq < anchor.seq) {
        bail!(
            "audit entry {} of the known head was pruned: the log begins with entry {}\n\
             hint: iexecd sms audit verify-export FILE follows what was exported before",
            known.seq,
            anchor.seq + 1
        );
    }
    let mut chain = start(&mut snapshot, from).await?;
    let is_whole = chain.head() == anchor;
    check_known(&chain.head(), known)?;
    let mut seen = chain.head().seq;
    while follow_page(&mut snapshot, &mut chain, &mut |_| Ok(true)).await? {
        if let Some(known) = known.filter(|known| known.seq > seen && known.seq <= chain.head().seq) {
            let hash = entry_hash(&mut snapshot, known.seq).await?;
            check_known(&AuditHead { seq: known.seq, hash: hash.unwrap_or_default() }, Some(known))?;
        }
        seen = chain.head().seq;
    }
    // Entries that vouch for it are after it: whoever begins later may not meet them.
    if is_whole && anchor.seq > 0 && chain.vouched != Some(anchor) {
        bail!("the audit log begins after entry {}, and no entry says that it was pruned so far", anchor.seq);
    }
    check_end(&mut snapshot, &chain, known).await
}

async fn check_end(db: &mut AnyConnection, chain: &Chain, known: Option<AuditHead>) -> anyhow::Result<AuditHead> {
    let head = read_head(db).await?;
    if head != chain.head() {
        bail!(
            "the audit log ends with entry {}, its head is of entry {}: its end was removed or changed",
            chain.seq,
            head.seq
        );
    }
    if let Some(known) = known.filter(|known| known.seq > head.seq) {
        bail!("the audit log ends with entry {}, but it had {}: its end was removed", chain.seq, known.seq);
    }
    Ok(head)
}

fn check_known(head: &AuditHead, known: Option<AuditHead>) -> anyhow::Result<()> {
    match known {
        Some(known) if known.seq == head.seq && known.hash != head.hash => {
            bail!("audit entry {} has another hash than it had: the log was written anew", head.seq)
        }
        _ => Ok(()),
    }
}

/// Follows the chain through as many entries as are read at a time, each of which `take` may refuse. `false` at the end,
/// and when one was refused: the chain then ends before it.
pub(super) async fn follow_page(
    db: &mut AnyConnection,
    chain: &mut Chain,
    take: &mut (dyn FnMut(&str) -> anyhow::Result<bool> + Send),
) -> anyhow::Result<bool> {
    let rows = page(db, chain.seq).await?;
    for (seq, entry, stored) in &rows {
        let mut next = Chain { ..*chain };
        let hash = next.follow(*seq, entry)?;
        if hash.as_slice() != stored.as_slice() {
            bail!("audit entry {seq} does not fit the one before it: it, or its hash, was changed");
        }
        if !take(entry)? {
            return Ok(false);
        }
        *chain = next;
    }
    Ok(!rows.is_empty())
}

/// Where the log begins: after the last entry that was pruned.
pub(super) async fn anchor(db: &mut AnyConnection) -> anyhow::Result<Chain> {
    let select = "SELECT seq, hash FROM audit_anchor WHERE id = 1";
    Chain::after(head_of(sqlx::query_as(select).fetch_one(db).await?)?)
}

/// Before entry `from`, or the log's beginning if that is later.
pub(super) async fn start(db: &mut AnyConnection, from: u64) -> anyhow::Result<Chain> {
    let (seq, anchor) = (from.saturating_sub(1), anchor(db).await?);
    if seq <= anchor.head().seq {
        return Ok(anchor);
    }
    let hash = entry_hash(db, seq).await?.with_context(|| format!("there is no audit entry {seq}"))?;
    Chain::after(AuditHead { seq, hash })
}

/// An entry's hash as it is stored.
pub(super) async fn entry_hash(db: &mut AnyConnection, seq: u64) -> anyhow::Result<Option<[u8; 32]>> {
    let select = "SELECT hash FROM audit WHERE seq = $1";
    let hash: Option<Vec<u8>> = sqlx::query_scalar(select).bind(stored_time(seq)).fetch_optional(db).await?;
    hash.map(|hash| hash.try_into().ok().context("a hash has another length than 32 bytes")).transpose()
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
    let from = i64::try_from(from.saturating_sub(1)).context("there is no such entry")?;
    let mut after = anchor(&mut db).await?.seq.max(from);
    loop {
        let rows = page(&mut db, after).await?;
        let Some((last, _, _)) = rows.last() else { return Ok(()) };
        after = *last;
        rows.iter().try_for_each(|(_, entry, _)| show(entry))?;
    }
}

/// The log's head.
pub(crate) async fn head(location: &Location) -> anyhow::Result<AuditHead> {
    let engine: Engine = reach(location).await?;
    read_head(&mut engine.connect().await?).await
}

async fn read_head(db: &mut AnyConnection) -> anyhow::Result<AuditHead> {
    head_of(sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(db).await?)
}

fn head_of((seq, hash): (i64, Vec<u8>)) -> anyhow::Result<AuditHead> {
    Ok(AuditHead { seq: seq.unsigned_abs(), hash: hash.try_into().ok().context("a hash has not 32 bytes")? })
}
