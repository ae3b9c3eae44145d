//! Attacks on a task's challenge: whoever gets to name it decides whose signature the chain takes for an enclave's.

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    B256,
    authorization::challenge_request_hash,
    id::TaskId,
    key::{Signature, SigningKey},
    tag::Tag,
};

use crate::{
    common::{Terms, key},
    request::Raw,
    scene::{Scene, case, challenge_request, post, session_request},
};

const UNSIGNED: &str = "401 INVALID_AUTHORIZATION";
const FOREIGN: &str = "401 EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE";
const MALFORMED: &str = "400 INVALID_AUTHORIZATION";
const INACTIVE: &str = "409 EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE";
const NO_TEE: &str = "422 EXECUTION_NOT_AUTHORIZED_NO_MATCH_ONCHAIN_TYPE";

fn signed(request: &Raw, authorization: impl Into<String>) -> Raw {
    Raw { authorization: Some(authorization.into()), ..request.clone() }
}

#[tokio::test]
async fn a_challenge_is_told_to_nobody_but_the_owner_of_the_deals_workerpool() {
    let scene = Scene::set().await;
    let (errand, other) = (scene.errand().await, scene.errand().await);
    scene.network.writer(DevAccount::Requester(1)).deploy_workerpool("another pool".into()).await.unwrap();
    let task = errand.task.id;
    let sound = challenge_request(task, DevAccount::Scheduler);
    let text = sound.authorization.clone().unwrap();
    let owner = key(DevAccount::Scheduler);
    let by = |account| challenge_request(task, account);
    let with = |signature: Signature| signed(&sound, signature.to_string());
    let hash = challenge_request_hash(task);
    let replayed = challenge_request(other.task.id, DevAccount::Scheduler).authorization.unwrap();
    let of_session = errand.open();
    scene
        .refuses(vec![
            case("no signature", Raw { authorization: None, ..sound.clone() }, UNSIGNED, "is missing"),
            case("an empty signature", signed(&sound, ""), UNSIGNED, "header Authorization"),
            case("a signature of 64 bytes", signed(&sound, &text[..130]), UNSIGNED, "header Authorization"),
            case("a signature of 66 bytes", signed(&sound, format!("{text}00")), UNSIGNED, "header Authorization"),
            case(
                "a signature of half a byte more",
                signed(&sound, format!("{text}0")),
                UNSIGNED,
                "header Authorization",
            ),
            case(
                "a signature that is no hex",
                signed(&sound, text.replace('1', "g")),
                UNSIGNED,
                "header Authorization",
            ),
            case("a bearer's token", signed(&sound, format!("Bearer {text}")), UNSIGNED, "header Authorization"),
            case(
                "a list of two signatures",
                signed(&sound, format!("{text}, {text}")),
                UNSIGNED,
                "header Authorization",
            ),
            case("a signature of zeros", with(Signature::from_bytes(&[0; 65]).unwrap()), FOREIGN, "of nobody"),
            case("by the requester", by(DevAccount::Requester(0)), FOREIGN, owner.address().to_string()),
            case("by the beneficiary", by(DevAccount::Requester(2)), FOREIGN, owner.address().to_string()),
            case("by the authorized worker", by(DevAccount::Worker(0)), FOREIGN, owner.address().to_string()),
            case(
                "by the owner of another workerpool",
                by(DevAccount::Requester(1)),
                FOREIGN,
                owner.address().to_string(),
            ),
            case("the owner's signature for another task", signed(&sound, replayed), FOREIGN, "must be the signature"),
            case("the owner's authorization of a worker", with(of_session.authorization.signature.value), FOREIGN, ""),
            case("the worker's request for a session", with(of_session.signature), FOREIGN, ""),
            case("the hash signed as it is", with(owner.sign_hash(hash).unwrap()), FOREIGN, ""),
            case("the task's id signed in place of its hash", with(owner.sign_personal(task.0).unwrap()), FOREIGN, ""),
        ])
        .await;
    assert_eq!(scene.answer(&sound).await.0, "200", "the owner's own");
}

