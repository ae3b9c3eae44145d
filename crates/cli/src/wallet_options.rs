//! The options by which a command is told its wallet, and where the password comes from.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Args;
use iexec_chain::{
    Wallet,
    keyring::{Choice, Keyring, KeystoreDir, WalletFile},
};
use iexec_protocol::{Address, id::parse_address};
use zeroize::Zeroizing;

use crate::{failure::Failure, files, screen::Screen};

/// The variable that may hold the password.
pub(crate) const PASSWORD_VARIABLE: &str = "IEXEC_WALLET_PASSWORD";

/// Which wallet a command uses: `--wallet-file`, else `--wallet-address`, else ./wallet.json, else the newest keystore.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WalletOptions {
    #[command(flatten)]
    password: PasswordOptions,
    /// Name of the wallet's file inside the keystore folder
    #[arg(long, value_name = "NAME", help_heading = "Wallet")]
    wallet_file: Option<String>,
    /// Address of the wallet
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, help_heading = "Wallet")]
    wallet_address: Option<Address>,
    /// Folder of the wallets: `global` (~/.ethereum/keystore, the default), `local` (this one) or a path
    #[arg(long, value_name = "PATH", help_heading = "Wallet")]
    keystoredir: Option<KeystoreDir>,
}

/// How a new wallet is kept.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewWalletOptions {
    #[command(flatten)]
    password: PasswordOptions,
    /// Folder of the wallets: `global` (~/.ethereum/keystore, the default), `local` (this one) or a path
    #[arg(long, value_name = "PATH", help_heading = "Wallet")]
    keystoredir: Option<KeystoreDir>,
    /// Write an unencrypted ./wallet.json instead of a keystore (unsafe)
    #[arg(long, help_heading = "Wallet")]
    pub(crate) unencrypted: bool,
}

/// Where a password comes from: --password, else --password-file, else `IEXEC_WALLET_PASSWORD`, else the terminal.
#[derive(Args, Clone, Debug, Default)]
struct PasswordOptions {
    /// Password of the wallet (unsafe: others on this machine can see it)
    #[arg(long, value_name = "PASSWORD", value_parser = secret, help_heading = "Wallet")]
    password: Option<Secret>,
    /// File whose first line is the password (without it, the variable `IEXEC_WALLET_PASSWORD` is used)
    #[arg(long, value_name = "FILE", help_heading = "Wallet")]
    password_file: Option<PathBuf>,
}

/// Text that no `Debug` shows.
#[derive(Clone)]
struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers return results")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret(Zeroizing::new(text.to_owned())))
}

impl WalletOptions {
    /// The wallet's address; no password is needed. Never zero: a wallet that is not there is an error.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        Ok(self.file()?.address()?)
    }

    /// The wallet, opened.
    pub(crate) fn open(&self, screen: Screen) -> Result<Wallet, Failure> {
        let file = self.file()?;
        if !file.is_encrypted() {
            return Ok(file.open("")?);
        }
        let password = match self.password.given()? {
            Some(password) => password,
            None => screen.password(&format!("Password of wallet {}: ", file.address()?))?,
        };
        Ok(file.open(&password)?)
    }

    fn file(&self) -> Result<WalletFile, Failure> {
        let keyring = keyring(self.keystoredir.as_ref())?;
        Ok(keyring.find(&Choice { file: self.wallet_file.clone(), address: self.wallet_address })?)
    }
}

impl NewWalletOptions {
    /// Keeps a new wallet and yields its file.
    pub(crate) fn store(&self, wallet: &Wallet, screen: Screen, force: bool) -> Result<PathBuf, Failure> {
        let keyring = keyring(self.keystoredir.as_ref())?;
        if self.unencrypted {
            return Ok(keyring.store_plain(wallet, force)?);
        }
        let password = match self.password.given()? {
            Some(password) => password,
            None => new_password(screen)?,
        };
        if password.is_empty() {
            return Err(Failure::invalid("the password of the new wallet is empty; no wallet was written")
                .hint("choose one; a wallet without any is made with --unencrypted"));
        }
        Ok(keyring.store(wallet, &password, SystemTime::now())?)
    }
}

impl PasswordOptions {
    fn given(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(Secret(password)) = &self.password {
            return Ok(Some(password.clone()));
        }
        if let Some(path) = &self.password_file {
            return first_line(path, "--password-file").map(Some);
        }
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(password) if !password.is_empty() => Ok(Some(Zeroizing::new(password))),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Failure::invalid(format!("{PASSWORD_VARIABLE} is not UTF-8"))
                    .hint("give the password with --password-file"))
            }
        }
    }
}

/// A secret that is a file's first line; `option` named the file.
pub(crate) fn first_line(path: &Path, option: &str) -> Result<Zeroizing<String>, Failure> {
    let broken = |error: std::io::Error| {
        let failure = files::failure("cannot be read", path, &error).at(option);
        failure.or_hint(format!(
            "name a file whose first line is the {}",
            option.trim_matches('-').trim_end_matches("-file")
        ))
    };
    // Room for all of it: a buffer that grew would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    std::fs::File::open(path).map_err(broken)?.take(4096).read_to_string(&mut text).map_err(broken)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn new_password(screen: Screen) -> Result<Zeroizing<String>, Failure> {
    let first = screen.password("Choose a password for the new wallet: ")?;
    let second = screen.password("The same password again: ")?;
    if *first == *second {
        return Ok(first);
    }
    Err(Failure::invalid("the two passwords differ; no wallet was written").hint("try again"))
}

fn keyring(dir: Option<&KeystoreDir>) -> Result<Keyring, Failure> {
    Ok(Keyring::new(dir.unwrap_or(&KeystoreDir::Global), &files::working_folder()?)?)
}
