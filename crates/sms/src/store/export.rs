//! The audit log in a file: where it begins, its entries as they are hashed, its end; one JSON object in a line. Whoever
//! has the file can follow the chain without the database, and from one file to the next (spec SMS-65).

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use iexec_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use super::{
    Location, reach,
    verify::{AuditHead, Chain, anchor, follow_page, start},
};

/// What the first line says that the file is.
const FORMAT: &str = "iexec sms audit log v1";
/// Longest line, in bytes: an entry has a dozen words of 512 bytes, each of which JSON may make six times as long.
const MAX_LINE: u64 = 64 * 1024;

/// A part of the audit log, from after one entry to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPart {
    /// The entry before its first: 0 and zeros for the log's beginning.
    pub after: AuditHead,
    /// Its last entry.
    pub head: AuditHead,
}

impl AuditPart {
    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.head.seq - self.after.seq
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    after: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    head: String,
}

/// Writes the entries from `from` on that are older than `before` to a new file, whole or not at all; all there are if
/// it is `None`. The chain is followed on the way.
pub(crate) async fn export(
    location: &Location,
    out: &Path,
    from: u64,
    before: Option<Timestamp>,
) -> anyhow::Result<AuditPart> {
    let engine = reach(location).await?;
    let mut db = engine.connect().await?;
    let mut snapshot = sqlx::Connection::begin_with(&mut db, engine.kind.snapshot()).await?;
    let begin = anchor(&mut snapshot).await?.head();
    if from > 1 && from <= begin.seq {
        bail!("the audit log begins with entry {}: what was before it was pruned", begin.seq + 1);
    }
    let chain = start(&mut snapshot, from).await?;
    write(&mut snapshot, out, chain, before.unwrap_or(Timestamp::MAX)).await
}

/// The same, of a transaction that sees one moment.
pub(super) async fn write(
    db: &mut AnyConnection,
    out: &Path,
    mut chain: Chain,
    before: Timestamp,
) -> anyhow::Result<AuditPart> {
    ensure!(!out.exists(), "{} exists already\nhint: an export is never written over another", out.display());
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("in {}", folder.display()))?;
    let mut output = BufWriter::new(file.as_file_mut());
    let after = chain.head();
    line(&mut output, &First { format: FORMAT.to_owned(), after: after.to_string() })?;
    let mut is_older = |entry: &str| -> anyhow::Result<bool> {
        if time(entry)? >= before {
            return Ok(false);
        }
        writeln!(output, "{entry}")?;
        Ok(true)
    };
    while follow_page(db, &mut chain, &mut is_older).await? {}
    let head = chain.head();
    ensure!(head.seq > after.seq, "the audit log has no such entry\nhint: iexecd sms audit show");
    line(&mut output, &Last { head: head.to_string() })?;
    output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    file.persist_noclobber(out).with_context(|| format!("{}", out.display()))?;
    File::open(folder)?.sync_all()?;
    Ok(AuditPart { after, head })
}

fn line(output: &mut impl std::io::Write, line: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(output, "{}", serde_json::to_string(line)?)?)
}

fn time(entry: &str) -> anyhow::Result<Timestamp> {
    let said: serde_json::Value = serde_json::from_str(entry).context("an audit entry is no JSON")?;
    said.get("time").and_then(serde_json::Value::as_u64).context("an audit entry says no time")
}

/// Reads such a file, and follows its chain from its first line to its last.
///
/// # Errors
/// It is none, or something in it was changed, removed or moved.
pub(crate) fn check(path: &Path) -> anyhow::Result<AuditPart> {
    let file = File::open(path).with_context(|| format!("the export {}", path.display()))?;
    read(BufReader::new(file)).with_context(|| format!("the export {}", path.display()))
}

fn read(mut file: BufReader<File>) -> anyhow::Result<AuditPart> {
    let first = next(&mut file)?.context("it is empty")?;
    let first: First = serde_json::from_str(&first).context("its first line is not that of an export")?;
    ensure!(first.format == FORMAT, "its format is {:?}, this is {FORMAT:?}", first.format);
    let after: AuditHead = first.after.parse().map_err(|error: String| anyhow::anyhow!("its first line: {error}"))?;
    let mut chain = Chain::after(after)?;
    while let Some(line) = next(&mut file)? {
        let Ok(last) = serde_json::from_str::<Last>(&line) else {
            chain.follow_next(&line)?;
            continue;
        };
        let head = chain.head();
        ensure!(last.head == head.to_string(), "it ends with {head}, and says that it ends with {}", last.head);
        ensure!(next(&mut file)?.is_none(), "something follows its end");
        return Ok(AuditPart { after, head });
    }
    bail!("it ends too early")
}

fn next(file: &mut BufReader<File>) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    file.by_ref().take(MAX_LINE).read_line(&mut line).context("it cannot be read")?;
    if line.is_empty() {
        return Ok(None);
    }
    ensure!(line.pop() == Some('\n'), "a line is cut, or longer than {MAX_LINE} bytes");
    Ok(Some(line))
}