#[tokio::test]
async fn there_is_no_challenge_for_what_is_no_active_task_of_a_tee_deal() {
    let scene = Scene::set().await;
    let by_owner = |task| challenge_request(task, DevAccount::Scheduler);
    let ended = scene.errand().await;
    let early = scene.network.deal(Terms::default()).await;
    let of_tag = async |tag| {
        let task = scene.network.task(Terms { tag, params: "", ..Terms::default() }).await;
        by_owner(task.id)
    };
    let (plain, two) = (of_tag(Tag::NONE).await, of_tag(Tag::TEE_SCONE.union(Tag::TEE_TDX)).await);
    let framework_alone = of_tag(Tag(B256::with_last_byte(8))).await;
    scene.pass(24 * 3600).await;
    scene.network.writer(DevAccount::Scheduler).claim(ended.task.id).await.unwrap();
    let path = |text: &str| {
        let text = format!("/tee/challenges/{text}");
        Raw { path: text, ..by_owner(ended.task.id) }
    };
    let digits = "11".repeat(32);
    scene
        .refuses(vec![
            case("a task that nobody knows", by_owner(TaskId(B256::repeat_byte(7))), INACTIVE, "it is UNSET"),
            case("task zero", by_owner(TaskId(B256::ZERO)), INACTIVE, "it is UNSET"),
            case("a task that was not initialised", by_owner(early.id), INACTIVE, "it is UNSET"),
            case("a deal in place of its task", by_owner(TaskId(early.deal.0)), INACTIVE, "it is UNSET"),
            case("a task that failed", by_owner(ended.task.id), INACTIVE, "it is FAILED"),
            case("a deal without tee", plain, NO_TEE, "it is none"),
            case("a deal of two frameworks", two, NO_TEE, "at most one framework"),
            case("a deal of a framework without tee", framework_alone, NO_TEE, "must name tee"),
            case("an id of 31 bytes", path(&format!("0x{}", &digits[2..])), MALFORMED, "chainTaskId"),
            case("an id of 33 bytes", path(&format!("0x{digits}11")), MALFORMED, "chainTaskId"),
            case("an id of half a byte more", path(&format!("0x{digits}1")), MALFORMED, "chainTaskId"),
            case("an id that is no hex", path(&format!("0x{}", digits.replace('1', "z"))), MALFORMED, "chainTaskId"),
            case("an id of 8,000 digits", path(&format!("0x{}", "1".repeat(8000))), MALFORMED, "chainTaskId"),
            case("an id in percent codes", path(&format!("0x{digits}%00")), MALFORMED, "chainTaskId"),
            case("an id that is no UTF-8", path("%ff"), "400", ""),
            case("no id", path(""), "404", ""),
            case("an id and a path", path(&format!("0x{digits}/key")), "404", ""),
        ])
        .await;
}

#[tokio::test]
async fn methods_and_paths_beside_the_documented_ones_reach_nothing() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let challenge = challenge_request(errand.task.id, DevAccount::Scheduler);
    let session = session_request(&errand.open());
    let evidence = post(format!("/tee/sessions/{}/evidence", errand.offer.session_id), None, "{}");
    let mut cases = Vec::new();
    for (name, request) in [("challenge", &challenge), ("session", &session), ("evidence", &evidence)] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let title = format!("{method} of a {name}");
            cases.push(case(title, Raw { method, ..request.clone() }, "405", ""));
        }
        for (what, path) in [
            ("in the second API", format!("/v2{}", request.path)),
            ("in a first API", format!("/v1{}", request.path)),
            ("with a slash more at the end", format!("{}/", request.path)),
            ("with a slash more at the start", format!("/{}", request.path)),
            ("in capitals", request.path.replace("tee", "TEE")),
            ("with an encoded slash", request.path.replacen("tee/", "tee%2f", 1)),
            ("under secrets", format!("/secrets{}", request.path)),
        ] {
            cases.push(case(format!("{name} {what}"), Raw { path, ..request.clone() }, "404", ""));
        }
    }
    let at = |method, path: &str| Raw { method, ..post(path, None, "") };
    let session_path = format!("/tee/sessions/{}", errand.offer.session_id);
    cases.extend([
        case("the list of sessions", at(Method::GET, "/tee/sessions"), "405", ""),
        case("a session without evidence", at(Method::GET, &session_path), "404", ""),
        case("a session's deletion", at(Method::DELETE, &session_path), "404", ""),
        case("the list of challenges", at(Method::GET, "/tee/challenges"), "404", ""),
        case("another TEE written", at(Method::PUT, "/tee/framework"), "405", ""),
        case(
            "a stranger's TEE",
            at(Method::GET, "/tee/properties/tdx"),
            "409 SECURE_SESSION_NO_TEE_FRAMEWORK",
            "accepts SIMULATED",
        ),
        case("an unknown version", at(Method::GET, "/tee/properties/simulated/9"), "404 NO_SESSION_REQUEST", ""),
        case("a key", at(Method::GET, "/keys"), "404", ""),
        case("a backup", at(Method::POST, "/admin/backup"), "404", ""),
    ]);
    scene.refuses(cases).await;
    scene.opens(&errand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_first_requests_at_once_get_one_challenge() {
    let scene = Scene::set().await;
    let task = scene.network.task(Terms::default()).await;
    let asking = (0..16).map(|_| scene.network.challenge(&scene.sms, task.id, DevAccount::Scheduler));
    let told = futures_util::future::join_all(asking).await;
    let first = *told[0].as_ref().unwrap();
    assert!(told.iter().all(|told| *told.as_ref().unwrap() == first), "{told:?}");
    assert_ne!(first, key(DevAccount::Scheduler).address());
    let known = SigningKey::from_bytes(&[1; 32]).unwrap();
    assert_ne!(first, known.address());
}
