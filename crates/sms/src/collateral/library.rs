//! Parts of collateral by name: from memory, from files, or fetched, at most once at a time.
//!
//! ```text
//!  find ── kept, fresh ──────────────▶ it
//!    ├──── kept, old ── fetch beside ─▶ it, for as long as it holds
//!    └──── not kept ── fetch, wait ───▶ it, or Unavailable (503: the worker tries again)
//! ```

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use iexec_protocol::Timestamp;
use iexec_service::{Client, Metrics};
use tokio::sync::Semaphore;

use super::{
    CollateralError, CollateralSources, CollateralUrls, amd,
    cache::{Cache, Kept},
    fetch::FetchError,
    intel,
    part::{Item, Part},
    unavailable,
};

/// How long a decision waits for a fetch; whoever asked has a limit, too, and asks again.
const WAIT: Duration = Duration::from_secs(7);
/// How long a fetch takes at most, its repetitions included.
const LONGEST: Duration = Duration::from_secs(40);
/// Fetches at once.
const FLIGHTS: usize = 4;
/// Fetches that may wait for their turn.
const WAITING: usize = 64;
/// Attempts of one fetch.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// After a fetch that failed, the same is not fetched for a while, which doubles.
const FIRST_REST: Duration = Duration::from_secs(1);
const LAST_REST: Duration = Duration::from_mins(5);
/// Parts kept in memory, and failures remembered.
const MAX_KEPT: usize = 1024;
/// A part that was fetched longer ago is fetched again, though it holds, in seconds.
const OLD: u64 = 86_400;

type Outcome = Result<Arc<Item>, CollateralError>;

/// Parts; clones share them.
#[derive(Clone)]
pub(crate) struct Library(Arc<Shelves>);

struct Shelves {
    cache: Cache,
    urls: Option<CollateralUrls>,
    client: Client,
    metrics: Metrics,
    turns: Arc<Semaphore>,
    wait: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: HashMap<Part, (Arc<Item>, Timestamp)>,
    flights: HashMap<Part, Shared<BoxFuture<'static, Outcome>>>,
    failed: HashMap<Part, Failure>,
}

struct Failure {
    error: CollateralError,
    until: Instant,
    rest: Duration,
}

impl Library {
    /// Opens the library whose own folder is `own`.
    pub(crate) fn open(own: PathBuf, sources: CollateralSources, metrics: Metrics) -> anyhow::Result<Self> {
        Self::waiting(WAIT, own, sources, metrics)
    }

    /// The same, with another limit on how long a decision waits.
    pub(super) fn waiting(
        wait: Duration,
        own: PathBuf,
        sources: CollateralSources,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        iexec_service::crypto::install();
        Ok(Self(Arc::new(Shelves {
            cache: Cache::open(own, sources.bundle)?,
            urls: sources.urls,
            client: Client::new()?,
            metrics,
            turns: Arc::new(Semaphore::new(FLIGHTS)),
            wait,
            state: Mutex::default(),
        })))
    }

    /// The part, as far as it is kept and holds at `now`.
    pub(crate) fn kept(&self, part: &Part, now: Timestamp) -> Option<Arc<Item>> {
        self.look(part, now).map(|(item, _)| item)
    }

    /// The part: kept, or fetched.
    pub(crate) async fn find(&self, part: &Part, now: Timestamp) -> Outcome {
        if let Some((item, since)) = self.look(part, now) {
            if is_old(part, &item, since, now) {
                // Not waited for, and nobody hears if it fails: what is here still holds.
                drop(self.fetch(part, now));
            }
            return Ok(item);
        }
        let flight = self.fetch(part, now)?;
        match tokio::time::timeout(self.0.wait, flight).await {
            Ok(outcome) => outcome,
            Err(_) => Err(unavailable(part.clone(), format_args!("it did not come within {:?}", self.0.wait))),
        }
    }

    fn look(&self, part: &Part, now: Timestamp) -> Option<(Arc<Item>, Timestamp)> {
        if let Some((item, since)) = self.state().kept.get(part)
            && now < item.expires
        {
            return Some((Arc::clone(item), *since));
        }
        let Kept { item, since } = self.0.cache.read(part, now)?;
        let item = Arc::new(item);
        self.remember(part, &item, since, now);
        Some((item, since))
    }

