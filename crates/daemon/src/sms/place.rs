//! Where an SMS's store is, and its key-encryption key: flags of the service and of every command beside it.

use std::path::{Path, PathBuf};

use clap::Args;
use iexec_sms::{DatabaseUrl, KekSource, Location};

/// The database and the key.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// PostgreSQL database, as `postgres://user@host/database`; SQLite in the data folder if absent
    #[arg(long, value_name = "URL")]
    database_url: Option<DatabaseUrl>,
    /// File whose first line is the database's password; PGPASSFILE or ~/.pgpass if absent
    #[arg(long, value_name = "FILE", requires = "database_url")]
    database_password_file: Option<PathBuf>,
    /// File of 64 hex digits, the key under which the data keys are wrapped; master.key in the data folder if absent
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    master_key_file: Option<PathBuf>,
    /// File whose first line is the passphrase under which the data keys are wrapped
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Place {
    /// With this data folder.
    pub(super) fn at(self, data: &Path) -> Location {
        let database = self.database_url.map(|url| url.password_file(self.database_password_file));
        Location { data: data.to_owned(), database, kek: kek(self.master_key_file, self.passphrase_file) }
    }
}

/// The key that one of two flags names.
pub(super) fn kek(file: Option<PathBuf>, passphrase: Option<PathBuf>) -> KekSource {
    match (file, passphrase) {
        (Some(file), _) => KekSource::File(file),
        (None, Some(file)) => KekSource::Passphrase(file),
        (None, None) => KekSource::DataFolder,
    }
}
