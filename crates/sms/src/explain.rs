//! Why evidence is accepted or refused, for people: every check of the decision, with the operator's file and, if a task is
//! named, with what the chain says of it. It releases nothing and asks no store.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use iexec_attestation::{
    Collateral, CollateralId, DcapCollateral, MAX_COLLATERAL, Outcome, Policy, SnpCollateral, TrustAnchors, Verdict,
    explain, needs,
};
use iexec_chain::Chain;
use iexec_protocol::{
    Address, Timestamp,
    evidence::{Evidence, Tee},
    id::TaskId,
};
use iexec_service::{BoxFuture, Metrics};
use serde::Serialize;

pub use iexec_attestation::Expected;

use crate::{
    collateral::{CollateralSources, CollateralUrls, Library, Simulated, Source, tool},
    description::Description,
    policy::SmsPolicy,
    read_simulated,
    tee::{describe, registered, task_and_deal},
};

/// What is to be explained.
pub struct Question {
    /// The evidence.
    pub evidence: Evidence,
    /// What it was made for, if that is known: of a receipt.
    pub made_for: Option<Expected>,
    /// The operator's file; without one nothing is accepted, as the service does.
    pub policy: Option<PathBuf>,
    /// A task whose deal's rules, image and registered measurement count, too.
    pub task: Option<TaskOnChain>,
    /// The vendor's word.
    pub collateral: CollateralFrom,
    /// A simulated TEE's root certificate, its collateral beside it.
    pub simulated_root: Option<PathBuf>,
    /// The verifier's time, in seconds since the Unix epoch.
    pub at: Timestamp,
}

/// A task and the chain to ask about it.
pub struct TaskOnChain {
    /// The task.
    pub task: TaskId,
    /// JSON-RPC endpoint.
    pub chain_url: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The PoCo contract.
    pub hub: Address,
}

/// Where the vendor's word comes from.
pub enum CollateralFrom {
    /// Nowhere but the evidence itself: what else depends on it is not checked.
    Nowhere,
    /// A file (DCAP: JSON; SNP: the VCEK, DER), or a folder as `collateral fetch` makes it.
    Path(PathBuf),
    /// The vendors' services.
    Urls(CollateralUrls),
}

/// The outcome.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// Whether nothing speaks against it, of all that could be checked, and the quote is authentic.
    pub accepted: bool,
    /// What decided: the failed check, else the reference value that is met.
    pub decided_by: String,
    /// Every check, in the order of the decision.
    pub checks: Vec<ExplainedCheck>,
    /// Rules of the operator's file that narrowed what counts for the deal.
    pub rules: Vec<String>,
    /// What is measured, if the quote is authentic.
    pub measurement: Option<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedCheck {
    /// Its rule in the specification.
    pub rule: &'static str,
    /// Its name.
    pub check: &'static str,
    /// `passed`, `failed` or `not run`.
    pub verdict: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl ExplainedCheck {
    fn of(rule: &'static str, check: &'static str, outcome: Result<(), String>) -> Self {
        let verdict = if outcome.is_ok() { "passed" } else { "failed" };
        Self { rule, check, verdict, detail: outcome.err().unwrap_or_default() }
    }
}

/// Explains. An error says that the question cannot be answered: a file does not read, the chain does not answer.
pub fn run(question: Question) -> BoxFuture<'static, anyhow::Result<Explained>> {
    Box::pin(async move { answer(&question).await })
}

async fn answer(question: &Question) -> anyhow::Result<Explained> {
    let file = question.policy.as_deref().map_or_else(|| Ok(SmsPolicy::nothing()), SmsPolicy::open)?;
    let (anchors, word) = match question.simulated_root.as_deref() {
        Some(root) => read_simulated(root)?,
        None => (TrustAnchors::hardware(), None),
    };
    let (mut checks, mut rules, mut policy) = (Vec::new(), Vec::new(), file.base().clone());
    let mut expected = question.made_for;
    let description = match &question.task {
        Some(named) => Some(on_chain(named).await?),
        None => None,
    };
    if let Some(description) = &description {
        match file.for_deal(&description.deal) {
            Ok(narrowed) => {
                rules = narrowed.rules.into_iter().map(str::to_owned).collect();
                policy = narrowed.policy;
                checks.push(ExplainedCheck::of("SMS-49", "rules", Ok(())));
            }
            Err(denied) => checks.push(ExplainedCheck::of("SMS-49", "rules", Err(denied.to_string()))),
        }
        match &mut expected {
            Some(expected) => {
                *expected = Expected { task: description.task.id, image: description.image(), ..*expected }
            }
            None => checks.push(image(description, &question.evidence)),
        }
    }
    let collateral = collateral(question, &policy, word).await?;
    let told = explain(&question.evidence, expected.as_ref(), collateral.as_ref(), &anchors, &policy, question.at);
    checks.extend(run_checks(&told.outcomes, description.is_some() && expected.is_none()));
    if let (Some(description), Some(claims)) = (&description, &told.claims) {
        let held = registered::check(&description.app, claims, description.image());
        checks.push(ExplainedCheck::of("SMS-48", "registered", held.map_err(|error| error.to_string())));
    }
    let (accepted, decided_by) = decided(&checks, told.claims.is_some(), told.reference.as_deref());
    let measurement = told.claims.map(|claims| claims.measurement.to_string());
    Ok(Explained { accepted, decided_by, checks, rules, measurement })
}

