//! The SMS as the hub's TEE broker, on the real contracts: a whole task, and what a workerpool can no longer do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{Network, Service, Terms, config, enclave, enclave_key, evidence, key, refused};
use iexec_chain::{devnet::DevAccount, writer::ContributionCall};
use iexec_protocol::{
    Address, B256,
    authorization::{TaskRef, WorkerpoolAuthorization},
    call::sms::{AskBroker, OpenSession},
    key::SigningKey,
    result::{Contribution, ResultLink},
    task::ChainStatus,
};
use iexec_sms::{
    Config, KekSource, Location,
    admin::{self, BackupKey, BackupTo},
};
use tempfile::TempDir;

async fn setup() -> (Network, TempDir, Service, Address) {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Config { tee_broker: true, ..config(&network.anvil.url(), &folder) };
    let location = Location { data: settings.data.clone(), database: None, kek: KekSource::DataFolder };
    let sms = Service::start(settings).await;
    let broker = admin::broker(location).await.unwrap().unwrap();
    (network, folder, sms, broker)
}

/// The workerpool's own word for worker 0.
fn own_word(task: &TaskRef, challenge: Address) -> WorkerpoolAuthorization {
    let worker = key(DevAccount::Worker(0)).address();
    WorkerpoolAuthorization::sign(task, worker, challenge, &key(DevAccount::Scheduler)).unwrap()
}

fn contribution(task: &TaskRef) -> Contribution {
    let worker = key(DevAccount::Worker(0)).address();
    Contribution { task: task.id, worker, result_digest: B256::repeat_byte(5), callback: Vec::new().into() }
}

fn link() -> ResultLink {
    ResultLink::Other { storage: "ipfs".into(), location: "/ipfs/x".into() }
}

#[tokio::test]
async fn a_task_completes_with_the_brokers_signature_and_a_made_up_challenge_is_worth_nothing() {
    let (network, folder, sms, broker) = setup().await;
    network.writer(DevAccount::Deployer).set_tee_broker(broker).await.unwrap();
    assert_eq!(network.chain.tee_broker().await.unwrap(), Some(broker));
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let worker = network.writer(DevAccount::Worker(0));

    // A pool that makes up a challenge, signs for it and for its «enclave»: the broker does not, and so the chain refuses.
    let made_up = SigningKey::from_bytes(&[7; 32]).unwrap();
    let forged = own_word(&task, made_up.address());
    let none = refused(network.client.send(&sms.origin, &AskBroker { authorization: forged.clone() }).await);
    assert!(none.0 == 403 && none.1.contains("no challenge was asked of this SMS"), "{none:?}");
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let other = refused(network.client.send(&sms.origin, &AskBroker { authorization: forged.clone() }).await);
    assert!(
        other.0 == 403 && other.1.contains(&format!("this SMS's challenge for the task is {challenge}")),
        "{other:?}"
    );
    let signed = contribution(&task).sign(&made_up).unwrap();
    let refusal = worker.contribute_and_finalize(ContributionCall::new(&signed, &forged, &link())).await.unwrap_err();
    assert!(refusal.to_string().starts_with("the contract refuses contributeAndFinalize"), "{refusal}");

    // Its own word for the true challenge opens no session either: what counts here is what counts on chain.
    let own = own_word(&task, challenge);
    let signature = key(DevAccount::Worker(0)).sign_personal(own.hash()).unwrap();
    let open = OpenSession { authorization: own.clone(), signature };
    let found = refused(network.client.send(&sms.origin, &open).await);
    assert!(found.0 == 401 && found.1.contains(&format!("signed by the hub's TEE broker {broker}")), "{found:?}");

    let vouched = network.client.send(&sms.origin, &AskBroker { authorization: own.clone() }).await.unwrap();
    assert_eq!(WorkerpoolAuthorization { signature: own.signature, ..vouched.clone() }.hash(), vouched.hash());
    assert_eq!(vouched.signature.value.signer_of_personal(vouched.hash()), Some(broker));
    let open = OpenSession { authorization: vouched.clone(), signature };
    let offer = network.client.send(&sms.origin, &open).await.unwrap();
    let ephemeral = enclave_key();
    let sealed = network.attest(&offer, evidence(&folder, enclave(), &ephemeral, task.id, &offer)).await.unwrap();
    let session = ephemeral.open(&sealed).unwrap();
    let post = &session.service("post-compute").unwrap().environment;
    let signs = SigningKey::from_hex(post["SIGN_TEE_CHALLENGE_PRIVATE_KEY"].expose()).unwrap();
    let signed = contribution(&task).sign(&signs).unwrap();
    worker.contribute_and_finalize(ContributionCall::new(&signed, &vouched, &link())).await.unwrap();
    assert_eq!(network.chain.view_task(task.id).await.unwrap().status, ChainStatus::Completed);
}

