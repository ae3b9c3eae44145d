//! Challenges, sessions and evidence over HTTP, against a real chain: from deal to opened session, and every refusal.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{
    ENCRYPTED, Network, Raw, Service, Terms, authorization, config, enclave, enclave_key, evidence, image, key, refused,
};
use http::Method;
use iexec_attestation::Digest384;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address, B256,
    authorization::{TaskRef, challenge_request_hash},
    call::sms::{GetChallenge, SecretId},
    cause::Cause,
    deal::Deal,
    evidence::{Evidence, MAX_JSON, Tee},
    id::TaskId,
    key::SigningKey,
    tag::Tag,
};
use iexec_sms::{Config, Sms};
use tempfile::TempDir;

async fn setup() -> (Network, TempDir, Service) {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sms = Service::start(config(&network.anvil.url(), &folder)).await;
    (network, folder, sms)
}

/// The words begin with the cause's name, as the worker reads it.
fn assert_cause(found: &(u16, String), status: u16, cause: Cause, words: &str) {
    assert_eq!(found.0, status, "{}", found.1);
    assert!(found.1.starts_with(&format!("{}: ", cause.name())), "{}", found.1);
    assert!(found.1.contains(words), "{}", found.1);
}

#[tokio::test]
async fn an_authorized_and_attested_enclave_opens_its_session_once() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "the beneficiary's key").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    assert_eq!(network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap(), challenge);
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    assert_eq!(offer.secret_provisioning_url, sms.origin);
    let (random, named) = offer.session_id.split_at(10);
    assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(named, format!("0000{}", task.id));

    let ephemeral = enclave_key();
    let shown = evidence(&folder, enclave(), &ephemeral, task.id, &offer);
    let sealed = network.attest(&offer, shown.clone()).await.unwrap();
    let session = ephemeral.open(&sealed).unwrap();
    assert_eq!((session.name.as_str(), session.time_limit), (offer.session_id.as_str(), 300));
    let post = &session.service("post-compute").unwrap().environment;
    let signs = SigningKey::from_hex(post["SIGN_TEE_CHALLENGE_PRIVATE_KEY"].expose()).unwrap();
    assert_eq!(signs.address(), challenge);
    assert_eq!(post["RESULT_ENCRYPTION"].expose(), "true");
    assert_eq!(post["RESULT_ENCRYPTION_PUBLIC_KEY"].expose(), "the beneficiary's key");
    let app = session.service("app").unwrap();
    assert_eq!((app.image_name.as_str(), app.fingerprint.clone()), ("registry.example/hello:1", image().to_string()));

    let again = refused(network.attest(&offer, shown).await);
    assert_cause(&again, 409, Cause::SessionUnknownIssue, "a session is given once");
}

#[tokio::test]
async fn a_session_survives_a_restart_between_offer_and_evidence() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let mut offer = network.offer(&sms, &task, challenge).await.unwrap();
    sms.end().await;
    let sms = Service::start(config(&network.anvil.url(), &folder)).await;
    offer.secret_provisioning_url.clone_from(&sms.origin);
    assert_eq!(network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap(), challenge);
    let ephemeral = enclave_key();
    let sealed = network.attest(&offer, evidence(&folder, enclave(), &ephemeral, task.id, &offer)).await.unwrap();
    assert!(ephemeral.open(&sealed).is_ok());
}

#[tokio::test]
async fn of_two_enclaves_that_show_evidence_at_once_one_gets_the_session() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let show = || evidence(&folder, enclave(), &enclave_key(), task.id, &offer);
    let (one, two) = tokio::join!(network.attest(&offer, show()), network.attest(&offer, show()));
    let (given, refusal) = if one.is_ok() { (one, two) } else { (two, one) };
    assert!(given.is_ok());
    assert_eq!(refused(refusal).0, 409);
}

