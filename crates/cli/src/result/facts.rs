//! What is known of a result: facts that were verified, and facts that could not be, with the reason. A fact that is
//! wrong is neither: it is an error.

use std::path::PathBuf;

use clap::Args;
use iexec_protocol::{
    Address, B256,
    evidence::Tee,
    id::TaskId,
    receipt::{Receipt, ReceiptError},
    task::ChainTask,
};
use serde::Serialize;

use super::evidence;
use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    remote::{Remote, online},
    screen::Screen,
};

/// What a receipt is held against.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TrustOptions {
    /// The task that the result must be of; that of the file's name if it is <taskid>.zip
    #[arg(long, value_name = "TASKID")]
    pub(crate) task: Option<TaskId>,
    /// Exit 1 if something could not be verified
    #[arg(long)]
    pub(crate) require_verified: bool,
    /// Ask no chain: check what the archive tells by itself
    #[arg(long)]
    pub(crate) receipt_only: bool,
    /// Take a simulated TEE for a real one (local networks and tests)
    #[arg(long)]
    pub(crate) insecure_simulated_tee: bool,
    /// Root certificate (DER) of a simulated TEE, its collateral.json beside it; that of chain.json if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) simulated_root: Option<PathBuf>,
    /// What the vendor says of the platform (TDX, SGX: collateral as JSON; SNP: the VCEK, DER); the SMS is asked if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Option<PathBuf>,
    /// The SMS of chain.json.
    #[arg(skip)]
    pub(crate) sms: Option<String>,
}

/// What the chain knows about a result, for its receipt to be held against.
#[derive(Clone, Debug)]
pub(crate) struct OnChain {
    pub(crate) task: TaskId,
    pub(crate) result_digest: B256,
    /// The enclave challenges of the task's contributions.
    pub(crate) challenges: Vec<Address>,
}

/// What was found out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    verified: Vec<String>,
    not_verifiable: Vec<String>,
    #[serde(skip)]
    screen: Screen,
}

impl Facts {
    pub(crate) const fn new(screen: Screen) -> Self {
        Self { verified: Vec::new(), not_verifiable: Vec::new(), screen }
    }

    pub(crate) fn verified(&mut self, fact: impl Into<String>) {
        let fact = fact.into();
        self.screen.note(format!("verified: {fact}"));
        self.verified.push(fact);
    }

    pub(crate) fn not_verifiable(&mut self, fact: &str, why: impl std::fmt::Display) {
        let fact = format!("{fact}: {why}");
        self.screen.note(format!("not verifiable: {fact}"));
        self.not_verifiable.push(fact);
    }

    /// Refuses what is not known for sure, where the user wants it so.
    pub(crate) fn require(&self, options: &TrustOptions) -> Result<(), Failure> {
        if !options.require_verified || self.not_verifiable.is_empty() {
            return Ok(());
        }
        let message = format!("not verifiable: {}", self.not_verifiable.join("; "));
        Err(Failure::user("NotVerified", message).hint("without --require-verified this is a note, not an error"))
    }
}

/// Checks an archive's receipt, as far as the archive's own bytes are not needed.
pub(crate) fn check_receipt(
    bytes: Option<&[u8]>,
    options: &TrustOptions,
    ask: &dyn Fn(TaskId) -> Result<OnChain, Failure>,
    facts: &mut Facts,
) -> Result<Option<Receipt>, Failure> {
    let Some(bytes) = bytes else {
        facts.not_verifiable("where and how the result was computed", "the archive has no receipt");
        return Ok(None);
    };
    let receipt = Receipt::verify(bytes).map_err(|error: ReceiptError| invalid_receipt(error.to_string()))?;
    facts.verified(format!("the receipt is signed by the key {}", receipt.signer()));
    let stated = receipt.statement();
    match options.task {
        Some(task) if task != stated.task => {
            return Err(invalid_receipt(format!("the receipt is that of task {}, not of {task}", stated.task)));
        }
        Some(task) => facts.verified(format!("the receipt is that of task {task}")),
        None => facts.not_verifiable(
            "that it is the result of your task",
            "name the task with --task, or the file <taskid>.zip",
        ),
    }
    match ask(stated.task) {
        Ok(on_chain) => on_chain.check(&receipt, facts)?,
        Err(failure) => facts.not_verifiable("that the key is the enclave's", failure.message),
    }
    tell(&receipt, options, facts);
    evidence::check(&receipt, options, facts)?;
    Ok(Some(receipt))
}

fn tell(receipt: &Receipt, options: &TrustOptions, facts: &mut Facts) {
    let (stated, screen) = (receipt.statement(), facts.screen);
    screen.note(format!("receipt: task {} of deal {}", stated.task, stated.deal));
    screen.note(format!("receipt: app image {}, on worker {}", stated.inputs.image.to_oci(), stated.worker));
    if stated.tee == Tee::Simulated {
        screen.warn(
            "SIMULATED TEE: no hardware vouches for this result. The worker could have seen and changed everything.",
        );
        if !options.insecure_simulated_tee {
            facts.not_verifiable("that the machine was a TEE", "it was simulated");
        }
    }
}

impl OnChain {
    /// The facts of a task that the chain showed.
    pub(crate) async fn read(remote: &Remote, task: &ChainTask) -> Result<Self, Failure> {
        let mut challenges = Vec::new();
        for worker in &task.contributors {
            challenges.push(remote.chain.view_contribution(task.id, *worker).await?.challenge);
        }
        Ok(Self { task: task.id, result_digest: task.result_digest, challenges })
    }

    fn check(&self, receipt: &Receipt, facts: &mut Facts) -> Result<(), Failure> {
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
        facts.verified("that key and the result's digest are those of the task on chain");
        Ok(())
    }
}

/// Asks the chain of the options, if there is one. The error says why it did not tell.
pub(crate) fn ask_chain(chain: &ChainOptions, options: &TrustOptions, task: TaskId) -> Result<OnChain, Failure> {
    if options.receipt_only {
        return Err(Failure::user("NotAsked", "the chain was not asked (--receipt-only)"));
    }
    if !chain.is_configured()? {
        return Err(Failure::user("NotAsked", "there is no chain.json here"));
    }
    online(async {
        let remote = Remote::connect(chain).await?;
        let found = remote.chain.view_task(task).await?;
        OnChain::read(&remote, &found).await
    })
}

/// A receipt that is not that of the archive, the task or the chain.
pub(crate) fn invalid_receipt(message: String) -> Failure {
    Failure::user("InvalidReceipt", message).hint("do not trust this archive; nothing was decrypted to disk")
}