    /// The fetch that is under way, or a new one. `Err`: it failed a moment ago, or there is nobody to ask.
    fn fetch(&self, part: &Part, now: Timestamp) -> Result<Shared<BoxFuture<'static, Outcome>>, CollateralError> {
        let Some(urls) = self.0.urls.clone() else {
            return Err(unavailable(part.clone(), "it is not kept, and this SMS fetches none"));
        };
        let mut state = self.state();
        if let Some(flight) = state.flights.get(part) {
            return Ok(flight.clone());
        }
        if let Some(failure) = state.failed.get(part).filter(|failure| Instant::now() < failure.until) {
            return Err(failure.error.clone());
        }
        if state.flights.len() >= WAITING {
            return Err(unavailable(part.clone(), "too much is being fetched"));
        }
        let (library, named) = (self.clone(), part.clone());
        // A task of its own: it ends well though whoever asked is gone.
        let task = tokio::spawn(async move { library.fly(&urls, named, now).await });
        let lost = unavailable(part.clone(), "the fetch broke off");
        let flight = task.map(move |done| done.unwrap_or(Err(lost))).boxed().shared();
        state.flights.insert(part.clone(), flight.clone());
        Ok(flight)
    }

    async fn fly(self, urls: &CollateralUrls, part: Part, now: Timestamp) -> Outcome {
        let fetched = tokio::time::timeout(LONGEST, self.attempts(urls, &part)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(FetchError::Passing("no answer in time".to_owned())));
        let outcome = fetched.and_then(|bytes| read(&part, bytes, now));
        self.count(&part, &outcome);
        let outcome = outcome.map_err(|error| match error {
            FetchError::Absent(at) => CollateralError::Absent { part: part.clone(), at },
            FetchError::Passing(cause) | FetchError::Useless(cause) => unavailable(part.clone(), cause),
        });
        match &outcome {
            Ok(item) => {
                if let Err(error) = self.0.cache.write(&part, &item.bytes) {
                    tracing::warn!("collateral is not kept: {error:#}");
                }
                self.remember(&part, item, now, now);
            }
            Err(error) => self.rest(&part, error),
        }
        self.state().flights.remove(&part);
        outcome
    }

    async fn attempts(&self, urls: &CollateralUrls, part: &Part) -> Result<Vec<u8>, FetchError> {
        let client = &self.0.client;
        let _turn = self.0.turns.acquire().await.map_err(|error| FetchError::Passing(error.to_string()))?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let fetched = match part {
                Part::Dcap(id) => intel::fetch(client, urls, *id).await,
                Part::Vcek { product, chip_id, version } => {
                    amd::vcek(client, &urls.kds, *product, chip_id, *version).await
                }
                Part::AmdList { product, key } => amd::list(client, &urls.kds, *product, *key).await,
                Part::Simulated => Err(FetchError::Useless("nobody gives it out".to_owned())),
            };
            match fetched {
                Err(FetchError::Passing(cause)) if attempt < ATTEMPTS => {
                    tracing::debug!("{part}: {cause}; again in {pause:?}");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        Err(FetchError::Passing("no attempt was made".to_owned()))
    }

    fn remember(&self, part: &Part, item: &Arc<Item>, since: Timestamp, now: Timestamp) {
        let mut state = self.state();
        if state.kept.len() >= MAX_KEPT {
            state.kept.retain(|_, (item, _)| now < item.expires);
        }
        if state.kept.len() >= MAX_KEPT
            && let Some(first) = state.kept.keys().next().cloned()
        {
            // It is still a file.
            state.kept.remove(&first);
        }
        state.kept.insert(part.clone(), (Arc::clone(item), since));
        state.failed.remove(part);
    }

    fn rest(&self, part: &Part, error: &CollateralError) {
        tracing::warn!("{error}");
        let (mut state, now) = (self.state(), Instant::now());
        if state.failed.len() >= MAX_KEPT {
            state.failed.retain(|_, failure| now < failure.until);
        }
        if state.failed.len() >= MAX_KEPT {
            return;
        }
        let rest = state.failed.get(part).map_or(FIRST_REST, |before| (before.rest * 2).min(LAST_REST));
        state.failed.insert(part.clone(), Failure { error: error.clone(), until: now + rest, rest });
    }

    fn count(&self, part: &Part, outcome: &Result<Arc<Item>, FetchError>) {
        let kind = match part {
            Part::Dcap(_) => "dcap",
            Part::Vcek { .. } => "vcek",
            Part::AmdList { .. } => "amd-list",
            Part::Simulated => "simulated",
        };
        let outcome = match outcome {
            Ok(_) => "ok",
            Err(FetchError::Absent(_)) => "absent",
            Err(FetchError::Passing(_)) => "unavailable",
            Err(FetchError::Useless(_)) => "refused",
        };
        let help = "Fetches of collateral, by kind and outcome.";
        self.0
            .metrics
            .counter("sms_collateral_fetches_total", help, &[("kind", kind), ("outcome", outcome)])
            .increment();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetched bytes count only if they are signed by the vendor, about what was asked, and hold.
fn read(part: &Part, bytes: Vec<u8>, now: Timestamp) -> Result<Arc<Item>, FetchError> {
    let item = part.read(bytes).map_err(|error| FetchError::Useless(error.to_string()))?;
    if now < item.expires {
        return Ok(Arc::new(item));
    }
    Err(FetchError::Useless(format!("what was fetched expired at {}; it is {now}", item.expires)))
}

/// In the last quarter of its life, or fetched a day ago; a certificate stays what it is.
fn is_old(part: &Part, item: &Item, since: Timestamp, now: Timestamp) -> bool {
    let life = item.expires.saturating_sub(item.issued);
    let ends = item.expires.saturating_sub(now) < life / 4;
    ends || !matches!(part, Part::Vcek { .. }) && now.saturating_sub(since) >= OLD
}