#[tokio::test]
async fn evidence_that_proves_something_else_releases_nothing() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let ephemeral = enclave_key();
    let good = evidence(&folder, enclave(), &ephemeral, task.id, &offer);
    let foreign = Digest384::repeat_byte(7);
    let stranger = tempfile::tempdir().unwrap();
    let _ = config("http://127.0.0.1:1", &stranger);
    let other_task = TaskId(B256::repeat_byte(1));
    for (case, words) in [
        (evidence(&folder, foreign, &ephemeral, task.id, &offer), format!("the enclave measures mrtd {foreign}")),
        (
            evidence(&stranger, enclave(), &ephemeral, task.id, &offer),
            "the simulated quote is not authentic".to_owned(),
        ),
        (evidence(&folder, enclave(), &ephemeral, other_task, &offer), "the quote binds report data".to_owned()),
        (Evidence { key: B256::repeat_byte(3), ..good.clone() }, "the quote binds report data".to_owned()),
        (Evidence { signer: Address::ZERO, ..good.clone() }, "the quote binds report data".to_owned()),
        (Evidence { tee: Tee::Tdx, ..good.clone() }, "evidence is of tdx; the policy allows simulated".to_owned()),
        (Evidence { quote: b"{}".to_vec(), ..good.clone() }, "the simulated quote is malformed".to_owned()),
    ] {
        assert_cause(&refused(network.attest(&offer, case).await), 403, Cause::SessionAttestationFailed, &words);
    }
    network.attest(&offer, good).await.unwrap();
}

#[tokio::test]
async fn an_sms_without_the_flag_refuses_the_simulated_tee_in_words() {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let strict = Config { insecure_simulated_tee: None, ..config(&network.anvil.url(), &folder) };
    let sms = Service::start(strict).await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let shown = evidence(&folder, enclave(), &enclave_key(), task.id, &offer);
    let refusal = refused(network.attest(&offer, shown).await);
    assert_eq!(
        refusal,
        (
            403,
            "TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED: evidence is of the simulated TEE, which proves nothing about \
             the machine; it is refused unless the verifier runs with --insecure-simulated-tee"
                .to_owned()
        )
    );
    let framework = network.client.send(&sms.origin, &Raw::new(Method::GET, "/tee/framework")).await.unwrap();
    assert_eq!(framework.status().as_u16(), 404);
    let metrics = network.client.send(&sms.origin, &Raw::new(Method::GET, "/metrics")).await.unwrap();
    let metrics = String::from_utf8(metrics.into_body()).unwrap();
    assert!(metrics.contains("sms_accepted_tee{tee=\"simulated\"} 0"), "{metrics}");
    let line = "sms_sessions_released_total{tee=\"simulated\",outcome=\"refused\",cause=\"SECURE_SESSION_GENERATION_FAILED\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn an_sms_that_simulates_says_so() {
    let (network, _folder, sms) = setup().await;
    let ask = async |path: &str| {
        let answer = network.client.send(&sms.origin, &Raw::new(Method::GET, path)).await.unwrap();
        String::from_utf8(answer.into_body()).unwrap()
    };
    assert_eq!(ask("/tee/framework").await, "\"SIMULATED\"");
    assert!(ask("/metrics").await.contains("sms_accepted_tee{tee=\"simulated\"} 1"));
    assert_eq!(ask("/health").await, "ok");
}

#[tokio::test]
async fn the_simulated_tee_is_refused_on_every_public_chain() {
    for chain_id in [1, 134, 42161, 421_614] {
        let folder = tempfile::tempdir().unwrap();
        let public = Config { chain_id, ..config("http://127.0.0.1:1", &folder) };
        let error = Sms::start(public).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("--insecure-simulated-tee is refused on chain {chain_id}:")), "{error}");
        assert!(!folder.path().join("sms").exists());
    }
}

