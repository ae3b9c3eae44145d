//! Decryption of a result archive, and the check of the receipt in it. Nothing is written before everything holds.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Seek as _},
    path::Path,
};

use iexec_archive::{Archive, Layout, OpenError, tree_of_zip};
use iexec_protocol::{
    Address, B256,
    evidence::Tee,
    id::{Sha256, TaskId},
    receipt::{Entry, Receipt, ReceiptError},
};
use serde::Serialize;

use crate::{
    encryption_key,
    failure::Failure,
    files,
    screen::{Answer, Screen},
};

/// What is decrypted with what to where.
pub(crate) struct Decryption<'a> {
    pub(crate) archive: &'a Path,
    pub(crate) key_file: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) replace: bool,
}

/// What the chain knows about a result, for its receipt to be held against.
#[derive(Clone, Debug)]
pub(crate) struct OnChain {
    pub(crate) task: TaskId,
    pub(crate) result_digest: B256,
    /// The enclave challenges of the task's contributions.
    pub(crate) challenges: Vec<Address>,
}

/// What was decrypted, and who vouches for it.
#[derive(Debug, Serialize)]
pub(crate) struct Decrypted {
    layout: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Vouched>,
}

#[derive(Debug, Serialize)]
struct Vouched {
    task: TaskId,
    tee: Tee,
    simulated: bool,
    signer: Address,
}

impl Decryption<'_> {
    /// Decrypts; with `on_chain`, the receipt must be that of the task.
    pub(crate) fn run(&self, on_chain: Option<&OnChain>, screen: Screen) -> Result<Decrypted, Failure> {
        files::check_target(self.output, self.replace)?;
        let key = encryption_key::read_private(self.key_file)?;
        let mut archive = open(self.archive)?;
        if archive.layout() == Layout::Plain {
            return Err(Failure::user("NotEncrypted", format!("{} is not encrypted", self.archive.display()))
                .hint(format!("unzip it: unzip {} -d my-result", self.archive.display())));
        }
        let receipt = self.receipt(&mut archive, on_chain, screen)?;
        let mut file = files::temporary(self.output, true)?;
        let mut out = BufWriter::with_capacity(64 * 1024, file.as_file_mut());
        archive.decrypt(&key, &mut out).map_err(|error| self.wrong(error))?;
        let flushed = out.into_inner().map(drop).map_err(std::io::IntoInnerError::into_error);
        flushed.map_err(|error| files::failure("cannot be written", self.output, &error))?;
        if let Some(receipt) = &receipt {
            self.check_tree(file.as_file_mut(), receipt, screen)?;
        }
        files::finish(file, self.output, self.replace)?;
        Ok(Decrypted { layout: name_of(archive.layout()), receipt: receipt.as_ref().map(vouched) })
    }

    fn receipt(
        &self,
        archive: &mut Archive<BufReader<File>>,
        on_chain: Option<&OnChain>,
        screen: Screen,
    ) -> Result<Option<Receipt>, Failure> {
        let Some(bytes) = archive.receipt() else {
            screen.note("The archive has no receipt: nothing tells where and how the result was computed.");
            return Ok(None);
        };
        let untrue = |error: ReceiptError| invalid_receipt(error.to_string());
        let receipt = Receipt::verify(bytes).map_err(untrue)?;
        let found: Vec<Entry> = archive
            .entries()
            .map_err(|error| self.wrong(error))?
            .into_iter()
            .map(|entry| Entry { name: entry.name, size: entry.size, sha256: Sha256(entry.sha256.into()) })
            .collect();
        receipt.check_entries(&found).map_err(untrue)?;
        screen.note(format!("verified: the receipt is signed by the key {}", receipt.signer()));
        screen.note(format!("verified: the archive's {} entries are those of the receipt", found.len()));
        match on_chain {
            Some(facts) => facts.check(&receipt, screen)?,
            None => screen.note("not verified: whether that key is the enclave's; `iexec task show <taskid> --download --decrypt` asks the chain"),
        }
        tell(&receipt, screen);
        Ok(Some(receipt))
    }

    fn check_tree(&self, file: &mut File, receipt: &Receipt, screen: Screen) -> Result<(), Failure> {
        file.rewind().map_err(|error| files::failure("cannot be read", self.output, &error))?;
        let tree = tree_of_zip(BufReader::new(file)).map_err(|error| self.wrong(error))?;
        let (stated, found) = (receipt.statement().tree, Sha256(tree.0.into()));
        if stated != found {
            return Err(invalid_receipt(format!(
                "the receipt states the result's tree hash {stated}, the decrypted files have {found}"
            )));
        }
        screen.note("verified: the decrypted files are those that the enclave signed");
        Ok(())
    }

    fn wrong(&self, error: OpenError) -> Failure {
        let failure = Failure::from(error);
        let message = failure.message.trim_start_matches("archive: ").to_owned();
        Failure { message: format!("{}: {message}", self.archive.display()), ..failure }
    }
}

