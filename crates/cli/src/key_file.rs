//! A private key's file: read with a passphrase if it has one, its permissions looked at.

use std::{
    io::{ErrorKind, IsTerminal as _, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use iexec_archive::{Identity, KeyError};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    files,
    key_dialogue::Terminal,
    screen::Screen,
    terminal::{Unanswered, ask_hidden},
    wallet_options::first_line,
};

/// The variable that may hold a passphrase.
pub(crate) const PASSPHRASE_VARIABLE: &str = "IEXEC_KEY_PASSPHRASE";
/// Largest key file read, in bytes.
pub(crate) const MAX_KEY_FILE: usize = 16 * 1024;

/// Where the passphrase of a private key comes from: --passphrase-file, else `IEXEC_KEY_PASSPHRASE`, else the terminal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PassphraseOptions {
    /// File whose first line is the private key's passphrase (else the variable `IEXEC_KEY_PASSPHRASE`, else it is asked for)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Whether a new private key is kept under a passphrase.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewPassphraseOptions {
    /// Keep the private key under a passphrase, of the variable `IEXEC_KEY_PASSPHRASE` or asked for
    #[arg(long)]
    passphrase: bool,
    /// The same, with the first line of a file as the passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[arg(skip = true)]
    of_variable: bool,
}

impl PassphraseOptions {
    fn given(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        match &self.passphrase_file {
            Some(path) => first_line(path, "--passphrase-file").map(Some),
            None => of_environment(),
        }
    }
}

impl NewPassphraseOptions {
    /// A passphrase of that file, or asked for; never that of the variable, which is the old one's.
    pub(crate) const fn asked_for(passphrase_file: Option<PathBuf>) -> Self {
        Self { passphrase: true, passphrase_file, of_variable: false }
    }

    /// The passphrase of a new key, `None` where none is wished for.
    pub(crate) fn choose(&self, screen: Screen) -> Result<Option<Zeroizing<String>>, Failure> {
        let chosen = match (&self.passphrase_file, self.passphrase) {
            (None, false) => return Ok(None),
            (Some(path), _) => first_line(path, "--passphrase-file")?,
            (None, true) => match of_environment()?.filter(|_| self.of_variable) {
                Some(passphrase) => passphrase,
                None => ask_twice(screen)?,
            },
        };
        if chosen.is_empty() {
            return Err(
                Failure::invalid("the passphrase is empty").hint("leave --passphrase out for a key without one")
            );
        }
        Ok(Some(chosen))
    }
}

/// The bytes of a private key's file: text, or an age file.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::absent(format!("there is no private key {}", path.display()))
            .hint("name it with --beneficiary-key-file"),
        _ => files::failure("cannot be read", path, &error),
    })?;
    read_bounded(file, path)
}

/// A private key from a file or a pipe that `path` names.
pub(crate) fn read_bounded(source: impl Read, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Room for all of it: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE + 64));
    let read = source.take(MAX_KEY_FILE as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| files::failure("cannot be read", path, &error))?;
    if bytes.len() > MAX_KEY_FILE {
        return Err(Failure::invalid(format!("{}: more than {MAX_KEY_FILE} bytes", path.display()))
            .hint("give a private key's file"));
    }
    Ok(bytes)
}

/// Reads private keys, the first of which must be readable. Of the others, those under another passphrase are left out.
pub(crate) fn read_all(
    paths: &[PathBuf],
    passphrase: &PassphraseOptions,
    screen: Screen,
) -> Result<Vec<Identity>, Failure> {
    let Some((first, others)) = paths.split_first() else { return Ok(Vec::new()) };
    warn_of_mode(first, screen);
    let (identity, mut known) = parse(&read(first)?, first, passphrase, screen)?;
    let mut identities = vec![identity];
    for path in others {
        warn_of_mode(path, screen);
        known = known.or(passphrase.given()?);
        match Identity::from_file(&read(path)?, known.as_deref().map(String::as_bytes)) {
            Ok(identity) => identities.push(Terminal::listen(identity, screen)),
            Err(error) => {
                let text = error.to_string();
                screen.warn(format!(
                    "the older key {} is not tried: {}",
                    path.display(),
                    text.trim_start_matches("key: ")
                ));
            }
        }
    }
    Ok(identities)
}

/// A key, and the passphrase that it was under.
pub(crate) fn parse(
    file: &[u8],
    path: &Path,
    passphrase: &PassphraseOptions,
    screen: Screen,
) -> Result<(Identity, Option<Zeroizing<String>>), Failure> {
    let known = if Identity::is_encrypted(file) {
        Some(match passphrase.given()? {
            Some(passphrase) => passphrase,
            None => ask(screen, &format!("Passphrase of {}: ", path.display()))?,
        })
    } else {
        None
    };
    match Identity::from_file(file, known.as_deref().map(String::as_bytes)) {
        Ok(identity) => Ok((Terminal::listen(identity, screen), known)),
        Err(error) => {
            let hint = match error {
                KeyError::WrongPassphrase => "try again; --passphrase-file names a file with it",
                KeyError::Plugin(_) => "install that plugin, or name another key with --beneficiary-key-file",
                _ => "name the private key that the result was encrypted to with --beneficiary-key-file",
            };
            Err(Failure::from(error).at(path.display()).hint(hint))
        }
    }
}

/// Says when others than the owner can read a private key.
#[cfg(unix)]
pub(crate) fn warn_of_mode(path: &Path, screen: Screen) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(found) = path.metadata() else { return };
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        screen.warn(format!("the private key {path} has mode {mode:04o}, which lets others at it: chmod 600 {path}"));
    }
}

#[cfg(not(unix))]
pub(crate) fn warn_of_mode(_: &Path, _: Screen) {}

fn of_environment() -> Result<Option<Zeroizing<String>>, Failure> {
    match std::env::var(PASSPHRASE_VARIABLE) {
        Ok(passphrase) if !passphrase.is_empty() => Ok(Some(Zeroizing::new(passphrase))),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::invalid(format!("{PASSPHRASE_VARIABLE} is not UTF-8"))
            .hint("give the passphrase with --passphrase-file")),
    }
}

fn ask_twice(screen: Screen) -> Result<Zeroizing<String>, Failure> {
    let first = ask(screen, "Choose a passphrase for the private key: ")?;
    let second = ask(screen, "The same passphrase again: ")?;
    if *first == *second {
        return Ok(first);
    }
    Err(Failure::invalid("the two passphrases differ; no key was written").hint("try again"))
}

/// Asks on the terminal itself: stdin may be the archive.
fn ask(screen: Screen, question: &str) -> Result<Zeroizing<String>, Failure> {
    let refused = || {
        Failure::user("PassphraseNeeded", "the private key's passphrase is needed, and there is no terminal to ask on")
            .hint("give it with --passphrase-file, or in the environment variable IEXEC_KEY_PASSPHRASE")
    };
    if screen.is_raw() || !std::io::stderr().is_terminal() {
        return Err(refused());
    }
    ask_hidden(question).map_err(|unanswered| match unanswered {
        Unanswered::Interrupted => Failure::interrupted(),
        Unanswered::NoTerminal => refused(),
    })
}
