//! Refusals in the audit log (spec SMS-62). Whoever may ask may be refused as often as they like, so their number is
//! bounded: so many are told word by word, each of the rest is counted, and the counts are told once a minute.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use futures_util::future::BoxFuture;
use iexec_protocol::{Address, Timestamp};
use iexec_service::{
    clock,
    limit::{Rate, RateLimit},
};

use super::{
    Store, StoreError,
    audit::{Entry, Event},
    writer::{Batch, Write},
};

/// Refusals of one source that are told word by word: at once, and then a minute.
const OF_A_SOURCE: (u32, u32) = (50, 6);
/// The same, of all sources together, for one kind of request.
const OF_A_REQUEST: (u32, u32) = (500, 6);

/// Who was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// Somebody whose signature does not count: the network that they ask from.
    Client(Option<IpAddr>),
    /// Somebody whose signature counts, for this owner's secrets.
    Owner(Address),
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// Whose.
    pub(crate) source: Source,
    /// What was asked for.
    pub(crate) request: &'static str,
    /// Why it was refused.
    pub(crate) cause: &'static str,
}

/// How many refusals were not told word by word, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    refusals: u64,
    since: Timestamp,
}

/// By request and cause, both words of this program: there are few.
type Counts = BTreeMap<(&'static str, &'static str), Count>;

/// What keeps them bounded.
pub(super) struct Refusals {
    of_a_source: RateLimit,
    of_a_request: RateLimit,
    counted: Mutex<Counts>,
}

impl Default for Refusals {
    fn default() -> Self {
        let limit = |(burst, each)| {
            let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
            RateLimit::new(Rate::per_minute(number(each)).with_burst(number(burst)))
        };
        Self { of_a_source: limit(OF_A_SOURCE), of_a_request: limit(OF_A_REQUEST), counted: Mutex::default() }
    }
}

impl Refusals {
    /// Whether this one is told word by word.
    fn has_room(&self, refused: &Refused, now: Instant) -> bool {
        let of_source = self.of_a_source.admit(&refused.source, now);
        of_source.is_ok() && self.of_a_request.admit(refused.request, now).is_ok()
    }

    fn count(&self, counts: impl IntoIterator<Item = ((&'static str, &'static str), Count)>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, Count { refusals, since }) in counts {
            let all = counted.entry(key).or_insert(Count { refusals: 0, since });
            *all = Count { refusals: all.refusals.saturating_add(refusals), since: all.since.min(since) };
        }
    }

    fn take(&self) -> Counts {
        std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Tell(Counts);

impl Write for Tell {
    type Reply = ();

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        for ((request, cause), Count { refusals, since }) in &self.0 {
            let entry = Entry::new(Event::Refused).with("request", request).with("cause", cause);
            batch.log(entry.number("count", *refusals).number("since", *since));
        }
        Box::pin(async { Ok(()) })
    }
}

impl Store {
    /// Tells the log of a refusal, or counts it. What `about` says is on disk when this returns, unless it is counted:
    /// then the count is, within a minute ([`Self::tell_refusals`]).
    pub(crate) async fn refused(&self, refused: Refused, about: Entry) -> Result<(), StoreError> {
        let Refused { request, cause, .. } = refused;
        if self.refusals.has_room(&refused, Instant::now()) {
            return self.audit(about.with("request", request).with("cause", cause)).await;
        }
        self.refusals.count([((request, cause), Count { refusals: 1, since: clock::now() })]);
        Ok(())
    }

    /// Tells the log how many were counted. If it cannot be told now, they stay counted.
    pub(crate) async fn tell_refusals(&self) -> Result<u64, StoreError> {
        let counted = self.refusals.take();
        if counted.is_empty() {
            return Ok(0);
        }
        let all = counted.values().fold(0, |all: u64, count| all.saturating_add(count.refusals));
        let told = self.writer.write(Tell(counted.clone())).await;
        if told.is_err() {
            self.refusals.count(counted);
        }
        told.map(|()| all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(client: u8, request: &'static str) -> Refused {
        Refused { source: Source::Client(Some([192, 0, 2, client].into())), request, cause: "signer" }
    }

    #[test]
    fn a_source_has_its_share_and_all_together_have_theirs() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let told =
            |client, request, now| (0..200).filter(|_| refusals.has_room(&refused(client, request), now)).count();
        assert_eq!(told(1, "set", now), 50);
        assert_eq!(told(2, "set", now), 50, "another client has its own");
        let rest: usize = (3..100).map(|client| told(client, "set", now)).sum();
        assert_eq!(rest, 400, "but all together have 500");
        assert_eq!(told(200, "evidence", now), 50, "which hides no other request");
        assert_eq!(told(201, "set", now + Duration::from_mins(1)), 6);
    }
}
