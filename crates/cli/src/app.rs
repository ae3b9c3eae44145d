//! `iexec app`: describe, deploy, show, offer and run an app.

use clap::Subcommand;
use iexec_chain::view::{App, Kind};
use iexec_protocol::{Address, B256, id::parse_address, order::AppOrder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    asset::{self, Owner, Subject},
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
    image::Image,
    offer::{self, Terms, Withdrawal, only},
    project::{AppSection, Project},
    remote::{Remote, online},
    run::Run,
    screen::{Answer, Screen, table},
    secret::{self, ValueOptions},
    wallet_options::WalletOptions,
};

/// Tasks that a published app order allows unless told otherwise, as in the SDK.
const DEFAULT_VOLUME: u64 = 1_000_000;

/// Describe, deploy, show, offer and run apps
#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Add an app to iexec.json
    #[command(
        after_help = "Examples:\n  iexec app init\n  iexec app init --image oci:/home/me/my-app\n  iexec app init --image docker.io/me/my-app@sha256:…"
    )]
    Init {
        /// The app's image: `oci:<folder>[:tag]` (an OCI image layout), or `<host>/<name>@sha256:<digest>`
        #[arg(long, value_name = "IMAGE")]
        image: Option<String>,
        /// Replace the app that iexec.json has
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Deploy the app of iexec.json
    #[command(after_help = "Example:\n  iexec app deploy")]
    Deploy {
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
        #[command(flatten)]
        transaction: TransactionOptions,
    },
    /// Show an app
    #[command(
        after_help = "Examples:\n  iexec app show\n  iexec app show 0x7bd4783FDCAD405A28052a0d1f11236A741da593\n  iexec app show 0 --user 0x7bd4783FDCAD405A28052a0d1f11236A741da593"
    )]
    Show(Subject),
    /// Count an owner's apps
    #[command(after_help = "Example:\n  iexec app count")]
    Count(Owner),
    /// Offer runs of an app in the market
    #[command(
        after_help = "Examples:\n  iexec app publish --tag tee\n  iexec app publish 0x7bd4783FDCAD405A28052a0d1f11236A741da593 --price 0.1 RLC --volume 100"
    )]
    Publish {
        /// The app; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        app_address: Option<Address>,
        /// Only with this dataset
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        dataset_restrict: Option<Address>,
        /// Only on this workerpool
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        workerpool_restrict: Option<Address>,
        /// Only for this requester
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        requester_restrict: Option<Address>,
        /// No effect (for scripts of the JavaScript SDK)
        #[arg(long, hide = true)]
        skip_preflight_check: bool,
        #[command(flatten)]
        terms: Terms,
    },
    /// Take an app's orders out of the market
    #[command(after_help = "Example:\n  iexec app unpublish --all")]
    Unpublish {
        /// The app; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        app_address: Option<Address>,
        #[command(flatten)]
        withdrawal: Withdrawal,
    },
    /// Give the app developer's secret to the SMS, which hands it to the app's enclaves; it cannot be replaced
    #[command(after_help = "Example:\n  iexec app push-secret --secret-path api-key.txt")]
    PushSecret {
        /// The app; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        app_address: Option<Address>,
        #[command(flatten)]
        value: ValueOptions,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Does the SMS have the app developer's secret? Exit 0: yes, 1: no
    #[command(after_help = "Example:\n  iexec app check-secret")]
    CheckSecret {
        /// The app; the one deployed last from this folder if not given
        #[arg(value_parser = parse_address)]
        app_address: Option<Address>,
        #[command(flatten)]
        chain: ChainOptions,
    },
    Run(Box<Run>),
}

impl AppCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init { image, force, wallet } => init(image.as_deref(), force, wallet.address()?),
            Self::Deploy { wallet, chain, transaction } => deploy(&wallet, &chain, &transaction, screen),
            Self::Show(subject) => show(&subject),
            Self::Count(owner) => owner.count(Kind::App),
            Self::Publish { app_address, dataset_restrict, workerpool_restrict, requester_restrict, terms, .. } => {
                let app = asset::given_or_deployed(app_address, Kind::App, terms.chain.network()?.id)?;
                let order = AppOrder {
                    app,
                    appprice: terms.price()?,
                    volume: terms.volume(DEFAULT_VOLUME),
                    tag: terms.tag()?,
                    datasetrestrict: only(dataset_restrict),
                    workerpoolrestrict: only(workerpool_restrict),
                    requesterrestrict: only(requester_restrict),
                    salt: offer::salt(),
                };
                publish(order, &terms, screen)
            }
            Self::Unpublish { app_address, withdrawal } => {
                let app = asset::given_or_deployed(app_address, Kind::App, withdrawal.chain_id()?)?;
                withdrawal.run("app", app, screen)
            }
            Self::PushSecret { app_address, value, wallet, chain } => {
                let app = asset::given_or_deployed(app_address, Kind::App, chain.network()?.id)?;
                secret::push_of_app(app, &value, &wallet, &chain, screen)
            }
            Self::CheckSecret { app_address, chain } => {
                let app = asset::given_or_deployed(app_address, Kind::App, chain.network()?.id)?;
                secret::check_of_app(app, &chain)
            }
            Self::Run(run) => run.run(screen),
        }
    }
}

