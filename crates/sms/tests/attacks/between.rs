//! What its owner takes back between the offer of a session and its release is not in the session.

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{Address, call::sms::SecretId, key::SigningKey, session::Session};

use crate::{
    common::{Terms, enclave_key, key},
    request::{Ask, Raw},
    scene::{Errand, Scene, Shown, case, evidence_request},
};

const MISSING: &str = "422 PRE_COMPUTE_GET_DATASET_SECRET_FAILED";

/// The request as the dataset's owner signs it.
fn by_owner(ask: &Ask) -> Raw {
    let owner: SigningKey = key(DevAccount::Requester(1));
    let header = ask.terms.clone().sign(&ask.subject, ask.chain_id, &owner).unwrap();
    ask.tampered(|sent| sent.authorization = Some(header.to_string()))
}

/// A task on a dataset whose key is in the SMS; its session is offered.
async fn errand(scene: &Scene) -> (Errand, SecretId) {
    let task = scene.network.task(Terms { dataset: true, ..Terms::default() }).await;
    let deal = scene.network.chain.view_deal(task.deal).await.unwrap().unwrap();
    let asset: Address = deal.dataset.pointer;
    let id = SecretId::Web3 { asset };
    assert_eq!(scene.answer(&by_owner(&Ask::put(&scene.sms, &id, "the first key", 1))).await.0, "200");
    let challenge = scene.network.challenge(&scene.sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = scene.network.offer(&scene.sms, &task, challenge).await.unwrap();
    (Errand { task, challenge, offer }, id)
}

/// Shows sound evidence: the session that is opened.
async fn opened(scene: &Scene, errand: &Errand) -> Session {
    let key = enclave_key();
    let sealed = scene.network.attest(&errand.offer, Shown::of(errand, &key).by(&scene.platform())).await.unwrap();
    key.open(&sealed).unwrap()
}

#[tokio::test]
async fn a_dataset_key_that_was_deleted_after_the_offer_is_released_to_nobody() {
    let scene = Scene::set().await;
    let (errand, id) = errand(&scene).await;
    assert_eq!(scene.answer(&by_owner(&Ask::delete(&scene.sms, &id, 1))).await.0, "204");
    let show = || evidence_request(&errand.offer.session_id, &Shown::of(&errand, &enclave_key()).by(&scene.platform()));
    scene
        .refuses(vec![
            case("the key deleted", show(), MISSING, "has no key in this SMS"),
            case("the key deleted, asked again", show(), MISSING, "has no key in this SMS"),
        ])
        .await;
    let refused = scene.network.offer(&scene.sms, &errand.task, errand.challenge).await;
    assert_eq!(crate::common::refused(refused).0, 422, "no other session is offered either");
    assert_eq!(scene.answer(&by_owner(&Ask::put(&scene.sms, &id, "the second key", 3))).await.0, "200");
    let session = opened(&scene, &errand).await;
    assert_eq!(session.service("pre-compute").unwrap().environment["IEXEC_DATASET_KEY"].expose(), "the second key");
}

#[tokio::test]
async fn a_dataset_key_that_was_rotated_after_the_offer_is_released_as_it_is_now() {
    let scene = Scene::set().await;
    let (errand, id) = errand(&scene).await;
    assert_eq!(scene.answer(&by_owner(&Ask::put(&scene.sms, &id, "the second key", 2))).await.0, "200");
    let session = opened(&scene, &errand).await;
    assert_eq!(session.service("pre-compute").unwrap().environment["IEXEC_DATASET_KEY"].expose(), "the second key");
}
