//! Requests that are signed: by strangers, for something else, too early or late, twice.

use iexec_chain::devnet::{CHAIN_ID, DevAccount};
use iexec_e2e::network::Network;
use iexec_protocol::{
    Address,
    authorization::{TaskRef, WorkerpoolAuthorization, challenge_request_hash},
    call::{
        scheduler::{AskGrant, Report, WorkerHeader},
        sms::SecretId,
        storage::UploadHeader,
    },
    id::{DealId, TaskId},
    key::SigningKey,
    typed_data::LoginChallenge,
};
use serde_json::Value;

use super::{
    SECRET, port,
    wire::{self, Answer},
};

/// All of them; `task` is completed.
pub(crate) fn refusals(network: &Network, task: &str) {
    let task: TaskId = task.parse().unwrap();
    secrets(port(network, "sms"));
    sessions(port(network, "sms"), task);
    workers(port(network, "scheduler"), task);
    uploads(port(network, "storage"), task);
    logins(port(network, "market"), port(network, "storage"));
}

fn key(account: DevAccount) -> SigningKey {
    SigningKey::from_bytes(&account.wallet().unwrap().expose_secret()).unwrap()
}

fn stranger() -> SigningKey {
    SigningKey::from_bytes(&[77; 32]).unwrap()
}

fn send(port: u16, line: &str, authorization: &str, body: &[u8]) -> Answer {
    wire::send(port, line, &format!("authorization: {authorization}"), body).unwrap()
}

fn refused(answer: &Answer, status: u16, words: &str) {
    assert!(answer.status == status && answer.words().contains(words), "not {status} {words:?}: {answer:?}");
}

fn secrets(sms: u16) {
    let owner = stranger();
    let named = |name: &str| SecretId::Web2 { owner: owner.address(), name: name.into() };
    let set = |method: &str, id: &SecretId, signer: &SigningKey, signed: &SecretId, value: &str| {
        let signature = signer.sign_personal(signed.challenge(value)).unwrap().to_string();
        send(sms, &format!("{method} {}", id.path()), &signature, value.as_bytes())
    };
    let (one, other) = (named("one"), named("other"));
    let foreign = set("POST", &one, &key(DevAccount::Requester(1)), &one, SECRET);
    refused(&foreign, 401, &format!("{}", owner.address()));
    refused(&set("POST", &one, &owner, &other, SECRET), 401, "signature");
    assert_eq!(set("POST", &one, &owner, &one, SECRET).status, 204);
    refused(&set("POST", &one, &owner, &one, SECRET), 409, "already exists");
    let newer = format!("{SECRET} 2");
    assert_eq!(set("PUT", &one, &owner, &one, &newer).status, 204);
    refused(&set("PUT", &one, &owner, &one, SECRET), 409, "replaced before");
}

fn authorization(task: TaskId, worker: Address, pool: &SigningKey) -> WorkerpoolAuthorization {
    let task = TaskRef { id: task, deal: DealId::default(), index: 0 };
    WorkerpoolAuthorization::sign(&task, worker, Address::repeat_byte(9), pool).unwrap()
}

fn sessions(sms: u16, task: TaskId) {
    let (pool, worker) = (key(DevAccount::Scheduler), key(DevAccount::Worker(0)));
    let line = format!("POST /tee/challenges/{task}");
    let request = |signer: &SigningKey| signer.sign_personal(challenge_request_hash(task)).unwrap().to_string();
    refused(&send(sms, &line, &request(&pool), b""), 409, "must be ACTIVE on chain, it is COMPLETED");
    assert!([401, 409].contains(&send(sms, &line, &request(&stranger()), b"").status));
    for pool in [pool, stranger()] {
        let authorization = authorization(task, worker.address(), &pool);
        let signature = worker.sign_personal(authorization.hash()).unwrap().to_string();
        let body = serde_json::to_vec(&authorization).unwrap();
        let answer = send(sms, "POST /tee/sessions", &signature, &body);
        assert!([401, 409].contains(&answer.status), "{answer:?}");
    }
}

