//! `iexecd sms explain|collateral`: what decides about evidence, and the vendors' word that it takes. Answers go to stdout.

use std::{
    fs::File,
    io::{BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use iexec_archive::Archive;
use iexec_protocol::{
    Address, Timestamp,
    evidence::Evidence,
    id::TaskId,
    receipt::{Receipt, Statement},
};
use iexec_service::{clock, logging};
use iexec_sms::{
    collateral::{CollateralUrls, tool},
    explain::{self, CollateralFrom, Expected, Explained, Question, TaskOnChain},
};

use super::CollateralUrlFlags;
use crate::{
    common::{address, http_url},
    report,
};

/// Largest evidence or receipt read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What is asked.
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 accepted, 1 refused, 2 if the question cannot be answered.\n\nExample:\n  iexecd sms explain evidence.json --policy policy.toml --collateral /var/lib/iexec-sms/collateral"
)]
pub(crate) struct Explain {
    /// Evidence as JSON, a receipt.json, or a result archive with a receipt
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The operator's file; without one nothing is accepted, as by the service
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The vendor's word: a file (TDX, SGX: JSON; SNP: the VCEK, DER), or a folder as `collateral fetch` makes it
    #[arg(long, value_name = "PATH")]
    collateral: Option<PathBuf>,
    /// Ask the vendors' services
    #[arg(long, conflicts_with = "collateral")]
    fetch: bool,
    #[command(flatten)]
    urls: CollateralUrlFlags,
    /// A task: its deal's rules, its app's image and registered measurement count, too
    #[arg(long, value_name = "TASKID", requires_all = ["rpc", "chain_id", "hub"])]
    task: Option<TaskId>,
    /// JSON-RPC endpoint of the chain
    #[arg(long, value_name = "URL", value_parser = http_url)]
    rpc: Option<String>,
    /// EIP-155 chain id
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// The PoCo contract
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    hub: Option<Address>,
    /// Root certificate (DER) of a simulated TEE, its collateral.json beside it
    #[arg(long, value_name = "FILE")]
    insecure_simulated_tee: Option<PathBuf>,
    /// The verifier's time, in seconds since 1970; now if absent
    #[arg(long, value_name = "SECONDS")]
    at: Option<Timestamp>,
    /// One JSON document
    #[arg(long)]
    raw: bool,
}

/// The vendors' word.
#[derive(Subcommand)]
pub(crate) enum Collateral {
    /// Fetch what verifying evidence takes into a folder, to be carried to where there is no network
    Fetch(Fetch),
    /// Say what a folder holds, and until when
    List(List),
}

#[derive(Args)]
pub(crate) struct Fetch {
    /// Evidence as JSON, receipts, or result archives with receipts
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The folder; made if absent
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    #[command(flatten)]
    urls: CollateralUrlFlags,
}

