//! Where wallets lie on disk and which of them a command means.
//!
//! A keystore directory holds `UTC--<time>--<address>` files (keystore version 3); a working directory may hold one
//! unencrypted `wallet.json`. It finds, reads and writes these files; what is inside a keystore is [`crate::keystore`]'s.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use alloy::primitives::Address;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::keystore::{self, KeystoreError};
use crate::wallet::Wallet;

mod name;
use name::{address_in, file_name};

/// The unencrypted wallet of a working directory.
pub const PLAIN_FILE: &str = "wallet.json";
/// Entries of a keystore directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Which directory keystores are in: `global`, `local`, or a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeystoreDir {
    /// The operating system's Ethereum keystore, shared with geth and the JavaScript SDK.
    #[default]
    Global,
    /// The working directory.
    Local,
    /// Any other.
    Custom(PathBuf),
}

impl FromStr for KeystoreDir {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "global" => Self::Global,
            "local" => Self::Local,
            path => Self::Custom(PathBuf::from(path)),
        })
    }
}

/// The directories that a command looks in.
#[derive(Debug, Clone)]
pub struct Keyring {
    keystores: PathBuf,
    working: PathBuf,
}

/// Which wallet is meant; a file name outranks an address, an address outranks [`PLAIN_FILE`], that outranks the newest keystore.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// A file's name inside the keystore directory (`--wallet-file`).
    pub file: Option<String>,
    /// An account (`--wallet-address`).
    pub address: Option<Address>,
}

/// A wallet's file, found and not yet opened.
#[derive(Debug)]
pub struct WalletFile {
    /// Where it is.
    pub path: PathBuf,
    content: Content,
}

enum Content {
    Keystore(String),
    Plain(Wallet),
}

impl Keyring {
    /// The keyring of a keystore directory and a working directory. Fails when the home directory is unknown.
    pub fn new(dir: &KeystoreDir, working: &Path) -> Result<Self, KeyringError> {
        let keystores = match dir {
            KeystoreDir::Global => global(std::env::home_dir().ok_or(KeyringError::NoHome)?),
            KeystoreDir::Local => working.to_owned(),
            KeystoreDir::Custom(path) => working.join(path),
        };
        Ok(Self { keystores, working: working.to_owned() })
    }

    /// The directory where keystores are looked for and written.
    pub fn keystore_dir(&self) -> &Path {
        &self.keystores
    }

    /// The file of the wallet that `choice` means. No password is needed to find it.
    pub fn find(&self, choice: &Choice) -> Result<WalletFile, KeyringError> {
        if let Some(name) = &choice.file {
            return self.named(name);
        }
        if let Some(address) = choice.address {
            let newest = self.list()?.into_iter().find(|name| address_in(name) == Some(address));
            let absent = || KeyringError::NoSuchAddress { address, dir: self.keystores.clone() };
            return read(self.keystores.join(newest.ok_or_else(absent)?));
        }
        let plain = self.working.join(PLAIN_FILE);
        if plain.exists() {
            return read(plain);
        }
        let newest = self.list()?.into_iter().next();
        read(self.keystores.join(newest.ok_or_else(|| KeyringError::NoWallet { dir: self.keystores.clone() })?))
    }

    /// Writes a keystore named for `now` and the wallet's address, mode 0600; its directory is made 0700 if missing.
    pub fn store(&self, wallet: &Wallet, password: &str, now: SystemTime) -> Result<PathBuf, KeyringError> {
        let path = self.keystores.join(file_name(wallet.address(), now));
        create_dir(&self.keystores)?;
        write_secret(&path, keystore::seal(wallet, password).map_err(in_file(&path))?.as_bytes(), false)?;
        Ok(path)
    }

    /// Writes the unencrypted [`PLAIN_FILE`] of the working directory, mode 0600; refuses to replace one unless `replace`.
    pub fn store_plain(&self, wallet: &Wallet, replace: bool) -> Result<PathBuf, KeyringError> {
        let path = self.working.join(PLAIN_FILE);
        let secret = wallet.expose_secret();
        let text = Zeroizing::new(format!(
            "{{\n  \"privateKey\": \"0x{}\",\n  \"publicKey\": \"0x{}\",\n  \"address\": \"{}\"\n}}",
            Zeroizing::new(const_hex::encode(secret.as_ref())).as_str(),
            const_hex::encode(wallet.public_key()),
            wallet.address(),
        ));
        write_secret(&path, text.as_bytes(), replace)?;
        Ok(path)
    }

    fn named(&self, name: &str) -> Result<WalletFile, KeyringError> {
        let one_name = Path::new(name).components().count() == 1 && !name.contains(['/', '\\']) && name != "..";
        if !one_name {
            return Err(KeyringError::NotAName { name: name.to_owned() });
        }
        read(self.keystores.join(name))
    }

    /// Names of `UTC--` files, newest first: the time leads the name, so the order of names is the order of time.
    fn list(&self) -> Result<Vec<String>, KeyringError> {
        let entries = match std::fs::read_dir(&self.keystores) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(KeyringError::Io { path: self.keystores.clone(), cause }),
        };
        let names = entries.take(MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("UTC--")).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }
}

