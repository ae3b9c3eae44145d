//! The commands of `iexec result` that are about keys, and the options by which a command finds private keys.

use std::path::PathBuf;

use clap::Args;
use iexec_archive::{AgeRecipient, Identity, KeyError, Recipient};
use iexec_protocol::Address;

use crate::{
    chain_options::ChainOptions,
    encryption_key,
    failure::Failure,
    files,
    key_file::{self, NewPassphraseOptions, PassphraseOptions},
    key_folder::KeyFolder,
    key_pair::{self, Form, KeyType, Rotation},
    screen::{Answer, Screen},
    wallet_options::WalletOptions,
};

/// Where the beneficiary's private key is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeyOptions {
    /// Folder of the beneficiary's keys
    #[arg(long, value_name = "PATH")]
    beneficiary_keystoredir: Option<PathBuf>,
    /// Name of the private key's file in that folder, or a path to it; else the wallet's, and those that it replaced
    #[arg(long, value_name = "NAME")]
    beneficiary_key_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

impl KeyOptions {
    /// The private keys: the one named, else the wallet's and those that it replaced, else the only one there is.
    pub(crate) fn identities(&self, wallet: &WalletOptions, screen: Screen) -> Result<Vec<Identity>, Failure> {
        key_file::read_all(&self.paths(wallet)?, &self.passphrase, screen)
    }

    /// Refuses a named key that is not there, before anything is read.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(name) = &self.beneficiary_key_file else { return Ok(()) };
        KeyFolder::new(self.beneficiary_keystoredir.clone())?.named(name).map(drop)
    }

    fn paths(&self, wallet: &WalletOptions) -> Result<Vec<PathBuf>, Failure> {
        let folder = KeyFolder::new(self.beneficiary_keystoredir.clone())?;
        match &self.beneficiary_key_file {
            Some(name) => folder.named(name).map(|path| vec![path]),
            None => match wallet.address() {
                Ok(address) => folder.private_keys(address),
                Err(no_wallet) => folder.only_private_key().map(|path| vec![path]).ok_or(no_wallet),
            },
        }
    }
}

/// Make the key pair that results are encrypted to
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result generate-encryption-keypair\n  iexec result generate-encryption-keypair --passphrase\n  iexec result generate-encryption-keypair --type age --passphrase\n\nIt writes .secrets/beneficiary/<wallet address>_key (keep it secret, back it up) and <wallet address>_key.pub."
)]
pub(crate) struct GenerateKeys {
    /// Replace an existing key pair: what was encrypted to it can then no longer be read
    #[arg(long)]
    force: bool,
    /// Kind of key
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    kind: KeyType,
    /// Folder of the key pairs
    #[arg(long, value_name = "PATH")]
    beneficiary_keystoredir: Option<PathBuf>,
    #[command(flatten)]
    passphrase: NewPassphraseOptions,
    #[command(flatten)]
    wallet: WalletOptions,
}

impl GenerateKeys {
    pub(super) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let folder = KeyFolder::new(self.beneficiary_keystoredir)?;
        key_pair::generate(&folder, self.wallet.address()?, self.kind, &self.passphrase, self.force, screen)
    }
}

/// Give the public key to the network's secret management service (SMS)
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result push-encryption-key\n  iexec result push-encryption-key --force-update --secret-path my-key.pub\n  iexec result push-encryption-key --recipient age1…"
)]
pub(crate) struct PushKey {
    /// Replace the key that the SMS has
    #[arg(long)]
    force_update: bool,
    /// The public key's file; .secrets/beneficiary/<wallet address>_key.pub if not given
    #[arg(long, value_name = "FILE")]
    secret_path: Option<PathBuf>,
    /// Who opens results besides, as a recovery key: an age recipient (needs a key pair of --type age); may be given again
    #[arg(long = "recipient", value_name = "AGE1…", value_parser = age_recipient)]
    recipients: Vec<AgeRecipient>,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

impl PushKey {
    pub(super) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let others = as_recipients(self.recipients);
        let path = self.secret_path.as_deref();
        encryption_key::push(path, &others, self.force_update, &self.wallet, &self.chain, screen)
    }
}

