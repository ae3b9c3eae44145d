//! `iexec dataset`: describe, encrypt, deploy, show and offer a dataset.

use std::path::PathBuf;

use clap::Subcommand;
use iexec_chain::view::{Dataset, Kind};
use iexec_protocol::{Address, B256, id::parse_address, order::DatasetOrder};
use serde::Serialize;
use serde_json::json;

use crate::{
    asset::{self, Owner, Subject},
    chain_options::{ChainOptions, TransactionOptions},
    dataset_key::{self, Folders},
    failure::Failure,
    offer::{self, Terms, Withdrawal, only},
    project::{DatasetSection, Project},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Tasks that a published dataset order allows unless told otherwise, as in the SDK.
const DEFAULT_VOLUME: u64 = 1_000_000;

/// Describe, encrypt, deploy, show and offer datasets
#[derive(Subcommand)]
pub(crate) enum DatasetCommand {
    /// Add a dataset to iexec.json
    #[command(after_help = "Example:\n  iexec dataset init --encrypted")]
    Init {
        /// Make the folders for encryption, too
        #[arg(long, visible_alias = "tee")]
        encrypted: bool,
        /// Replace the dataset that iexec.json has
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        folders: Folders,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Encrypt the files of datasets/original
    #[command(after_help = "Example:\n  iexec dataset encrypt")]
    Encrypt {
        /// Replace encrypted files and keys
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        folders: Folders,
    },
    /// Deploy the dataset of iexec.json
    #[command(after_help = "Example:\n  iexec dataset deploy")]
    Deploy {
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
        #[command(flatten)]
        transaction: TransactionOptions,
    },
    /// Show a dataset
    #[command(after_help = "Example:\n  iexec dataset show")]
    Show(Subject),
    /// Count an owner's datasets
    #[command(after_help = "Example:\n  iexec dataset count")]
    Count(Owner),
    /// Give a dataset's key to the SMS; it cannot be replaced
    #[command(after_help = "Example:\n  iexec dataset push-secret --secret-path .secrets/datasets/my-file.key")]
    PushSecret {
        /// The dataset; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        dataset_address: Option<Address>,
        /// The key's file; .secrets/datasets/dataset.key if not given
        #[arg(long, value_name = "FILE")]
        secret_path: Option<PathBuf>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Does the SMS have a dataset's key? Exit 0: yes, 1: no
    #[command(after_help = "Example:\n  iexec dataset check-secret")]
    CheckSecret {
        /// The dataset; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        dataset_address: Option<Address>,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Offer uses of a dataset in the market
    #[command(after_help = "Example:\n  iexec dataset publish --tag tee --price 0.1 RLC")]
    Publish {
        /// The dataset; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        dataset_address: Option<Address>,
        /// Only with this app
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        app_restrict: Option<Address>,
        /// Only on this workerpool
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        workerpool_restrict: Option<Address>,
        /// Only for this requester
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        requester_restrict: Option<Address>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Take a dataset's orders out of the market
    #[command(after_help = "Example:\n  iexec dataset unpublish --all")]
    Unpublish {
        /// The dataset; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        dataset_address: Option<Address>,
        #[command(flatten)]
        withdrawal: Withdrawal,
    },
}

impl DatasetCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init { encrypted, force, folders, wallet } => {
                init(encrypted.then_some(&folders), force, wallet.address()?)
            }
            Self::Encrypt { force, folders } => folders.encrypt(force),
            Self::Deploy { wallet, chain, transaction } => deploy(&wallet, &chain, &transaction, screen),
            Self::Show(subject) => show(&subject),
            Self::Count(owner) => owner.count(Kind::Dataset),
            Self::PushSecret { dataset_address, secret_path, wallet, chain } => {
                let dataset = asset::given_or_deployed(dataset_address, Kind::Dataset, chain.network()?.id)?;
                dataset_key::push(dataset, secret_path.as_deref(), &wallet, &chain, screen)
            }
            Self::CheckSecret { dataset_address, chain } => {
                let dataset = asset::given_or_deployed(dataset_address, Kind::Dataset, chain.network()?.id)?;
                dataset_key::check(dataset, &chain)
            }
            Self::Publish { dataset_address, app_restrict, workerpool_restrict, requester_restrict, terms } => {
                let order = DatasetOrder {
                    dataset: asset::given_or_deployed(dataset_address, Kind::Dataset, terms.chain.network()?.id)?,
                    datasetprice: terms.price()?,
                    volume: terms.volume(DEFAULT_VOLUME),
                    tag: terms.tag()?,
                    apprestrict: only(app_restrict),
                    workerpoolrestrict: only(workerpool_restrict),
                    requesterrestrict: only(requester_restrict),
                    salt: offer::salt(),
                };
                publish(order, &terms, screen)
            }
            Self::Unpublish { dataset_address, withdrawal } => {
                let dataset = asset::given_or_deployed(dataset_address, Kind::Dataset, withdrawal.chain_id()?)?;
                withdrawal.run("dataset", dataset, screen)
            }
        }
    }
}

fn init(folders: Option<&Folders>, force: bool, owner: Address) -> Result<Answer, Failure> {
    let project = Project::here()?;
    let mut description = project.description()?;
    if description.dataset.is_some() && !force {
        return Err(Failure::user("FileExists", "iexec.json has a dataset already")
            .hint("edit it there, or replace it with --force"));
    }
    folders.map_or(Ok(()), Folders::make)?;
    let (name, multiaddr) = ("my-dataset".into(), "https://example.com/my-dataset.enc".into());
    let dataset = DatasetSection { owner, name, multiaddr, checksum: B256::ZERO };
    description.dataset = Some(dataset.clone());
    project.describe(&description)?;
    Answer::new(
        &json!({ "dataset": dataset }),
        "iexec.json has a dataset now: set its name, its multiaddr (where the encrypted file is served) and its checksum\n(that `iexec dataset encrypt` prints), then `iexec dataset deploy`.",
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
    let described = Project::here()?.description()?.dataset;
    let described = described
        .ok_or_else(|| Failure::absent("iexec.json has no dataset").hint("add one with `iexec dataset init`"))?;
    asset::check_owner("iexec.json: dataset.owner", described.owner, wallet.address()?)?;
    if described.checksum.is_zero() || described.multiaddr.is_empty() {
        return Err(Failure::invalid("iexec.json: dataset.checksum is zero, or dataset.multiaddr is empty")
            .hint("`iexec dataset encrypt` prints the checksum; multiaddr is the URL of the encrypted file"));
    }
    let DatasetSection { owner, name, multiaddr, checksum } = described;
    let dataset = Dataset { owner, name, multiaddr: multiaddr.into_bytes().into(), checksum };
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(chain).await?;
        let done = remote.writer(wallet, transaction).deploy_dataset(dataset).await?;
        asset::note_deployed(&remote, Kind::Dataset, &done, screen)
    })
}

#[derive(Serialize)]
struct Shown {
    address: Address,
    dataset: Fields,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    owner: Address,
    dataset_name: String,
    dataset_multiaddr: String,
    dataset_checksum: B256,
    registry: Address,
}

fn show(subject: &Subject) -> Result<Answer, Failure> {
    let (address, dataset, registry) = online(async {
        let remote = Remote::connect(&subject.chain).await?;
        let address = subject.locate(&remote, Kind::Dataset).await?;
        let dataset = remote.chain.view_dataset(address).await?;
        let dataset = dataset.ok_or_else(|| asset::unknown(Kind::Dataset, address, &remote))?;
        Ok((address, dataset, remote.chain.contracts().await?.datasets))
    })?;
    let fields = Fields {
        owner: dataset.owner,
        dataset_name: dataset.name,
        dataset_multiaddr: asset::words(&dataset.multiaddr),
        dataset_checksum: dataset.checksum,
        registry,
    };
    let text = table(&[
        ("dataset", address.to_string()),
        ("owner", fields.owner.to_string()),
        ("name", fields.dataset_name.clone()),
        ("multiaddr", fields.dataset_multiaddr.clone()),
        ("checksum", fields.dataset_checksum.to_string()),
    ]);
    Answer::new(&Shown { address, dataset: fields }, text)
}

fn publish(order: DatasetOrder, terms: &Terms, screen: Screen) -> Result<Answer, Failure> {
    let wallet = terms.wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(&terms.chain).await?;
        let dataset = remote.chain.view_dataset(order.dataset).await?;
        let dataset = dataset.ok_or_else(|| asset::unknown(Kind::Dataset, order.dataset, &remote))?;
        asset::check_owner("the dataset's owner", dataset.owner, wallet.address())?;
        offer::publish(&remote, &wallet, order).await
    })
}
