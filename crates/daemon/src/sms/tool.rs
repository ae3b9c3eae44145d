//! `iexecd sms keys|backup|restore|audit`: commands beside the running service. Their answer goes to stdout.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use iexec_service::logging;
use iexec_sms::{
    KekSource, Location,
    admin::{self, BackupKey, BackupTo, KeyLine},
};

use super::place::{Place, kek};
use super::{audit, explain};

/// A command beside the service.
#[derive(Subcommand)]
pub(crate) enum Tool {
    /// List, rotate or drop the keys that the secrets are sealed under; services go on meanwhile
    #[command(subcommand)]
    Keys(Keys),
    /// Write an encrypted backup of the whole store to a new file; services go on meanwhile
    Backup(Backup),
    /// Make a store, on either database, of a backup
    Restore(Restore),
    /// Say which checks evidence passes, and what decides
    Explain(Box<explain::Explain>),
    /// Fetch or list what the platforms' vendors say of them
    #[command(subcommand)]
    Collateral(explain::Collateral),
    /// Say the address of this SMS as a TEE broker
    BrokerKey(List),
    /// Check, show, export or prune the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
}

/// The store that a command works on.
#[derive(Args)]
pub(super) struct At {
    /// Folder of the SMS
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl At {
    pub(super) fn location(self) -> Location {
        self.place.at(&self.data)
    }
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Say which keys there are
    List(List),
    /// Seal every secret under a new data key; with a new key-encryption key, wrap the data keys under it as well
    Rotate(Rotate),
    /// Drop a key-encryption key that no service uses any more
    Drop(Drop),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    at: At,
    /// The next key-encryption key: a file of 64 hex digits, made if absent
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_file")]
    new_master_key_file: Option<PathBuf>,
    /// The next key-encryption key: a file whose first line is a passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    at: At,
    /// Its id, as `keys list` shows it
    #[arg(value_name = "KEY")]
    id: String,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("to").required(true).args(["recipients", "passphrase"])))]
pub(crate) struct Backup {
    #[command(flatten)]
    at: At,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// age recipient, as age1… (may be repeated)
    #[arg(long = "to", value_name = "RECIPIENT")]
    recipients: Vec<String>,
    /// File whose first line is the backup's passphrase
    #[arg(long = "backup-passphrase-file", value_name = "FILE")]
    passphrase: Option<PathBuf>,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("key").required(true).args(["identity", "passphrase"])))]
pub(crate) struct Restore {
    #[command(flatten)]
    at: At,
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with the age identity that opens it
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// File whose first line is the backup's passphrase
    #[arg(long = "backup-passphrase-file", value_name = "FILE")]
    passphrase: Option<PathBuf>,
}

/// Does it.
pub(super) fn run(tool: Tool) -> Result<()> {
    let tool = match tool {
        Tool::Explain(flags) => return explain::explain(*flags),
        other => other,
    };
    logging::init("warn", logging::Format::Text)?;
    if let Tool::Collateral(collateral) = tool {
        return explain::collateral(collateral);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match tool {
            Tool::Keys(keys) => self::keys(keys).await,
            Tool::Backup(backup) => self::backup(backup).await,
            Tool::Restore(restore) => self::restore(restore).await,
            Tool::Audit(audit) => audit::run(audit).await,
            // Done above, with a runtime of their own.
            Tool::Explain(_) | Tool::Collateral(_) => Ok(()),
            Tool::BrokerKey(List { at, json }) => {
                let broker = admin::broker(at.location()).await?;
                let hint = "hint: start it once with --tee-broker";
                let broker = broker.with_context(|| format!("this SMS was never a TEE broker\n{hint}"))?;
                answer(&if json { serde_json::json!({ "address": broker }).to_string() } else { broker.to_string() })
            }
        }
    })
}

async fn keys(keys: Keys) -> Result<()> {
    match keys {
        Keys::List(list) => {
            let lines = admin::keys(list.at.location()).await?;
            if list.json { answer(&serde_json::to_string(&lines)?) } else { lines.iter().try_for_each(key) }
        }
        Keys::Rotate(Rotate { at, new_master_key_file: None, new_passphrase_file: None }) => {
            let done = admin::rotate(at.location()).await?;
            let gone = done.destroyed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            answer(&format!(
                "data key {} is active; {} values sealed anew; destroyed: {gone}",
                done.active, done.values
            ))
        }
        Keys::Rotate(Rotate { at, new_master_key_file, new_passphrase_file }) => {
            let new: KekSource = kek(new_master_key_file, new_passphrase_file);
            let id = admin::add_kek(at.location(), new).await?;
            answer(&format!(
                "the data keys are wrapped under {id} too; start the services with it, then drop the old key"
            ))
        }
        Keys::Drop(Drop { at, id }) => {
            admin::drop_kek(at.location(), id.clone()).await?;
            answer(&format!("{id} is dropped"))
        }
    }
}

fn key(line: &KeyLine) -> Result<()> {
    let under = line.wrapped_under.join(", ");
    answer(&format!("{} {} {} {} values, wrapped under {under}", line.id, line.purpose, line.state, line.values))
}

async fn backup(backup: Backup) -> Result<()> {
    let to = match backup.passphrase {
        Some(file) => BackupTo::Passphrase(file),
        None => BackupTo::Recipients(backup.recipients),
    };
    let counts = admin::backup(backup.at.location(), backup.out, to).await?;
    answer(&format!("kept: {counts}"))
}

async fn restore(restore: Restore) -> Result<()> {
    let key = match (restore.passphrase, restore.identity) {
        (Some(file), _) => BackupKey::Passphrase(file),
        (None, identity) => BackupKey::Identities(identity.unwrap_or_default()),
    };
    let counts = admin::restore(restore.at.location(), restore.file, key).await?;
    answer(&format!("restored: {counts}"))
}

pub(super) fn answer(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
