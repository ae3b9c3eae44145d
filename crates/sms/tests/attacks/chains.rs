//! What was signed for another chain: authorizations of the same orders' deal there, and secrets of assets.

use iexec_chain::devnet::{CHAIN_ID, DevAccount};
use iexec_protocol::{
    authorization::TaskRef,
    call::sms::{OpenSession, SecretId},
    id::DealId,
    order::{Domain, RequestOrder, Signed},
};

use crate::{
    common::{Network, Terms, authorization, config, key},
    request::{Ask, Raw, answer},
    scene::{Scene, case, challenge_request, session_request},
};

const INACTIVE: &str = "409 EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE";

/// The task that this order's first deal has on a chain.
fn task_on(chain_id: u64, hub: &Domain, order: &RequestOrder) -> TaskRef {
    let signed = Signed::sign(order.clone(), &Domain { chain_id, ..*hub }, &key(DevAccount::Requester(0))).unwrap();
    let deal = DealId::of(signed.hash(), 0);
    TaskRef { id: deal.task(0), deal, index: 0 }
}

#[tokio::test]
async fn an_authorization_of_the_same_deal_on_another_chain_opens_nothing_here() {
    let scene = Scene::set().await;
    let domain = scene.network.chain.domain();
    let (task, order) = scene.network.deal_and_request(Terms::default()).await;
    scene.network.writer(DevAccount::Scheduler).initialize(task.deal, task.index).await.unwrap();
    assert_eq!(task_on(CHAIN_ID, &domain, &order).id, task.id, "so a task is called");
    let there = task_on(1, &domain, &order);
    let challenge = scene.network.challenge(&scene.sms, task.id, DevAccount::Scheduler).await.unwrap();
    let foreign = authorization(&there, challenge);
    let written_in = |by_worker: bool| {
        let mut open = authorization(&there, challenge);
        open.authorization.chain_task_id = task.id;
        if by_worker {
            open.signature = key(DevAccount::Worker(0)).sign_personal(open.authorization.hash()).unwrap();
        }
        session_request(&open)
    };
    let mut signed_for_there: OpenSession = authorization(&task, challenge);
    signed_for_there.authorization.signature = foreign.authorization.signature.clone();
    let foreign_pool = "401 EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE";
    scene
        .refuses(vec![
            case("the other chain's authorization", session_request(&foreign), INACTIVE, "it is UNSET"),
            case(
                "the other chain's challenge",
                challenge_request(there.id, DevAccount::Scheduler),
                INACTIVE,
                "it is UNSET",
            ),
            case(
                "this chain's task written in",
                written_in(false),
                "401 INVALID_AUTHORIZATION",
                "must be signed by the worker",
            ),
            case(
                "this chain's task, signed by the worker",
                written_in(true),
                foreign_pool,
                "must be signed by the workerpool owner",
            ),
            case(
                "the workerpool's signature for the other chain",
                session_request(&signed_for_there),
                foreign_pool,
                "",
            ),
        ])
        .await;
    scene.network.offer(&scene.sms, &task, challenge).await.unwrap();
}

#[tokio::test]
async fn a_secret_of_an_asset_that_was_signed_for_another_chain_is_not_kept() {
    let scene = Scene::set().await;
    let asset = scene.network.dataset().await;
    let id = SecretId::Web3 { asset };
    let by_owner = |ask: Ask| -> Raw {
        let header = ask.terms.clone().sign(&ask.subject, ask.chain_id, &key(DevAccount::Requester(1))).unwrap();
        ask.tampered(|sent| sent.authorization = Some(header.to_string()))
    };
    for chain_id in [0, 1, 134, 42161, CHAIN_ID + 1, u64::MAX] {
        let put = by_owner(Ask::put(&scene.sms, &id, "v", 1).with(|ask| ask.chain_id = chain_id));
        assert_eq!(answer(&scene.network.client, &scene.sms, &put).await, "401 signer", "{chain_id}");
    }
    let put = by_owner(Ask::put(&scene.sms, &id, "v", 1));
    assert_eq!(answer(&scene.network.client, &scene.sms, &put).await, "200");
    let delete = by_owner(Ask::delete(&scene.sms, &id, 1).with(|ask| ask.chain_id = 1));
    assert_eq!(answer(&scene.network.client, &scene.sms, &delete).await, "401 signer");
}

#[tokio::test]
async fn an_sms_whose_node_is_of_another_chain_does_not_start() {
    let (network, folder) = (Network::start().await, tempfile::tempdir().unwrap());
    let other = iexec_sms::Config { chain_id: 31337, ..config(&network.anvil.url(), &folder) };
    let error = iexec_sms::Sms::start(other).await.err().unwrap().to_string();
    assert!(error.contains(&format!("has id {CHAIN_ID}, expected 31337")), "{error}");
}
