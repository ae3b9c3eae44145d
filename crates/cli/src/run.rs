//! `iexec app run`: check everything, then sign, match, and, with `--watch`, wait for the result.

use std::future::Future;

use clap::Args;
use iexec_chain::{ChainError, view::Kind, writer::Orders};
use iexec_protocol::{
    Address,
    amount::Currency,
    id::{AddressError, DealId, parse_address},
    order::{Order, Unverified},
    params::{DealParams, Encryption},
    tag::Tag,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    asset,
    chain_options::{ChainOptions, TransactionOptions},
    failure::{Blame, Failure},
    files,
    key_folder::KeyFolder,
    market,
    offer::{checked, salt},
    preflight,
    progress::{self, Outcome},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    selection::{Chosen, Offer, Wish},
    wallet_options::WalletOptions,
};

/// Run an app: checks everything first, then makes the deal
#[derive(Args)]
#[command(
    name = "run",
    after_help = "Examples:\n  iexec app run 0x… --tag tee --encrypt-result --watch\n  iexec app run --args \"--name 'Ada Lovelace'\" --input-files https://example.com/a.txt\n\nWith --watch, exit 0 means that every task is COMPLETED. Ctrl-C stops the watching, not the deal."
)]
pub(crate) struct Run {
    /// The app; the one deployed last from this folder if not given
    #[arg(value_parser = parse_address)]
    app_address: Option<Address>,
    /// Wait until the task is over
    #[arg(long)]
    watch: bool,
    /// Do not ask for a confirmation of the price
    #[arg(long)]
    force: bool,
    /// What the task's machine must have: names (tee, scone, gramine, tdx, gpu) or 0x…; `tee` alone takes any framework
    #[arg(long, value_name = "TAG", default_value = "none")]
    tag: Tag,
    /// Encrypt the result to the beneficiary's key
    #[arg(long)]
    encrypt_result: bool,
    /// Who may read the result; the wallet if not given
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    beneficiary: Option<Address>,
    /// Arguments of the app, as in a shell
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    args: Option<String>,
    /// Public URLs of input files, separated by commas
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    input_files: Vec<String>,
    /// Requester secrets for the app, as 1=name
    #[arg(long, value_name = "NUMBER=NAME", num_args = 1..)]
    secret: Vec<String>,
    /// A dataset for the app: an address, or `deployed`
    #[arg(long, value_name = "ADDRESS")]
    dataset: Option<AddressOrDeployed>,
    /// Only this workerpool: an address, or `deployed`
    #[arg(long, value_name = "ADDRESS")]
    workerpool: Option<AddressOrDeployed>,
    /// How long the task may take: number of a category; any if not given
    #[arg(long, value_name = "ID")]
    category: Option<u64>,
    /// Least trust in a result without TEE
    #[arg(long, value_name = "INTEGER", default_value_t = 0)]
    trust: u64,
    /// Contract that is called with the result
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    callback: Option<Address>,
    /// Where the result is kept
    #[arg(long, value_name = "NAME", value_parser = ["ipfs"])]
    storage_provider: Option<String>,
    /// Further deal parameters, as JSON
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
    /// Do not ask SMS and storage whether they are ready
    #[arg(long, visible_alias = "skip-request-check")]
    skip_preflight_check: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
    #[command(flatten)]
    transaction: TransactionOptions,
}

/// An address, or `deployed`: the one in deployed.json.
#[derive(Clone, Copy, Debug)]
enum AddressOrDeployed {
    Address(Address),
    Deployed,
}

impl std::str::FromStr for AddressOrDeployed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "deployed" => Ok(Self::Deployed),
            _ => parse_address(text).map(Self::Address).map_err(|error| match error {
                AddressError::Malformed(_) => {
                    format!("expected `deployed`, or an address (0x and 40 hex digits), got {text:?}")
                }
                AddressError::Checksum { .. } => error.to_string(),
            }),
        }
    }
}

impl AddressOrDeployed {
    fn resolve(self, kind: Kind, chain_id: u64) -> Result<Address, Failure> {
        match self {
            Self::Address(address) => Ok(address),
            Self::Deployed => asset::deployed(kind, chain_id),
        }
    }
}

#[derive(Serialize)]
struct Made {
    dealid: DealId,
    volume: String,
    #[serde(rename = "txHash")]
    tx_hash: String,
}

