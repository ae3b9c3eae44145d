//! Attacks on the offer of a session: authorizations that are forged, of somebody or something else, late or malformed.

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address, B256,
    authorization::{TaskRef, WorkerpoolAuthorization, authorization_hash},
    call::sms::OpenSession,
    id::TaskId,
    key::{Signature, SigningKey},
};
use serde_json::{Value, json};

use crate::{
    common::{Terms, authorization, key},
    request::Raw,
    scene::{Scene, case, post, rewritten, session_request},
};

const UNSIGNED: &str = "401 INVALID_AUTHORIZATION";
const FOREIGN: &str = "401 EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE";
const MALFORMED: &str = "400 INVALID_AUTHORIZATION";
const INACTIVE: &str = "409 EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE";
const NOT_OURS: &str = "403 GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE";

/// An authorization by `pool` for `worker`, and `by`'s signature of the request.
fn open(task: &TaskRef, challenge: Address, worker: &SigningKey, pool: &SigningKey, by: &SigningKey) -> OpenSession {
    let authorization = WorkerpoolAuthorization::sign(task, worker.address(), challenge, pool).unwrap();
    let signature = by.sign_personal(authorization.hash()).unwrap();
    OpenSession { authorization, signature }
}

#[tokio::test]
async fn a_session_is_offered_to_no_worker_but_the_one_that_the_deals_workerpool_authorized() {
    let scene = Scene::set().await;
    let (errand, other) = (scene.errand().await, scene.errand().await);
    scene.network.writer(DevAccount::Requester(1)).deploy_workerpool("another pool".into()).await.unwrap();
    let [pool, worker, second] = [DevAccount::Scheduler, DevAccount::Worker(0), DevAccount::Worker(1)].map(key);
    let (requester, other_pool) = (key(DevAccount::Requester(0)), key(DevAccount::Requester(1)));
    let (task, challenge) = (&errand.task, errand.challenge);
    let sound = errand.open();
    let request = session_request(&sound);
    let header = |text: &str| Raw { authorization: Some(text.to_owned()), ..request.clone() };
    let of = |open: OpenSession| session_request(&open);
    let changed = |change: &dyn Fn(&mut OpenSession)| {
        let mut open = authorization(task, challenge);
        change(&mut open);
        of(open)
    };
    let hash = sound.authorization.hash();
    let text = sound.signature.to_string();
    let zero = Signature::from_bytes(&[0; 65]).unwrap();
    let resigned = |task: TaskId, challenge: Address, wallet: Address, by: &SigningKey| {
        by.sign_personal(authorization_hash(wallet, task, challenge)).unwrap()
    };
    let unset = TaskRef { id: TaskId(B256::repeat_byte(7)), ..*task };
    scene
        .refuses(vec![
            case("no signature", Raw { authorization: None, ..request.clone() }, UNSIGNED, "is missing"),
            case("an empty signature", header(""), UNSIGNED, "header Authorization"),
            case("a signature cut short", header(&text[..100]), UNSIGNED, "header Authorization"),
            case("a signature of zeros", changed(&|open| open.signature = zero), UNSIGNED, "of nobody"),
            case(
                "the worker's place taken by another worker",
                of(open(task, challenge, &worker, &pool, &second)),
                UNSIGNED,
                "must be signed by the worker",
            ),
            case(
                "signed by the workerpool for its worker",
                of(open(task, challenge, &worker, &pool, &pool)),
                UNSIGNED,
                worker.address().to_string(),
            ),
            case(
                "the two signatures swapped",
                changed(&|open| {
                    std::mem::swap(&mut open.signature, &mut open.authorization.signature.value);
                }),
                UNSIGNED,
                "must be signed by the worker",
            ),
            case(
                "the hash signed as it is",
                changed(&|open| open.signature = worker.sign_hash(hash).unwrap()),
                UNSIGNED,
                "",
            ),
            case(
                "another wallet written in",
                changed(&|open| open.authorization.worker_wallet = second.address()),
                UNSIGNED,
                "",
            ),
            case(
                "another wallet written in, signed by it",
                changed(&|open| {
                    open.authorization.worker_wallet = second.address();
                    open.signature = resigned(task.id, challenge, second.address(), &second);
                }),
                FOREIGN,
                "must be signed by the workerpool owner",
            ),
            case("authorized by the worker itself", of(open(task, challenge, &worker, &worker, &worker)), FOREIGN, ""),
            case("authorized by the requester", of(open(task, challenge, &worker, &requester, &worker)), FOREIGN, ""),
            case(
                "authorized by the owner of another workerpool",
                of(open(task, challenge, &worker, &other_pool, &worker)),
                FOREIGN,
                pool.address().to_string(),
            ),
            case(
                "authorized by nobody",
                changed(&|open| open.authorization.signature.value = zero),
                FOREIGN,
                "of nobody",
            ),
            case(
                "another task written in",
                changed(&|open| open.authorization.chain_task_id = other.task.id),
                UNSIGNED,
                "must be signed by the worker",
            ),
            case(
                "another task written in, signed by the worker",
                changed(&|open| {
                    open.authorization.chain_task_id = other.task.id;
                    open.signature = resigned(other.task.id, challenge, worker.address(), &worker);
                }),
                FOREIGN,
                "must be signed by the workerpool owner",
            ),
            case(
                "the challenge of another task of the workerpool",
                of(authorization(task, other.challenge)),
                NOT_OURS,
                challenge.to_string(),
            ),
            case(
                "a challenge of the workerpool's own",
                of(authorization(task, pool.address())),
                NOT_OURS,
                challenge.to_string(),
            ),
            case("no challenge", of(authorization(task, Address::ZERO)), NOT_OURS, challenge.to_string()),
            case(
                "another challenge written in",
                changed(&|open| open.authorization.enclave_challenge = worker.address()),
                UNSIGNED,
                "must be signed by the worker",
            ),
            case("a task that nobody knows", of(authorization(&unset, challenge)), INACTIVE, "it is UNSET"),
        ])
        .await;
    scene.opens(&errand).await;
}

