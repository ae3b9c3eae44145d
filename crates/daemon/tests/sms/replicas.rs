//! Two `iexecd sms` on one PostgreSQL, with no session affinity: what is asked of both at once happens once.

use std::{collections::BTreeSet, ffi::OsString};

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    authorization::TaskRef,
    call::{CallError, sms::SessionOffer},
    evidence::Evidence,
    session::{EphemeralKey, SealedSession},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    common::{Network, Raw, Terms, enclave, enclave_key, evidence},
    process::{Sms, private, tool},
    store::Postgres,
};

/// Requests in a race, half of them at each replica.
const RACERS: usize = 16;

/// Two replicas with a data folder each, one key and one database.
struct Scene {
    network: Network,
    folder: TempDir,
    /// Beside the first one's own data.
    store: Vec<OsString>,
    replicas: [Sms; 2],
    _server: Postgres,
}

impl Scene {
    async fn set() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let server = Postgres::start(folder.path())?;
        let network = Network::start().await;
        let passphrase = private(&folder.path().join("passphrase"), "one for both\n");
        let store = |name: &str| -> Vec<OsString> {
            let mut flags: Vec<OsString> = vec!["--data".into(), folder.path().join(name).into()];
            flags.extend(["--passphrase-file".into(), passphrase.clone().into()]);
            flags.extend(["--database-url".into(), server.url.clone().into()]);
            flags.extend(["--database-password-file".into(), server.password_file.clone().into()]);
            flags
        };
        let replicas = ["one", "two"].map(|name| Sms::start(&folder, &network.anvil.url(), &store(name), &[]));
        let store = store("one");
        network.push_beneficiary_key(&replicas[0].service, "k").await;
        Some(Self { network, folder, store, replicas, _server: server })
    }

    /// The same request of all racers: of each replica in turn, all at once.
    async fn race<'a, T, F: Future<Output = T>>(&'a self, ask: impl Fn(&'a Sms, usize) -> F) -> Vec<T> {
        futures_util::future::join_all((0..RACERS).map(|number| ask(&self.replicas[number % 2], number))).await
    }

    /// Shows evidence of this task to a replica.
    async fn show(&self, at: &Sms, offer: &SessionOffer, shown: Evidence) -> Result<SealedSession, CallError> {
        let origin = at.service.origin.clone();
        let offer = SessionOffer { secret_provisioning_url: origin, ..offer.clone() };
        self.network.attest(&offer, shown).await
    }

    fn evidence(&self, task: &TaskRef, offer: &SessionOffer, key: &EphemeralKey) -> Evidence {
        evidence(&self.folder, enclave(), key, task.id, offer)
    }

    /// Ends both, and counts the audit log's entries: of released sessions, and of those refused because they were.
    fn released_and_refused(&mut self, session: &str) -> (usize, usize) {
        for replica in &mut self.replicas {
            assert_eq!(replica.end(Signal::SIGTERM).code(), Some(0));
        }
        let command = |words: &[&str]| words.iter().map(OsString::from).chain(self.store.clone()).collect::<Vec<_>>();
        tool(command(&["sms", "audit", "verify"]));
        let shown = String::from_utf8(tool(command(&["sms", "audit", "show", "--json"])).stdout).unwrap();
        let of = |event: &str| {
            let words = [format!("\"event\":\"{event}\""), format!("\"session\":\"{session}\"")];
            shown.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
        };
        (of("session.released"), of("refused"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_two_replicas_are_asked_for_at_once_is_released_by_one_and_once() {
    let Some(mut scene) = Scene::set().await else { return };
    let task = scene.network.task(Terms::default()).await;
    let asked = scene.race(|sms, _| scene.network.challenge(&sms.service, task.id, DevAccount::Scheduler)).await;
    let challenges: BTreeSet<_> = asked.into_iter().map(Result::unwrap).collect();
    assert_eq!(challenges.len(), 1, "{challenges:?}");
    let challenge = *challenges.first().unwrap();
    // Offered by one, taken up at both.
    let offer = scene.network.offer(&scene.replicas[0].service, &task, challenge).await.unwrap();
    let keys: Vec<EphemeralKey> = (0..RACERS).map(|_| enclave_key()).collect();
    let evidence: Vec<Evidence> = keys.iter().map(|key| scene.evidence(&task, &offer, key)).collect();
    let told = scene.race(|sms, number| scene.show(sms, &offer, evidence[number].clone())).await;
    let mut won = Vec::new();
    for (number, told) in told.into_iter().enumerate() {
        match told {
            Ok(sealed) => won.push((number, sealed)),
            Err(CallError::Refused { status: 409, message }) if message.contains("a session is given once") => (),
            Err(error) => panic!("{number}: {error}"),
        }
    }
    let [(winner, sealed)] = won.as_slice() else { panic!("{} sessions were released", won.len()) };
    for (number, key) in keys.into_iter().enumerate() {
        let opened = key.open(sealed).map(|session| session.name).ok();
        assert_eq!(opened, (number == *winner).then(|| offer.session_id.clone()), "enclave {number} of {winner}");
    }
    assert_eq!(scene.released_and_refused(&offer.session_id), (1, RACERS - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_one_replica_offered_opens_at_the_other_after_the_first_was_killed() {
    let Some(mut scene) = Scene::set().await else { return };
    let task = scene.network.task(Terms::default()).await;
    let challenge = scene.network.challenge(&scene.replicas[0].service, task.id, DevAccount::Scheduler).await.unwrap();
    let offer = scene.network.offer(&scene.replicas[0].service, &task, challenge).await.unwrap();
    scene.replicas[0].end(Signal::SIGKILL);
    let key = enclave_key();
    let sealed = scene.show(&scene.replicas[1], &offer, scene.evidence(&task, &offer, &key)).await.unwrap();
    assert_eq!(key.open(&sealed).unwrap().name, offer.session_id);
    let health = Raw::new(Method::GET, "/health/ready");
    let health = scene.network.client.send(&scene.replicas[1].service.origin, &health).await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    scene.replicas[0].again();
    let again = scene.show(&scene.replicas[0], &offer, scene.evidence(&task, &offer, &enclave_key())).await;
    assert_eq!(crate::common::refused(again).0, 409, "given once, by whichever");
}
