//! No secret in any log line, from push to opened session, at the most talkative level. A binary of its own: the
//! subscriber is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use common::{Network, Service, Terms, config, enclave, enclave_key, evidence};
use iexec_chain::devnet::DevAccount;
use iexec_protocol::call::sms::SecretId;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();

    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sms = Service::start(config(&network.anvil.url(), &folder)).await;
    network.push_beneficiary_key(&sms, "planted-beneficiary-key").await;
    let requester = common::key(DevAccount::Requester(0));
    let id = SecretId::Requester { requester: requester.address(), key: "k".into() };
    network.set(&sms, &id, "planted-requester-secret", &requester).await.unwrap();
    let params = r#"{"iexec_result_encryption":true,"iexec_secrets":{"1":"k"}}"#;
    let task = network.task(Terms { params, ..Terms::default() }).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = network.offer(&sms, &task, challenge).await.unwrap();
    let ephemeral = enclave_key();
    let sealed = network.attest(&offer, evidence(&folder, enclave(), &ephemeral, task.id, &offer)).await.unwrap();
    let session = ephemeral.open(&sealed).unwrap();
    let app = &session.service("app").unwrap().environment;
    assert_eq!(app["IEXEC_REQUESTER_SECRET_1"].expose(), "planted-requester-secret");
    let post = &session.service("post-compute").unwrap().environment;
    let challenge_key = post["SIGN_TEE_CHALLENGE_PRIVATE_KEY"].expose().trim_start_matches("0x");
    let master_key = std::fs::read_to_string(folder.path().join("sms/master.key")).unwrap();
    sms.end().await;

    let log = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(log.contains("INSECURE: this SMS accepts the SIMULATED TEE"), "the log was not captured");
    assert!(log.contains("SIMULATED enclave") && log.contains(&offer.session_id));
    for secret in ["planted-beneficiary-key", "planted-requester-secret", challenge_key, master_key.trim()] {
        assert!(!log.contains(secret), "a secret of {} characters is in the log", secret.len());
    }
}
