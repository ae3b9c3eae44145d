//! The group commit: writes that wait at the same time share one transaction, and each is answered after its commit.
//!
//! A write that fails takes its whole transaction with it; then each of them runs again, alone. So a [`Write`] may run
//! more than once, and only what is committed counts. What a write has to say to the audit log is committed with it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use iexec_service::{CancellationToken, clock};
use sqlx::{AnyConnection, Connection as _, Transaction, any::Any};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    StoreError, audit,
    audit::Entry,
    engine::{Engine, Kind},
    error::is_broken,
    keys::{KeyRing, Keys},
    secrets::Grown,
    stored_time,
};

/// Writes that may wait.
const QUEUE: usize = 4096;
/// Writes that share a transaction.
const BATCH: usize = 256;

/// How often a write that others came before runs again.
const RACES: usize = 8;

/// Transactions at a time on PostgreSQL, in which secrets are written.
const SECRET_WRITERS: usize = 3;

/// Something to be written.
pub(super) trait Write: Send + Sync + 'static {
    /// What there is to say about it when it is on disk.
    type Reply: Send + Sync + 'static;

    /// Does it. An error undoes what it did.
    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<Self::Reply, StoreError>>;
}

/// The transaction that a write runs in.
pub(super) struct Batch<'c> {
    pub(super) db: &'c mut AnyConnection,
    pub(super) ring: &'c KeyRing,
    pub(super) keys: Arc<Keys>,
    /// The data key to seal under.
    pub(super) active: i64,
    pub(super) now: i64,
    /// Who has more secrets after this transaction.
    pub(super) grown: Grown,
    entries: Vec<Entry>,
}

impl Batch<'_> {
    /// Says it to the audit log, if this transaction is committed.
    pub(super) fn log(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

/// A store's writers: of secrets and all else, and of challenges and sessions.
///
/// `SQLite` has one lock, so they are one. On PostgreSQL a secret takes some statements, and tasks send theirs while
/// another waits for its commit. A session takes one: the larger its batch, the shorter the wait.
pub(super) fn start(engine: &Arc<Engine>, ring: &Arc<KeyRing>) -> (Arc<Writer>, Arc<Writer>) {
    let writer = |tasks| Arc::new(Writer::start(engine, ring, tasks));
    match engine.kind {
        Kind::Sqlite => {
            let one = writer(1);
            (Arc::clone(&one), one)
        }
        Kind::Postgres => (writer(SECRET_WRITERS), writer(1)),
    }
}

/// The way to tasks that write.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Waiting>>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    /// Starts so many tasks; they end when the writer is closed or dropped, and everything in its queue is done.
    fn start(engine: &Arc<Engine>, ring: &Arc<KeyRing>, tasks: usize) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let stop = CancellationToken::new();
        let task = |_| Task { engine: Arc::clone(engine), ring: Arc::clone(ring), db: None };
        let run = |task: Task| tokio::spawn(task.run(Arc::clone(&waiting), stop.clone()));
        let tasks = Mutex::new((0..tasks).map(task).map(run).collect());
        Self { queue, stop, tasks }
    }

    /// Does what waits, and ends; later writes are refused.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!("a task that writes to the database: {error}");
            }
        }
    }

    /// Writes, and returns when it is on disk. A write whose caller goes away is done nevertheless.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Reply, StoreError> {
        let (reply, done) = oneshot::channel();
        let waiting = Box::new(Waiter { write, outcome: None, reply });
        self.queue.try_send(waiting).map_err(|_| StoreError::Busy)?;
        done.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// A write and who waits for it, whatever it replies.
trait Waiting: Send + Sync {
    fn run<'a>(&'a mut self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<(), StoreError>>;
    fn committed(self: Box<Self>);
    fn failed(self: Box<Self>, error: StoreError);
}

struct Waiter<W: Write> {
    write: W,
    outcome: Option<W::Reply>,
    reply: oneshot::Sender<Result<W::Reply, StoreError>>,
}

