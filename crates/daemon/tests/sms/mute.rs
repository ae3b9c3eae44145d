//! No secret in anything that an SMS shows or leaves: log at its most talkative, answers, metrics, audit log, database,
//! backup, core. Recognisable values go in; everything that comes out is searched for them.

use std::{ffi::OsString, os::unix::process::ExitStatusExt as _};

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    B256,
    authorization::TaskRef,
    call::sms::{SecretId, SessionOffer},
    evidence::{Evidence, Nonce, Tee},
    key::SigningKey,
    secret::RESULT_ENCRYPTION_KEY,
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    common::{Network, Terms, authorization, enclave, enclave_key, evidence, key, set},
    load::signed,
    process::{Sms, private, tool},
    request::{Ask, Raw},
    search::Search,
    store::{PASSWORD, Postgres},
};

const PARAMS: &str = r#"{"iexec_result_encryption":true,"iexec_secrets":{"1":"planted"}}"#;
const LOUD: [&str; 4] = ["--log", "trace", "--owner-rate", "100000/s:100000"];
const KEK: &str = "planted passphrase of the store 4b1d";
const BACKUP: &str = "planted passphrase of the backup 77e0";
const MASTER: &str = "9d1cf0b3a5e27846d19bc3a40f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2";

/// Secrets of every kind, and a task that gets them all.
struct Stage {
    network: Network,
    folder: TempDir,
    task: TaskRef,
    search: Search,
}

impl Stage {
    async fn set() -> Self {
        let network = Network::start().await;
        let task = network.task(Terms { params: PARAMS, dataset: true, ..Terms::default() }).await;
        Self { network, folder: tempfile::tempdir().unwrap(), task, search: Search::default() }
    }

    /// Sends it; the answer is shown.
    async fn send(&mut self, sms: &Sms, name: &str, request: &Raw) -> u16 {
        let answer = self.network.client.send(&sms.service.origin, request).await.unwrap();
        let head = format!("{:?}", answer.headers());
        self.search.show(format!("the head of the answer to {name}"), head);
        let status = answer.status().as_u16();
        self.search.show(format!("the answer to {name}, {status}"), answer.into_body());
        status
    }

    async fn push(&mut self, sms: &Sms, what: &'static str, id: &SecretId, by: &SigningKey) -> String {
        let value = self.search.plant(what, format!("planted {what} 5e1f"));
        let ask = signed(&Ask::put(&sms.service, id, &value, 1), by);
        let status = self.send(sms, what, &ask).await;
        assert!((200..300).contains(&status), "{what}: {status}");
        value
    }

    /// All kinds of secrets.
    async fn push_all(&mut self, sms: &Sms) {
        let deal = self.network.chain.view_deal(self.task.deal).await.unwrap().unwrap();
        let [requester, developer, beneficiary, worker] =
            [DevAccount::Requester(0), DevAccount::Requester(1), DevAccount::Requester(2), DevAccount::Worker(0)]
                .map(key);
        let (asset, app) = (deal.dataset.pointer, deal.app.pointer);
        self.push(sms, "dataset key", &SecretId::Web3 { asset }, &developer).await;
        self.push(sms, "app secret", &SecretId::App { app }, &requester).await;
        let id = SecretId::Requester { requester: requester.address(), key: "planted".into() };
        self.push(sms, "requester secret", &id, &requester).await;
        let proxy = "https://proxy.example".to_owned();
        let id = SecretId::Storage { worker: worker.address(), proxy };
        self.push(sms, "storage token", &id, &worker).await;
        let id = SecretId::Web2 { owner: beneficiary.address(), name: RESULT_ENCRYPTION_KEY.into() };
        self.push(sms, "beneficiary's key", &id, &beneficiary).await;
    }

