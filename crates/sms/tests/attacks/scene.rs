//! A chain with deals on it, an SMS that serves them, and the requests under `/tee` as an attacker may change them.

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address, B256,
    authorization::{TaskRef, challenge_request_hash},
    call::sms::{OpenSession, SessionOffer},
    evidence::{Evidence, Nonce, Tee, image_event, report_data},
    id::{Sha256, TaskId},
    session::{EphemeralKey, SealedSession},
};
use iexec_simulated_tee::{Platform, Td, pki};
use tempfile::TempDir;

use crate::{
    common::{Network, Service, Terms, authorization, config, enclave, image, key},
    request::Raw,
};

/// Network, SMS, and the beneficiary's key in it.
pub struct Scene {
    pub network: Network,
    pub folder: TempDir,
    pub sms: Service,
}

/// A task on its way to its session.
pub struct Errand {
    pub task: TaskRef,
    pub challenge: Address,
    pub offer: SessionOffer,
}

/// A request that must be refused: its name, the status with iExec's name for the cause, and words of the sentence.
pub struct Case {
    name: String,
    request: Raw,
    expected: &'static str,
    words: String,
}

pub fn case(name: impl Into<String>, request: Raw, expected: &'static str, words: impl Into<String>) -> Case {
    Case { name: name.into(), request, expected, words: words.into() }
}

pub fn post(path: impl Into<String>, authorization: Option<String>, body: impl Into<Vec<u8>>) -> Raw {
    Raw { method: Method::POST, path: path.into(), authorization, media_type: None, body: body.into() }
}

/// The request for a task's challenge, signed by somebody.
pub fn challenge_request(task: TaskId, by: DevAccount) -> Raw {
    let signature = key(by).sign_personal(challenge_request_hash(task)).unwrap();
    post(format!("/tee/challenges/{task}"), Some(signature.to_string()), "")
}

/// The request for a session.
pub fn session_request(open: &OpenSession) -> Raw {
    let body = serde_json::to_vec(&open.authorization).unwrap();
    post("/tee/sessions", Some(open.signature.to_string()), body)
}

/// The request that shows evidence for a session.
pub fn evidence_request(session: &str, evidence: &Evidence) -> Raw {
    post(format!("/tee/sessions/{session}/evidence"), None, serde_json::to_vec(evidence).unwrap())
}

/// The same request with its JSON changed.
pub fn rewritten(request: &Raw, change: impl FnOnce(&mut serde_json::Value)) -> Raw {
    let mut json = serde_json::from_slice(&request.body).unwrap();
    change(&mut json);
    Raw { body: serde_json::to_vec(&json).unwrap(), ..request.clone() }
}

impl Scene {
    pub async fn set() -> Self {
        let network = Network::start().await;
        let folder = tempfile::tempdir().unwrap();
        let sms = Service::start(config(&network.anvil.url(), &folder)).await;
        network.push_beneficiary_key(&sms, "the beneficiary's key").await;
        Self { network, folder, sms }
    }

    /// A task of an encrypted TDX deal, its challenge asked and its session offered.
    pub async fn errand(&self) -> Errand {
        let task = self.network.task(Terms::default()).await;
        let challenge = self.network.challenge(&self.sms, task.id, DevAccount::Scheduler).await.unwrap();
        let offer = self.network.offer(&self.sms, &task, challenge).await.unwrap();
        Errand { task, challenge, offer }
    }

    /// Another session of the same task.
    pub async fn another(&self, errand: &Errand) -> Errand {
        let offer = self.network.offer(&self.sms, &errand.task, errand.challenge).await.unwrap();
        Errand { offer, ..*errand }
    }

    /// The machine that the SMS believes in.
    pub fn platform(&self) -> Platform {
        platform(&self.folder)
    }

    /// Shows sound evidence for the session: it must be opened.
    pub async fn opens(&self, errand: &Errand) {
        let key = crate::common::enclave_key();
        let evidence = Shown::of(errand, &key).by(&self.platform());
        let sealed: SealedSession = self.network.attest(&self.at_home(errand), evidence).await.unwrap();
        assert_eq!(key.open(&sealed).unwrap().name, errand.offer.session_id);
    }

    /// The offer, to be taken up where the SMS is now.
    fn at_home(&self, errand: &Errand) -> SessionOffer {
        SessionOffer { secret_provisioning_url: self.sms.origin.clone(), ..errand.offer.clone() }
    }

    /// Status and iExec's name of an answer, and its sentence.
    pub async fn answer(&self, request: &Raw) -> (String, String) {
        let answer = self.network.client.send(&self.sms.origin, request).await.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let name = body["error"].as_str().map_or_else(|| status.to_string(), |error| format!("{status} {error}"));
        (name, body["detail"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends them all; all must be refused as they say.
    pub async fn refuses(&self, cases: Vec<Case>) {
        let mut wrong = Vec::new();
        for Case { name, request, expected, words } in cases {
            let (found, detail) = self.answer(&request).await;
            if found != expected || !detail.contains(&words) {
                wrong.push(format!("{name}: expected {expected} «{words}», got {found} «{detail}»"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Lets the chain's time pass.
    pub async fn pass(&self, seconds: u64) {
        for (method, params) in [("evm_increaseTime", vec![seconds]), ("evm_mine", vec![])] {
            let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
            let request = Raw { media_type: Some("application/json"), ..post("/", None, body) };
            let answer = self.network.client.send(&self.network.anvil.url(), &request).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
        }
    }
}

impl Errand {
    /// The worker's request for a session, as it should be.
    pub fn open(&self) -> OpenSession {
        authorization(&self.task, self.challenge)
    }
}

pub fn platform(folder: &TempDir) -> Platform {
    Platform::from_json(&std::fs::read(folder.path().join("pki").join(pki::PLATFORM)).unwrap()).unwrap()
}

/// What an enclave says and measures; the report data follows from it.
#[derive(Clone)]
pub struct Shown {
    pub key: B256,
    pub signer: Address,
    pub task: TaskId,
    pub nonce: Nonce,
    pub image: Sha256,
    pub td: Td,
}

impl Shown {
    /// What the SMS must accept.
    pub fn of(errand: &Errand, key: &EphemeralKey) -> Self {
        Self {
            key: B256::from(*key.public()),
            signer: Address::repeat_byte(6),
            task: errand.task.id,
            nonce: errand.offer.nonce,
            image: image(),
            td: Td::new(enclave().0, [0; 64]).extend(3, &image_event(image())),
        }
    }

    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut shown = self.clone();
        change(&mut shown);
        shown
    }

    /// Evidence of it, signed by a platform.
    pub fn by(&self, platform: &Platform) -> Evidence {
        let &Self { key, signer, task, nonce, image, .. } = self;
        let data = report_data(&key.0, signer, task, nonce, image);
        let quote = platform.quote(&Td { report_data: data, ..self.td.clone() });
        Evidence { tee: Tee::Simulated, key, signer, image, quote, certificates: vec![] }
    }
}
