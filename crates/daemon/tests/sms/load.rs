//! Clients that rotate secrets and ask for challenges without end, and know what was acknowledged to them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address,
    authorization::challenge_request_hash,
    call::{
        CallError,
        sms::{GetChallenge, SecretId},
    },
    id::TaskId,
    key::SigningKey,
};
use iexec_service::Client;
use tokio::sync::watch;

use crate::{
    common::{Service, key},
    request::{Ask, Raw},
};

/// Clients, and so secrets.
pub const CLIENTS: usize = 8;
/// Longest wait for progress.
const PATIENCE: Duration = Duration::from_secs(90);

/// The wallet whose secrets are rotated: the deals' requester.
pub fn owner() -> SigningKey {
    key(DevAccount::Requester(0))
}

pub fn secret(number: usize) -> SecretId {
    SecretId::Requester { requester: owner().address(), key: format!("k{number}") }
}

/// The request, signed by somebody.
pub fn signed(ask: &Ask, by: &SigningKey) -> Raw {
    let header = ask.terms.clone().sign(&ask.subject, ask.chain_id, by).unwrap();
    ask.tampered(|sent| sent.authorization = Some(header.to_string()))
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Versions of secrets that were acknowledged.
    pub pushes: u64,
    /// Challenges that were told.
    pub challenges: u64,
    /// Requests that were answered with 503.
    pub unavailable: u64,
    /// Requests that were not answered.
    pub unanswered: u64,
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: watch::Receiver<Done>,
    clients: Vec<tokio::task::JoinHandle<String>>,
    challenges: Arc<Mutex<BTreeMap<TaskId, Address>>>,
}

struct ClientState {
    origin: String,
    client: Client,
    stop: Arc<AtomicBool>,
    done: Arc<watch::Sender<Done>>,
    challenges: Arc<Mutex<BTreeMap<TaskId, Address>>>,
    asked: Arc<AtomicU64>,
}

impl Load {
    /// Starts the clients: each rotates its own secret, and asks for the challenges of `tasks` in turn.
    pub fn start(sms: &Service, client: &Client, tasks: &[TaskId]) -> Self {
        let (stop, challenges) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let (sender, done) = watch::channel(Done::default());
        let (sender, asked) = (Arc::new(sender), Arc::new(AtomicU64::new(0)));
        let clients = (0..CLIENTS).map(|number| {
            let state = ClientState {
                origin: sms.origin.clone(),
                client: client.clone(),
                stop: Arc::clone(&stop),
                done: Arc::clone(&sender),
                challenges: Arc::clone(&challenges),
                asked: Arc::clone(&asked),
            };
            let tasks = tasks.to_vec();
            tokio::spawn(async move { state.work(number, &tasks).await })
        });
        let clients = clients.collect();
        Self { stop, done, clients, challenges }
    }

    pub fn done(&self) -> Done {
        *self.done.borrow()
    }

    /// Waits until `enough`.
    pub async fn until(&mut self, what: &str, enough: impl Fn(&Done) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, self.done.wait_for(|done| enough(done))).await;
        let Ok(progress) = waited else { panic!("no {what} in {PATIENCE:?}") };
        // The senders live as long as the clients do.
        assert!(progress.is_ok(), "all clients panicked");
    }

    /// Waits for this many pushes and challenges more.
    pub async fn more(&mut self, count: u64) {
        let now = self.done();
        let enough = |done: &Done| done.pushes >= now.pushes + count && done.challenges >= now.challenges + count;
        self.until("progress", enough).await;
    }

    /// Stops it; what was acknowledged last, by client and by task.
    pub async fn end(self) -> (Vec<String>, BTreeMap<TaskId, Address>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut values = Vec::new();
        for client in self.clients {
            values.push(client.await.unwrap());
        }
        let challenges = self.challenges.lock().unwrap().clone();
        (values, challenges)
    }
}

impl ClientState {
    /// Until it is told to stop; the value that was acknowledged last.
    async fn work(self, number: usize, tasks: &[TaskId]) -> String {
        let mut version = 0;
        while !self.stop.load(Ordering::SeqCst) {
            version += 1;
            self.push(number, version).await;
            let turn = usize::try_from(self.asked.fetch_add(1, Ordering::SeqCst)).unwrap();
            self.challenge(tasks[turn % tasks.len()]).await;
        }
        value(number, version)
    }

    /// Asks until it is acknowledged. Whoever got no answer asks for the same again, and may learn that it is done.
    async fn push(&self, number: usize, version: u64) {
        let (id, text, begun) = (secret(number), value(number, version), Instant::now());
        let mut unknown = false;
        loop {
            assert!(begun.elapsed() < PATIENCE, "version {version} of k{number} is not acknowledged in {PATIENCE:?}");
            let ask = Ask::put(&self.handle(), &id, &text, version);
            let sent = signed(&ask, &owner());
            let answer = match self.client.send(&self.origin, &sent).await {
                Ok(answer) => answer,
                Err(CallError::Unreachable { .. }) => {
                    unknown = true;
                    self.pause(|done| done.unanswered += 1).await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            match answer.status().as_u16() {
                200 | 201 | 204 => break,
                409 if unknown && body.contains("version") => break,
                503 => {
                    assert!(answer.headers().contains_key("retry-after"), "{body}");
                    // A commit without an answer may have been kept.
                    unknown = true;
                    self.pause(|done| done.unavailable += 1).await;
                }
                status => {
                    panic!("version {version} of k{number}, after its predecessor was acknowledged: {status} {body}")
                }
            }
        }
        self.done.send_modify(|done| done.pushes += 1);
    }

    /// Once; what is told is what was told before.
    async fn challenge(&self, task: TaskId) {
        let signature = key(DevAccount::Scheduler).sign_personal(challenge_request_hash(task)).unwrap();
        match self.client.send(&self.origin, &GetChallenge { task, signature }).await {
            Ok(told) => {
                let first = *self.challenges.lock().unwrap().entry(task).or_insert(told);
                assert_eq!(told, first, "another challenge for {task} than the one that was acknowledged");
                self.done.send_modify(|done| done.challenges += 1);
            }
            Err(CallError::Unreachable { .. }) => self.pause(|done| done.unanswered += 1).await,
            Err(CallError::Refused { status: 503, .. }) => self.pause(|done| done.unavailable += 1).await,
            Err(error) => panic!("{error}"),
        }
    }

    async fn pause(&self, count: impl FnOnce(&mut Done)) {
        self.done.send_modify(count);
        // Not to order anything: a refused client does not ask a thousand times a second.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fn handle(&self) -> Service {
        let (stop, done) = (iexec_service::CancellationToken::new(), tokio::spawn(async { Ok(()) }));
        Service { origin: self.origin.clone(), stop, done }
    }
}

fn value(number: usize, version: u64) -> String {
    format!("value {version} of k{number}")
}
