//! `iexec order`: the four orders by hand: describe, sign, publish, match, show.

use clap::{Args, Subcommand};
use iexec_chain::{Wallet, view::Kind};
use iexec_protocol::{
    Address,
    id::OrderHash,
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Unverified, WorkerpoolOrder},
};
use serde_json::{Map, Value, json};

use crate::{
    asset,
    chain_options::ChainOptions,
    failure::Failure,
    fill::Fill,
    market,
    order_end::{Cancel, Unpublish},
    order_template::{read, template},
    project::{OrderSection, Project, SignedOrders},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Describe, sign, publish, match, show and end orders by hand
#[derive(Subcommand)]
pub(crate) enum OrderCommand {
    /// Add templates of orders to iexec.json
    #[command(after_help = "Example:\n  iexec order init --app --request")]
    Init(Chosen),
    /// Sign the orders of iexec.json into orders.json
    #[command(after_help = "Example:\n  iexec order sign --app")]
    Sign(Chosen),
    /// Publish the orders of orders.json
    #[command(after_help = "Example:\n  iexec order publish --app")]
    Publish(Chosen),
    /// Match four orders into a deal: those of orders.json, or of the market by hash
    #[command(after_help = "Example:\n  iexec order fill --workerpool 0x…")]
    Fill(Box<Fill>),
    Unpublish(Box<Unpublish>),
    Cancel(Box<Cancel>),
    /// Show orders: those of orders.json, or of the market by hash
    #[command(after_help = "Examples:\n  iexec order show --app\n  iexec order show --workerpool 0x…")]
    Show(Named),
}

/// Which kinds.
#[derive(Args)]
pub(crate) struct Chosen {
    /// The app order
    #[arg(long)]
    app: bool,
    /// The dataset order
    #[arg(long)]
    dataset: bool,
    /// The workerpool order
    #[arg(long)]
    workerpool: bool,
    /// The request order
    #[arg(long)]
    request: bool,
    /// No effect, nothing is asked (for scripts of the JavaScript SDK)
    #[arg(long)]
    pub(crate) force: bool,
    /// No effect (for scripts of the JavaScript SDK)
    #[arg(long, visible_alias = "skip-request-check", hide = true)]
    skip_preflight_check: bool,
    #[command(flatten)]
    pub(crate) wallet: WalletOptions,
    #[command(flatten)]
    pub(crate) chain: ChainOptions,
}

/// Which orders, by hash.
#[derive(Args)]
#[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
pub(crate) struct Named {
    /// The app order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    pub(crate) app: Option<Option<OrderHash>>,
    /// The dataset order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    pub(crate) dataset: Option<Option<OrderHash>>,
    /// The workerpool order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    pub(crate) workerpool: Option<Option<OrderHash>>,
    /// The request order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    pub(crate) request: Option<Option<OrderHash>>,
    #[command(flatten)]
    pub(crate) chain: ChainOptions,
}

impl OrderCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init(chosen) => chosen.init(),
            Self::Sign(chosen) => chosen.sign(screen),
            Self::Publish(chosen) => chosen.publish(screen),
            Self::Fill(fill) => fill.run(screen),
            Self::Unpublish(unpublish) => unpublish.run(screen),
            Self::Cancel(cancel) => cancel.run(screen),
            Self::Show(named) => named.show(),
        }
    }
}

impl Chosen {
    /// The kinds asked for by name.
    pub(crate) fn asked(&self) -> Result<[bool; 4], Failure> {
        let asked = [self.app, self.dataset, self.workerpool, self.request];
        if asked.contains(&true) { Ok(asked) } else { Err(Named::none()) }
    }

    /// The kinds asked for; all when none is.
    fn wants(&self) -> [bool; 4] {
        let asked = [self.app, self.dataset, self.workerpool, self.request];
        if asked.contains(&true) { asked } else { [true; 4] }
    }

