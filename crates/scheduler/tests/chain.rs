//! What a chain may do to a scheduler: be down, restart, forget its last blocks, belong to somebody else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, body::Bytes, http::StatusCode};
use common::{Forward, Network, Running, tools};
use iexec_chain::{anvil::Anvil, devnet::DevAccount};
use iexec_protocol::{Address, id::DealId, task::ChainStatus};
use iexec_scheduler::Config;
use iexec_service::{CancellationToken, Client, Listener, Options, serve};
use serde_json::json;

const ALICE: DevAccount = DevAccount::Worker(0);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_scheduler_waits_for_its_chain_and_follows_it_through_a_restart() {
    let (tools, node, folder, port) =
        (tools(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), free_port());
    let anvil = Anvil::start(&tools, node.path(), port).await.unwrap();
    let network = Network::on(&anvil.url()).await;
    let (_, first) = network.simple_deal(1).await;
    anvil.stop();
    let scheduler = Running::start(network.config(&folder)).await;
    let error = scheduler.ask(ALICE).await.unwrap_err();
    assert_eq!(error.to_string(), "the chain has not been reached yet (HTTP 503)");
    let anvil = Anvil::start(&tools, node.path(), port).await.unwrap();
    assert_eq!(scheduler.granted(ALICE).await.authorization.chain_task_id, first);
    anvil.stop();
    // A worker's word needs no chain; its claim to be done does.
    let error = scheduler.report(ALICE, first, iexec_protocol::call::scheduler::Progress::Done).await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error}");
    let _anvil = Anvil::start(&tools, node.path(), port).await.unwrap();
    let (_, second) = network.simple_deal(2).await;
    scheduler.until(second, "READY").await;
    assert_eq!(scheduler.task(first).await.unwrap()["state"], "GRANTED");
}

#[tokio::test]
async fn what_a_chain_that_went_back_has_forgotten_is_done_again_and_new_deals_in_its_place_are_read() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let before = network.rpc("evm_snapshot", json!([])).await;
    let (_, kept) = network.simple_deal(1).await;
    let after = network.rpc("evm_snapshot", json!([])).await;
    let scheduler = Running::start(network.config(&folder)).await;
    let grant = scheduler.granted(ALICE).await;
    assert_eq!(network.chain.view_task(kept).await.unwrap().status, ChainStatus::Active);

    // Behind `initialize`: it is sent again, and the worker keeps the task.
    network.rpc("evm_revert", json!([after])).await;
    assert_eq!(network.chain.view_task(kept).await.unwrap().status, ChainStatus::Unset);
    while network.chain.view_task(kept).await.unwrap().status == ChainStatus::Unset {
        tokio::task::yield_now().await;
    }
    assert_eq!(scheduler.granted(ALICE).await, grant);

    // Behind the deal: another one takes its block, and is read.
    network.rpc("evm_revert", json!([before])).await;
    let (_, other) = network.simple_deal(2).await;
    scheduler.until(other, "READY").await;
    assert_eq!(network.chain.view_task(other).await.unwrap().status, ChainStatus::Active);
    assert_eq!(scheduler.task(kept).await.unwrap()["state"], "GRANTED");
}

#[tokio::test]
async fn deals_made_while_the_scheduler_was_away_are_read_from_the_cursor() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, first) = network.simple_deal(1).await;
    scheduler.until(first, "READY").await;
    scheduler.stop().await;
    let (_, second) = network.simple_deal(2).await;
    // 3,000 blocks, in steps that a busy machine answers in time.
    for _ in 0..6 {
        network.rpc("anvil_mine", json!(["0x1f4"])).await;
    }
    let scheduler = Running::start(network.config(&folder)).await;
    scheduler.until(second, "READY").await;
}

/// A way to the node on which every request that names `deal` fails, as long as `fails`.
async fn faulty_way(to: &str, deal: DealId, fails: Arc<AtomicBool>) -> String {
    let (to, deal, client) = (to.to_owned(), deal.to_string()[2..].to_owned(), Client::new().unwrap());
    let forward = move |body: Bytes| async move {
        let named = String::from_utf8_lossy(&body).contains(&deal);
        if named && fails.load(Ordering::SeqCst) {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        client.send(&to, &Forward(body.to_vec())).await.map_err(|_| StatusCode::BAD_GATEWAY)
    };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let origin = listener.origin();
    tokio::spawn(serve(listener, Router::new().fallback(forward), Options::default(), CancellationToken::new()));
    origin
}

#[tokio::test]
async fn a_deal_that_the_node_cannot_tell_holds_the_cursor_not_its_neighbours_and_is_read_later() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (before, _) = network.simple_deal(1).await;
    let (deal, unreadable) = network.simple_deal(2).await;
    let (_, after) = network.simple_deal(3).await;
    let fails = Arc::new(AtomicBool::new(true));
    let chain_url = faulty_way(&network.url, deal, fails.clone()).await;
    let config = Config { chain_url, ..network.config(&folder) };
    let scheduler = Running::start(config.clone()).await;
    for task in [before.task(0), after] {
        scheduler.until(task, "READY").await;
    }
    // Far behind what is read again without a cursor.
    network.rpc("anvil_mine", json!(["0x200"])).await;
    let (_, last) = network.simple_deal(4).await;
    scheduler.until(last, "READY").await;
    assert_eq!(scheduler.task(unreadable).await.unwrap_err().status(), Some(404));
    scheduler.stop().await;
    let scheduler = Running::start(config).await;
    fails.store(false, Ordering::SeqCst);
    scheduler.until(unreadable, "READY").await;
}

#[tokio::test]
async fn deals_before_the_start_block_are_not_this_scheduler_s() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, early) = network.simple_deal(1).await;
    let start_block = network.chain.block_number().await.unwrap() + 1;
    let scheduler = Running::start(Config { start_block, ..network.config(&folder) }).await;
    let (_, late) = network.simple_deal(2).await;
    scheduler.until(late, "READY").await;
    assert_eq!(scheduler.task(early).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_scheduler_of_another_s_workerpool_or_chain_says_so_and_ends() {
    let (_anvil, network) = Network::start().await;
    let failure = async |change: fn(Config) -> Config| {
        let folder = tempfile::tempdir().unwrap();
        Running::start(change(network.config(&folder))).await.failure().await
    };
    let foreign = failure(|config| Config { wallet: DevAccount::Sms.wallet().unwrap(), ..config }).await;
    assert!(foreign.contains("belongs to 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC, the wallet is"), "{foreign}");
    assert!(foreign.contains("\nhint: use the owner's wallet"), "{foreign}");
    let nowhere = failure(|config| Config { workerpool: Address::repeat_byte(1), ..config }).await;
    assert!(nowhere.contains("is no workerpool on this chain\nhint: "), "{nowhere}");
    let chain = failure(|config| Config { chain_id: 5, ..config }).await;
    assert!(chain.contains("has id 65535, expected 5"), "{chain}");
}