impl Run {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        self.transaction.check(screen)?;
        let params = self.params()?;
        let wish = self.wish(&params)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            Self::warn_of_missing_key(&wish, &params, screen)?;
            if !wish.tag.is_tee() {
                screen.warn("no TEE is asked for (--tag tee): whoever runs the worker can see and change everything, and many workers take TEE tasks only");
            }
            let checked = preflight::Preflight { remote: &remote, wish: &wish, params: &params, screen };
            let chosen = checked.run(self.skip_preflight_check).await?;
            self.confirm_price(&remote, &chosen, screen)?;
            let made = self.make(&remote, chosen, screen).await?;
            if !self.watch {
                return bare_answer(&made, screen);
            }
            let outcome = progress::watch_deal(&remote, made.dealid, screen).await;
            answer(&made, &outcome.map_err(|failure| failure.fact("deals", json!([made])))?, screen)
        })
    }

    fn wish(&self, params: &DealParams) -> Result<Wish, Failure> {
        let chain_id = self.chain.network()?.id;
        let tag = checked(self.tag)?;
        if params.encrypts() && !tag.is_tee() {
            return Err(Failure::invalid(format!(
                "--encrypt-result: the tag is {tag}, and only a TEE can keep a result secret"
            ))
            .hint("add `--tag tee`"));
        }
        if !params.iexec_secrets.is_empty() && !tag.is_tee() {
            return Err(Failure::invalid(format!("--secret: the tag is {tag}, and secrets are given only to a TEE"))
                .hint("add `--tag tee`"));
        }
        let requester = self.wallet.address()?;
        let asked =
            |given: Option<AddressOrDeployed>, kind| given.map_or(Ok(Address::ZERO), |one| one.resolve(kind, chain_id));
        let text = params.to_text().map_err(|error| Failure::invalid(error.to_string()))?;
        Ok(Wish {
            app: asset::given_or_deployed(self.app_address, Kind::App, chain_id)?,
            dataset: asked(self.dataset, Kind::Dataset)?,
            workerpool: asked(self.workerpool, Kind::Workerpool)?,
            requester,
            beneficiary: self.beneficiary.unwrap_or(requester),
            callback: self.callback().unwrap_or_default(),
            tag,
            category: self.category,
            trust: self.trust,
            params: text,
            salt: salt(),
        })
    }

    /// The zero address calls nobody.
    fn callback(&self) -> Option<Address> {
        self.callback.filter(|callback| !callback.is_zero())
    }

    /// The deal's parameters: those of `--params`, and over them those of the other options.
    fn params(&self) -> Result<DealParams, Failure> {
        let given = self.params.as_deref().unwrap_or_default();
        let broken = |error: String| {
            let error = files::plain(error.trim_start_matches("deal parameters: "));
            Failure::invalid(format!("--params: {error}")).hint("for example --params '{\"iexec_args\":\"a b\"}'")
        };
        let mut params = DealParams::parse(given).map_err(|error| broken(error.to_string()))?;
        if let Some(key) = params.other.keys().find(|key| !preflight::is_known_param(key)) {
            return Err(broken(format!("unknown key {key:?}")));
        }
        if self.args.is_some() {
            params.iexec_args.clone_from(&self.args);
        }
        if !self.input_files.is_empty() {
            params.iexec_input_files.clone_from(&self.input_files);
        }
        for secret in &self.secret {
            let (number, name) = preflight::secret(secret)?;
            params.iexec_secrets.insert(number, name);
        }
        if self.encrypt_result {
            params.iexec_result_encryption = Some(Encryption(true));
        }
        let provider = self.storage_provider.clone().or(params.iexec_result_storage_provider.take());
        params.iexec_result_storage_provider = match self.callback() {
            Some(_) => provider,
            None => provider.or_else(|| Some("ipfs".into())),
        };
        preflight::check_params(&params)?;
        Ok(params)
    }

    /// A result that its own requester could not read is worth a word; the key may well be elsewhere.
    fn warn_of_missing_key(wish: &Wish, params: &DealParams, screen: Screen) -> Result<(), Failure> {
        let own = params.encrypts() && wish.beneficiary == wish.requester;
        if own && !KeyFolder::new(None)?.has_private_key(wish.beneficiary) {
            screen.warn(format!(
                "the private key of {} is not in .secrets/beneficiary here: decrypt the result where that key is",
                wish.beneficiary
            ));
        }
        Ok(())
    }

    /// Coins of a chain with a faucet are worth nothing: only others are asked about.
    fn confirm_price(&self, remote: &Remote, chosen: &Chosen, screen: Screen) -> Result<(), Failure> {
        let price = Currency::Rlc.format(chosen.cost.per_task);
        screen.note(format!("Everything is in place. The task costs {price} RLC."));
        let free = chosen.cost.per_task.is_zero() || remote.network.services.faucet.is_some();
        screen.confirm(&format!("Spend {price} RLC of the account's stake?"), self.force || free)
    }

    async fn make(&self, remote: &Remote, chosen: Chosen, screen: Screen) -> Result<Made, Failure> {
        let wallet = self.wallet.open(screen)?;
        let orders = Orders {
            app: signed(remote, &wallet, chosen.app)?,
            dataset: signed(remote, &wallet, chosen.dataset)?,
            workerpool: signed(remote, &wallet, chosen.workerpool)?,
            request: market::sign(remote, &wallet, chosen.request)?.to_unverified(),
        };
        let writer = remote.writer(wallet, &self.transaction);
        let (matched, interrupted) = patiently(writer.match_orders(orders), screen).await?;
        screen.note(format!("The deal {} is made.", matched.deal));
        let tx_hash = matched.receipt.transaction.to_string();
        let made = Made { dealid: matched.deal, volume: matched.volume.to_string(), tx_hash };
        if interrupted {
            return Err(progress::interrupted(made.dealid).fact("deals", json!([made])));
        }
        Ok(made)
    }
}

