//! `iexec order`: the four orders by hand: describe, sign, publish, match, show.

use clap::{Args, Subcommand};
use iexec_chain::{Wallet, view::Kind, writer::Orders};
use iexec_protocol::{
    Address, B256,
    call::market::Published,
    id::OrderHash,
    matching::{Candidate, Mismatch},
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Unverified, WorkerpoolOrder},
};
use serde_json::{Map, Value, json};

use crate::{
    asset,
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
    market, offer,
    project::{OrderSection, Project, SignedOrders},
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Describe, sign, publish, match and show orders by hand
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
    /// Accepted for the SDK's scripts: nothing is asked
    #[arg(long)]
    force: bool,
    /// Accepted for the SDK's scripts
    #[arg(long, visible_alias = "skip-request-check", hide = true)]
    skip_preflight_check: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

/// Which orders, by hash.
#[derive(Args)]
#[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
pub(crate) struct Named {
    /// The app order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    app: Option<Option<OrderHash>>,
    /// The dataset order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    dataset: Option<Option<OrderHash>>,
    /// The workerpool order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    workerpool: Option<Option<OrderHash>>,
    /// The request order
    #[arg(long, value_name = "ORDERHASH", num_args = 0..=1)]
    request: Option<Option<OrderHash>>,
    #[command(flatten)]
    chain: ChainOptions,
}

#[derive(Args)]
pub(crate) struct Fill {
    /// App order of the market; that of orders.json if not given
    #[arg(long, value_name = "ORDERHASH")]
    app: Option<OrderHash>,
    /// Dataset order of the market; that of orders.json if not given and the request names a dataset
    #[arg(long, value_name = "ORDERHASH")]
    dataset: Option<OrderHash>,
    /// Workerpool order of the market; that of orders.json if not given
    #[arg(long, value_name = "ORDERHASH")]
    workerpool: Option<OrderHash>,
    /// Request order of the market; that of orders.json if not given
    #[arg(long, value_name = "ORDERHASH")]
    request: Option<OrderHash>,
    /// Accepted for the SDK's scripts: nothing is asked
    #[arg(long)]
    force: bool,
    /// Accepted for the SDK's scripts
    #[arg(long, visible_alias = "skip-request-check", hide = true)]
    skip_preflight_check: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
    #[command(flatten)]
    transaction: TransactionOptions,
}

impl OrderCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init(chosen) => chosen.init(),
            Self::Sign(chosen) => chosen.sign(screen),
            Self::Publish(chosen) => chosen.publish(screen),
            Self::Fill(fill) => fill.run(screen),
            Self::Show(named) => named.show(),
        }
    }
}

impl Chosen {
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

fn unsigned(what: &str) -> Failure {
    Failure::absent(format!("orders.json has {what} for this chain")).hint("sign it with `iexec order sign`")
}

const fn one() -> iexec_protocol::U256 {
    iexec_protocol::U256::ONE
}

/// An order as iexec.json has it: tag as names, params as an object, no salt.
fn template(order: &impl Order) -> Result<Value, Failure> {
    let broken = |error: serde_json::Error| Failure::ours("InternalError", error.to_string());
    let mut value = serde_json::to_value(order).map_err(broken)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("salt");
        fields.insert("tag".into(), json!(order.tag().names()));
        if fields.contains_key("params") {
            fields.insert("params".into(), json!({ "iexec_args": "" }));
        }
    }
    Ok(value)
}

/// The order of a template, with a fresh salt.
fn read<T: Order>(template: Option<Value>) -> Result<Option<T>, Failure> {
    let Some(mut value) = template else { return Ok(None) };
    let place = format!("iexec.json: order.{}order", T::KIND);
    let Some(fields) = value.as_object_mut() else {
        return Err(Failure::invalid(format!("{place} must be an object")));
    };
    fields.insert("salt".into(), json!(B256::from(offer::salt())));
    if let Some(params) = fields.get("params").filter(|params| params.is_object()) {
        let text = params.to_string();
        fields.insert("params".into(), json!(text));
    }
    let order = serde_json::from_value(value).map_err(|error| Failure::invalid(format!("{place}: {error}")))?;
    Ok(Some(order))
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
                return Err(Failure::invalid("which order? none was named")
                    .hint("name one or more of --app, --dataset, --workerpool, --request"));
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
    let found = find::<T>(remote, hash).await?;
    let value = json!({
        "orderHash": found.order_hash, "order": found.order, "status": found.status, "remaining": found.remaining,
        "signer": found.signer, "chainId": remote.network.id, "publicationTimestamp": found.publication_timestamp,
    });
    shown.insert(format!("{}order", T::KIND), value);
    Ok(())
}

