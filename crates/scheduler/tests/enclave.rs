//! Deals that need an enclave, with the real SMS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{Network, Running};
use iexec_chain::devnet::{CHAIN_ID, DevAccount, HUB};
use iexec_protocol::{Address, tag::Tag};
use iexec_scheduler::Config;
use iexec_service::CancellationToken;
use iexec_sms::Sms;
use tempfile::TempDir;

const ALICE: DevAccount = DevAccount::Worker(0);

/// An SMS that accepts no evidence: none is shown here.
fn settings(network: &Network, data: &TempDir) -> iexec_sms::Config {
    iexec_sms::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        data: data.path().join("sms"),
        database: None,
        kek: iexec_sms::KekSource::DataFolder,
        limits: iexec_sms::OwnerLimits::default(),
        chain_url: network.url.clone(),
        chain_id: CHAIN_ID,
        hub: HUB,
        policy: None,
        collateral: iexec_sms::collateral::CollateralSources { urls: None, bundle: None },
        tee_broker: false,
        insecure_simulated_tee: None,
    }
}

#[tokio::test]
async fn the_challenge_is_the_sms_s_and_a_sms_that_is_late_holds_nothing_up_for_good() {
    let (_anvil, network) = Network::start().await;
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sms = settings(&network, &data);
    let sms = Sms::start(sms).await.unwrap();
    let origin = sms.origin();
    let deal = network.deal(1, 1, Tag::TEE_TDX, 1, "").await;
    let task = deal.task(0);
    let scheduler = Running::start(Config { sms_url: Some(origin.clone()), ..network.config(&folder) }).await;
    // Its port is bound, but it does not answer yet.
    scheduler.until(task, "INITIALIZED").await;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sms.serve(stop.clone()));
    let grant = scheduler.granted(ALICE).await;
    assert_eq!(grant.sms_url, origin);
    assert!(!grant.authorization.enclave_challenge.is_zero());
    let worker = ALICE.wallet().unwrap().sign_message(grant.authorization.hash()).unwrap();
    let seen = network.chain.view_task(task).await.unwrap();
    let matched = network.chain.view_deal(deal).await.unwrap().unwrap();
    let authorized = grant.authorization.clone().authorize(&worker, &seen, &matched).unwrap();
    assert_eq!(authorized.authorization(), &grant.authorization);

    // The SMS keeps one challenge a task: after a restart the worker is authorized for the same enclave.
    scheduler.kill().await;
    let scheduler = Running::start(Config { sms_url: Some(origin), ..network.config(&folder) }).await;
    assert_eq!(scheduler.granted(ALICE).await, grant);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn where_the_hub_has_a_tee_broker_workers_get_its_signature_or_no_task() {
    let (_anvil, network) = Network::start().await;
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sms = settings(&network, &data);
    let location = iexec_sms::Location { data: sms.data.clone(), database: None, kek: sms.kek.clone() };
    let sms = Sms::start(iexec_sms::Config { tee_broker: true, ..sms }).await.unwrap();
    let (origin, stop) = (sms.origin(), CancellationToken::new());
    let serving = tokio::spawn(sms.serve(stop.clone()));
    let broker = iexec_sms::admin::broker(location).await.unwrap().unwrap();
    let hub = network.writer(DevAccount::Deployer);
    hub.set_tee_broker(Address::repeat_byte(9)).await.unwrap();
    network.deal(1, 1, Tag::TEE_TDX, 1, "").await;
    let scheduler = Running::start(Config { sms_url: Some(origin), ..network.config(&folder) }).await;
    // This SMS is not the broker that the hub names: its signature would be worth nothing.
    let refused = loop {
        match scheduler.ask(ALICE).await {
            Ok(None) => (),
            Ok(Some(grant)) => panic!("{grant:?}"),
            Err(error) => break error,
        }
    };
    assert!(refused.is_transient() && refused.to_string().contains("TEE broker"), "{refused}");
    hub.set_tee_broker(broker).await.unwrap();
    let grant = loop {
        if let Ok(Some(grant)) = scheduler.ask(ALICE).await {
            break grant;
        }
    };
    let authorization = grant.authorization;
    assert_eq!(authorization.signature.value.signer_of_personal(authorization.hash()), Some(broker));
    stop.cancel();
    serving.await.unwrap().unwrap();
}
