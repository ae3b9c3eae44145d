//! How an order ends before it is used up: taken out of the market, or cancelled on chain for good.

use clap::Args;
use iexec_chain::{Wallet, writer::ChainWriter};
use iexec_protocol::{
    call::market::Target,
    id::OrderHash,
    order::{Order, Unverified},
};
use serde_json::{Map, json};

use crate::{
    chain_options::TransactionOptions,
    failure::Failure,
    market,
    order::{Chosen, Named, unsigned},
    project::{Project, SignedOrders},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

type Done = Map<String, serde_json::Value>;

/// Cancel the orders of orders.json on the chain, for good
#[derive(Args)]
#[command(name = "cancel", after_help = "Example:\n  iexec order cancel --app")]
pub(crate) struct Cancel {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    transaction: TransactionOptions,
}

/// Take orders out of the market: those of orders.json, or others by hash
#[derive(Args)]
#[command(
    name = "unpublish",
    after_help = "Examples:\n  iexec order unpublish --app\n  iexec order unpublish --workerpool 0x…\n\nWhoever has a signed order can still use it: `iexec order cancel` ends that."
)]
pub(crate) struct Unpublish {
    #[command(flatten)]
    named: Named,
    /// No effect, nothing is asked (for scripts of the JavaScript SDK)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wallet: WalletOptions,
}

impl Cancel {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        self.transaction.check(screen)?;
        let asked = self.chosen.asked()?;
        let here = Project::here()?.orders(self.chosen.chain.network()?.id)?;
        let chosen = SignedOrders {
            apporder: wanted(asked[0], here.apporder)?,
            datasetorder: wanted(asked[1], here.datasetorder)?,
            workerpoolorder: wanted(asked[2], here.workerpoolorder)?,
            requestorder: wanted(asked[3], here.requestorder)?,
        };
        screen.confirm("Cancel these orders for good?", self.chosen.force)?;
        let wallet = self.chosen.wallet.open(screen)?;
        online(async {
            let remote = Remote::connect(&self.chosen.chain).await?;
            refuse_ended(&remote, chosen.apporder.as_ref()).await?;
            refuse_ended(&remote, chosen.datasetorder.as_ref()).await?;
            refuse_ended(&remote, chosen.workerpoolorder.as_ref()).await?;
            refuse_ended(&remote, chosen.requestorder.as_ref()).await?;
            let writer = remote.writer(wallet, &self.transaction);
            answer(&cancel(&writer, chosen).await?, "txHash")
        })
    }
}

/// The order, if it was asked for; then it must be there.
fn wanted<T: Order>(asked: bool, here: Option<Unverified<T>>) -> Result<Option<Unverified<T>>, Failure> {
    match here {
        Some(order) if asked => Ok(Some(order)),
        None if asked => Err(unsigned(&format!("no {} order", T::KIND))),
        _ => Ok(None),
    }
}

/// Cancelling uses up what remains of an order's volume: of one without a rest there is nothing to cancel.
async fn refuse_ended<T: Order>(remote: &Remote, order: Option<&Unverified<T>>) -> Result<(), Failure> {
    let Some(Unverified { order, .. }) = order else { return Ok(()) };
    let hash = order.hash(&remote.chain.domain());
    if remote.chain.view_consumed(hash).await? < order.volume() {
        return Ok(());
    }
    Err(Failure::user("OrderEnded", format!("the {} order {hash} is used up or cancelled already", T::KIND))
        .hint("nothing was sent; `iexec order sign` makes a new one"))
}

async fn cancel(writer: &ChainWriter, orders: SignedOrders) -> Result<Done, Failure> {
    let mut done = Map::new();
    let mut note = |kind: &str, receipt: iexec_chain::writer::Receipt| {
        done.insert(format!("{kind}order"), json!({ "txHash": receipt.transaction }));
    };
    if let Some(order) = orders.apporder {
        note("app", writer.close_app_order(order).await?);
    }
    if let Some(order) = orders.datasetorder {
        note("dataset", writer.close_dataset_order(order).await?);
    }
    if let Some(order) = orders.workerpoolorder {
        note("workerpool", writer.close_workerpool_order(order).await?);
    }
    if let Some(order) = orders.requestorder {
        note("request", writer.close_request_order(order).await?);
    }
    Ok(done)
}

impl Unpublish {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let Named { app, dataset, workerpool, request, chain } = &self.named;
        if [app, dataset, workerpool, request].iter().all(|asked| asked.is_none()) {
            return Err(Named::none());
        }
        let here = Project::here()?.orders(chain.network()?.id)?;
        let wallet = self.wallet.open(screen)?;
        online(async {
            let remote = Remote::new(chain)?;
            let mut done = Map::new();
            unpublish(&remote, &wallet, *app, here.apporder, &mut done).await?;
            unpublish(&remote, &wallet, *dataset, here.datasetorder, &mut done).await?;
            unpublish(&remote, &wallet, *workerpool, here.workerpoolorder, &mut done).await?;
            unpublish(&remote, &wallet, *request, here.requestorder, &mut done).await?;
            answer(&done, "orderHash")
        })
    }
}

#[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
async fn unpublish<T: Order + Send + Sync>(
    remote: &Remote,
    wallet: &Wallet,
    asked: Option<Option<OrderHash>>,
    here: Option<Unverified<T>>,
    done: &mut Done,
) -> Result<(), Failure> {
    let Some(asked) = asked else { return Ok(()) };
    let hash = match (asked, here) {
        (Some(hash), _) => hash,
        (None, Some(order)) => order.order.hash(&remote.chain.domain()),
        (None, None) => return Err(unsigned(&format!("no {} order", T::KIND))),
    };
    market::unpublish(remote, wallet, T::KIND, Target::Hash(hash)).await?;
    done.insert(format!("{}order", T::KIND), json!({ "orderHash": hash }));
    Ok(())
}

fn answer(done: &Done, key: &str) -> Result<Answer, Failure> {
    let rows: Vec<_> =
        done.iter().map(|(kind, one)| (kind.as_str(), one[key].as_str().unwrap_or_default().to_owned())).collect();
    Answer::new(done, table(&rows))
}