/// The market's order of this hash.
async fn find<T: Order + Send + Sync>(remote: &Remote, hash: OrderHash) -> Result<Published<T>, Failure> {
    let call = crate::market::FindOrder::<T>::new(remote.network.id, hash);
    match remote.send(Service::Market, &call).await? {
        Some(found) => Ok(found),
        None => Err(Failure::absent(format!("the market has no {} order {hash}", T::KIND))
            .hint("publish it first, or check the hash and --chain")),
    }
}

impl Fill {
    async fn pick<T: Order + Send + Sync>(
        remote: &Remote,
        hash: Option<OrderHash>,
        here: Option<Unverified<T>>,
    ) -> Result<Unverified<T>, Failure> {
        match hash {
            Some(hash) => Ok(find::<T>(remote, hash).await?.order),
            None => here.ok_or_else(|| {
                unsigned(&format!("no {} order", T::KIND))
                    .hint(format!("name one of the market with --{}, or sign one", T::KIND))
            }),
        }
    }

    fn run(self, screen: Screen) -> Result<Answer, Failure> {
        self.transaction.check(screen)?;
        let here = Project::here()?.orders(self.chain.network()?.id)?;
        let wallet = self.wallet.open(screen)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            let request: Unverified<RequestOrder> = Self::pick(&remote, self.request, here.requestorder).await?;
            let dataset = match (request.order.dataset.is_zero(), self.dataset) {
                (true, None) => Unverified::default(),
                (_, hash) => Self::pick(&remote, hash, here.datasetorder).await?,
            };
            let app = Self::pick(&remote, self.app, here.apporder).await?;
            let workerpool = Self::pick(&remote, self.workerpool, here.workerpoolorder).await?;
            let orders = Orders { app, dataset, workerpool, request };
            check(&orders)?;
            let matched = remote.writer(wallet, &self.transaction).match_orders(orders).await?;
            let (deal, hash) = (matched.deal.to_string(), matched.receipt.transaction.to_string());
            let json = json!({ "volume": matched.volume.to_string(), "dealid": deal, "txHash": hash });
            Answer::new(&json, table(&[("deal", deal), ("volume", matched.volume.to_string()), ("transaction", hash)]))
        })
    }
}

fn check(orders: &Orders) -> Result<(), Failure> {
    let Orders { app, dataset, workerpool, request } = orders;
    let candidate =
        Candidate { app: &app.order, dataset: &dataset.order, workerpool: &workerpool.order, request: &request.order };
    candidate.check().map(drop).map_err(|mismatches| {
        let words: Vec<_> = mismatches.iter().map(Mismatch::to_string).collect();
        Failure::user("NoMatchingOrder", format!("the orders do not match: {}", words.join("; ")))
            .hint("sign an order that fits, or name another one of the market")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_read_back_with_a_fresh_salt_and_params_as_text() {
        let value =
            template(&RequestOrder { volume: one(), tag: iexec_protocol::tag::Tag::TEE, ..RequestOrder::default() })
                .unwrap();
        assert_eq!(value["tag"], json!(["tee"]));
        let order: RequestOrder = read(Some(value)).unwrap().unwrap();
        assert_eq!(order.params, r#"{"iexec_args":""}"#);
        assert_ne!(order.salt, B256::ZERO);
    }

    #[test]
    fn a_malformed_order_is_named_with_its_place() {
        let mut value = template(&AppOrder::default()).unwrap();
        value["appprice"] = json!("-1");
        let failure = read::<AppOrder>(Some(value)).unwrap_err();
        assert_eq!(failure.message, "iexec.json: order.apporder: not an unsigned integer: \"-1\"");
    }
}
