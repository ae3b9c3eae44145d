//! Somebody whose software is not ours: makes a deal straight on chain, with checks of nobody.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use iexec_chain::{client::Chain, devnet, devnet::DevAccount, network::ChainFile, writer::Orders};
use iexec_protocol::{
    Address, B256, U256,
    call::{
        market::{FindOrders, Published},
        scheduler::GetTask,
    },
    order::{AppOrder, RequestOrder, Signed, WorkerpoolOrder},
    tag::Tag,
};
use iexec_service::client::Client;
use serde_json::Value;

use iexec_e2e::{network::Network, user::User};

/// The scheduler's own word on a task, asked until it names a cause.
pub(crate) fn cause_of(network: &Network, task: &str) -> Result<Value> {
    let scheduler = format!("http://127.0.0.1:{}", network.port("scheduler")?);
    let call = GetTask(task.parse()?);
    runtime()?.block_on(async {
        let client = Client::new()?;
        let begun = Instant::now();
        loop {
            let word = client.send(&scheduler, &call).await.unwrap_or_default();
            if word["cause"].is_string() {
                return Ok(word);
            }
            ensure!(begun.elapsed() < Duration::from_secs(30), "no cause after 30 s: {word}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    iexec_service::crypto::install();
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A deal for the user's app's image, with these `params`, whatever they are; yields its task.
pub(crate) fn deal_with_params(network: &Network, user: &User, params: &str) -> Result<String> {
    let runtime = runtime()?;
    let file: ChainFile = std::fs::read_to_string(network.data.join("chain.json"))?.parse()?;
    let place = file.select(None)?;
    let market = place.services.market.context("the network has no market")?;
    runtime.block_on(async {
        let chain = Chain::connect(&place.host, place.id, place.hub).await?;
        let somebody = DevAccount::Requester(0).wallet()?;
        let deployed = deployed_app(user.folder())?;
        let mut app = chain.view_app(deployed).await?.context("the user has no app")?;
        app.owner = somebody.address();
        let writer = chain.with_wallet(somebody.clone());
        let app = writer.deploy_app(app).await?.address;
        let workerpool = first_pool_order(&market).await?;
        let volume = U256::from(1);
        let salt = B256::repeat_byte(7);
        let app_order = AppOrder { app, volume, tag: Tag::TEE, salt, ..AppOrder::default() };
        let request = RequestOrder {
            app,
            requester: somebody.address(),
            beneficiary: somebody.address(),
            volume,
            tag: Tag::TEE,
            category: workerpool.order.order.category,
            params: params.to_owned(),
            salt,
            ..RequestOrder::default()
        };
        let domain = chain.domain();
        let orders = Orders {
            app: Signed::sign(app_order, &domain, somebody.key())?.to_unverified(),
            workerpool: workerpool.order,
            request: Signed::sign(request, &domain, somebody.key())?.to_unverified(),
            ..Orders::default()
        };
        let matched = writer.match_orders(orders).await?;
        Ok(matched.deal.task(0).to_string())
    })
}

async fn first_pool_order(market: &str) -> Result<Published<WorkerpoolOrder>> {
    let find = FindOrders {
        kind: "workerpool",
        chain_id: devnet::CHAIN_ID,
        filters: vec![("minTag", Tag::TEE.0.to_string())],
    };
    let found = Client::new()?.send(market, &find).await?.read::<WorkerpoolOrder>()?;
    found.into_iter().next().context("the market has no workerpool order")
}

fn deployed_app(folder: &Path) -> Result<Address> {
    let deployed: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("deployed.json"))?)?;
    let address = deployed["app"][devnet::CHAIN_ID.to_string()].as_str().context("deployed.json has no app")?;
    Ok(iexec_protocol::id::parse_address(address)?)
}
