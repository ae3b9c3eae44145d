//! `iexecd sms audit`: the audit log beside the running service. Its answer goes to stdout.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use iexec_protocol::Timestamp;
use iexec_sms::admin::{self, AuditHead};
use serde_json::Value;
use time::{Date, Month};

use super::tool::{At, answer};

/// What to do with the log.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check that no entry was changed, removed or moved
    Verify(Verify),
    /// Check that in an exported file no entry was changed, removed or moved
    VerifyExport(VerifyExport),
    /// Show the entries
    Show(Show),
    /// Say the log's head: kept elsewhere, it shows later that the log's end is still there
    Head(Head),
    /// Write entries to a new file, which can be checked without the database
    Export(Export),
    /// Write the oldest entries to a new file, then delete them; services go on meanwhile
    Prune(Prune),
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    at: At,
    /// First entry to check; the one before it is believed
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    from: u64,
    /// A head that was kept elsewhere
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<AuditHead>,
}

#[derive(Args)]
pub(crate) struct VerifyExport {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    at: At,
    /// First entry to show
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    from: u64,
    /// The entries as they are hashed, one JSON object in a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Head {
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    at: At,
    /// First entry
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    from: u64,
    /// Entries from before this day alone (UTC), as 2026-01-31, or before this time in seconds since 1970
    #[arg(long, value_name = "DATE", value_parser = date)]
    before: Option<Timestamp>,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    at: At,
    /// Entries from before this day (UTC), as 2026-01-31, or before this time in seconds since 1970
    #[arg(long, value_name = "DATE", value_parser = date)]
    before: Timestamp,
    /// The new file that keeps them
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn date(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let read = || {
        let [year, month, day]: [&str; 3] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
        u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok()
    };
    read().ok_or_else(|| "expected a day as 2026-01-31, or seconds since 1970".to_owned())
}

/// Does it.
pub(super) async fn run(audit: Audit) -> Result<()> {
    match audit {
        Audit::Verify(Verify { at, from, head }) => {
            let head = admin::verify_audit(at.location(), from, head).await?;
            answer(&format!("{head}"))
        }
        Audit::VerifyExport(VerifyExport { file }) => {
            let part = admin::verify_export(&file)?;
            answer(&format!("{} entries after {}, up to {}", part.entries(), part.after, part.head))
        }
        Audit::Show(Show { at, from, json }) => {
            let show = move |entry: &str| if json { answer(entry) } else { answer(&words(entry)) };
            admin::show_audit(at.location(), from, show).await
        }
        Audit::Head(Head { at }) => answer(&admin::audit_head(at.location()).await?.to_string()),
        Audit::Export(Export { at, from, before, out }) => {
            let part = admin::export_audit(at.location(), out, from, before).await?;
            answer(&format!("{} entries, up to {}", part.entries(), part.head))
        }
        Audit::Prune(Prune { at, before, out }) => {
            let shown = out.display().to_string();
            let part = admin::prune_audit(at.location(), before, out).await.context("the audit log")?;
            answer(&format!("{} entries, up to {}, are in {shown} and no more in the log", part.entries(), part.head))
        }
    }
}

/// `<number> <time> <event> <field>=<value> …`
fn words(entry: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(entry) else { return entry.to_owned() };
    let mut take = |name: &str| fields.remove(name).map(|value| text(&value)).unwrap_or_default();
    let first = format!("{} {} {}", take("seq"), take("time"), take("event"));
    fields.iter().fold(first, |line, (name, value)| format!("{line} {name}={}", text(value)))
}

fn text(value: &Value) -> String {
    // What callers name may hold anything: a line stays one line.
    value.as_str().map_or_else(|| value.to_string(), |text| text.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_midnight_in_utc_and_what_is_no_day_is_refused() {
        for (text, read) in [
            ("1970-01-02", Some(86_400)),
            ("2024-02-29", Some(1_709_164_800)),
            ("1700000000", Some(1_700_000_000)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("1969-12-31", None),
            ("2026-01", None),
            ("", None),
        ] {
            assert_eq!(date(text).ok(), read, "{text}");
        }
    }
}