fn workers(scheduler: u16, task: TaskId) {
    let (worker, now) = (key(DevAccount::Worker(0)), iexec_service::clock::now());
    let header = |signer: &SigningKey, time, path: &str, body: &[u8]| {
        WorkerHeader::sign(signer, time, path, body).unwrap().to_string()
    };
    let ask = |authorization: String| send(scheduler, "POST /v1/grants", &authorization, b"");
    refused(&ask(header(&stranger(), now, AskGrant::PATH, b"")), 403, "is not on this pool's list of workers");
    refused(&ask(header(&worker, now - 100, AskGrant::PATH, b"")), 401, "clocks may differ by 60 s");
    refused(&ask(header(&worker, u64::MAX, AskGrant::PATH, b"")), 401, "clocks may differ by 60 s");
    refused(&ask(header(&worker, now, "/v1/other", b"")), 401, "is not signed by");
    let path = Report::path(task);
    let report =
        |body: &[u8], path: &str| send(scheduler, &format!("POST {path}"), &header(&worker, now, path, body), body);
    for body in ["", "null", r#"{"progress":"rich"}"#, r#"{"progress":"working","status":7}"#] {
        refused(&report(body.as_bytes(), &path), 400, "the report of task");
    }
    for status in ["", "lower", "A\u{7f}", &"A".repeat(49)] {
        let body = serde_json::json!({"progress": "working", "status": status}).to_string();
        refused(&report(body.as_bytes(), &path), 400, "capital letters");
    }
    let done = br#"{"progress":"done"}"#;
    refused(&report(done, &Report::path(TaskId::default())), 404, "has no task");
    // A finished task is nobody's any more, whatever is said about it.
    let gave_up = br#"{"progress":"gave-up","cause":"APP_COMPUTE_FAILED","message":"x"}"#;
    assert_eq!(report(gave_up, &path).body, r#"{"goOn":false}"#);
    let told = wire::send(scheduler, &format!("GET /tasks/{task}"), "", b"").unwrap();
    assert!(told.body.contains(r#""currentStatus":"COMPLETED""#), "{told:?}");
}

fn uploads(storage: u16, task: TaskId) {
    let (pool, worker) = (key(DevAccount::Scheduler), key(DevAccount::Worker(0)));
    let upload = |target: TaskId, signed: TaskId, pool: &SigningKey| {
        let authorization = authorization(signed, worker.address(), pool);
        let signature = worker.sign_personal(authorization.hash()).unwrap();
        let header = UploadHeader { authorization, signature }.to_text().unwrap();
        send(storage, &format!("PUT /v1/results/{target}"), &header, &vec![b'x'; 100_000])
    };
    let unknown = TaskId(iexec_protocol::B256::repeat_byte(5));
    refused(&upload(task, unknown, &pool), 403, "the authorization is for task");
    refused(&upload(unknown, unknown, &pool), 404, "is not initialised on chain");
    refused(&upload(task, task, &pool), 409, "ACTIVE");
    assert!([401, 409].contains(&upload(task, task, &stranger()).status));
}

/// A challenge is good once, for its own address.
fn logins(market: u16, storage: u16) {
    let (me, other) = (stranger(), key(DevAccount::Requester(2)));
    let challenge = |port: u16, path: &str| {
        let line = format!("GET {path}?chainId={CHAIN_ID}&address={}", me.address());
        let body: Value = serde_json::from_str(&wire::send(port, &line, "", b"").unwrap().body).unwrap();
        LoginChallenge::from_typed_data(body.get("data").unwrap_or(&body)).unwrap()
    };
    let login = |text: &str| {
        wire::send(storage, &format!("POST /results/login?chainId={CHAIN_ID}"), "", text.as_bytes()).unwrap()
    };
    let given = challenge(storage, "/results/challenge");
    refused(&login(&given.answer(&other).unwrap().to_string()), 401, "was given no such challenge");
    let mine = given.answer(&me).unwrap().to_string();
    assert_eq!(login(&mine).status, 200);
    refused(&login(&mine), 401, "used or expired");

    let mine = challenge(market, "/challenge").answer(&me).unwrap().to_string();
    let unpublish = |authorization: &str| {
        let body = format!(r#"{{"orderHash":"{}"}}"#, TaskId::default());
        send(market, &format!("PUT /apporders?chainId={CHAIN_ID}"), authorization, body.as_bytes())
    };
    refused(&unpublish(&mine), 404, "has no such open app order");
    refused(&unpublish(&mine), 401, "used or expired");
}
