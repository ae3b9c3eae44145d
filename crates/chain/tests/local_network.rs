//! The local network's chain, for real: anvil, the published contracts, and every call that the product makes on them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use alloy::primitives::{Address, B256, Bytes, U256};
use common::{deal, orders, rlc, sample_app, tools, writer};
use iexec_chain::anvil::{Anvil, Mining};
use iexec_chain::devnet::{self, DevAccount};
use iexec_chain::view::{Dataset, Kind};
use iexec_chain::writer::ContributionCall;
use iexec_chain::{Chain, ChainError};
use iexec_protocol::authorization::{TaskRef, WorkerpoolAuthorization};
use iexec_protocol::id::DealId;
use iexec_protocol::key::SigningKey;
use iexec_protocol::order::Order;
use iexec_protocol::result::{Contribution, ResultLink};
use iexec_protocol::task::ChainStatus;

async fn network() -> (Anvil, Chain) {
    let anvil = Anvil::ephemeral(&tools(), Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    (anvil, chain)
}

#[tokio::test]
async fn a_fresh_deployment_is_where_the_constants_say() {
    let mut tools = tools();
    let dir = tempfile::tempdir().unwrap();
    tools.state = dir.path().join("fresh.json");
    let anvil = Anvil::ephemeral(&tools, Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    chain.check().await.unwrap();
    assert_eq!(chain.contracts().await.unwrap().token, devnet::RLC);
    assert_eq!(chain.count_categories().await.unwrap(), 5);
    let third = chain.view_category(2).await.unwrap().unwrap();
    assert_eq!((third.name.as_str(), third.seconds), ("M", 3600));
    assert_eq!(chain.view_category(5).await.unwrap(), None);
}

#[tokio::test]
async fn every_development_account_has_ether_and_the_deployer_all_rlc() {
    let (_anvil, chain) = network().await;
    let accounts = [DevAccount::Deployer, DevAccount::Sms, DevAccount::Scheduler];
    let workers = (0..2).map(DevAccount::Worker);
    for account in accounts.into_iter().chain(workers).chain((0..5).map(DevAccount::Requester)) {
        let balances = chain.balances(account.wallet().unwrap().address()).await.unwrap();
        assert!(balances.wei > U256::from(9_990_000_000_000_000_000_000_u128), "{account:?}");
        let expected = if account == DevAccount::Deployer { rlc(87_000_000) } else { U256::ZERO };
        assert_eq!(balances.nrlc, expected, "{account:?}");
    }
}

#[tokio::test]
async fn rlc_goes_into_the_hub_and_out_again() {
    let (_anvil, chain) = network().await;
    let (deployer, requester) = (writer(&chain, DevAccount::Deployer), writer(&chain, DevAccount::Requester(0)));
    deployer.send_rlc(requester.address(), rlc(10)).await.unwrap();
    requester.deposit(rlc(7)).await.unwrap();
    requester.withdraw(rlc(2)).await.unwrap();
    let account = chain.view_account(requester.address()).await.unwrap();
    assert_eq!((account.stake, account.locked), (rlc(5), U256::ZERO));
    assert_eq!(chain.balances(requester.address()).await.unwrap().nrlc, rlc(5));
    let stranger = Address::repeat_byte(0x77);
    requester.send_ether(stranger, U256::from(5)).await.unwrap();
    assert_eq!(chain.balances(stranger).await.unwrap().wei, U256::from(5));
    let refused = requester.withdraw(rlc(6)).await.unwrap_err();
    assert!(matches!(refused, ChainError::Reverted { call: "withdraw", .. }), "{refused}");
}

#[tokio::test]
async fn an_app_a_dataset_and_a_workerpool_are_registered_once() {
    let (_anvil, chain) = network().await;
    let owner = writer(&chain, DevAccount::Scheduler);
    let first = owner.deploy_app(sample_app()).await.unwrap();
    let again = owner.deploy_app(sample_app()).await.unwrap();
    assert!(first.receipt.is_some() && again.receipt.is_none());
    assert_eq!(first.address, again.address);
    let app = chain.view_app(first.address).await.unwrap().unwrap();
    assert_eq!((app.owner, app.name, app.checksum), (owner.address(), "hello".into(), B256::repeat_byte(0xab)));
    assert_eq!(chain.owned(Kind::App, owner.address(), 0).await.unwrap(), Some(first.address));
    assert_eq!(chain.owned(Kind::App, owner.address(), 1).await.unwrap(), None);
    assert_eq!(chain.view_app(owner.address()).await.unwrap(), None);
    let dataset = Dataset {
        owner: owner.address(),
        name: "cats".into(),
        multiaddr: Bytes::from_static(b"http://example.org/cats"),
        checksum: B256::repeat_byte(1),
    };
    let deployed = owner.deploy_dataset(dataset.clone()).await.unwrap().address;
    assert_eq!(chain.view_dataset(deployed).await.unwrap(), Some(dataset));
    let pool = owner.deploy_workerpool("pool".into()).await.unwrap().address;
    owner.change_policy(pool, 35, 5).await.unwrap();
    let pool = chain.view_workerpool(pool).await.unwrap().unwrap();
    assert_eq!((pool.description.as_str(), pool.worker_stake_ratio, pool.scheduler_reward_ratio), ("pool", 35, 5));
}

#[tokio::test]
async fn a_tee_deal_is_matched_noticed_computed_and_paid() {
    let (_anvil, chain) = network().await;
    let before = chain.block_number().await.unwrap();
    let (orders, matched) = deal(&chain).await;
    let request = orders.request.order.hash(&chain.domain());
    assert_eq!((matched.deal, matched.volume), (DealId::of(request, 0), 2));
    assert_eq!(chain.view_consumed(request).await.unwrap(), U256::from(2));
    let pool = orders.workerpool.order.workerpool;
    let notices = chain.notices(pool, before, chain.block_number().await.unwrap()).await.unwrap();
    assert_eq!(notices.iter().map(|notice| notice.deal).collect::<Vec<_>>(), [matched.deal]);
    assert_eq!(notices[0].block, matched.receipt.block);
    assert_eq!(chain.notices(pool, before, matched.receipt.block - 1).await.unwrap(), []);
    let seen = chain.view_deal(matched.deal).await.unwrap().unwrap();
    assert_eq!((seen.requester, seen.bot_size, seen.workerpool.price), (orders.request.order.requester, 2, rlc(2)));
    assert_eq!(seen.params, orders.request.order.params);

    let task = TaskRef { id: matched.deal.task(1), deal: matched.deal, index: 1 };
    assert_eq!(chain.view_task(task.id).await.unwrap().status, ChainStatus::Unset);
    let (scheduler, worker) = (writer(&chain, DevAccount::Scheduler), writer(&chain, DevAccount::Worker(0)));
    scheduler.initialize(task.deal, task.index).await.unwrap();
    let active = chain.view_task(task.id).await.unwrap();
    assert_eq!((active.status, active.deal, active.time_reference), (ChainStatus::Active, matched.deal, 300));
    assert_eq!(active.final_deadline, seen.final_deadline(300));

    let enclave = SigningKey::from_bytes(&[7; 32]).unwrap();
    let key = scheduler.wallet().key();
    let allowed = WorkerpoolAuthorization::sign(&task, worker.address(), enclave.address(), key).unwrap();
    let contribution = Contribution {
        task: task.id,
        worker: worker.address(),
        result_digest: B256::repeat_byte(5),
        callback: Bytes::new(),
    };
    let link = ResultLink::Other { storage: "ipfs".into(), location: "/ipfs/x".into() };
    let foreign = contribution.clone().sign(&SigningKey::from_bytes(&[8; 32]).unwrap()).unwrap();
    let refused = worker.contribute_and_finalize(ContributionCall::new(&foreign, &allowed, &link)).await.unwrap_err();
    assert!(matches!(refused, ChainError::Reverted { call: "contributeAndFinalize", .. }), "{refused}");
    let signed = contribution.sign(&enclave).unwrap();
    worker.contribute_and_finalize(ContributionCall::new(&signed, &allowed, &link)).await.unwrap();
    let done = chain.view_task(task.id).await.unwrap();
    assert_eq!((done.status, done.result_digest), (ChainStatus::Completed, B256::repeat_byte(5)));
    assert_eq!(done.results, link.to_bytes());
    let contributed = chain.view_contribution(task.id, worker.address()).await.unwrap();
    assert_eq!((contributed.status, contributed.challenge), (2, enclave.address()));
    // 2 RLC for the pool, of which the scheduler keeps the policy's share (1 % by default).
    assert_eq!(chain.view_account(worker.address()).await.unwrap().stake, U256::from(1_980_000_000_u64));
}

#[tokio::test]
async fn refusals_name_the_call_and_the_contract_s_reason() {
    let (_anvil, chain) = network().await;
    let requester = writer(&chain, DevAccount::Requester(0));
    let mut wrong = orders(&chain, 1).await;
    wrong.request.order.category = U256::from(1);
    wrong.request = common::sign(wrong.request.order, &requester);
    let refused = requester.match_orders(wrong.clone()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the contract refuses matchOrders: iExecV5-matchOrders-0x00");
    let owner = writer(&chain, DevAccount::Scheduler);
    owner.close_workerpool_order(wrong.workerpool.clone()).await.unwrap();
    let consumed = chain.view_consumed(wrong.workerpool.order.hash(&chain.domain())).await.unwrap();
    assert_eq!(consumed, wrong.workerpool.order.volume);
    let unknown = requester.claim(DealId(B256::repeat_byte(9)).task(0)).await.unwrap_err();
    assert_eq!(unknown.to_string(), "the contract refuses claim: the contract gives no reason");
    assert_eq!(chain.view_deal(DealId(B256::repeat_byte(9))).await.unwrap(), None);
}

#[tokio::test]
async fn what_nobody_computed_is_claimed_after_its_deadline() {
    let (_anvil, chain) = network().await;
    writer(&chain, DevAccount::Deployer).create_category("none".into(), "{}".into(), 0).await.unwrap();
    let requester = writer(&chain, DevAccount::Requester(0));
    let mut orders = orders(&chain, 2).await;
    orders.workerpool.order.category = U256::from(5);
    orders.request.order.category = U256::from(5);
    orders.workerpool = common::sign(orders.workerpool.order, &writer(&chain, DevAccount::Scheduler));
    orders.request = common::sign(orders.request.order, &requester);
    let matched = requester.match_orders(orders).await.unwrap();
    requester.initialize(matched.deal, 0).await.unwrap();
    requester.claim(matched.deal.task(0)).await.unwrap();
    requester.initialize_and_claim(matched.deal, &[1]).await.unwrap();
    for index in 0..2 {
        assert_eq!(chain.view_task(matched.deal.task(index)).await.unwrap().status, ChainStatus::Failed);
    }
    assert_eq!(chain.view_account(requester.address()).await.unwrap().stake, rlc(100));
}

#[tokio::test]
async fn many_transactions_of_one_account_at_once_all_get_their_nonce() {
    let (_anvil, chain) = network().await;
    let to = Address::repeat_byte(0x55);
    let sends = (0..24).map(|_| {
        let sender = writer(&chain, DevAccount::Worker(1));
        tokio::spawn(async move { sender.send_ether(to, U256::from(1)).await })
    });
    for sent in sends.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    assert_eq!(chain.balances(to).await.unwrap().wei, U256::from(24));
}

#[tokio::test]
async fn two_processes_of_one_account_do_not_stop_each_other() {
    let (anvil, _chain) = network().await;
    let to = Address::repeat_byte(0x56);
    // Two connections share no lock, as two processes do not.
    let sends = [anvil.chain().unwrap(), anvil.chain().unwrap()].into_iter().map(|chain| {
        let sender = writer(&chain, DevAccount::Worker(1));
        tokio::spawn(async move {
            for _ in 0..8 {
                sender.send_ether(to, U256::from(1)).await.unwrap();
            }
        })
    });
    for sent in sends.collect::<Vec<_>>() {
        sent.await.unwrap();
    }
    assert_eq!(anvil.chain().unwrap().balances(to).await.unwrap().wei, U256::from(16));
}

#[tokio::test]
async fn another_chain_another_hub_and_no_chain_are_told_apart() {
    let (anvil, _chain) = network().await;
    let wrong = Chain::connect(&anvil.url(), 1, devnet::HUB).await.unwrap_err();
    assert_eq!(wrong.to_string(), format!("the chain at {} has id 65535, expected 1", anvil.url()));
    let empty = Chain::connect(&anvil.url(), devnet::CHAIN_ID, Address::repeat_byte(1)).await.unwrap_err();
    assert!(matches!(empty, ChainError::NoHub { .. }), "{empty}");
    let url = anvil.url();
    anvil.stop();
    let gone = Chain::connect(&url, devnet::CHAIN_ID, devnet::HUB).await.unwrap_err();
    assert!(
        gone.is_transient() && gone.to_string().starts_with(&format!("cannot reach the chain at {url}: ")),
        "{gone}"
    );
    let closed = Chain::connect("https://127.0.0.1:1", 1, devnet::HUB).await.unwrap_err();
    assert!(matches!(closed, ChainError::Unreachable { .. }), "{closed}");
    assert!(matches!(Chain::new("ftp://x", 1, devnet::HUB), Err(ChainError::Url { .. })));
}