#[tokio::test]
async fn a_task_without_challenge_or_out_of_its_time_gets_no_session() {
    let scene = Scene::set().await;
    let (ended, unasked) = (scene.errand().await, scene.network.task(Terms::default()).await);
    let early = scene.network.deal(Terms::default()).await;
    scene
        .refuses(vec![
            case(
                "a challenge that was not asked of this SMS",
                session_request(&authorization(&unasked, ended.challenge)),
                NOT_OURS,
                "no challenge was asked of this SMS",
            ),
            case("a task to come", session_request(&authorization(&early, ended.challenge)), INACTIVE, "it is UNSET"),
        ])
        .await;
    let used = scene.another(&ended).await;
    scene.opens(&used).await;
    scene.pass(24 * 3600).await;
    scene.network.writer(DevAccount::Scheduler).claim(ended.task.id).await.unwrap();
    scene
        .refuses(vec![case("replayed after the task's end", session_request(&ended.open()), INACTIVE, "it is FAILED")])
        .await;
}

#[tokio::test]
async fn a_deal_or_index_that_the_workerpool_did_not_sign_is_not_believed() {
    let scene = Scene::set().await;
    let (errand, other) = (scene.errand().await, scene.errand().await);
    // Neither is under the signature; neither is used: what the session is for comes from the chain, by the task alone.
    let mut open = errand.open();
    (open.authorization.deal_id, open.authorization.task_index) = (other.task.deal, 7);
    let offer = scene.network.client.send(&scene.sms.origin, &open).await.unwrap();
    assert!(offer.session_id.ends_with(&errand.task.id.to_string()), "{}", offer.session_id);
    scene.opens(&crate::scene::Errand { offer, ..errand }).await;
}

#[tokio::test]
async fn an_authorization_that_is_malformed_or_oversized_is_refused_before_the_chain_is_asked() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let sound = session_request(&errand.open());
    let body = |body: Vec<u8>| Raw { body, ..sound.clone() };
    let mut cases = Vec::new();
    let fields = ["chainTaskId", "dealId", "taskIndex", "workerWallet", "enclaveChallenge", "signature"];
    for field in fields {
        let set = |value: Value| rewritten(&sound, |json| json[field] = value);
        let without = rewritten(&sound, |json| drop(json.as_object_mut().unwrap().remove(field)));
        cases.push(case(format!("no {field}"), without, MALFORMED, field));
        for (what, value) in [
            ("null", Value::Null),
            ("true", true.into()),
            ("a list", json!([])),
            ("an object", json!({})),
            ("an empty text", "".into()),
            ("no hex", "0xzz".into()),
            ("a byte", "0x11".into()),
            ("minus one", json!(-1)),
            ("a half", json!(0.5)),
        ] {
            cases.push(case(format!("{field}: {what}"), set(value), MALFORMED, "the WorkerpoolAuthorization"));
        }
    }
    let valid = String::from_utf8(sound.body.clone()).unwrap();
    let nested = rewritten(&sound, |json| json["signature"]["value"] = "0x11".into());
    let twice = valid.replacen('{', &format!("{{\"chainTaskId\":\"{}\",", TaskId(B256::ZERO)), 1);
    let wide = rewritten(&sound, |json| json["taskIndex"] = json!(1e30));
    cases.extend([
        case("a signature of one byte", nested, MALFORMED, "the WorkerpoolAuthorization"),
        case("a task twice", body(twice.into_bytes()), MALFORMED, "duplicate field"),
        case("an index of 100 bits", wide, MALFORMED, "the WorkerpoolAuthorization"),
        case("nothing", body(vec![]), MALFORMED, "the WorkerpoolAuthorization"),
        case("a text", body(b"\"authorization\"".to_vec()), MALFORMED, "the WorkerpoolAuthorization"),
        case("a list", body(format!("[{valid}]").into_bytes()), MALFORMED, "the WorkerpoolAuthorization"),
        case("two of them", body(format!("{valid}{valid}").into_bytes()), MALFORMED, "trailing characters"),
        case("cut short", body(valid.as_bytes()[..valid.len() - 1].to_vec()), MALFORMED, "EOF"),
        case("no UTF-8", body(vec![0xff, 0xfe]), MALFORMED, "the WorkerpoolAuthorization"),
        case("brackets 8,000 deep", body(vec![b'['; 8000]), MALFORMED, "the WorkerpoolAuthorization"),
        case("8 KiB and a byte", body(vec![b' '; 8 * 1024 + 1]), "413 INVALID_AUTHORIZATION", "too large"),
        case(
            "60 KiB",
            post("/tee/sessions", sound.authorization.clone(), vec![b'{'; 60_000]),
            "413 INVALID_AUTHORIZATION",
            "too large",
        ),
    ]);
    scene.refuses(cases).await;
    assert_eq!(scene.answer(&sound).await.0, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_offers_at_once_are_sixteen_sessions_with_sixteen_nonces() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let open = errand.open();
    let asking = (0..16).map(|_| scene.network.client.send(&scene.sms.origin, &open));
    let offers: Vec<_> = futures_util::future::join_all(asking).await.into_iter().map(Result::unwrap).collect();
    let ids: std::collections::BTreeSet<_> = offers.iter().map(|offer| offer.session_id.clone()).collect();
    let nonces: std::collections::BTreeSet<_> = offers.iter().map(|offer| offer.nonce.0).collect();
    assert_eq!((ids.len(), nonces.len()), (16, 16));
}