/// What is sent cannot be called back: the first Ctrl-C waits for the deal's name, a second one leaves. Yields whether
/// there was one.
async fn patiently<T>(
    sending: impl Future<Output = Result<T, ChainError>>,
    screen: Screen,
) -> Result<(T, bool), Failure> {
    let mut sending = std::pin::pin!(sending);
    let noted = async {
        screen.note("Sending the deal …");
        sending.as_mut().await
    };
    // In this order, so that Ctrl-C is listened for before anything is sent.
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            screen.warn("the deal is on its way: waiting for its number; Ctrl-C again leaves without it");
        }
        sent = noted => return Ok((sent?, false)),
    }
    tokio::select! {
        sent = &mut sending => Ok((sent?, true)),
        _ = tokio::signal::ctrl_c() => {
            let message = "stopped while the deal was being made: it may exist all the same";
            let failure = Failure { blame: Blame::Interrupt, ..Failure::user("Interrupted", message) };
            Err(failure.hint("`iexec account show` tells whether its price is locked; look before you run again"))
        }
    }
}

/// The order as it travels; «no dataset» is unsigned.
fn signed<T: Order>(remote: &Remote, wallet: &iexec_chain::Wallet, offer: Offer<T>) -> Result<Unverified<T>, Failure> {
    match offer {
        Offer::Market(order) => Ok(order),
        Offer::Own(order) => Ok(market::sign(remote, wallet, order)?.to_unverified()),
    }
}

fn bare_answer(made: &Made, screen: Screen) -> Result<Answer, Failure> {
    let tasks: Vec<_> = (0..made.volume.parse().unwrap_or(1)).map(|index| made.dealid.task(index)).collect();
    screen.note(format!("Next: `iexec deal show {} --watch`", made.dealid));
    let mut rows = vec![("deal", made.dealid.to_string()), ("transaction", made.tx_hash.clone())];
    rows.extend(tasks.iter().map(|task| ("task", task.to_string())));
    Answer::new(&json!({ "deals": [made] }), table(&rows))
}

fn answer(made: &Made, outcome: &Outcome, screen: Screen) -> Result<Answer, Failure> {
    let (tasks, failed) = (outcome.shown(), outcome.failed_shown());
    if let Some(failure) = outcome.failure() {
        return Err(failure
            .fact("deals", json!([made]))
            .fact("tasks", json!(tasks))
            .fact("failedTasks", json!(failed)));
    }
    if let Some(task) = outcome.first() {
        screen.note(format!("Next: `iexec task show {task} --download`"));
    }
    let mut rows = vec![("deal", made.dealid.to_string())];
    rows.extend(outcome.rows());
    Answer::new(&json!({ "deals": [made], "tasks": tasks }), table(&rows))
}