#[tokio::test]
async fn a_challenge_is_the_workerpool_owners_to_ask() {
    let (network, _folder, sms) = setup().await;
    let task = network.task(Terms { tag: Tag::TEE, ..Terms::default() }).await;
    let stranger = refused(network.challenge(&sms, task.id, DevAccount::Requester(0)).await);
    assert_cause(&stranger, 401, Cause::SessionInvalidSignature, &key(DevAccount::Scheduler).address().to_string());
    let unknown = refused(network.challenge(&sms, TaskId(B256::repeat_byte(7)), DevAccount::Scheduler).await);
    assert_cause(&unknown, 409, Cause::SessionTaskNotActive, "it is UNSET");
    let early = network.deal(Terms::default()).await;
    let early = refused(network.challenge(&sms, early.id, DevAccount::Scheduler).await);
    assert_cause(&early, 409, Cause::SessionTaskNotActive, "it is UNSET");
    let plain = network.task(Terms { tag: Tag::NONE, params: "", ..Terms::default() }).await;
    let plain = refused(network.challenge(&sms, plain.id, DevAccount::Scheduler).await);
    assert_cause(&plain, 422, Cause::SessionNoMatchOnchainType, "it is none");
    for path in ["/tee/challenges/0x12", "/tee/challenges/x"] {
        let answer = network.client.send(&sms.origin, &Raw::new(Method::POST, path)).await.unwrap();
        assert_eq!(answer.status().as_u16(), 400);
        assert!(String::from_utf8_lossy(answer.body()).contains("parameter chainTaskId"));
    }
    let unsigned = Raw::new(Method::POST, format!("/tee/challenges/{}", task.id));
    assert_eq!(network.client.send(&sms.origin, &unsigned).await.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn an_offer_needs_both_signatures_and_this_smss_challenge() {
    let (network, _folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let before = refused(network.offer(&sms, &task, Address::repeat_byte(5)).await);
    assert_cause(&before, 403, Cause::SessionChallengeMismatch, "no challenge was asked of this SMS");
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let foreign = refused(network.offer(&sms, &task, Address::repeat_byte(5)).await);
    assert_cause(&foreign, 403, Cause::SessionChallengeMismatch, &challenge.to_string());

    let mut by_another_worker = authorization(&task, challenge);
    let hash = by_another_worker.authorization.hash();
    by_another_worker.signature = key(DevAccount::Worker(1)).sign_personal(hash).unwrap();
    let found = refused(network.client.send(&sms.origin, &by_another_worker).await);
    assert_cause(&found, 401, Cause::SessionInvalidAuthorization, "must be signed by the worker");

    let mut by_another_pool = authorization(&task, challenge);
    by_another_pool.authorization.signature.value = key(DevAccount::Worker(0)).sign_personal(hash).unwrap();
    let found = refused(network.client.send(&sms.origin, &by_another_pool).await);
    assert_cause(&found, 401, Cause::SessionInvalidSignature, "must be signed by the workerpool owner");

    let unset = TaskRef { id: TaskId(B256::repeat_byte(7)), ..task };
    let found = refused(network.offer(&sms, &unset, challenge).await);
    assert_cause(&found, 409, Cause::SessionTaskNotActive, "it is UNSET");
}

#[tokio::test]
async fn what_a_deal_needs_and_lacks_is_said_before_anything_runs() {
    let (network, _folder, sms) = setup().await;
    let offered = async |task: &TaskRef| {
        let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
        network.offer(&sms, task, challenge).await
    };
    let encrypted = network.task(Terms::default()).await;
    let found = refused(offered(&encrypted).await);
    assert_cause(&found, 422, Cause::SessionBeneficiaryKeyMissing, "has no result encryption key in this SMS");
    let unclear = network.task(Terms { params: r#"{"iexec_result_encryption":"oui"}"#, ..Terms::default() }).await;
    let found = refused(offered(&unclear).await);
    assert_cause(&found, 422, Cause::TaskDescriptionInvalid, "must be true or false, got \"oui\"");
    let dataset = network.task(Terms { params: "", dataset: true, ..Terms::default() }).await;
    let found = refused(offered(&dataset).await);
    assert_cause(&found, 422, Cause::SessionDatasetSecretMissing, "has no key in this SMS");
    let asset = network.chain.view_deal(dataset.deal).await.unwrap().map(|deal: Deal| deal.dataset.pointer).unwrap();
    network.set(&sms, &SecretId::Web3 { asset }, "the key", &key(DevAccount::Requester(1))).await.unwrap();
    offered(&dataset).await.unwrap();
    network.push_beneficiary_key(&sms, "k").await;
    offered(&encrypted).await.unwrap();
}

#[tokio::test]
async fn a_session_that_nobody_offered_or_that_is_malformed_is_refused() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let shown = evidence(&folder, enclave(), &enclave_key(), task.id, &offer);
    let unknown = iexec_protocol::call::sms::SessionOffer { session_id: "nothing".into(), ..offer.clone() };
    let found = refused(network.attest(&unknown, shown).await);
    assert_cause(&found, 404, Cause::SessionUnknownIssue, "there is no such session");
    let path = format!("/tee/sessions/{}/evidence", offer.session_id);
    for (path, body, status) in [
        ("/tee/sessions", b"{}".to_vec(), 400),
        ("/tee/sessions", b"[".repeat(8000), 400),
        ("/tee/sessions", vec![b' '; 9000], 413),
        (path.as_str(), b"{\"tee\":\"sim".to_vec(), 400),
        (path.as_str(), vec![b' '; MAX_JSON + 1], 413),
    ] {
        let raw = Raw { body, ..Raw::new(Method::POST, path) };
        let answer = network.client.send(&sms.origin, &raw).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_chain_that_is_down_is_503_for_every_tee_request() {
    let folder = tempfile::tempdir().unwrap();
    let sms = Service::start(config("http://127.0.0.1:1", &folder)).await;
    let client = common::client();
    let task = TaskRef { id: TaskId(B256::repeat_byte(1)), deal: B256::repeat_byte(2).into(), index: 0 };
    let signature = key(DevAccount::Scheduler).sign_personal(challenge_request_hash(task.id)).unwrap();
    let found = refused(client.send(&sms.origin, &GetChallenge { task: task.id, signature }).await);
    assert_cause(&found, 503, Cause::SessionGetTaskFailed, "cannot reach the chain");
    let found = refused(client.send(&sms.origin, &authorization(&task, Address::ZERO)).await);
    assert_cause(&found, 503, Cause::SessionGetTaskFailed, "cannot reach the chain");
}

#[tokio::test]
async fn errors_have_iexecs_form() {
    let (network, _folder, sms) = setup().await;
    let task = network.task(Terms { params: ENCRYPTED, ..Terms::default() }).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let open = authorization(&task, challenge);
    let raw = Raw {
        authorization: Some(open.signature.to_string()),
        body: serde_json::to_vec(&open.authorization).unwrap(),
        ..Raw::new(Method::POST, "/tee/sessions")
    };
    let answer = network.client.send(&sms.origin, &raw).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["error"], "POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY");
}

#[tokio::test]
async fn a_deal_that_a_rule_of_the_operator_refuses_gets_no_session_and_an_offered_one_is_not_released() {
    let (network, folder, sms) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let mut offer = network.offer(&sms, &task, challenge).await.unwrap();
    sms.end().await;
    let requester = key(DevAccount::Requester(0)).address();
    let rule =
        format!("[[rule]]\nname = \"closed account\"\nrequester = [\"{requester}\"]\ndeny = \"ask the operator\"\n");
    let config = config(&network.anvil.url(), &folder);
    common::policy(&folder, &rule);
    let sms = Service::start(config).await;
    offer.secret_provisioning_url.clone_from(&sms.origin);
    let words = "rule \"closed account\" of this SMS refuses the deal: ask the operator";
    let shown = evidence(&folder, enclave(), &enclave_key(), task.id, &offer);
    assert_cause(&refused(network.attest(&offer, shown).await), 403, Cause::SessionAttestationFailed, words);
    assert_cause(&refused(network.offer(&sms, &task, challenge).await), 403, Cause::SessionAttestationFailed, words);
}

#[tokio::test]
async fn a_rule_narrows_what_counts_for_its_deals_and_says_why() {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&network.anvil.url(), &folder);
    let beneficiary = key(DevAccount::Requester(2)).address();
    common::policy(
        &folder,
        &format!("[[rule]]\nname = \"hardware\"\nbeneficiary = [\"{beneficiary}\"]\ntees = [\"tdx\"]\n"),
    );
    let sms = Service::start(config).await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let shown = evidence(&folder, enclave(), &enclave_key(), task.id, &offer);
    let words = "evidence is of simulated; the policy allows none";
    assert_cause(&refused(network.attest(&offer, shown).await), 403, Cause::SessionAttestationFailed, words);
}

#[tokio::test]
async fn a_policy_with_a_fault_stops_the_start_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = config("http://127.0.0.1:1", &folder);
    let path = common::policy(&folder, "[[rule]]\nname = \"idle\"\n");
    let error = Sms::start(config).await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("{}:7: rule \"idle\" asks for nothing", path.display())), "{error}");
}