    fn init(&self) -> Result<Answer, Failure> {
        let project = Project::here()?;
        let mut description = project.description()?;
        let chain_id = self.chain.network()?.id;
        let deployed = |kind| asset::deployed(kind, chain_id).unwrap_or_default();
        let [app, dataset, workerpool, request] = self.wants();
        let mut order = description.order.take().unwrap_or_default();
        if app {
            order.apporder =
                Some(template(&AppOrder { app: deployed(Kind::App), volume: one(), ..AppOrder::default() })?);
        }
        if dataset {
            let dataset = deployed(Kind::Dataset);
            order.datasetorder = Some(template(&DatasetOrder { dataset, volume: one(), ..DatasetOrder::default() })?);
        }
        if workerpool {
            let workerpool = deployed(Kind::Workerpool);
            order.workerpoolorder =
                Some(template(&WorkerpoolOrder { workerpool, volume: one(), ..WorkerpoolOrder::default() })?);
        }
        if request {
            let requester = self.wallet.address()?;
            let (app, beneficiary) = (deployed(Kind::App), requester);
            order.requestorder = Some(template(&RequestOrder {
                app,
                requester,
                beneficiary,
                volume: one(),
                ..RequestOrder::default()
            })?);
        }
        description.order = Some(order.clone());
        project.describe(&description)?;
        Answer::new(&order, "iexec.json has the orders now: fill them in, then `iexec order sign`.")
    }

    fn sign(&self, screen: Screen) -> Result<Answer, Failure> {
        let project = Project::here()?;
        let section = project.description()?.order.unwrap_or_default();
        let [app, dataset, workerpool, request] = self.wanted_of(&section)?;
        let wallet = self.wallet.open(screen)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            let mut orders = project.orders(remote.network.id)?;
            let mut signed = SignedOrders::default();
            if let Some(order) = read::<AppOrder>(app)? {
                owned(&remote, Kind::App, order.app, &wallet).await?;
                signed.apporder = Some(market::sign(&remote, &wallet, order)?.to_unverified());
                orders.apporder.clone_from(&signed.apporder);
            }
            if let Some(order) = read::<DatasetOrder>(dataset)? {
                owned(&remote, Kind::Dataset, order.dataset, &wallet).await?;
                signed.datasetorder = Some(market::sign(&remote, &wallet, order)?.to_unverified());
                orders.datasetorder.clone_from(&signed.datasetorder);
            }
            if let Some(order) = read::<WorkerpoolOrder>(workerpool)? {
                owned(&remote, Kind::Workerpool, order.workerpool, &wallet).await?;
                signed.workerpoolorder = Some(market::sign(&remote, &wallet, order)?.to_unverified());
                orders.workerpoolorder.clone_from(&signed.workerpoolorder);
            }
            if let Some(order) = read::<RequestOrder>(request)? {
                asset::check_owner("iexec.json: order.requestorder.requester", order.requester, wallet.address())?;
                signed.requestorder = Some(market::sign(&remote, &wallet, order)?.to_unverified());
                orders.requestorder.clone_from(&signed.requestorder);
            }
            project.set_orders(remote.network.id, orders)?;
            Answer::new(&signed, "The orders are signed, in orders.json. Next: `iexec order publish`")
        })
    }

    /// The templates asked for; those asked for by name must be there.
    fn wanted_of(&self, section: &OrderSection) -> Result<[Option<Value>; 4], Failure> {
        let templates = [&section.apporder, &section.datasetorder, &section.workerpoolorder, &section.requestorder];
        let asked =
            [("app", self.app), ("dataset", self.dataset), ("workerpool", self.workerpool), ("request", self.request)];
        for ((kind, asked), template) in asked.iter().zip(templates) {
            if *asked && template.is_none() {
                return Err(Failure::absent(format!("iexec.json has no order.{kind}order"))
                    .hint(format!("add it with `iexec order init --{kind}`")));
            }
        }
        let wants = self.wants();
        let found: [Option<Value>; 4] = std::array::from_fn(|index| templates[index].clone().filter(|_| wants[index]));
        if found.iter().all(Option::is_none) {
            return Err(Failure::absent("iexec.json has no orders").hint("add them with `iexec order init`"));
        }
        Ok(found)
    }

    fn publish(&self, screen: Screen) -> Result<Answer, Failure> {
        let orders = Project::here()?.orders(self.chain.network()?.id)?;
        let [app, dataset, workerpool, request] = self.wants();
        let all = !(self.app || self.dataset || self.workerpool || self.request);
        let wallet = self.wallet.open(screen)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            let mut done = Map::new();
            publish_one(&remote, &wallet, app, all, orders.apporder, &mut done).await?;
            publish_one(&remote, &wallet, dataset, all, orders.datasetorder, &mut done).await?;
            publish_one(&remote, &wallet, workerpool, all, orders.workerpoolorder, &mut done).await?;
            publish_one(&remote, &wallet, request, all, orders.requestorder, &mut done).await?;
            if done.is_empty() {
                return Err(unsigned("no orders"));
            }
            let rows: Vec<_> = done
                .iter()
                .map(|(kind, hash)| (kind.as_str(), hash["orderHash"].as_str().unwrap_or_default().to_owned()))
                .collect();
            let text = table(&rows);
            Answer::new(&done, text)
        })
    }
}