fn init(image: Option<&str>, force: bool, owner: Address) -> Result<Answer, Failure> {
    let project = Project::here()?;
    let mut description = project.description()?;
    if description.app.is_some() && !force {
        return Err(Failure::user("FileExists", "iexec.json has an app already")
            .hint("edit it there, or replace it with --force"));
    }
    let found = image.map(Image::find).transpose()?;
    let text = if found.is_some() {
        "iexec.json has the app now. Next: `iexec app deploy`"
    } else {
        "iexec.json has an app now: set its name, its multiaddr (where the image is) and its checksum (0x and the digest of\nthe image's manifest), then `iexec app deploy`."
    };
    let image = found.unwrap_or_else(Image::placeholder);
    let app = AppSection {
        owner,
        name: image.name,
        kind: "DOCKER".into(),
        multiaddr: image.multiaddr,
        checksum: image.checksum,
        mrenclave: None,
    };
    description.app = Some(app.clone());
    project.describe(&description)?;
    Answer::new(&json!({ "app": app }), text)
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
        .app
        .ok_or_else(|| Failure::absent("iexec.json has no app").hint("add one with `iexec app init`"))?;
    asset::check_owner("iexec.json: app.owner", described.owner, wallet.address()?)?;
    let app = app_of(described)?;
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(chain).await?;
        let done = remote.writer(wallet, transaction).deploy_app(app).await?;
        asset::note_deployed(&remote, Kind::App, &done, screen)
    })
}

/// The app to deploy; what would make every task fail is refused here.
fn app_of(section: AppSection) -> Result<App, Failure> {
    let wrong =
        |message: &str| Err(Failure::invalid(format!("iexec.json: {message}")).hint("correct iexec.json there"));
    if section.name.is_empty() || section.multiaddr.is_empty() {
        return wrong("app.name and app.multiaddr must not be empty");
    }
    if section.kind != "DOCKER" {
        return wrong("app.type must be DOCKER");
    }
    if section.checksum.is_zero() {
        return wrong("app.checksum is zero: no image has that digest").map_err(|failure| {
            failure.hint("set it to 0x and the 64 hex digits of the image manifest's sha256 digest")
        });
    }
    let mrenclave = match section.mrenclave {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(object) => object.to_string(),
    };
    Ok(App {
        owner: section.owner,
        name: section.name,
        kind: section.kind,
        multiaddr: section.multiaddr.into_bytes().into(),
        checksum: section.checksum,
        mrenclave: mrenclave.into_bytes().into(),
    })
}

#[derive(Serialize)]
struct Shown {
    address: Address,
    app: Fields,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    owner: Address,
    app_name: String,
    app_type: String,
    app_multiaddr: String,
    app_checksum: B256,
    #[serde(rename = "appMREnclave")]
    app_mrenclave: String,
    registry: Address,
}

fn show(subject: &Subject) -> Result<Answer, Failure> {
    let (address, app, registry) = online(async {
        let remote = Remote::connect(&subject.chain).await?;
        let address = subject.locate(&remote, Kind::App).await?;
        let app = remote.chain.view_app(address).await?.ok_or_else(|| asset::unknown(Kind::App, address, &remote))?;
        Ok((address, app, remote.chain.contracts().await?.apps))
    })?;
    let text = table(&[
        ("app", address.to_string()),
        ("owner", app.owner.to_string()),
        ("name", app.name.clone()),
        ("type", app.kind.clone()),
        ("multiaddr", asset::words(&app.multiaddr)),
        ("checksum", app.checksum.to_string()),
        ("mrenclave", asset::words(&app.mrenclave)),
    ]);
    let fields = Fields {
        owner: app.owner,
        app_name: app.name,
        app_type: app.kind,
        app_multiaddr: asset::words(&app.multiaddr),
        app_checksum: app.checksum,
        app_mrenclave: asset::words(&app.mrenclave),
        registry,
    };
    Answer::new(&Shown { address, app: fields }, text)
}

fn publish(order: AppOrder, terms: &Terms, screen: Screen) -> Result<Answer, Failure> {
    let wallet = terms.wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(&terms.chain).await?;
        let app = remote.chain.view_app(order.app).await?;
        let app = app.ok_or_else(|| asset::unknown(Kind::App, order.app, &remote))?;
        asset::check_owner("the app's owner", app.owner, wallet.address())?;
        offer::publish(&remote, &wallet, order).await
    })
}