/// Replace the key pair and the SMS's public key; the old private key is kept for old results
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result rotate-encryption-key\n  iexec result rotate-encryption-key --type age --recipient age1…\n\nThe old private key becomes <wallet address>_key.<n>, which `iexec result decrypt` tries too."
)]
pub(crate) struct RotateKey {
    /// Kind of the new key
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    kind: KeyType,
    /// Who opens results besides: an age recipient; may be given again
    #[arg(long = "recipient", value_name = "AGE1…", value_parser = age_recipient)]
    recipients: Vec<AgeRecipient>,
    /// Folder of the key pairs
    #[arg(long, value_name = "PATH")]
    beneficiary_keystoredir: Option<PathBuf>,
    #[command(flatten)]
    passphrase: NewPassphraseOptions,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

impl RotateKey {
    pub(super) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let folder = KeyFolder::new(self.beneficiary_keystoredir)?;
        let others = as_recipients(self.recipients);
        let new = Rotation { kind: self.kind, passphrase: &self.passphrase, others: &others };
        key_pair::rotate(&folder, &new, &self.wallet, &self.chain, screen)
    }
}

/// Copy the private key to a file, with its passphrase, with another or without
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result export-key backup.pem\n  iexec result export-key backup.pem --new-passphrase\n  iexec result export-key plain.pem --unencrypted"
)]
pub(crate) struct ExportKey {
    /// The file to write, readable by its owner only
    file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Leave the passphrase away
    #[arg(long, conflicts_with_all = ["new_passphrase", "new_passphrase_file"])]
    unencrypted: bool,
    /// Ask for a new passphrase
    #[arg(long)]
    new_passphrase: bool,
    /// File whose first line is the new passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    wallet: WalletOptions,
}

impl ExportKey {
    pub(super) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let form = match (self.unencrypted, self.new_passphrase || self.new_passphrase_file.is_some()) {
            (true, _) => Form::Unencrypted,
            (false, true) => Form::Under(NewPassphraseOptions::asked_for(self.new_passphrase_file)),
            (false, false) => Form::AsKept,
        };
        let keys = self.key.paths(&self.wallet)?;
        let key = keys.first().ok_or_else(|| Failure::absent("there is no private key"))?;
        let target = files::working_folder()?.join(self.file);
        key_pair::export(key, &target, form, &self.key.passphrase, self.force, screen)
    }
}

/// Take a private key from a file as the wallet's key pair
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result import-key backup.pem\n  age-keygen | iexec result import-key -\n\nPEM (PKCS#8 or PKCS#1) or an identity of age, a plugin's too; with a passphrase or without. A key that is there already is kept as <wallet address>_key.<n>."
)]
pub(crate) struct ImportKey {
    /// The private key's file; `-` reads stdin
    file: PathBuf,
    /// Put it in the place of the key that is there; that one is kept under a number
    #[arg(long)]
    force: bool,
    /// Folder of the key pairs
    #[arg(long, value_name = "PATH")]
    beneficiary_keystoredir: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseOptions,
    #[command(flatten)]
    wallet: WalletOptions,
}

impl ImportKey {
    pub(super) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let folder = KeyFolder::new(self.beneficiary_keystoredir)?;
        let address: Address = self.wallet.address()?;
        key_pair::import(&folder, address, &self.file, &self.passphrase, self.force, screen)
    }
}

fn age_recipient(text: &str) -> Result<AgeRecipient, String> {
    text.parse().map_err(|error: KeyError| error.to_string().trim_start_matches("key: ").to_owned())
}

fn as_recipients(keys: Vec<AgeRecipient>) -> Vec<Recipient> {
    keys.into_iter().map(Recipient::from).collect()
}
