//! `iexec orderbook`: what the market offers.

use clap::{Args, Subcommand};
use iexec_protocol::{
    Address,
    amount::Currency,
    call::market::Published,
    id::parse_address,
    order::{AppOrder, DatasetOrder, WorkerpoolOrder},
    tag::Tag,
};
use serde_json::{Value, json};

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    market,
    remote::{Remote, Service, online},
    screen::{Answer, Screen},
};

/// List the open orders of the market
#[derive(Subcommand)]
pub(crate) enum OrderbookCommand {
    /// List the orders of an app
    #[command(
        mut_arg("app", |arg| arg.hide(true)),
        after_help = "Example:\n  iexec orderbook app 0x7bd4783FDCAD405A28052a0d1f11236A741da593"
    )]
    App {
        /// The app
        #[arg(value_parser = parse_address)]
        address: Address,
        #[command(flatten)]
        filter: Filter,
    },
    /// List the orders of a dataset
    #[command(
        mut_arg("dataset", |arg| arg.hide(true)),
        after_help = "Example:\n  iexec orderbook dataset 0x7bd4783FDCAD405A28052a0d1f11236A741da593"
    )]
    Dataset {
        /// The dataset
        #[arg(value_parser = parse_address)]
        address: Address,
        #[command(flatten)]
        filter: Filter,
    },
    /// List the orders of a workerpool, or of all
    #[command(
        mut_arg("workerpool", |arg| arg.hide(true)),
        after_help = "Examples:\n  iexec orderbook workerpool\n  iexec orderbook workerpool --tag tee,tdx --category 0"
    )]
    Workerpool {
        /// The workerpool; all if not given
        #[arg(value_parser = parse_address)]
        address: Option<Address>,
        /// Number of a category
        #[arg(long, value_name = "ID")]
        category: Option<u64>,
        /// Least trust
        #[arg(long, value_name = "INTEGER")]
        min_trust: Option<u64>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Args)]
pub(crate) struct Filter {
    /// Exactly this tag
    #[arg(long, value_name = "TAG", conflicts_with_all = ["require_tag", "max_tag"])]
    tag: Option<Tag>,
    /// At least this tag
    #[arg(long, value_name = "TAG")]
    require_tag: Option<Tag>,
    /// At most this tag
    #[arg(long, value_name = "TAG")]
    max_tag: Option<Tag>,
    /// At least this many tasks left
    #[arg(long, value_name = "COUNT")]
    min_volume: Option<u64>,
    /// Usable with this app
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    app: Option<Address>,
    /// Usable with this dataset
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    dataset: Option<Address>,
    /// Usable on this workerpool
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    workerpool: Option<Address>,
    /// Usable by this requester
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    requester: Option<Address>,
    #[command(flatten)]
    chain: ChainOptions,
}

impl Filter {
    fn terms(&self, kind: &str) -> Vec<(&'static str, String)> {
        let (least, most) = (self.tag.or(self.require_tag), self.tag.or(self.max_tag));
        let parties = [
            ("app", self.app),
            ("dataset", self.dataset),
            ("workerpool", self.workerpool),
            ("requester", self.requester),
        ];
        let parties = parties.into_iter().filter(|(party, _)| *party != kind);
        [
            ("minTag", least.map(|tag| tag.0.to_string())),
            ("maxTag", most.map(|tag| tag.0.to_string())),
            ("minVolume", self.min_volume.map(|volume| volume.to_string())),
        ]
        .into_iter()
        .chain(parties.map(|(party, address)| (party, address.map(|address| address.to_string()))))
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// An order in a list.
struct Listed {
    price: String,
    tag: Tag,
    json: Value,
}

impl OrderbookCommand {
    pub(crate) fn run(self, _: Screen) -> Result<Answer, Failure> {
        match self {
            Self::App { address, filter } => list("app", vec![("app", address.to_string())], &filter, "appOrders", app),
            Self::Dataset { address, filter } => {
                list("dataset", vec![("dataset", address.to_string())], &filter, "datasetOrders", dataset)
            }
            Self::Workerpool { address, category, min_trust, filter } => {
                let terms = [
                    ("workerpool", address.map(|address| address.to_string())),
                    ("category", category.map(|category| category.to_string())),
                    ("minTrust", min_trust.map(|trust| trust.to_string())),
                ];
                let terms = terms.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                list("workerpool", terms, &filter, "workerpoolOrders", workerpool)
            }
        }
    }
}

fn list<T: iexec_protocol::order::Order>(
    kind: &'static str,
    mut terms: Vec<(&'static str, String)>,
    filter: &Filter,
    key: &str,
    shown: fn(&Published<T>) -> Listed,
) -> Result<Answer, Failure> {
    terms.extend(filter.terms(kind));
    let (count, orders) = online(async {
        let remote = Remote::new(&filter.chain)?;
        let page = market::find_page(&remote, kind, terms).await?;
        let count = page.count;
        let orders = page.read::<T>();
        let url = remote.url(Service::Market)?;
        Ok((count, orders.map_err(|error| Remote::failure(Service::Market, url, &error))?))
    })?;
    let line = |order: &Published<T>| {
        let Listed { price, tag, json } = shown(order);
        let category = json["category"].as_str().map_or_else(String::new, |category| format!("  category {category}"));
        format!("{}  {price} RLC  {} left  tag {tag}{category}", order.order_hash, order.remaining)
    };
    let text = if orders.is_empty() {
        format!("The market has no open {kind} order of this kind.")
    } else {
        orders.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let list: Vec<Value> = orders.iter().map(|order| shown(order).json).collect();
    Answer::new(&json!({ "count": count, key: list }), text)
}

fn app(published: &Published<AppOrder>) -> Listed {
    let order = &published.order.order;
    let json = json!({
        "orderHash": published.order_hash, "price": order.appprice.to_string(), "remaining": published.remaining.to_string(),
        "app": order.app, "tag": order.tag, "datasetrestrict": order.datasetrestrict,
        "workerpoolrestrict": order.workerpoolrestrict, "requesterrestrict": order.requesterrestrict,
    });
    Listed { price: Currency::Rlc.format(order.appprice), tag: order.tag, json }
}

fn dataset(published: &Published<DatasetOrder>) -> Listed {
    let order = &published.order.order;
    let json = json!({
        "orderHash": published.order_hash, "price": order.datasetprice.to_string(), "remaining": published.remaining.to_string(),
        "dataset": order.dataset, "tag": order.tag, "apprestrict": order.apprestrict,
        "workerpoolrestrict": order.workerpoolrestrict, "requesterrestrict": order.requesterrestrict,
    });
    Listed { price: Currency::Rlc.format(order.datasetprice), tag: order.tag, json }
}

fn workerpool(published: &Published<WorkerpoolOrder>) -> Listed {
    let order = &published.order.order;
    let json = json!({
        "orderHash": published.order_hash, "price": order.workerpoolprice.to_string(), "remaining": published.remaining.to_string(),
        "workerpool": order.workerpool, "tag": order.tag, "category": order.category.to_string(), "trust": order.trust.to_string(),
        "apprestrict": order.apprestrict, "datasetrestrict": order.datasetrestrict, "requesterrestrict": order.requesterrestrict,
    });
    Listed { price: Currency::Rlc.format(order.workerpoolprice), tag: order.tag, json }
}
