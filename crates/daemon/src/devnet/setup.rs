//! What a network needs on its chain and in its market: a workerpool and its orders.

use anyhow::{Context as _, Result};
use iexec_chain::{
    client::Chain,
    devnet::{CHAIN_ID, DevAccount},
    view::Kind,
    wallet::Wallet,
};
use iexec_protocol::{
    Address, B256, U256,
    call::market::{FindOrders, GetMarketChallenge, PublishOrder, Published},
    order::{Signed, WorkerpoolOrder},
    tag::Tag,
    typed_data::LoginChallenge,
};
use iexec_service::client::Client;

use super::ports::{Ports, url};

/// One order per tag, since SDKs refuse orders that mix frameworks.
const TAGS: [Tag; 4] = [Tag::TEE, Tag::TEE_SCONE, Tag::TEE_GRAMINE, Tag::TEE_TDX];
const VOLUME: u64 = 1_000_000;
const CATEGORIES: u64 = 5;

/// The network's workerpool, deployed on the first start.
pub(crate) async fn workerpool(chain: &Chain) -> Result<Address> {
    let owner = DevAccount::Scheduler.wallet()?;
    if let Some(pool) = chain.owned(Kind::Workerpool, owner.address(), 0).await? {
        return Ok(pool);
    }
    let writer = chain.with_wallet(owner);
    let deployed = writer.deploy_workerpool("local network".into()).await?;
    // Workers lock nothing, and the scheduler keeps one percent.
    writer.change_policy(deployed.address, 0, 1).await?;
    Ok(deployed.address)
}

/// Publishes the orders that are not in the book yet.
pub(crate) async fn publish_orders(chain: &Chain, ports: &Ports, pool: Address) -> Result<()> {
    let (client, market, owner) = (Client::new()?, url(ports.market), DevAccount::Scheduler.wallet()?);
    for category in 0..CATEGORIES {
        let find = FindOrders {
            kind: "workerpool",
            chain_id: CHAIN_ID,
            filters: vec![
                ("workerpool", pool.to_string()),
                ("category", category.to_string()),
                ("pageSize", "100".into()),
            ],
        };
        let open: Vec<Published<WorkerpoolOrder>> = client.send(&market, &find).await?.read()?;
        for tag in TAGS.into_iter().filter(|tag| !open.iter().any(|found| found.order.order.tag == *tag)) {
            let order = WorkerpoolOrder {
                workerpool: pool,
                volume: U256::from(VOLUME),
                tag,
                category: U256::from(category),
                salt: B256::from(rand::random::<[u8; 32]>()),
                ..WorkerpoolOrder::default()
            };
            let signed = Signed::sign(order, &chain.domain(), owner.key())?;
            publish(&client, &market, &owner, signed).await?;
        }
    }
    Ok(())
}

async fn publish(client: &Client, market: &str, owner: &Wallet, signed: Signed<WorkerpoolOrder>) -> Result<()> {
    let typed = client.send(market, &GetMarketChallenge { chain_id: CHAIN_ID, address: owner.address() }).await?;
    let challenge = LoginChallenge::from_typed_data(&typed).context("the market's challenge is malformed")?;
    let header = challenge.answer(owner.key())?;
    client.send(market, &PublishOrder { chain_id: CHAIN_ID, order: signed.to_unverified(), header }).await?;
    Ok(())
}