async fn publish_one<T: Order + Send + Sync>(
    remote: &Remote,
    wallet: &Wallet,
    wanted: bool,
    all: bool,
    order: Option<Unverified<T>>,
    done: &mut Map<String, Value>,
) -> Result<(), Failure> {
    match order {
        Some(order) if wanted => {
            let hash = market::publish(remote, wallet, order).await?;
            done.insert(format!("{}order", T::KIND), json!({ "orderHash": hash }));
            Ok(())
        }
        None if wanted && !all => Err(unsigned(&format!("no {} order", T::KIND))),
        _ => Ok(()),
    }
}

/// `what` is not in orders.json.
pub(crate) fn unsigned(what: &str) -> Failure {
    Failure::absent(format!("orders.json has {what} for this chain")).hint("sign it with `iexec order sign`")
}

const fn one() -> iexec_protocol::U256 {
    iexec_protocol::U256::ONE
}

async fn owned(remote: &Remote, kind: Kind, address: Address, wallet: &Wallet) -> Result<(), Failure> {
    let owner = match kind {
        Kind::App => remote.chain.view_app(address).await?.map(|app| app.owner),
        Kind::Dataset => remote.chain.view_dataset(address).await?.map(|dataset| dataset.owner),
        Kind::Workerpool => remote.chain.view_workerpool(address).await?.map(|pool| pool.owner),
    };
    let owner = owner.ok_or_else(|| asset::unknown(kind, address, remote))?;
    asset::check_owner(&format!("the {}'s owner", asset::name_of(kind)), owner, wallet.address())
}

impl Named {
    /// No kind was named.
    pub(crate) fn none() -> Failure {
        Failure::invalid("which order? none was named")
            .hint("name one or more of --app, --dataset, --workerpool, --request")
    }

    fn show(&self) -> Result<Answer, Failure> {
        let here = Project::here()?.orders(self.chain.network()?.id)?;
        online(async {
            let remote = Remote::new(&self.chain)?;
            let mut shown = Map::new();
            show_one(&remote, self.app, here.apporder, &mut shown).await?;
            show_one(&remote, self.dataset, here.datasetorder, &mut shown).await?;
            show_one(&remote, self.workerpool, here.workerpoolorder, &mut shown).await?;
            show_one(&remote, self.request, here.requestorder, &mut shown).await?;
            if shown.is_empty() {
                return Err(Self::none());
            }
            let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
            Answer::new(&shown, text)
        })
    }
}

#[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
async fn show_one<T: Order + Send + Sync>(
    remote: &Remote,
    asked: Option<Option<OrderHash>>,
    here: Option<Unverified<T>>,
    shown: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let Some(asked) = asked else { return Ok(()) };
    let hash = match (asked, here) {
        (Some(hash), _) => hash,
        (None, Some(order)) => order.order.hash(&remote.chain.domain()),
        (None, None) => return Err(unsigned(&format!("no {} order", T::KIND))),
    };
    let found = market::find_one::<T>(remote, hash).await?;
    let value = json!({
        "orderHash": found.order_hash, "order": found.order, "status": found.status, "remaining": found.remaining,
        "signer": found.signer, "chainId": remote.network.id, "publicationTimestamp": found.publication_timestamp,
    });
    shown.insert(format!("{}order", T::KIND), value);
    Ok(())
}
