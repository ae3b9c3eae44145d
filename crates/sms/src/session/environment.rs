//! The variables of the three stages, by iExec's names (spec SES-10 to SES-12).

use std::collections::BTreeMap;

use iexec_protocol::{
    Address,
    id::Sha256,
    multiaddr,
    session::{SecretText, Service, paths},
};
use zeroize::Zeroizing;

use super::Secrets;
use crate::description::Description;

/// Variables on their way into a session.
#[derive(Default)]
struct Environment(BTreeMap<String, SecretText>);

impl Environment {
    fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), SecretText::new(value));
    }

    fn give(&mut self, name: impl Into<String>, secret: &SecretText) {
        self.0.insert(name.into(), secret.clone());
    }
}

/// Dataset and input files. It gets no challenge key: nothing in this stage signs (spec SES-13).
pub(super) fn pre_compute(description: &Description, secrets: &Secrets) -> Service {
    let mut environment = task(description);
    environment.set("IEXEC_PRE_COMPUTE_OUT", paths::IN);
    environment.set("IS_DATASET_REQUIRED", description.dataset.is_some().to_string());
    if let (Some(dataset), Some(key)) = (&description.dataset, &secrets.dataset_key) {
        environment.give("IEXEC_DATASET_KEY", key);
        environment.set("IEXEC_DATASET_URL", text(&dataset.multiaddr));
        environment.set("IEXEC_DATASET_CHECKSUM", dataset.checksum.to_string());
        environment.set("IEXEC_DATASET_FILENAME", lower(description.deal.dataset.pointer));
    }
    for (number, url) in input_files(description, &mut environment) {
        environment.set(format!("IEXEC_INPUT_FILE_URL_{number}"), url);
    }
    Service { name: "pre-compute".into(), environment: environment.0, ..Service::default() }
}

/// What the app reads.
pub(super) fn app(description: &Description, secrets: &Secrets) -> Service {
    let deal = &description.deal;
    let mut environment = task(description);
    environment.set("IEXEC_IN", paths::IN);
    environment.set("IEXEC_OUT", paths::OUT);
    environment.set("IEXEC_DATASET_ADDRESS", lower(deal.dataset.pointer));
    if deal.has_dataset() {
        environment.set("IEXEC_DATASET_FILENAME", lower(deal.dataset.pointer));
    }
    environment.set("IEXEC_BOT_SIZE", deal.bot_size.to_string());
    environment.set("IEXEC_BOT_FIRST_INDEX", deal.bot_first.to_string());
    environment.set("IEXEC_BOT_TASK_INDEX", description.task.index.to_string());
    for (number, url) in input_files(description, &mut environment) {
        environment.set(format!("IEXEC_INPUT_FILE_NAME_{number}"), Sha256::of(url).to_string());
    }
    if let Some(secret) = &secrets.app_developer {
        environment.give("IEXEC_APP_DEVELOPER_SECRET", secret);
        environment.give("IEXEC_APP_DEVELOPER_SECRET_1", secret);
    }
    for (number, secret) in &secrets.requester {
        environment.give(format!("IEXEC_REQUESTER_SECRET_{number}"), secret);
    }
    Service {
        name: "app".into(),
        image_name: text(&description.app.multiaddr),
        fingerprint: description.app.checksum.to_string(),
        command: description.params.iexec_args.clone().unwrap_or_default(),
        environment: environment.0,
    }
}

/// Digest, signature, encryption. The archive leaves the enclave encrypted, in the worker's hands: no storage token and
/// no proxy is given (spec SES-14), unless the deal names a proxy: then that one, with the worker's token for it (spec
/// SMS-78).
pub(super) fn post_compute(description: &Description, secrets: &Secrets, worker: Address) -> Service {
    let (deal, encrypts) = (&description.deal, description.params.encrypts());
    let mut environment = Environment::default();
    environment.set("IEXEC_TASK_ID", description.task.id.to_string());
    environment.set("SIGN_WORKER_ADDRESS", worker.to_string());
    let key = Zeroizing::new(const_hex::encode_prefixed(secrets.challenge.expose().as_slice()));
    environment.set("SIGN_TEE_CHALLENGE_PRIVATE_KEY", key.as_str());
    environment.set("RESULT_ENCRYPTION", encrypts.to_string());
    match &secrets.beneficiary_key {
        Some(key) if encrypts => environment.give("RESULT_ENCRYPTION_PUBLIC_KEY", key),
        _ => environment.set("RESULT_ENCRYPTION_PUBLIC_KEY", ""),
    }
    environment.set("RESULT_STORAGE_CALLBACK", deal.has_callback().to_string());
    environment.set("RESULT_STORAGE_PROVIDER", if deal.has_callback() { "" } else { "ipfs" });
    if let (Some(proxy), Some(token)) = (&description.proxy, &secrets.storage_token) {
        environment.set("RESULT_STORAGE_PROXY", proxy);
        environment.give("RESULT_STORAGE_TOKEN", token);
    } else {
        environment.set("RESULT_STORAGE_PROXY", "");
        environment.set("RESULT_STORAGE_TOKEN", "");
    }
    Service { name: "post-compute".into(), environment: environment.0, ..Service::default() }
}

fn task(description: &Description) -> Environment {
    let mut environment = Environment::default();
    environment.set("IEXEC_TASK_ID", description.task.id.to_string());
    environment.set("IEXEC_DEAL_ID", description.deal.id.to_string());
    environment.set("IEXEC_TASK_INDEX", description.task.index.to_string());
    environment
}

/// The input files, numbered from 1; sets what pre-compute and app share about them.
fn input_files<'a>(
    description: &'a Description,
    environment: &mut Environment,
) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
    let files = &description.params.iexec_input_files;
    if !files.is_empty() {
        environment.set("IEXEC_INPUT_FILES_FOLDER", paths::IN);
    }
    environment.set("IEXEC_INPUT_FILES_NUMBER", files.len().to_string());
    files.iter().enumerate().map(|(index, url)| (index + 1, url.as_str()))
}

/// iExec's Java services write these addresses in lower case, and the file in `/iexec_in` is named so.
fn lower(address: Address) -> String {
    format!("{address:#x}")
}

/// A multiaddr as the worker reads it; one that nobody can read, in hex.
fn text(multiaddr: &[u8]) -> String {
    multiaddr::text(multiaddr).unwrap_or_else(|| const_hex::encode_prefixed(multiaddr))
}