impl<W: Write> Waiting for Waiter<W> {
    fn run<'a>(&'a mut self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.outcome = Some(self.write.run(batch).await?);
            Ok(())
        })
    }

    // Who does not wait any more needs no answer.
    fn committed(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            let _ = self.reply.send(Ok(outcome));
        }
    }

    fn failed(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

struct Task {
    engine: Arc<Engine>,
    ring: Arc<KeyRing>,
    db: Option<AnyConnection>,
}

type Queue = mpsc::Receiver<Box<dyn Waiting>>;

/// Takes what waits, or waits for it. When there is nothing left, and will be nothing more, it takes nothing.
async fn take(waiting: &mut Queue, batch: &mut Vec<Box<dyn Waiting>>, stop: &CancellationToken) -> usize {
    tokio::select! {
        taken = waiting.recv_many(batch, BATCH) => return taken,
        () = stop.cancelled() => waiting.close(),
    }
    waiting.recv_many(batch, BATCH).await
}

/// How far a transaction came.
enum Failed {
    /// Nothing of it is kept.
    Before(StoreError),
    /// Its commit was asked for, and not answered with success.
    Committing(StoreError),
}

impl Task {
    async fn run(mut self, waiting: Arc<Mutex<Queue>>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        // Whoever has the receiver takes what waits; the next one waits for more.
        while take(&mut *waiting.lock().await, &mut batch, &stop).await > 0 {
            self.commit(std::mem::take(&mut batch)).await;
        }
        if let Some(db) = self.db {
            // The database forgets a connection that does not say goodbye.
            let _ = db.close().await;
        }
    }

    async fn commit(&mut self, mut batch: Vec<Box<dyn Waiting>>) {
        let reused = self.db.is_some();
        let mut done = self.transact(&mut batch).await;
        if let Err(Failed::Before(StoreError::Unavailable(error))) = &done
            && reused
            && is_broken(error)
        {
            // The database went away while nobody wrote; it may be back.
            done = self.transact(&mut batch).await;
        }
        for _ in 0..RACES {
            let raced = matches!(done, Err(Failed::Before(StoreError::Raced { .. })));
            if !raced || batch.len() > 1 {
                break;
            }
            // What others wrote is seen now.
            done = self.transact(&mut batch).await;
        }
        match done {
            Ok(()) => {
                for waiting in batch {
                    waiting.committed();
                }
            }
            // One of them failed: each alone.
            Err(Failed::Before(error)) if batch.len() > 1 && is_of_one(&error) => {
                for waiting in batch {
                    Box::pin(self.commit(vec![waiting])).await;
                }
            }
            // Whether a commit without an answer is kept is not known, so nothing runs again.
            Err(Failed::Before(error) | Failed::Committing(error)) => {
                for waiting in batch {
                    waiting.failed(error.clone());
                }
            }
        }
    }

    async fn transact(&mut self, batch: &mut [Box<dyn Waiting>]) -> Result<(), Failed> {
        let mut db = match self.db.take() {
            Some(db) => db,
            None => self.engine.connect().await.map_err(Failed::Before)?,
        };
        let done = transact(self.engine.kind, &self.ring, &mut db, batch).await;
        // A connection on which something went wrong is not used again: closing it rolls back.
        if done.is_ok() {
            self.db = Some(db);
        } else {
            let _ = db.close_hard().await;
        }
        done
    }
}

/// Whether the writes beside the failing one may still succeed.
fn is_of_one(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(error) => {
            let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
            code.is_some_and(|code| code.len() == 5 && code.starts_with("40"))
        }
        _ => true,
    }
}

async fn transact(
    kind: Kind,
    ring: &KeyRing,
    db: &mut AnyConnection,
    waiting: &mut [Box<dyn Waiting>],
) -> Result<(), Failed> {
    let mut transaction = begin(kind, db).await.map_err(Failed::Before)?;
    let (keys, active, begun) = ring.active(kind, &mut transaction).await.map_err(Failed::Before)?;
    let now = stored_time(clock::now());
    let grown = Grown::default();
    let mut batch = Batch { db: &mut transaction, ring, keys, active, now, grown, entries: Vec::new() };
    for waiting in waiting {
        waiting.run(&mut batch).await.map_err(Failed::Before)?;
    }
    let Batch { entries, grown, .. } = batch;
    let before = audit::append(kind, &mut transaction, &entries, now).await.map_err(Failed::Before)?;
    grown.check(kind, &mut transaction, before - begun).await.map_err(Failed::Before)?;
    transaction.commit().await.map_err(|error| Failed::Committing(error.into()))
}

/// A transaction that writes.
pub(super) async fn begin(kind: Kind, db: &mut AnyConnection) -> Result<Transaction<'_, Any>, StoreError> {
    Ok(db.begin_with(kind.begin()).await?)
}