    /// A session is opened: the challenge's key is planted by the SMS itself.
    async fn open(&mut self, sms: &Sms) {
        let challenge = self.network.challenge(&sms.service, self.task.id, DevAccount::Scheduler).await.unwrap();
        let offer: SessionOffer =
            self.network.client.send(&sms.service.origin, &authorization(&self.task, challenge)).await.unwrap();
        let shown = |enclave_key: &_| evidence(&self.folder, enclave(), enclave_key, self.task.id, &offer);
        let refused = [
            Evidence { key: B256::repeat_byte(3), ..shown(&enclave_key()) },
            Evidence { tee: Tee::Tdx, ..shown(&enclave_key()) },
            Evidence { quote: vec![1, 2, 3], ..shown(&enclave_key()) },
            evidence(&self.folder, [9; 48].into(), &enclave_key(), self.task.id, &offer),
            evidence(
                &self.folder,
                enclave(),
                &enclave_key(),
                self.task.id,
                &SessionOffer { nonce: Nonce(B256::ZERO), ..offer.clone() },
            ),
        ];
        let path = format!("/tee/sessions/{}/evidence", offer.session_id);
        let request = |evidence: &Evidence| Raw {
            method: Method::POST,
            path: path.clone(),
            authorization: None,
            media_type: None,
            body: serde_json::to_vec(evidence).unwrap(),
        };
        for evidence in refused {
            assert_eq!(self.send(sms, "refused evidence", &request(&evidence)).await, 403);
        }
        let enclave_key = enclave_key();
        let sound = evidence(&self.folder, enclave(), &enclave_key, self.task.id, &offer);
        let sealed = self.network.attest(&offer, sound.clone()).await.unwrap();
        self.search.show("the sealed session", serde_json::to_vec(&sealed).unwrap());
        assert_eq!(self.send(sms, "evidence again", &request(&sound)).await, 409);
        let session = enclave_key.open(&sealed).unwrap();
        let post = &session.service("post-compute").unwrap().environment;
        let signs = post["SIGN_TEE_CHALLENGE_PRIVATE_KEY"].expose().trim_start_matches("0x");
        self.search.plant("challenge's key", signs);
        let app = &session.service("app").unwrap().environment;
        assert!(app["IEXEC_REQUESTER_SECRET_1"].expose().starts_with("planted requester secret"));
    }

    /// Requests that are refused with a secret in them, where it belongs and where it does not.
    async fn refusals(&mut self, sms: &Sms) {
        let owner = key(DevAccount::Requester(0));
        let value = self.search.plant("refused secret", "planted refused secret a6c1");
        let id = |name: &str| SecretId::Requester { requester: owner.address(), key: name.into() };
        let ask = |version| Ask::put(&sms.service, &id("planted"), &value, version);
        let sound = signed(&ask(2), &owner);
        let v1 = set(&id("other"), &value, &key(DevAccount::Worker(1)), false);
        let post = |path: &str, body: &str| Raw {
            method: Method::POST,
            path: path.to_owned(),
            authorization: Some(v1.signature.to_string()),
            media_type: None,
            body: body.as_bytes().to_vec(),
        };
        let json = format!("{{\"chainTaskId\":\"{value}\",\"signature\":\"{value}\"}}");
        let tee = format!("{{\"tee\":\"{value}\",\"key\":\"{value}\"}}");
        for (name, request, status) in [
            ("somebody else's signature", signed(&ask(2), &key(DevAccount::Worker(1))), 401),
            ("another version", signed(&ask(7), &owner), 409),
            ("an expired request", signed(&ask(2).with(|ask| ask.terms.deadline = 1), &owner), 401),
            ("another audience", signed(&ask(2).with(|ask| ask.terms.audience = "https://a".into()), &owner), 401),
            ("a large value", signed(&Ask::put(&sms.service, &id("planted"), &value.repeat(200), 2), &owner), 413),
            ("JSON", Raw { media_type: Some("application/json"), ..sound.clone() }, 415),
            ("no header", Raw { authorization: None, ..sound.clone() }, 401),
            ("the secret as header", Raw { authorization: Some(value.clone()), ..sound.clone() }, 401),
            ("the secret with another method", Raw { method: Method::DELETE, ..sound.clone() }, 401),
            ("a foreign signature of iExec's API", post(&id("other").path(), &value), 401),
            ("the secret as authorization", post("/tee/sessions", &json), 400),
            ("the secret as a text", post("/tee/sessions", &format!("\"{value}\"")), 400),
            ("the secret as evidence", post("/tee/sessions/x/evidence", &tee), 400),
            ("the secret in no JSON", post("/tee/sessions/x/evidence", &value), 400),
        ] {
            assert_eq!(self.send(sms, name, &request).await, status, "{name}");
        }
    }

    async fn watch(&mut self, sms: &Sms) {
        for path in ["/metrics", "/health/ready", "/version", "/tee/framework"] {
            let request =
                Raw { method: Method::GET, path: path.into(), authorization: None, media_type: None, body: vec![] };
            assert_eq!(self.send(sms, path, &request).await, 200);
        }
        let owner = key(DevAccount::Requester(0));
        let list = signed(&Ask::list(&sms.service, owner.address(), None), &owner);
        assert_eq!(self.send(sms, "a list of secrets", &list).await, 200);
    }

