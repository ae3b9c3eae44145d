//! `iexec workerpool`: describe, deploy, show and offer a workerpool.

use clap::Subcommand;
use iexec_chain::view::Kind;
use iexec_protocol::{Address, U256, id::parse_address, order::WorkerpoolOrder};
use serde::Serialize;
use serde_json::json;

use crate::{
    asset::{self, Owner, Subject},
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
    offer::{self, Terms, Withdrawal, only},
    project::{Project, WorkerpoolSection},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Tasks that a published workerpool order allows unless told otherwise, as in the SDK.
const DEFAULT_VOLUME: u64 = 1;

/// Describe, deploy, show and offer workerpools
#[derive(Subcommand)]
pub(crate) enum WorkerpoolCommand {
    /// Add a workerpool to iexec.json
    #[command(after_help = "Example:\n  iexec workerpool init")]
    Init {
        /// Replace the workerpool that iexec.json has
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Deploy the workerpool of iexec.json
    #[command(after_help = "Example:\n  iexec workerpool deploy")]
    Deploy {
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
        #[command(flatten)]
        transaction: TransactionOptions,
    },
    /// Show a workerpool
    #[command(after_help = "Example:\n  iexec workerpool show 0x7bd4783FDCAD405A28052a0d1f11236A741da593")]
    Show(Subject),
    /// Count an owner's workerpools
    #[command(after_help = "Example:\n  iexec workerpool count")]
    Count(Owner),
    /// Offer a workerpool's computing in the market
    #[command(
        after_help = "Example:\n  iexec workerpool publish --tag tee,tdx --category 0 --volume 100 --price 0.1 RLC"
    )]
    Publish {
        /// The workerpool; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        workerpool_address: Option<Address>,
        /// How long a task may take: number of a category
        #[arg(long, value_name = "ID", default_value_t = 0)]
        category: u64,
        /// Greatest trust offered
        #[arg(long, value_name = "INTEGER", default_value_t = 0)]
        trust: u64,
        /// Only for this app
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        app_restrict: Option<Address>,
        /// Only with this dataset
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        dataset_restrict: Option<Address>,
        /// Only for this requester
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        requester_restrict: Option<Address>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Take a workerpool's orders out of the market
    #[command(after_help = "Example:\n  iexec workerpool unpublish --all")]
    Unpublish {
        /// The workerpool; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        workerpool_address: Option<Address>,
        #[command(flatten)]
        withdrawal: Withdrawal,
    },
}

impl WorkerpoolCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init { force, wallet } => init(force, wallet.address()?),
            Self::Deploy { wallet, chain, transaction } => deploy(&wallet, &chain, &transaction, screen),
            Self::Show(subject) => show(&subject),
            Self::Count(owner) => owner.count(Kind::Workerpool),
            Self::Publish {
                workerpool_address,
                category,
                trust,
                app_restrict,
                dataset_restrict,
                requester_restrict,
                terms,
            } => {
                let chain_id = terms.chain.network()?.id;
                let order = WorkerpoolOrder {
                    workerpool: asset::given_or_deployed(workerpool_address, Kind::Workerpool, chain_id)?,
                    workerpoolprice: terms.price()?,
                    volume: terms.volume(DEFAULT_VOLUME),
                    tag: terms.tag()?,
                    category: U256::from(category),
                    trust: U256::from(trust),
                    apprestrict: only(app_restrict),
                    datasetrestrict: only(dataset_restrict),
                    requesterrestrict: only(requester_restrict),
                    salt: offer::salt(),
                };
                publish(order, category, &terms, screen)
            }
            Self::Unpublish { workerpool_address, withdrawal } => {
                let pool = asset::given_or_deployed(workerpool_address, Kind::Workerpool, withdrawal.chain_id()?)?;
                withdrawal.run("workerpool", pool, screen)
            }
        }
    }
}

fn init(force: bool, owner: Address) -> Result<Answer, Failure> {
    let project = Project::here()?;
    let mut description = project.description()?;
    if description.workerpool.is_some() && !force {
        return Err(Failure::user("FileExists", "iexec.json has a workerpool already")
            .hint("edit it there, or replace it with --force"));
    }
    let workerpool = WorkerpoolSection { owner, description: "my-workerpool".into() };
    description.workerpool = Some(workerpool.clone());
    project.describe(&description)?;
    Answer::new(
        &json!({ "workerpool": workerpool }),
        "iexec.json has a workerpool now: set its description, then `iexec workerpool deploy`.",
    )
}

fn deploy(
    wallet: &WalletOptions,
    chain: &ChainOptions,
    transaction: &TransactionOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    transaction.check(screen)?;
    chain.network()?;
    let described = Project::here()?
        .description()?
        .workerpool
        .ok_or_else(|| Failure::absent("iexec.json has no workerpool").hint("add one with `iexec workerpool init`"))?;
    asset::check_owner("iexec.json: workerpool.owner", described.owner, wallet.address()?)?;
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(chain).await?;
        let done = remote.writer(wallet, transaction).deploy_workerpool(described.description).await?;
        asset::note_deployed(&remote, Kind::Workerpool, &done, screen)
    })
}

#[derive(Serialize)]
struct Shown {
    address: Address,
    workerpool: Fields,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    owner: Address,
    workerpool_description: String,
    worker_stake_ratio_policy: String,
    scheduler_reward_ratio_policy: String,
    registry: Address,
}

fn show(subject: &Subject) -> Result<Answer, Failure> {
    let (address, pool, registry) = online(async {
        let remote = Remote::connect(&subject.chain).await?;
        let address = subject.locate(&remote, Kind::Workerpool).await?;
        let pool = remote.chain.view_workerpool(address).await?;
        let pool = pool.ok_or_else(|| asset::unknown(Kind::Workerpool, address, &remote))?;
        Ok((address, pool, remote.chain.contracts().await?.workerpools))
    })?;
    let fields = Fields {
        owner: pool.owner,
        workerpool_description: pool.description,
        worker_stake_ratio_policy: pool.worker_stake_ratio.to_string(),
        scheduler_reward_ratio_policy: pool.scheduler_reward_ratio.to_string(),
        registry,
    };
    let text = table(&[
        ("workerpool", address.to_string()),
        ("owner", fields.owner.to_string()),
        ("description", fields.workerpool_description.clone()),
        ("worker stake", format!("{} %", fields.worker_stake_ratio_policy)),
        ("scheduler reward", format!("{} %", fields.scheduler_reward_ratio_policy)),
    ]);
    Answer::new(&Shown { address, workerpool: fields }, text)
}

fn publish(order: WorkerpoolOrder, category: u64, terms: &Terms, screen: Screen) -> Result<Answer, Failure> {
    let wallet = terms.wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(&terms.chain).await?;
        let pool = remote.chain.view_workerpool(order.workerpool).await?;
        let pool = pool.ok_or_else(|| asset::unknown(Kind::Workerpool, order.workerpool, &remote))?;
        asset::check_owner("the workerpool's owner", pool.owner, wallet.address())?;
        if remote.chain.view_category(category).await?.is_none() {
            return Err(Failure::absent(format!("--category: the chain has no category {category}"))
                .hint("categories are numbered from 0, the shortest tasks first"));
        }
        offer::publish(&remote, &wallet, order).await
    })
}
