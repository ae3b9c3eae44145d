//! A task's whole life on a real chain: granted, lost, given up, granted again, restarted in between, done or claimed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{Network, Running, rlc, statuses};
use iexec_chain::{devnet::DevAccount, writer::ContributionCall};
use iexec_protocol::{
    Address, B256,
    authorization::authorization_hash,
    call::scheduler::Progress,
    cause::Cause,
    tag::Tag,
    task::{ChainStatus, LOST_AFTER},
};

const ALICE: DevAccount = DevAccount::Worker(0);
const BOB: DevAccount = DevAccount::Worker(1);

fn working() -> Progress {
    Progress::Working { status: "COMPUTING".into() }
}

fn gave_up(cause: Cause) -> Progress {
    Progress::GaveUp { cause, message: "in\nwords".into() }
}

#[tokio::test]
async fn a_deal_is_initialised_granted_computed_and_seen_completed() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (deal, task) = network.simple_deal(1).await;
    let grant = scheduler.granted(ALICE).await;
    let authorization = &grant.authorization;
    assert_eq!((authorization.chain_task_id, authorization.deal_id, authorization.task_index), (task, deal, 0));
    assert_eq!(authorization.enclave_challenge, Address::ZERO);
    let alice = ALICE.wallet().unwrap().address();
    let signer = authorization.signature.value.signer_of_personal(authorization_hash(alice, task, Address::ZERO));
    assert_eq!(signer, Some(DevAccount::Scheduler.wallet().unwrap().address()));
    assert_eq!((grant.sms_url.as_str(), grant.storage_url.as_str()), ("", "http://127.0.0.1:13200"));

    assert!(scheduler.report(ALICE, task, working()).await.unwrap());
    // A premature word is not believed, and does no harm.
    assert!(scheduler.report(ALICE, task, Progress::Done).await.unwrap());
    assert_eq!(scheduler.task(task).await.unwrap()["state"], "GRANTED");
    contribute(&network, &grant.authorization).await;
    assert!(!scheduler.report(ALICE, task, Progress::Done).await.unwrap());
    let shown = scheduler.task(task).await.unwrap();
    assert_eq!((&shown["currentStatus"], &shown["cause"]), (&"COMPLETED".into(), &serde_json::Value::Null));
    let expected = ["RECEIVED", "INITIALIZING", "INITIALIZED", "RUNNING", "COMPLETED"];
    assert_eq!(statuses(&shown["dateStatusList"]), expected);
    let replicate = &shown["replicates"][0];
    assert_eq!(replicate["walletAddress"], format!("{alice:?}"));
    assert_eq!((&replicate["currentStatus"], &replicate["appExitCode"]), (&"COMPLETED".into(), &0.into()));
    let expected = ["CREATED", "COMPUTING", "CONTRIBUTE_AND_FINALIZE_DONE", "COMPLETED"];
    assert_eq!(statuses(&replicate["statusUpdateList"]), expected);
    scheduler.stop().await;
}

async fn contribute(network: &Network, authorization: &iexec_protocol::authorization::WorkerpoolAuthorization) {
    let call = ContributionCall {
        task: authorization.chain_task_id,
        result_digest: B256::repeat_byte(5),
        results: b"{}".to_vec().into(),
        results_callback: Vec::new().into(),
        enclave_challenge: Address::ZERO,
        enclave_signature: Vec::new().into(),
        authorization: authorization.signature.value.to_bytes().to_vec().into(),
    };
    network.writer(ALICE).contribute_and_finalize(call).await.unwrap();
}

#[tokio::test]
async fn a_result_that_nobody_reported_is_seen_on_the_chain() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, task) = network.simple_deal(1).await;
    let grant = scheduler.granted(ALICE).await;
    contribute(&network, &grant.authorization).await;
    scheduler.until(task, "COMPLETED").await;
}

#[tokio::test]
async fn a_killed_scheduler_goes_on_where_it_was_and_a_worker_keeps_its_task() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, task) = network.simple_deal(1).await;
    // Killed at several moments before the grant, down to none.
    for milliseconds in [50, 150, 300] {
        let scheduler = Running::start(network.config(&folder)).await;
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        scheduler.kill().await;
    }
    let scheduler = Running::start(network.config(&folder)).await;
    let first = scheduler.granted(ALICE).await;
    assert!(scheduler.report(ALICE, task, working()).await.unwrap());
    scheduler.kill().await;
    // Longer than a worker may be silent; the silence is the scheduler's.
    network.pass(10 * LOST_AFTER).await;
    let scheduler = Running::start(network.config(&folder)).await;
    scheduler.until(task, "GRANTED").await;
    assert_eq!(scheduler.ask(BOB).await.unwrap(), None);
    assert!(scheduler.report(ALICE, task, working()).await.unwrap());
    let again = scheduler.granted(ALICE).await;
    assert_eq!(again, first);
    let shown = scheduler.task(task).await.unwrap();
    assert_eq!(statuses(&shown["replicates"][0]["statusUpdateList"]), ["CREATED", "COMPUTING"]);
    contribute(&network, &again.authorization).await;
    assert!(!scheduler.report(ALICE, task, Progress::Done).await.unwrap());
    assert_eq!(scheduler.task(task).await.unwrap()["state"], "COMPLETED");
}

