//! `iexec result`: the beneficiary's keys, and what is done with results.

pub(crate) mod decrypt;
mod evidence;
mod extract;
pub(crate) mod facts;
mod fitting;
mod keys;
mod recount;
pub(crate) mod source;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use iexec_protocol::{Address, id::parse_address};

pub(crate) use self::keys::KeyOptions;
use self::{
    decrypt::{Decryption, Target},
    facts::{TrustOptions, ask_chain},
    keys::{ExportKey, GenerateKeys, ImportKey, PushKey, RotateKey},
};
use crate::{
    chain_options::ChainOptions,
    encryption_key,
    failure::Failure,
    files,
    screen::{Answer, Screen},
    wallet_options::WalletOptions,
};

/// Make and publish the key that results are encrypted to; verify and decrypt results
#[derive(Subcommand)]
pub(crate) enum ResultCommand {
    #[command(visible_alias = "generate-keys")]
    GenerateEncryptionKeypair(GenerateKeys),
    #[command(visible_alias = "push-secret")]
    PushEncryptionKey(PushKey),
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
    RotateEncryptionKey(RotateKey),
    ExportKey(ExportKey),
    ImportKey(ImportKey),
    Decrypt(Box<Decrypt>),
    /// Check a downloaded result without the private key
    #[command(
        after_help = "Examples:\n  iexec result verify 0x….zip\n  iexec result verify 0x….zip --receipt-only --require-verified\n\nThe receipt's signature, every byte of the archive, and with a chain.json the task on chain. Exit 0: all that could be checked holds."
    )]
    Verify {
        /// The downloaded archive; `-` reads stdin
        archive: PathBuf,
        #[command(flatten)]
        trust: TrustOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Show what an archive tells without a key: layout, recipients, sizes, dates, receipt
    #[command(after_help = "Example:\n  iexec result inspect 0x….zip")]
    Inspect {
        /// The archive; `-` reads stdin
        archive: PathBuf,
    },
}

/// Decrypt a downloaded result, every byte of it checked before it has its name
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec result decrypt 0x….zip\n  iexec result decrypt 0x….zip --extract my-result\n  iexec result decrypt 0x….zip --output mine.zip --beneficiary-key-file 0x…_key"
)]
pub(crate) struct Decrypt {
    /// The downloaded archive; `-` reads stdin
    #[arg(default_value = "encryptedResults.zip")]
    encrypted_results_path: PathBuf,
    /// Where to write the decrypted zip
    #[arg(long, short, value_name = "FILE", default_value = "results.zip", conflicts_with = "extract")]
    output: PathBuf,
    /// Unpack the result into this new folder, instead of writing a zip
    #[arg(long, value_name = "FOLDER")]
    extract: Option<PathBuf>,
    /// Most that is unpacked, as `20G`; 64 GiB, and 200 bytes for each byte of the archive, if not given
    #[arg(long, value_name = "SIZE", requires = "extract", value_parser = extract::parse_size)]
    max_size: Option<u64>,
    /// Replace an existing output file
    #[arg(long, conflicts_with = "extract")]
    force: bool,
    #[command(flatten)]
    trust: TrustOptions,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

impl ResultCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::GenerateEncryptionKeypair(command) => command.run(screen),
            Self::PushEncryptionKey(command) => command.run(screen),
            Self::CheckEncryptionKey { address, wallet, chain } => {
                chain.network()?;
                encryption_key::check(address.map_or_else(|| wallet.address(), Ok)?, &chain)
            }
            Self::RotateEncryptionKey(command) => command.run(screen),
            Self::ExportKey(command) => command.run(screen),
            Self::ImportKey(command) => command.run(screen),
            Self::Decrypt(command) => command.run(screen),
            Self::Verify { archive, trust, chain } => {
                verify::verify(&archive, &of_file(&archive, &trust, &chain), &chain, screen)
            }
            Self::Inspect { archive } => verify::inspect(&archive, screen),
        }
    }
}

impl Decrypt {
    fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let path = self.encrypted_results_path.clone();
        let target = self.target()?;
        target.check()?;
        self.key.check()?;
        let trust = of_file(&path, &self.trust, &self.chain);
        let (archive, origin) = source::open_piped(&path, screen)?;
        let keys = || self.key.identities(&self.wallet, screen);
        let on_chain = |task| ask_chain(&self.chain, &trust, task);
        let decryption = Decryption { origin, keys: &keys, target: &target, trust: &trust, on_chain: &on_chain };
        decrypt::answer(&decryption.run(archive, screen)?)
    }

    fn target(&self) -> Result<Target, Failure> {
        let folder = files::working_folder()?;
        if let Some(path) = &self.extract {
            return Ok(Target::Folder { path: folder.join(path), limits: extract::limits(self.max_size) });
        }
        if self.output.as_os_str() == "-" {
            return Err(Failure::invalid("--output: `-` is no file")
                .hint("a result is checked whole before anyone gets it: name a file, then read that"));
        }
        let path = folder.join(&self.output);
        if path.is_file() && same_file(&path, &self.encrypted_results_path) {
            return Err(Failure::invalid("--output: that is the archive itself").hint("name another file"));
        }
        Ok(Target::Zip { path, replace: self.force })
    }
}

/// The task of `<taskid>.zip` and the simulated TEE's root of the chain's file, where none are named.
fn of_file(path: &Path, trust: &TrustOptions, chain: &ChainOptions) -> TrustOptions {
    let of_name = || path.file_stem()?.to_str()?.parse().ok();
    let of_chain = || {
        let folder = chain.is_configured().ok()?.then(|| chain.network().ok())??.simulated_tee?;
        Some(evidence::root_in(&folder))
    };
    let simulated_root = trust.simulated_root.clone().or_else(of_chain);
    let sms = || chain.is_configured().ok()?.then(|| chain.network().ok())??.services.sms;
    let sms = if trust.receipt_only { None } else { sms() };
    TrustOptions { task: trust.task.or_else(of_name), simulated_root, sms, ..trust.clone() }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}
