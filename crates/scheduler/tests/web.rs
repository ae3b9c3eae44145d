//! The scheduler's HTTP face: who is believed, what is refused, and with which words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{Network, Running};
use http::{Request, Response};
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    B256,
    call::{
        Call, CallError,
        scheduler::{AskGrant, Progress, Report, WorkerHeader},
    },
    id::TaskId,
    tag::Tag,
    typed_data::{LoginChallenge, LoginHeader},
};
use iexec_scheduler::Config;
use iexec_service::clock;
use serde_json::{Value, json};

const ALICE: DevAccount = DevAccount::Worker(0);
const BOB: DevAccount = DevAccount::Worker(1);

/// Any request; the answer's status and text.
struct Raw {
    method: &'static str,
    path: String,
    authorization: Option<String>,
    body: Vec<u8>,
}

impl Raw {
    fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), authorization: None, body: Vec::new() }
    }

    fn post(path: impl Into<String>, body: &[u8]) -> Self {
        Self { method: "POST", body: body.to_vec(), ..Self::get(path) }
    }

    fn signed(self, header: impl Into<String>) -> Self {
        Self { authorization: Some(header.into()), ..self }
    }
}

impl Call for Raw {
    type Reply = (u16, String);

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let mut request = Request::builder().method(self.method).uri(format!("{base}{}", self.path));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        request.body(self.body.clone()).map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<(u16, String), CallError> {
        Ok((response.status().as_u16(), String::from_utf8(response.into_body()).unwrap()))
    }
}

fn header(account: DevAccount, time: u64, path: &str, body: &[u8]) -> String {
    WorkerHeader::sign(account.wallet().unwrap().key(), time, path, body).unwrap().to_string()
}

#[tokio::test]
async fn a_request_that_is_not_its_worker_s_is_refused_with_the_reason() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let workers = vec![ALICE.wallet().unwrap().address()];
    let scheduler = Running::start(Config { workers, ..network.config(&folder) }).await;
    let (_, task) = network.simple_deal(1).await;
    scheduler.granted(ALICE).await;
    let (ask, report) = (AskGrant::PATH, Report::path(task));
    let body = Report::body(&Progress::Working { status: "COMPUTING".into() }).unwrap();
    let (now, late) = (clock::now(), clock::now() - 1000);
    let unknown = TaskId(B256::repeat_byte(1));
    let cases = [
        (Raw::post(ask, b""), 401, "the Authorization header is missing"),
        (Raw::post(ask, b"").signed("x"), 401, "<seconds>_<signature>_<worker address>"),
        (Raw::post(ask, b"").signed(header(ALICE, late, ask, b"")), 401, "clocks may differ by"),
        (Raw::post(ask, b"").signed(header(ALICE, now, "/other", b"")), 401, "is not signed by"),
        (Raw::post(ask, b"").signed(header(BOB, now, ask, b"")), 403, "is not on this pool's list of workers"),
        (Raw::post(&report, b"{}").signed(header(ALICE, now, &report, b"{ }")), 401, "is not signed by"),
        (Raw::post(&report, b"{}").signed(header(ALICE, now, &report, b"{}")), 400, "the report of task"),
        (Raw::post("/v1/grants/0x12/report", b""), 400, "a task id must be 0x and 64 hex digits"),
        (Raw::post(&report, &[b' '; 5000]), 413, ""),
        (Raw::get("/tasks/0x12"), 400, "a task id must be 0x and 64 hex digits"),
        (Raw::get(format!("/tasks/{unknown}")), 404, "this workerpool has no task 0x0101"),
        (Raw::get(format!("/tasks/{unknown}/logs")), 404, "this workerpool has no task 0x0101"),
        (Raw::get("/tasks/logs/challenge"), 400, "missing field `address`"),
        (Raw::get("/tasks/logs/challenge?chainId=x&address=0x"), 400, "invalid digit"),
        (Raw::get("/tasks/logs/challenge?chainId=65535&address=0x12"), 400, "an address must be 0x"),
        (Raw::get(format!("/tasks/logs/challenge?chainId=1&address=0x{}", "00".repeat(20))), 400, "is on chain 65535"),
        (Raw::get(format!("/tasks/{task}/logs")), 401, "authorization"),
    ];
    for (call, status, words) in cases {
        let path = call.path.clone();
        let (found, text) = scheduler.send(&call).await.unwrap();
        assert!(found == status && text.contains(words), "{path}: {found} {text}, expected {status} {words}");
    }
    let unknown_report = Report::path(unknown);
    let signed = header(ALICE, now, &unknown_report, &body);
    let (status, _) = scheduler.send(&Raw::post(&unknown_report, &body).signed(signed)).await.unwrap();
    assert_eq!(status, 404);
    for status in ["", "lower", "A B", &"A".repeat(49)] {
        let progress = Progress::Working { status: status.into() };
        assert_eq!(scheduler.report(ALICE, task, progress).await.unwrap_err().status(), Some(400), "{status:?}");
    }
}