#[tokio::test]
async fn the_broker_signs_for_the_workerpools_owner_alone_and_only_where_the_hub_names_it() {
    let (network, folder, sms, broker) = setup().await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let ask = async |authorization| network.client.send(&sms.origin, &AskBroker { authorization }).await;
    let found = refused(ask(own_word(&task, challenge)).await);
    assert!(found.0 == 409 && found.1.contains(&format!("TEE broker is {broker}, the hub's is nobody")), "{found:?}");
    network.writer(DevAccount::Deployer).set_tee_broker(broker).await.unwrap();
    ask(own_word(&task, challenge)).await.unwrap();
    let stranger = key(DevAccount::Requester(0));
    let foreign = WorkerpoolAuthorization::sign(&task, stranger.address(), challenge, &stranger).unwrap();
    assert_eq!(refused(ask(foreign).await).0, 401);
    let early = network.deal(Terms::default()).await;
    assert_eq!(refused(ask(own_word(&early, challenge)).await).0, 409);

    // The key is the store's: a restart keeps it.
    sms.end().await;
    let plain = Service::start(config(&network.anvil.url(), &folder)).await;
    let found =
        refused(network.client.send(&plain.origin, &AskBroker { authorization: own_word(&task, challenge) }).await);
    assert!(found.0 == 404 && found.1.contains("this SMS is no TEE broker"), "{found:?}");
    plain.end().await;
    let again = Service::start(Config { tee_broker: true, ..config(&network.anvil.url(), &folder) }).await;
    let vouched = network.client.send(&again.origin, &AskBroker { authorization: own_word(&task, challenge) }).await;
    let vouched = vouched.unwrap();
    assert_eq!(vouched.signature.value.signer_of_personal(vouched.hash()), Some(broker));
}

#[tokio::test]
async fn a_broker_that_the_hub_names_later_is_believed_at_once() {
    let (network, _folder, sms, broker) = setup().await;
    network.push_beneficiary_key(&sms, "k").await;
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let own = own_word(&task, challenge);
    let signature = key(DevAccount::Worker(0)).sign_personal(own.hash()).unwrap();
    // From here on the SMS knows for a minute that the hub has none.
    network.client.send(&sms.origin, &OpenSession { authorization: own.clone(), signature }).await.unwrap();
    network.writer(DevAccount::Deployer).set_tee_broker(broker).await.unwrap();
    let vouched = network.client.send(&sms.origin, &AskBroker { authorization: own }).await.unwrap();
    network.client.send(&sms.origin, &OpenSession { authorization: vouched, signature }).await.unwrap();
}

/// A file for its owner's eyes with this line in it.
fn private(folder: &TempDir, name: &str, line: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join(name);
    std::fs::write(&path, format!("{line}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Who signs an authorization as the broker there.
async fn signs(network: &Network, sms: &Service, authorization: &WorkerpoolAuthorization) -> Option<Address> {
    let ask = AskBroker { authorization: authorization.clone() };
    let vouched = network.client.send(&sms.origin, &ask).await.unwrap();
    vouched.signature.value.signer_of_personal(vouched.hash())
}

#[tokio::test]
async fn the_brokers_key_is_rotated_backed_up_and_restored_with_all_others() {
    let (network, folder, sms, broker) = setup().await;
    network.writer(DevAccount::Deployer).set_tee_broker(broker).await.unwrap();
    let task = network.task(Terms::default()).await;
    let challenge = network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap();
    let word = own_word(&task, challenge);
    let at = Location { data: folder.path().join("sms"), database: None, kek: KekSource::DataFolder };

    // Under a new data key while it runs, the old one being destroyed.
    let before = admin::keys(at.clone()).await.unwrap();
    let rotated = admin::rotate(at.clone()).await.unwrap();
    assert_eq!((rotated.destroyed.len(), rotated.values), (1, 2), "the broker's key and the task's: {before:?}");
    assert_eq!(signs(&network, &sms, &word).await, Some(broker));
    sms.end().await;
    assert_eq!(admin::broker(at.clone()).await.unwrap(), Some(broker));

    // Under a new key-encryption key.
    let old = before[0].wrapped_under[0].clone();
    let kek = KekSource::Passphrase(private(&folder, "passphrase", "correct horse"));
    admin::add_kek(at.clone(), kek.clone()).await.unwrap();
    let at = Location { kek: kek.clone(), ..at };
    admin::drop_kek(at.clone(), old).await.unwrap();
    assert_eq!(admin::broker(at.clone()).await.unwrap(), Some(broker));
    let settings = |folder: &TempDir| Config { tee_broker: true, ..config(&network.anvil.url(), folder) };
    let sms = Service::start(Config { kek, ..settings(&folder) }).await;
    assert_eq!(signs(&network, &sms, &word).await, Some(broker));

    // In another store, made of a backup.
    let (file, passphrase) = (folder.path().join("backup.age"), private(&folder, "backup", "battery staple"));
    admin::backup(at, file.clone(), BackupTo::Passphrase(passphrase.clone())).await.unwrap();
    sms.end().await;
    let other = tempfile::tempdir().unwrap();
    let at = Location { data: other.path().join("sms"), database: None, kek: KekSource::DataFolder };
    admin::restore(at.clone(), file, BackupKey::Passphrase(passphrase)).await.unwrap();
    assert_eq!(admin::broker(at).await.unwrap(), Some(broker));
    let sms = Service::start(settings(&other)).await;
    assert_eq!(network.challenge(&sms, task.id, DevAccount::Scheduler).await.unwrap(), challenge);
    assert_eq!(signs(&network, &sms, &word).await, Some(broker));
}
