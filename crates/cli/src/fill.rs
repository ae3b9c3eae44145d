//! `iexec order fill`: four orders, of the market or of orders.json, become a deal.

use clap::Args;
use iexec_chain::writer::Orders;
use iexec_protocol::{
    id::OrderHash,
    matching::{Candidate, Mismatch},
    order::{Order, RequestOrder, Unverified},
};
use serde_json::json;

use crate::{
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
    market,
    order::unsigned,
    project::Project,
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

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
    /// No effect, nothing is asked (for scripts of the JavaScript SDK)
    #[arg(long)]
    force: bool,
    /// No effect (for scripts of the JavaScript SDK)
    #[arg(long, visible_alias = "skip-request-check", hide = true)]
    skip_preflight_check: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
    #[command(flatten)]
    transaction: TransactionOptions,
}

/// An order that is there, or can be asked for.
enum Source<T> {
    Here(Unverified<T>),
    Market(OrderHash),
}

impl<T: Order + Send + Sync> Source<T> {
    fn new(hash: Option<OrderHash>, here: Option<Unverified<T>>) -> Result<Self, Failure> {
        match (hash, here) {
            (Some(hash), _) => Ok(Self::Market(hash)),
            (None, Some(order)) => Ok(Self::Here(order)),
            (None, None) => Err(unsigned(&format!("no {} order", T::KIND))
                .hint(format!("name one of the market with --{}, or sign one", T::KIND))),
        }
    }

    async fn order(self, remote: &Remote) -> Result<Unverified<T>, Failure> {
        match self {
            Self::Here(order) => Ok(order),
            Self::Market(hash) => Ok(market::find_one::<T>(remote, hash).await?.order),
        }
    }
}

impl Fill {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        self.transaction.check(screen)?;
        let here = Project::here()?.orders(self.chain.network()?.id)?;
        let request: Source<RequestOrder> = Source::new(self.request, here.requestorder)?;
        let app = Source::new(self.app, here.apporder)?;
        let workerpool = Source::new(self.workerpool, here.workerpoolorder)?;
        let wallet = self.wallet.open(screen)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            let request = request.order(&remote).await?;
            let dataset = match (request.order.dataset.is_zero(), self.dataset) {
                (true, None) => Unverified::default(),
                (_, hash) => Source::new(hash, here.datasetorder)?.order(&remote).await?,
            };
            let (app, workerpool) = (app.order(&remote).await?, workerpool.order(&remote).await?);
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
