//! Decryption of a result archive in one pass: decrypted, digested, compared with the receipt and written at once. What is
//! written has its name only when everything holds.

use std::{
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use iexec_archive::{Archive, EntryDigest, Extracted, Identity, Layout, Limits, OpenError};
use iexec_protocol::{
    Address,
    evidence::Tee,
    id::{Sha256, TaskId},
    receipt::Receipt,
};
use serde::Serialize;

use super::{
    extract::Folder,
    facts::{Facts, OnChain, TrustOptions, check_receipt, invalid_receipt},
    fitting::fitting,
    source::{Origin, Source},
};
use crate::{
    failure::Failure,
    files,
    screen::{Answer, Screen},
};

/// Where a decrypted result goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The zip of the result.
    Zip { path: PathBuf, replace: bool },
    /// Its files, in a folder of this name.
    Folder { path: PathBuf, limits: Limits },
}

/// What is decrypted with what to where.
pub(crate) struct Decryption<'a> {
    pub(crate) archive: Archive<BufReader<Source>>,
    pub(crate) origin: Origin,
    /// Called once everything that needs no key holds.
    pub(crate) keys: &'a dyn Fn() -> Result<Vec<Identity>, Failure>,
    pub(crate) target: &'a Target,
    pub(crate) trust: &'a TrustOptions,
    /// What the chain knows about a task; the error says why it does not tell.
    pub(crate) on_chain: &'a dyn Fn(TaskId) -> Result<OnChain, Failure>,
}

/// What was decrypted, and who vouches for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decrypted {
    results_path: String,
    layout: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Vouched>,
    #[serde(flatten)]
    facts: Facts,
}

#[derive(Debug, Serialize)]
pub(crate) struct Vouched {
    task: TaskId,
    tee: Tee,
    simulated: bool,
    signer: Address,
}

impl Target {
    /// Refuses early what would be refused at the end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Zip { path, replace } => files::check_target(path, *replace),
            Self::Folder { path, .. } => Folder::check(path),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Zip { path, .. } | Self::Folder { path, .. } => path,
        }
    }
}

impl Decryption<'_> {
    /// Decrypts, if every fact that can be checked holds.
    pub(crate) fn run(mut self, screen: Screen) -> Result<Decrypted, Failure> {
        self.target.check()?;
        let layout = self.archive.layout();
        if layout == Layout::Plain && matches!(self.target, Target::Zip { .. }) {
            let name = self.origin.name();
            return Err(Failure::user("NotEncrypted", format!("{name} is not encrypted"))
                .hint(format!("it is a zip already; `iexec result decrypt {name} --extract my-result` unpacks it")));
        }
        let mut facts = Facts::new(screen);
        let receipt = check_receipt(self.archive.receipt(), self.trust, self.on_chain, &mut facts)?;
        facts.require(self.trust)?;
        let keys = if layout == Layout::Plain { Vec::new() } else { (self.keys)()? };
        let keys = fitting(keys, receipt.as_ref(), &self.origin)?;
        let expected = receipt.as_ref().map(listed);
        self.origin.begin();
        match self.target {
            Target::Zip { path, replace } => {
                let mut file = files::temporary(path, true)?;
                let mut out = BufWriter::with_capacity(256 * 1024, file.as_file_mut());
                let made = self.archive.decrypt_with_tree(&keys, expected.as_deref(), &mut out);
                let made = made.map_err(|error| self.wrong(error))?;
                self.origin.done();
                let flushed = out.into_inner().map(drop).map_err(std::io::IntoInnerError::into_error);
                flushed.map_err(|error| files::failure("cannot be written", path, &error))?;
                check_made(receipt.as_ref(), &made, &mut facts)?;
                files::finish(file, path, *replace)?;
            }
            Target::Folder { path, limits } => {
                let folder = Folder::new(path)?;
                let mut store = folder.store();
                let made = self.archive.extract(&keys, expected.as_deref(), limits, &mut store);
                let made = made.map_err(|error| self.wrong(error))?;
                self.origin.done();
                check_made(receipt.as_ref(), &made, &mut facts)?;
                folder.finish()?;
            }
        }
        let results_path = self.target.path().display().to_string();
        Ok(Decrypted { results_path, layout: name_of(layout), receipt: receipt.as_ref().map(vouched), facts })
    }

    fn wrong(&self, error: OpenError) -> Failure {
        wrong(&self.origin, error)
    }
}

/// An entry that is not as the receipt has it is the receipt's failure; the rest is the archive's.
pub(super) fn wrong(origin: &Origin, error: OpenError) -> Failure {
    let listed = matches!(error, OpenError::Altered { .. } | OpenError::OtherEntries { .. });
    let failure = origin.wrong(error);
    if listed { invalid_receipt(failure.message) } else { failure }
}

/// What the receipt says of the archive's other entries.
pub(super) fn listed(receipt: &Receipt) -> Vec<EntryDigest> {
    let entries = receipt.statement().entries.iter();
    entries.map(|entry| EntryDigest { name: entry.name.clone(), size: entry.size, sha256: entry.sha256.0.0 }).collect()
}

fn check_made(receipt: Option<&Receipt>, made: &Extracted, facts: &mut Facts) -> Result<(), Failure> {
    let Some(receipt) = receipt else { return Ok(()) };
    let (stated, found) = (receipt.statement().tree, Sha256(made.unpacked.tree.0.into()));
    if stated != found {
        return Err(invalid_receipt(format!(
            "the receipt states the result's tree hash {stated}, the decrypted files have {found}"
        )));
    }
    facts.verified(format!("the archive's {} entries are those of the receipt, byte for byte", made.entries.len()));
    facts.verified("the decrypted files are those that the enclave signed");
    Ok(())
}

/// The answer of `result decrypt`.
pub(crate) fn answer(decrypted: &Decrypted) -> Result<Answer, Failure> {
    Answer::new(decrypted, decrypted.results_path.clone())
}

pub(super) fn vouched(receipt: &Receipt) -> Vouched {
    let stated = receipt.statement();
    Vouched { task: stated.task, tee: stated.tee, simulated: stated.tee == Tee::Simulated, signer: receipt.signer() }
}

pub(super) const fn name_of(layout: Layout) -> &'static str {
    match layout {
        Layout::A => "A",
        Layout::B => "B",
        Layout::C => "C",
        Layout::Age => "age",
        Layout::Plain => "plain",
    }
}