impl WalletFile {
    /// Whether a password is needed to open it.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.content, Content::Keystore(_))
    }

    /// The account, read without a password.
    pub fn address(&self) -> Result<Address, KeyringError> {
        match &self.content {
            Content::Plain(wallet) => Ok(wallet.address()),
            Content::Keystore(text) => {
                let inside = keystore::address(text).map_err(in_file(&self.path))?;
                let name = self.path.file_name().and_then(|name| name.to_str()).and_then(address_in);
                inside.or(name).ok_or_else(|| KeyringError::NoAddress { path: self.path.clone() })
            }
        }
    }

    /// The wallet. An unencrypted file ignores the password.
    pub fn open(&self, password: &str) -> Result<Wallet, KeyringError> {
        match &self.content {
            Content::Plain(wallet) => Ok(wallet.clone()),
            Content::Keystore(text) => keystore::open(text, password).map_err(in_file(&self.path)),
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Keystore(_)) { "Keystore" } else { "Plain" })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plain {
    private_key: String,
    #[serde(default)]
    address: Option<Address>,
}

fn read(path: PathBuf) -> Result<WalletFile, KeyringError> {
    let text = read_bounded(&path)?;
    let plain = path.file_name().is_some_and(|name| name == PLAIN_FILE);
    if !plain {
        return Ok(WalletFile { path, content: Content::Keystore(text.as_str().to_owned()) });
    }
    let file: Plain = serde_json::from_str(&text)
        // The cause could repeat the key: only its place is told.
        .map_err(|cause| KeyringError::Plain { path: path.clone(), line: cause.line(), column: cause.column() })?;
    let wallet = Wallet::from_hex(&Zeroizing::new(file.private_key)).map_err(|cause| in_file(&path)(cause.into()))?;
    match file.address {
        Some(written) if written != wallet.address() => {
            Err(in_file(&path)(KeystoreError::WrongAddress { written, found: wallet.address() }))
        }
        _ => Ok(WalletFile { path, content: Content::Plain(wallet) }),
    }
}

fn read_bounded(path: &Path) -> Result<Zeroizing<String>, KeyringError> {
    let io = |cause| KeyringError::Io { path: path.to_owned(), cause };
    let limit = keystore::MAX_BYTES as u64 + 1;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path).map_err(io)?.take(limit).read_to_string(&mut text).map_err(io)?;
    if text.len() > keystore::MAX_BYTES {
        return Err(in_file(path)(KeystoreError::TooLarge { found: text.len() }));
    }
    Ok(text)
}

/// Temporary file beside the target (0600), flushed to the disk, then renamed: never half-written.
fn write_secret(path: &Path, bytes: &[u8], replace: bool) -> Result<(), KeyringError> {
    let io = |cause| KeyringError::Io { path: path.to_owned(), cause };
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(KeyringError::Exists { path: path.to_owned() })
        }
        Err(failed) => Err(io(failed.error)),
    }
}

fn create_dir(dir: &Path) -> Result<(), KeyringError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|cause| KeyringError::Io { path: dir.to_owned(), cause })
}

fn global(home: PathBuf) -> PathBuf {
    let below: &[&str] = match std::env::consts::OS {
        "macos" => &["Library", "Ethereum", "keystore"],
        "windows" => &["AppData", "Roaming", "Ethereum", "keystore"],
        _ => &[".ethereum", "keystore"],
    };
    below.iter().fold(home, |path, part| path.join(part))
}

fn in_file(path: &Path) -> impl Fn(KeystoreError) -> KeyringError {
    let path = path.to_owned();
    move |cause| KeyringError::Keystore { path: path.clone(), cause }
}

/// Why no wallet is found, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No wallet at all.
    #[error("no wallet: neither {PLAIN_FILE} here nor a UTC-- file in {dir}")]
    NoWallet {
        /// The keystore directory.
        dir: PathBuf,
    },
    /// No keystore of this account.
    #[error("no wallet for address {address} in {dir}")]
    NoSuchAddress {
        /// The account asked for.
        address: Address,
        /// The keystore directory.
        dir: PathBuf,
    },
    /// A path where a name inside the keystore directory is expected.
    #[error("wallet file {name:?}: expected the name of a file inside the keystore directory, not a path")]
    NotAName {
        /// What was given.
        name: String,
    },
    /// The file does not say whose key it holds.
    #[error("{path}: names no address")]
    NoAddress {
        /// The file.
        path: PathBuf,
    },
    /// Never replaced by accident.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An unencrypted wallet that cannot be read.
    #[error("{path}: not an unencrypted wallet (line {line}, column {column})")]
    Plain {
        /// The file.
        path: PathBuf,
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// The keystore inside is refused.
    #[error("{path}: {cause}")]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: KeystoreError,
    },
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// `$HOME` is unknown.
    #[error("the home directory is unknown, so there is no global keystore directory")]
    NoHome,
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