#[derive(Args)]
pub(crate) struct List {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Explains, and exits as the answer is.
pub(super) fn explain(flags: Explain) -> Result<()> {
    match try_explain(flags) {
        Ok(true) => Ok(()),
        Ok(false) => std::process::exit(1),
        Err(error) => {
            report::failure(&error);
            std::process::exit(2)
        }
    }
}

fn try_explain(flags: Explain) -> Result<bool> {
    logging::init("warn", logging::Format::Text)?;
    let raw = flags.raw;
    let explained = block_on(explain::run(question(flags)?))?;
    let mut out = std::io::stdout().lock();
    if raw {
        writeln!(out, "{}", serde_json::to_string_pretty(&explained)?)?;
    } else {
        write!(out, "{}", words(&explained))?;
    }
    Ok(explained.accepted)
}

fn question(flags: Explain) -> Result<Question> {
    let (evidence, made_for) = read(&flags.file)?;
    let named = flags.task.zip(flags.rpc).zip(flags.chain_id.zip(flags.hub));
    let task = named.map(|((task, chain_url), (chain_id, hub))| TaskOnChain { task, chain_url, chain_id, hub });
    let collateral = match flags.collateral {
        Some(path) => CollateralFrom::Path(path),
        None if flags.fetch => CollateralFrom::Urls(flags.urls.urls()),
        None => CollateralFrom::Nowhere,
    };
    Ok(Question {
        evidence,
        made_for,
        policy: flags.policy,
        task,
        collateral,
        simulated_root: flags.insecure_simulated_tee,
        at: flags.at.unwrap_or_else(clock::now),
    })
}

/// One line per check, then what decided.
fn words(explained: &Explained) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for check in &explained.checks {
        let detail = if check.detail.is_empty() { String::new() } else { format!(": {}", check.detail) };
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(text, "{:<8} {:<7} {}{detail}", check.verdict, check.rule, check.check);
    }
    for rule in &explained.rules {
        let _ = writeln!(text, "rule {rule:?} narrowed what counts for this deal");
    }
    if let Some(measurement) = &explained.measurement {
        let _ = writeln!(text, "measured: {measurement}");
    }
    let verdict = if explained.accepted { "accepted" } else { "refused" };
    let _ = writeln!(text, "{verdict} by {}", explained.decided_by);
    text
}

/// Fetches or lists.
pub(super) fn collateral(collateral: Collateral) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match collateral {
        Collateral::Fetch(Fetch { files, into, urls }) => {
            let urls: CollateralUrls = urls.urls();
            let evidence = files.iter().map(|file| read(file).map(|(evidence, _)| evidence)).collect::<Result<_>>()?;
            block_on(tool::fetch(evidence, urls, into.clone(), clock::now()))?;
            list(&mut out, &into)
        }
        Collateral::List(List { folder }) => list(&mut out, &folder),
    }
}

fn list(out: &mut impl std::io::Write, folder: &Path) -> Result<()> {
    let (now, date) = (clock::now(), |time: Timestamp| clock::iso8601(time.saturating_mul(1000))[..10].to_owned());
    for line in tool::list(folder)? {
        match line.dates {
            Ok((issued, expires)) => {
                let state = if now < expires { "holds" } else { "EXPIRED" };
                writeln!(out, "{} {state}: {} to {}", line.file, date(issued), date(expires))?;
            }
            Err(cause) => writeln!(out, "{} UNUSABLE: {cause}", line.file)?,
        }
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The evidence in a file, and what it was made for if the file says so.
fn read(path: &Path) -> Result<(Evidence, Option<Expected>)> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut head = Vec::new();
    (&file).take(MAX_FILE + 1).read_to_end(&mut head).with_context(|| format!("cannot read {shown}"))?;
    if head.starts_with(b"PK") {
        let archive =
            Archive::open(BufReader::new(File::open(path)?)).with_context(|| format!("the archive {shown}"))?;
        let receipt = archive.receipt().with_context(|| format!("the archive {shown} has no receipt"))?;
        return of_receipt(receipt).with_context(|| format!("the archive {shown}"));
    }
    if head.len() as u64 > MAX_FILE {
        bail!("{shown} has more than {MAX_FILE} bytes; it is no evidence");
    }
    match serde_json::from_slice::<Evidence>(&head) {
        Ok(evidence) => Ok((evidence, None)),
        Err(error) => match of_receipt(&head) {
            Ok(found) => Ok(found),
            Err(_) if !is_receipt(&head) => Err(error).with_context(|| format!("{shown} is no evidence")),
            Err(error) => Err(error).with_context(|| format!("{shown}")),
        },
    }
}

/// An envelope of DSSE.
fn is_receipt(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|json| json.get("payload").is_some())
}

fn of_receipt(bytes: &[u8]) -> Result<(Evidence, Option<Expected>)> {
    let receipt = Receipt::verify(bytes).context("the receipt")?;
    let Statement { evidence, task, nonce, inputs, .. } = receipt.statement();
    Ok((evidence.clone(), Some(Expected { task: *task, nonce: *nonce, image: inputs.image })))
}