#[tokio::test]
async fn a_lost_worker_s_task_goes_to_another_and_back_only_while_nobody_has_it() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, task) = network.simple_deal(1).await;
    scheduler.granted(ALICE).await;
    network.pass(LOST_AFTER + 1).await;
    scheduler.until(task, "READY").await;
    // It was only slow: nobody else has the task yet, so it may go on.
    assert!(scheduler.report(ALICE, task, working()).await.unwrap());
    network.pass(LOST_AFTER + 1).await;
    scheduler.until(task, "READY").await;
    assert_eq!(scheduler.granted(BOB).await.authorization.chain_task_id, task);
    assert!(!scheduler.report(ALICE, task, working()).await.unwrap());
    assert!(scheduler.report(BOB, task, working()).await.unwrap());
    let shown = scheduler.task(task).await.unwrap();
    let replicates = shown["replicates"].as_array().unwrap();
    assert_eq!(replicates.len(), 2);
    assert!(replicates.iter().any(|replicate| replicate["currentStatus"] == "WORKER_LOST"));
}

#[tokio::test]
async fn a_task_given_up_is_tried_again_and_claimed_when_the_fault_is_the_deal_s() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, task) = network.simple_deal(1).await;
    scheduler.granted(ALICE).await;
    assert!(!scheduler.report(ALICE, task, gave_up(Cause::AbortedByWorker)).await.unwrap());
    scheduler.granted(BOB).await;
    // No longer its task: its word changes nothing.
    assert!(!scheduler.report(ALICE, task, gave_up(Cause::AppComputeFailed)).await.unwrap());
    assert!(scheduler.report(BOB, task, working()).await.unwrap());
    assert!(!scheduler.report(BOB, task, gave_up(Cause::AppComputeFailed)).await.unwrap());
    let shown = scheduler.task(task).await.unwrap();
    assert_eq!((&shown["state"], &shown["cause"]), (&"FAILING".into(), &"APP_COMPUTE_FAILED".into()));
    assert_eq!((&shown["message"], &shown["remedy"]), (&"inwords".into(), &Cause::AppComputeFailed.remedy().into()));
    scheduler.stop().await;

    let spent = network.chain.view_account(requester()).await.unwrap();
    assert_eq!(spent.locked, rlc(3));
    network.pass(10 * 300).await;
    let scheduler = Running::start(network.config(&folder)).await;
    let shown = scheduler.until(task, "FAILED").await;
    assert_eq!(network.chain.view_task(task).await.unwrap().status, ChainStatus::Failed);
    assert_eq!(network.chain.view_account(requester()).await.unwrap().locked, rlc(0));
    assert_eq!((&shown["currentStatus"], &shown["cause"]), (&"FAILED".into(), &"APP_COMPUTE_FAILED".into()));
}

fn requester() -> Address {
    DevAccount::Requester(0).wallet().unwrap().address()
}

#[tokio::test]
async fn what_nobody_asked_for_in_time_is_not_granted_any_more_and_then_claimed() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, task) = network.simple_deal(1).await;
    let scheduler = Running::start(network.config(&folder)).await;
    scheduler.until(task, "READY").await;
    scheduler.stop().await;
    network.pass(7 * 300).await;
    let scheduler = Running::start(network.config(&folder)).await;
    assert_eq!(scheduler.ask(ALICE).await.unwrap(), None);
    scheduler.until(task, "FAILING").await;
    network.pass(3 * 300).await;
    scheduler.stop().await;
    let scheduler = Running::start(network.config(&folder)).await;
    let shown = scheduler.until(task, "FAILED").await;
    let list = statuses(&shown["dateStatusList"]);
    assert_eq!(list[list.len() - 3..], ["CONTRIBUTION_TIMEOUT", "FINAL_DEADLINE_REACHED", "FAILED"]);
}

#[tokio::test]
async fn deals_that_cannot_be_computed_are_never_initialised_and_are_claimed() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let trust = network.deal(1, 2, Tag::NONE, 5, "").await;
    let unclear = network.deal(2, 1, Tag::NONE, 1, r#"{"iexec_result_encryption":"maybe"}"#).await;
    let tee = network.deal(3, 1, Tag::TEE_TDX, 1, "").await;
    let scheduler = Running::start(network.config(&folder)).await;
    let expected = [(trust, "TRUST_NOT_1"), (unclear, "TASK_DESCRIPTION_INVALID"), (tee, "TEE_NOT_SUPPORTED")];
    for (deal, cause) in expected {
        let shown = scheduler.until(deal.task(0), "FAILING").await;
        assert_eq!((&shown["cause"], &shown["currentStatus"]), (&cause.into(), &"INITIALIZE_FAILED".into()));
        assert!(!shown["message"].as_str().unwrap().is_empty());
        assert_eq!(network.chain.view_task(deal.task(0)).await.unwrap().status, ChainStatus::Unset);
    }
    assert_eq!(scheduler.ask(ALICE).await.unwrap(), None);
    scheduler.stop().await;
    network.pass(10 * 300).await;
    let scheduler = Running::start(network.config(&folder)).await;
    for task in [trust.task(0), trust.task(1), unclear.task(0), tee.task(0)] {
        scheduler.until(task, "FAILED").await;
    }
    assert_eq!(network.chain.view_account(requester()).await.unwrap().locked, rlc(0));
}

#[tokio::test]
async fn one_task_that_cannot_go_on_holds_up_no_other_and_each_worker_gets_one() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    // Its challenge can never be had: nobody listens there.
    let config = iexec_scheduler::Config { sms_url: Some("http://127.0.0.1:9".into()), ..network.config(&folder) };
    let stuck = network.deal(1, 3, Tag::TEE_TDX, 1, "").await;
    let bag = network.deal(2, 2, Tag::NONE, 1, "").await;
    let scheduler = Running::start(config).await;
    let (first, second) = (scheduler.granted(ALICE).await, scheduler.granted(BOB).await);
    let mut tasks = [first, second].map(|grant| grant.authorization.chain_task_id);
    tasks.sort();
    let mut expected = [bag.task(0), bag.task(1)];
    expected.sort();
    assert_eq!(tasks, expected);
    for index in 0..3 {
        scheduler.until(stuck.task(index), "INITIALIZED").await;
    }
}
