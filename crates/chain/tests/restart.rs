//! The local network's chain across restarts: what was there is there, and nothing is left running.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{deal, tools, writer};
use iexec_chain::anvil::{Anvil, AnvilError};
use iexec_chain::devnet::{self, DevAccount};
use iexec_chain::{Chain, ChainError};
use iexec_protocol::task::ChainStatus;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_stopped_network_continues_with_its_deals_and_their_notices() {
    let (tools, dir, port) = (tools(), tempfile::tempdir().unwrap(), free_port());
    let anvil = Anvil::start(&tools, dir.path(), port).await.unwrap();
    let chain = anvil.chain().unwrap();
    let (orders, matched) = deal(&chain).await;
    let height = chain.block_number().await.unwrap();
    anvil.stop();

    let begun = Instant::now();
    let anvil = Anvil::start(&tools, dir.path(), port).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let chain = anvil.chain().unwrap();
    assert!(chain.block_number().await.unwrap() >= height);
    assert!(chain.view_deal(matched.deal).await.unwrap().is_some());
    let pool = orders.workerpool.order.workerpool;
    let notices = chain.notices(pool, 0, chain.block_number().await.unwrap()).await.unwrap();
    assert_eq!((notices.len(), notices[0].block), (1, matched.receipt.block));
    writer(&chain, DevAccount::Scheduler).initialize(matched.deal, 0).await.unwrap();
    assert_eq!(chain.view_task(matched.deal.task(0)).await.unwrap().status, ChainStatus::Active);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = Anvil::start(&tools, dir.path(), port).await.unwrap_err();
    assert!(matches!(refused, AnvilError::PortInUse { port: named } if named == port), "{refused}");
}

#[tokio::test]
async fn a_half_written_dump_is_not_adopted() {
    let (tools, dir, port) = (tools(), tempfile::tempdir().unwrap(), free_port());
    let anvil = Anvil::start(&tools, dir.path(), port).await.unwrap();
    let (_, matched) = deal(&anvil.chain().unwrap()).await;
    anvil.stop();
    let dump = dir.path().join("chain.dump.json");
    let whole = std::fs::read(&dump).unwrap();
    std::fs::write(&dump, &whole[..whole.len() / 2]).unwrap();
    let anvil = Anvil::start(&tools, dir.path(), port).await.unwrap();
    assert!(anvil.chain().unwrap().view_deal(matched.deal).await.unwrap().is_some());
}

const OWNER: &str = "IEXEC_TEST_OWNER_DIR";
const PORT: &str = "IEXEC_TEST_OWNER_PORT";
const READY: &str = "ready at ";

/// The process that the next test starts and kills: this one, in another role. By itself it has nothing to do.
#[tokio::test]
async fn an_owner_to_be_killed() {
    let (Some(dir), Ok(port)) = (std::env::var_os(OWNER), std::env::var(PORT)) else { return };
    let anvil = Anvil::start(&tools(), dir.as_ref(), port.parse().unwrap()).await.unwrap();
    println!("{READY}{}", anvil.url());
    std::future::pending::<()>().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_owner_that_is_killed_leaves_no_node_and_no_lost_deal() {
    let (tools, dir, port) = (tools(), tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "an_owner_to_be_killed", "--nocapture"]).stdout(Stdio::piped());
    let mut owner = command.env(OWNER, dir.path()).env(PORT, port.to_string()).spawn().unwrap();
    let output = BufReader::new(owner.stdout.take().unwrap());
    let url = output.lines().map(Result::unwrap).find_map(|line| Some(line.split_once(READY)?.1.to_owned())).unwrap();
    let chain = Chain::new(&url, devnet::CHAIN_ID, devnet::HUB).unwrap();
    let (_, matched) = deal(&chain).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    let begun = Instant::now();
    while !matches!(chain.block_number().await, Err(ChainError::Unreachable { .. })) {
        assert!(begun.elapsed() < Duration::from_secs(20), "anvil outlived its owner");
    }
    let anvil = loop {
        match Anvil::start(&tools, dir.path(), port).await {
            Err(AnvilError::PortInUse { .. }) if begun.elapsed() < Duration::from_secs(20) => {}
            started => break started.unwrap(),
        }
    };
    assert!(anvil.chain().unwrap().view_deal(matched.deal).await.unwrap().is_some());
}
