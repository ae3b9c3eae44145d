//! Where the store is, as an operator says it: a folder or a PostgreSQL URL, and the key-encryption key.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use url::Url;
use zeroize::Zeroizing;

use crate::private_file;

/// A `postgres://` URL without a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: Url,
    password_file: Option<PathBuf>,
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// # Errors
    /// Another scheme, or a password: arguments are seen by every user of the machine.
    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("expected postgres://user@host/database: {error}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("expected postgres://user@host/database, got scheme {:?}", url.scheme()));
        }
        if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
            return Err("must not hold a password: give --database-password-file, or PGPASSFILE".to_owned());
        }
        Ok(Self { url, password_file: None })
    }
}

impl DatabaseUrl {
    /// The same, with the password in this file (0600; its first line).
    #[must_use]
    pub fn password_file(self, path: Option<PathBuf>) -> Self {
        Self { password_file: path, ..self }
    }

    /// The URL to connect with. Without a password file sqlx looks into `PGPASSFILE` or `~/.pgpass`.
    pub(super) fn with_password(&self) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        let Some(path) = &self.password_file else { return Ok(url) };
        let text = secret_line(path)?;
        if url.set_password(Some(&text)).is_err() {
            bail!("the database URL takes no password: it has no host");
        }
        Ok(url)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

/// Where the key-encryption key comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KekSource {
    /// `master.key` in the data folder, made for an empty store.
    #[default]
    DataFolder,
    /// A file of 64 hex digits.
    File(PathBuf),
    /// A file whose first line is a passphrase.
    Passphrase(PathBuf),
}

/// All that is needed to open a store.
#[derive(Clone, Debug)]
pub struct Location {
    /// The data folder: `sms.sqlite`, unless there is a database URL, and `master.key`, unless another key is named.
    pub data: PathBuf,
    /// PostgreSQL; `SQLite` in the data folder if absent.
    pub database: Option<DatabaseUrl>,
    /// The key-encryption key.
    pub kek: KekSource,
}

impl Location {
    /// `SQLite` and the key, both in `data`.
    #[must_use]
    pub fn folder(data: &Path) -> Self {
        Self { data: data.to_owned(), database: None, kek: KekSource::DataFolder }
    }
}

/// The first line of a file that only its owner may read.
pub(super) fn secret_line(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = private_file::read(path, 1024).with_context(|| format!("the file {}", path.display()))?;
    let text = Zeroizing::new(text.with_context(|| format!("there is no file {}", path.display()))?);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("the first line of {} is empty", path.display());
    }
    Ok(Zeroizing::new(line.to_owned()))
}
