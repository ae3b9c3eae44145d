//! What the chain said a short time ago: told again without the node, and nothing that it did not say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::net::TcpListener;

use alloy::primitives::Address;
use common::{deal, tools, writer};
use iexec_chain::{ChainError, anvil::Anvil, devnet::DevAccount, view::App};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn what_was_read_is_told_while_the_node_is_gone_and_a_failure_is_not_remembered() {
    let (tools, folder, port) = (tools(), tempfile::tempdir().unwrap(), free_port());
    let anvil = Anvil::start(&tools, folder.path(), port).await.unwrap();
    let chain = anvil.chain().unwrap();
    let (orders, matched) = deal(&chain).await;
    let (app, other) = (orders.app.order.app, App { name: "another".into(), ..common::sample_app() });
    let unread = writer(&chain, DevAccount::Requester(0)).deploy_app(other).await.unwrap().address;
    let read = chain.recent_deal(matched.deal).await.unwrap();
    assert!(read.is_some() && read == chain.view_deal(matched.deal).await.unwrap());
    assert_eq!(chain.recent_app(app).await.unwrap(), chain.view_app(app).await.unwrap());
    let category = chain.recent_category(0).await.unwrap();
    assert!(category.is_some());
    anvil.stop();

    assert_eq!(chain.recent_deal(matched.deal).await.unwrap(), read);
    assert!(chain.recent_app(app).await.unwrap().is_some());
    assert_eq!(chain.recent_category(0).await.unwrap(), category);
    for failed in [chain.view_deal(matched.deal).await.map(drop), chain.recent_app(unread).await.map(drop)] {
        assert!(matches!(failed, Err(ChainError::Unreachable { .. })), "{failed:?}");
    }
    assert!(matches!(chain.recent_tee_broker().await, Err(ChainError::Unreachable { .. })));

    let _anvil = Anvil::start(&tools, folder.path(), port).await.unwrap();
    assert!(chain.recent_app(unread).await.unwrap().is_some(), "asked for again");
    assert_eq!(chain.recent_tee_broker().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_not_there_is_found_as_soon_as_it_is_and_a_broker_within_a_minute() {
    let anvil = Anvil::ephemeral(&tools(), iexec_chain::anvil::Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    let deployer = writer(&chain, DevAccount::Deployer);
    let mut count = 0;
    while chain.recent_category(count).await.unwrap().is_some() {
        count += 1;
    }
    deployer.create_category("new".into(), "{}".into(), 7).await.unwrap();
    assert_eq!(chain.recent_category(count).await.unwrap().unwrap().seconds, 7);
    for address in [Address::ZERO, deployer.address()] {
        assert_eq!(chain.recent_app(address).await.unwrap(), None);
        assert_eq!(chain.recent_dataset(address).await.unwrap(), None);
    }
    // Where there was none it is not known at once; who must know asks the chain.
    assert_eq!(chain.recent_tee_broker().await.unwrap(), None);
    let broker = Address::repeat_byte(9);
    deployer.set_tee_broker(broker).await.unwrap();
    assert_eq!(chain.tee_broker().await.unwrap(), Some(broker));
    assert_eq!(chain.recent_tee_broker().await.unwrap(), None);
    assert_eq!(anvil.chain().unwrap().recent_tee_broker().await.unwrap(), Some(broker));
}
