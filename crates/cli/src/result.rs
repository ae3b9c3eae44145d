//! `iexec result`: the beneficiary's key pair, and the decryption of results.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use iexec_protocol::{Address, id::parse_address};

use crate::{
    chain_options::ChainOptions,
    decrypt::{self, Decryption},
    encryption_key::{self, KeyFolder},
    failure::Failure,
    files,
    screen::{Answer, Screen},
    wallet_options::WalletOptions,
};

/// Make and publish the key that results are encrypted to; decrypt results
#[derive(Subcommand)]
pub(crate) enum ResultCommand {
    /// Make the key pair that results are encrypted to
    #[command(
        visible_alias = "generate-keys",
        after_help = "Example:\n  iexec result generate-encryption-keypair\n\nIt writes .secrets/beneficiary/<wallet address>_key (keep it secret, back it up) and <wallet address>_key.pub."
    )]
    GenerateEncryptionKeypair {
        /// Replace an existing key pair: what was encrypted to it can then no longer be read
        #[arg(long)]
        force: bool,
        /// Folder of the key pairs
        #[arg(long, value_name = "PATH")]
        beneficiary_keystoredir: Option<PathBuf>,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Give the public key to the network's secret management service (SMS)
    #[command(
        visible_alias = "push-secret",
        after_help = "Examples:\n  iexec result push-encryption-key\n  iexec result push-encryption-key --force-update --secret-path my-key.pub"
    )]
    PushEncryptionKey {
        /// Replace the key that the SMS has
        #[arg(long)]
        force_update: bool,
        /// The public key's file; .secrets/beneficiary/<wallet address>_key.pub if not given
        #[arg(long, value_name = "FILE")]
        secret_path: Option<PathBuf>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Does the SMS have a beneficiary's public key? Exit 0: yes, 1: no
    #[command(
        visible_alias = "check-secret",
        after_help = "Examples:\n  iexec result check-encryption-key\n  iexec result check-encryption-key 0x7bd4783FDCAD405A28052a0d1f11236A741da593 --raw"
    )]
    CheckEncryptionKey {
        /// The beneficiary; the wallet's address if not given
        #[arg(value_parser = parse_address)]
        address: Option<Address>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Decrypt a downloaded result
    #[command(
        after_help = "Examples:\n  iexec result decrypt 0x….zip\n  iexec result decrypt 0x….zip --output mine.zip --beneficiary-key-file 0x…_key"
    )]
    Decrypt {
        /// The downloaded archive
        #[arg(default_value = "encryptedResults.zip")]
        encrypted_results_path: PathBuf,
        /// Where to write the decrypted zip
        #[arg(long, short, value_name = "FILE", default_value = "results.zip")]
        output: PathBuf,
        /// Replace an existing output file
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        key: KeyOptions,
        #[command(flatten)]
        wallet: WalletOptions,
    },
}

/// Where the beneficiary's private key is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeyOptions {
    /// Folder of the beneficiary's keys
    #[arg(long, value_name = "PATH")]
    beneficiary_keystoredir: Option<PathBuf>,
    /// Name of the private key's file in that folder, or a path to it
    #[arg(long, value_name = "NAME")]
    beneficiary_key_file: Option<PathBuf>,
}

impl KeyOptions {
    /// The private key's file: the one named, else the wallet's, else the only one there is.
    pub(crate) fn private_key(&self, wallet: &WalletOptions) -> Result<PathBuf, Failure> {
        let folder = KeyFolder::new(self.beneficiary_keystoredir.clone())?;
        match &self.beneficiary_key_file {
            Some(name) => folder.named(name),
            None => match wallet.address() {
                Ok(address) => folder.private_key(address),
                Err(no_wallet) => folder.only_private_key().ok_or(no_wallet),
            },
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

impl ResultCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::GenerateEncryptionKeypair { force, beneficiary_keystoredir, wallet } => {
                encryption_key::generate(&KeyFolder::new(beneficiary_keystoredir)?, wallet.address()?, force, screen)
            }
            Self::PushEncryptionKey { force_update, secret_path, wallet, chain } => {
                encryption_key::push(secret_path.as_deref(), force_update, &wallet, &chain, screen)
            }
            Self::CheckEncryptionKey { address, wallet, chain } => {
                chain.network()?;
                encryption_key::check(address.map_or_else(|| wallet.address(), Ok)?, &chain)
            }
            Self::Decrypt { encrypted_results_path, output, force, key, wallet } => {
                let folder = files::working_folder()?;
                let key_file = key.private_key(&wallet)?;
                if output.as_os_str() == "-" {
                    return Err(Failure::invalid("--output: `-` is no file")
                        .hint("a result is checked whole before anyone gets it: name a file, then read that"));
                }
                let output = folder.join(output);
                if output.is_file() && same_file(&output, &encrypted_results_path) {
                    return Err(Failure::invalid("--output: that is the archive itself").hint("name another file"));
                }
                let decryption = Decryption {
                    archive: &encrypted_results_path,
                    key_file: &key_file,
                    output: &output,
                    replace: force,
                };
                decrypt::answer(&decryption.run(None, screen)?, &output)
            }
        }
    }
}