/// Whether nothing speaks against it, and what decided.
fn decided(checks: &[ExplainedCheck], is_authentic: bool, reference: Option<&str>) -> (bool, String) {
    let failed = checks.iter().find(|check| check.verdict == "failed");
    let accepted = failed.is_none() && is_authentic;
    let by = match (failed, reference) {
        (Some(check), _) => format!("{} ({}): {}", check.check, check.rule, check.detail),
        (None, Some(reference)) if accepted => format!("reference value {reference:?}"),
        (None, _) => "authenticity (ATT-14): there is no collateral".to_owned(),
    };
    (accepted, by)
}

/// The image that evidence in a file of its own claims to start, against the chain's.
fn image(description: &Description, evidence: &Evidence) -> ExplainedCheck {
    let (found, expected) = (evidence.image, description.image());
    let words = || format!("the enclave starts image {found}, the app's checksum on chain is {expected}");
    ExplainedCheck::of("ATT-5", "image", if found == expected { Ok(()) } else { Err(words()) })
}

/// The verifier's checks. With a task, and evidence that does not tell its nonce, the image was held against the chain before.
fn run_checks(outcomes: &[Outcome], is_of_task: bool) -> Vec<ExplainedCheck> {
    let told = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Passed => ExplainedCheck::of(outcome.rule, outcome.check, Ok(())),
        Verdict::Failed(why) => ExplainedCheck::of(outcome.rule, outcome.check, Err(why.clone())),
        Verdict::NotRun(why) => {
            let is_bound = is_of_task && ["report-data", "image-register"].contains(&outcome.check);
            let why = if is_bound { "the file does not tell the session's nonce" } else { why };
            let passed = ExplainedCheck::of(outcome.rule, outcome.check, Ok(()));
            ExplainedCheck { verdict: "not run", detail: why.to_owned(), ..passed }
        }
    };
    outcomes.iter().filter(|outcome| !is_of_task || outcome.check != "image").map(told).collect()
}

async fn on_chain(named: &TaskOnChain) -> anyhow::Result<Description> {
    let chain = Chain::connect(&named.chain_url, named.chain_id, named.hub).await?;
    let (task, deal) = task_and_deal(&chain, named.task).await.with_context(|| format!("task {}", named.task))?;
    Ok(describe(&chain, task, deal).await?)
}

async fn collateral(
    question: &Question,
    policy: &Policy,
    simulated: Option<Simulated>,
) -> anyhow::Result<Option<Collateral>> {
    let Question { evidence, at, .. } = question;
    let revocations = policy.snp.require_revocation_list;
    if evidence.tee == Tee::Simulated {
        return Ok(simulated.map(|file| Collateral::Dcap(file.now())));
    }
    match &question.collateral {
        // What an SNP host handed out is enough where no revocation list is asked for.
        CollateralFrom::Nowhere => Ok(brings_certificate(evidence).then(|| Collateral::Snp(SnpCollateral::default()))),
        CollateralFrom::Path(path) if path.is_dir() => {
            tool::from_folder(path, evidence, revocations, *at).await.map(Some)
        }
        CollateralFrom::Path(path) => of_file(path, evidence.tee).map(Some),
        CollateralFrom::Urls(urls) => {
            let folder = tempfile::tempdir()?;
            let sources = CollateralSources { urls: Some(urls.clone()), bundle: None };
            let library = Library::open(folder.path().join("collateral"), sources, Metrics::default())?;
            Ok(Some(Source::new(None, library).find(&needs(evidence)?, revocations, *at).await?))
        }
    }
}

fn brings_certificate(evidence: &Evidence) -> bool {
    matches!(needs(evidence), Ok(CollateralId::Snp(id)) if id.has_certificate)
}

fn of_file(path: &Path, tee: Tee) -> anyhow::Result<Collateral> {
    let shown = || format!("the collateral {}", path.display());
    let length = std::fs::metadata(path).with_context(shown)?.len();
    anyhow::ensure!(
        length <= MAX_COLLATERAL as u64,
        "{} has {length} bytes; at most {MAX_COLLATERAL} are read",
        shown()
    );
    let bytes = std::fs::read(path).with_context(shown)?;
    let read = match tee {
        Tee::Snp => SnpCollateral::new(Some(bytes), None).map(Collateral::Snp),
        _ => DcapCollateral::from_json(&bytes).map(Collateral::Dcap),
    };
    read.with_context(shown)
}