    /// A life from first start to orderly end, with a death in between.
    async fn live(&mut self, store: &[OsString]) {
        let mut sms = Sms::start(&self.folder, &self.network.anvil.url(), store, &LOUD);
        self.push_all(&sms).await;
        self.refusals(&sms).await;
        self.open(&sms).await;
        self.watch(&sms).await;
        sms.end(Signal::SIGKILL);
        sms.again();
        self.refusals(&sms).await;
        self.watch(&sms).await;
        let backup = self.folder.path().join("backup.age");
        let passphrase = private(&self.folder.path().join("backup-passphrase"), BACKUP);
        let with = |words: &[&str]| words.iter().map(OsString::from).chain(store.to_vec()).collect::<Vec<_>>();
        let mut command = with(&["sms", "backup"]);
        command.extend(["--out".into(), backup.clone().into(), "--backup-passphrase-file".into(), passphrase.into()]);
        for (name, command) in [
            ("sms keys list", with(&["sms", "keys", "list"])),
            ("sms keys rotate", with(&["sms", "keys", "rotate"])),
            ("sms audit show", with(&["sms", "audit", "show", "--json"])),
            ("sms audit verify", with(&["sms", "audit", "verify"])),
            ("sms backup", command),
        ] {
            let output = tool(command);
            self.search.show(format!("the output of {name}"), [output.stdout, output.stderr].concat());
        }
        self.search.show("the backup", std::fs::read(backup).unwrap());
        assert_eq!(sms.end(Signal::SIGTERM).code(), Some(0));
        let printed = sms.printed.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&printed);
        assert!(text.contains("TRACE") && text.contains("session released"), "the log was not captured");
        assert!(!text.contains("panicked"), "{text}");
        self.search.show("the log", printed);
        self.search.plant("passphrase of the backup", BACKUP);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_an_sms_on_sqlite_shows_or_leaves() {
    let mut stage = Stage::set().await;
    let data = stage.folder.path().join("sms");
    let master = private(&stage.folder.path().join("master.hex"), MASTER);
    stage.search.plant("master key", MASTER);
    stage.live(&["--data".into(), data.clone().into(), "--master-key-file".into(), master.into()]).await;
    stage.search.show_folder(&data);
    assert!(
        stage.search.planted.len() >= 9 && stage.search.shown.iter().any(|(place, _)| place.ends_with("sms.sqlite"))
    );
    stage.search.finds_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_an_sms_on_postgresql_shows_or_leaves() {
    let mut stage = Stage::set().await;
    let Some(server) = Postgres::start(stage.folder.path()) else { return };
    let data = stage.folder.path().join("sms");
    let passphrase = private(&stage.folder.path().join("passphrase"), KEK);
    stage.search.plant("passphrase of the store", KEK);
    stage.search.plant("password of the database", PASSWORD);
    let mut store: Vec<OsString> =
        vec!["--data".into(), data.clone().into(), "--passphrase-file".into(), passphrase.into()];
    store.extend(["--database-url".into(), server.url.clone().into()]);
    store.extend(["--database-password-file".into(), server.password_file.clone().into()]);
    stage.live(&store).await;
    stage.search.show_folder(&data);
    let dump = server.dump();
    // It is all there: each secret's row, in the form that is searched for.
    let text = String::from_utf8_lossy(&dump).into_owned();
    let owner = const_hex::encode(key(DevAccount::Requester(0)).address());
    for held in ["COPY public.secret (", "COPY public.challenge (", "COPY public.audit (", "session.released", &owner] {
        assert!(text.to_lowercase().contains(&held.to_lowercase()), "the dump has no {held}");
    }
    stage.search.show("the database", dump);
    stage.search.finds_nothing();
}

#[tokio::test]
async fn an_sms_that_crashes_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let store = ["--data".into(), folder.path().join("sms").into()];
    let mut sms = Sms::start(&folder, "http://127.0.0.1:1", &store, &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sms.pid())).unwrap_or_default();
    if let Some(line) = limits.lines().find(|line| line.starts_with("Max core file size")) {
        let values: Vec<_> = line.split_whitespace().skip(4).take(2).collect();
        assert_eq!(values, ["0", "0"], "{line}");
    }
    let status = sms.end(Signal::SIGABRT);
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SIGABRT as i32), false));
}