impl OnChain {
    fn check(&self, receipt: &Receipt, screen: Screen) -> Result<(), Failure> {
        let stated = receipt.statement();
        if stated.task != self.task {
            return Err(invalid_receipt(format!("the receipt is that of task {}, not of {}", stated.task, self.task)));
        }
        if !self.challenges.contains(&receipt.signer()) {
            return Err(invalid_receipt(format!(
                "the receipt is signed by {}, which is not the enclave key of the task's contribution on chain",
                receipt.signer()
            )));
        }
        if stated.result_digest != self.result_digest {
            return Err(invalid_receipt(format!(
                "the receipt states the result digest {}, the chain has {}",
                stated.result_digest, self.result_digest
            )));
        }
        screen.note("verified: that key and the result's digest are those of the task on chain");
        Ok(())
    }
}

/// The answer of `result decrypt`.
pub(crate) fn answer(decrypted: &Decrypted, output: &Path) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        results_path: String,
        #[serde(flatten)]
        decrypted: &'a Decrypted,
    }
    let results_path = output.display().to_string();
    let text = results_path.clone();
    Answer::new(&Written { results_path, decrypted }, text)
}

fn open(path: &Path) -> Result<Archive<BufReader<File>>, Failure> {
    if path.is_dir() {
        return Err(
            Failure::user("FileError", format!("{} is a folder", path.display())).hint("name the archive in it")
        );
    }
    let file = File::open(path).map_err(|error| {
        files::failure("cannot be read", path, &error).or_hint("download it with `iexec task show <taskid> --download`")
    })?;
    Archive::open(BufReader::with_capacity(64 * 1024, file)).map_err(|error| {
        let failure = Failure::from(error);
        let message = failure.message.trim_start_matches("archive: ").to_owned();
        Failure { message: format!("{}: {message}", path.display()), ..failure }
    })
}

fn invalid_receipt(message: String) -> Failure {
    Failure::user("InvalidReceipt", message).hint("do not trust this archive; nothing was decrypted to disk")
}

fn tell(receipt: &Receipt, screen: Screen) {
    let stated = receipt.statement();
    screen.note(format!("receipt: task {} of deal {}", stated.task, stated.deal));
    screen.note(format!("receipt: app image {}, on worker {}", stated.inputs.image.to_oci(), stated.worker));
    if stated.tee == Tee::Simulated {
        screen.warn(
            "SIMULATED TEE: no hardware vouches for this result. The worker could have seen and changed everything.",
        );
    } else {
        screen.note(format!("receipt: computed in a TEE of kind {}", stated.tee));
    }
}

fn vouched(receipt: &Receipt) -> Vouched {
    let stated = receipt.statement();
    Vouched { task: stated.task, tee: stated.tee, simulated: stated.tee == Tee::Simulated, signer: receipt.signer() }
}

const fn name_of(layout: Layout) -> &'static str {
    match layout {
        Layout::A => "A",
        Layout::B => "B",
        Layout::C => "C",
        Layout::Age => "age",
        Layout::Plain => "plain",
    }
}
