//! Decryption of a result archive in one pass: decrypted, digested, compared with the receipt and written at once. What is
//! written has its name only when everything holds.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use iexec_archive::{Archive, EntryDigest, Extracted, Identity, Kind, Layout, Limits, OpenError, PipedArchive, Visit};
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
    recount::Recount,
    source::{Input, Origin, Pipe, Source},
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
    pub(crate) origin: Origin,
    /// Called once everything that needs no key holds.
    pub(crate) keys: &'a dyn Fn() -> Result<Vec<Identity>, Failure>,
    pub(crate) target: &'a Target,
    pub(crate) trust: &'a TrustOptions,
    /// What the chain knows about a task; the error says why it does not tell.
    pub(crate) on_chain: &'a dyn Fn(TaskId) -> Result<OnChain, Failure>,
}

/// What has no name yet: the zip, or where each file goes.
enum Place<'a> {
    Zip(&'a mut File),
    Folder(&'a Limits, &'a mut Visit<'a>),
}

/// Why an archive from a pipe is not taken.
enum Untrusted {
    Archive(OpenError),
    Receipt(Failure),
}

impl From<OpenError> for Untrusted {
    fn from(error: OpenError) -> Self {
        Self::Archive(error)
    }
}

impl From<Failure> for Untrusted {
    fn from(failure: Failure) -> Self {
        Self::Receipt(failure)
    }
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
    pub(crate) fn run(&self, archive: Input, screen: Screen) -> Result<Decrypted, Failure> {
        self.target.check()?;
        let layout = archive.layout();
        if layout == Layout::Plain && matches!(self.target, Target::Zip { .. }) {
            let name = self.origin.name();
            return Err(Failure::user("NotEncrypted", format!("{name} is not encrypted"))
                .hint(format!("it is a zip already; `iexec result decrypt {name} --extract my-result` unpacks it")));
        }
        let mut facts = Facts::new(screen);
        let receipt = match self.target {
            Target::Zip { path, replace } => {
                let mut file = files::temporary(path, true)?;
                let receipt = self.open_to(archive, Place::Zip(file.as_file_mut()), &mut facts)?;
                files::finish(file, path, *replace)?;
                receipt
            }
            Target::Folder { path, limits } => {
                let folder = Folder::new(path)?;
                let receipt = self.open_to(archive, Place::Folder(limits, &mut folder.store()), &mut facts)?;
                folder.finish()?;
                receipt
            }
        };
        let results_path = self.target.path().display().to_string();
        Ok(Decrypted { results_path, layout: name_of(layout), receipt: receipt.as_ref().map(vouched), facts })
    }

    /// Decrypts to a place without a name yet, and checks what was made.
    fn open_to(&self, archive: Input, place: Place<'_>, facts: &mut Facts) -> Result<Option<Receipt>, Failure> {
        match archive {
            Input::File(archive) => self.open_file(*archive, place, facts),
            Input::Pipe(archive) => self.open_pipe(*archive, place, facts).map(Some),
        }
    }

    fn open_file(
        &self,
        mut archive: Archive<BufReader<Source>>,
        place: Place<'_>,
        facts: &mut Facts,
    ) -> Result<Option<Receipt>, Failure> {
        let receipt = check_receipt(archive.receipt(), self.trust, self.on_chain, facts)?;
        let mut recount = if receipt.is_none() { self.recount(facts) } else { None };
        facts.require(self.trust)?;
        let keys = if archive.layout() == Layout::Plain { Vec::new() } else { (self.keys)()? };
        let keys = fitting(keys, receipt.as_ref(), &self.origin)?;
        let expected = receipt.as_ref().map(listed);
        let mut see = |name: &str, kind: Kind, content: &mut dyn Read, then: &mut Visit<'_>| match &mut recount {
            Some(recount) => recount.see(name, kind, content, then),
            None => then(name, kind, content),
        };
        self.origin.begin();
        let made = match place {
            Place::Zip(out) => {
                let nowhere = &mut |_: &str, _: Kind, _: &mut dyn Read| Ok(());
                let visit = &mut |name: &str, kind: Kind, content: &mut dyn Read| see(name, kind, content, nowhere);
                reserve(out, archive.body_size().unwrap_or_default(), self.target.path())?;
                archive.decrypt_with_tree(&keys, expected.as_deref(), out, visit)
            }
            Place::Folder(limits, store) => {
                let visit = &mut |name: &str, kind: Kind, content: &mut dyn Read| see(name, kind, content, store);
                archive.extract(&keys, expected.as_deref(), limits, visit)
            }
        };
        let made = made.map_err(|error| self.wrong(error))?;
        self.origin.done();
        if let Some(receipt) = &receipt {
            check_made(receipt, &made, facts)?;
        }
        if let Some(recount) = &recount {
            recount.check(facts)?;
            facts.require(self.trust)?;
        }
        Ok(receipt)
    }

    /// The receipt comes behind the body: what it says is checked before the result has its name, not before it is
    /// decrypted.
    fn open_pipe(&self, archive: PipedArchive<Pipe>, place: Place<'_>, facts: &mut Facts) -> Result<Receipt, Failure> {
        let keys = (self.keys)()?;
        self.origin.begin();
        let mut found = None;
        let trust = |bytes: &[u8]| {
            self.origin.done();
            let receipt = check_receipt(Some(bytes), self.trust, self.on_chain, facts)?;
            facts.require(self.trust)?;
            fitting(keys.clone(), receipt.as_ref(), &self.origin)?;
            let list = receipt.as_ref().map(listed).unwrap_or_default();
            found = receipt;
            Ok::<_, Untrusted>(list)
        };
        let made = match place {
            Place::Zip(out) => archive.decrypt_with_tree(&keys, out, &mut |_, _, _| Ok(()), trust),
            Place::Folder(limits, store) => archive.extract(&keys, limits, store, trust),
        };
        let made = made.map_err(|error| match error {
            Untrusted::Archive(error) => self.wrong(error),
            Untrusted::Receipt(failure) => failure,
        })?;
        let receipt = found.ok_or_else(|| invalid_receipt("the receipt was not looked at".into()))?;
        check_made(&receipt, &made, facts)?;
        Ok(receipt)
    }

    /// What the chain knows of a result without a receipt, if the task is known.
    fn recount(&self, facts: &mut Facts) -> Option<Recount> {
        let Some(task) = self.trust.task else {
            Recount::unknown_task(facts);
            return None;
        };
        Recount::new((self.on_chain)(task), facts)
    }

    fn wrong(&self, error: OpenError) -> Failure {
        wrong(&self.origin, error)
    }
}

/// Asks for the room that the result takes, at most: a disk that is full says so before anything is decrypted, and the
/// blocks are found once.
fn reserve(out: &File, size: u64, path: &Path) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        if let Err(error) = fallocate(out, FallocateFlags::KEEP_SIZE, 0, size.max(1)) {
            let error = std::io::Error::from(error);
            // A file system that cannot is no reason to stop.
            if error.kind() == std::io::ErrorKind::StorageFull {
                return Err(files::failure("cannot be written", path, &error));
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (out, size, path);
    Ok(())
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

fn check_made(receipt: &Receipt, made: &Extracted, facts: &mut Facts) -> Result<(), Failure> {
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
