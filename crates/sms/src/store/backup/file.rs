//! The age file around a backup.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read},
    path::{Path, PathBuf},
};

use age::secrecy::SecretString;
use anyhow::{Context as _, bail};

use crate::{private_file, store::location::secret_line};

/// scrypt's cost that a backup may ask for, as a power of two.
const MAX_WORK: u8 = 20;

/// To whom a backup is encrypted.
#[derive(Clone, Debug)]
pub enum BackupTo {
    /// A passphrase, in the first line of a file.
    Passphrase(PathBuf),
    /// age X25519 recipients (`age1…`).
    Recipients(Vec<String>),
}

/// What opens a backup.
#[derive(Clone, Debug)]
pub enum BackupKey {
    /// A passphrase, in the first line of a file.
    Passphrase(PathBuf),
    /// A file with age identities (`AGE-SECRET-KEY-1…`).
    Identities(PathBuf),
}

pub(super) type Output<'a> = age::stream::StreamWriter<BufWriter<&'a mut File>>;

/// Starts the file.
pub(super) fn encrypt<'a>(to: &BackupTo, file: &'a mut File) -> anyhow::Result<Output<'a>> {
    let encryptor = match to {
        BackupTo::Passphrase(path) => {
            age::Encryptor::with_user_passphrase(SecretString::from(secret_line(path)?.to_string()))
        }
        BackupTo::Recipients(names) => {
            let parse = |name: &String| {
                let parsed = name.parse::<age::x25519::Recipient>();
                parsed.map_err(|error| anyhow::anyhow!("recipient {name:?}: {error}"))
            };
            let recipients = names.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
            age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))?
        }
    };
    Ok(encryptor.wrap_output(BufWriter::new(file))?)
}

/// The lines of the file.
pub(super) fn decrypt<'a>(key: &BackupKey, file: &'a mut File) -> anyhow::Result<Box<dyn BufRead + Send + 'a>> {
    let decryptor = age::Decryptor::new_buffered(BufReader::new(file)).context("it is no age file, or it was cut")?;
    let identities = identities(key, decryptor.is_scrypt())?;
    let plain = decryptor.decrypt(identities.iter().map(|identity| &**identity));
    let plain: Box<dyn Read + Send + 'a> = Box::new(plain.context("the key does not open it")?);
    Ok(Box::new(BufReader::new(plain)))
}

fn identities(key: &BackupKey, is_scrypt: bool) -> anyhow::Result<Vec<Box<dyn age::Identity>>> {
    match key {
        BackupKey::Passphrase(_) if !is_scrypt => {
            bail!("it is encrypted to age recipients\nhint: give --identity FILE")
        }
        BackupKey::Identities(_) if is_scrypt => {
            bail!("it is encrypted with a passphrase\nhint: give --backup-passphrase-file FILE")
        }
        BackupKey::Passphrase(path) => {
            let mut identity = age::scrypt::Identity::new(SecretString::from(secret_line(path)?.to_string()));
            identity.set_max_work_factor(MAX_WORK);
            Ok(vec![Box::new(identity)])
        }
        BackupKey::Identities(path) => read_identities(path),
    }
}

fn read_identities(path: &Path) -> anyhow::Result<Vec<Box<dyn age::Identity>>> {
    let text = private_file::read(path, 64 * 1024).with_context(|| format!("the identities {}", path.display()))?;
    let text = zeroize::Zeroizing::new(text.with_context(|| format!("there is no file {}", path.display()))?);
    let mut identities: Vec<Box<dyn age::Identity>> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let identity = line.parse::<age::x25519::Identity>();
        let identity = identity.map_err(|error| anyhow::anyhow!("a line of {}: {error}", path.display()))?;
        identities.push(Box::new(identity));
    }
    if identities.is_empty() {
        bail!("{} holds no identity", path.display());
    }
    Ok(identities)
}