#[tokio::test]
async fn the_logs_are_for_the_requester_who_answers_the_challenge() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, task) = network.simple_deal(1).await;
    scheduler.until(task, "READY").await;
    let login = async |account: DevAccount| -> LoginHeader {
        let wallet = account.wallet().unwrap();
        let path = format!("/tasks/logs/challenge?chainId=65535&address={}", wallet.address());
        let (status, text) = scheduler.send(&Raw::get(path)).await.unwrap();
        assert_eq!(status, 200);
        let typed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(typed["domain"], json!({"name": "iExec Core", "version": "1", "chainId": 65535}));
        LoginChallenge::from_typed_data(&typed).unwrap().answer(wallet.key()).unwrap()
    };
    let logs = async |header: LoginHeader| {
        let call = Raw::get(format!("/tasks/{task}/logs")).signed(header.to_string());
        scheduler.send(&call).await.unwrap()
    };
    let (status, text) = logs(login(DevAccount::Requester(0)).await).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["computeLogsList"], json!([]));
    let (status, text) = logs(login(DevAccount::Requester(1)).await).await;
    assert!(status == 403 && text.contains("for its requester alone"), "{text}");
    let invented = LoginChallenge { name: "iExec Core".into(), chain_id: 65535, sentence: "mine".into() };
    let wallet = DevAccount::Requester(0).wallet().unwrap();
    assert_eq!(logs(invented.answer(wallet.key()).unwrap()).await.0, 401);
}

#[tokio::test]
async fn a_worker_of_greater_capacity_holds_so_many_tasks_and_no_more() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(Config { capacity: 2, ..network.config(&folder) }).await;
    network.deal(1, 3, Tag::NONE, 1, "").await;
    let tasks = [(); 3].map(|()| ());
    let mut granted = Vec::new();
    for () in tasks {
        granted.push(scheduler.granted(ALICE).await.authorization.chain_task_id);
    }
    assert_ne!(granted[0], granted[1]);
    assert!(granted[..2].contains(&granted[2]), "{granted:?}");
    let (both, third) = (granted[..2].to_vec(), scheduler.granted(BOB).await.authorization.chain_task_id);
    assert!(!both.contains(&third));
}

#[tokio::test]
async fn operators_find_version_health_and_metrics() {
    let (_anvil, network) = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Running::start(network.config(&folder)).await;
    let (_, task) = network.simple_deal(1).await;
    scheduler.until(task, "READY").await;
    let get = async |path: &str| scheduler.send(&Raw::get(path)).await.unwrap();
    assert_eq!(get("/version").await, (200, env!("CARGO_PKG_VERSION").into()));
    assert_eq!(get("/health").await, (200, "ok".into()));
    let ready = r#"{"checks":{"chain":"ok","database":"ok"},"status":"ready"}"#;
    assert_eq!(get("/health/ready").await, (200, ready.into()));
    let (_, metrics) = get("/metrics").await;
    assert!(metrics.contains("task_changes_total{to=\"READY\"} 1"), "{metrics}");
    assert!(metrics.contains("chain_block "), "{metrics}");
}
