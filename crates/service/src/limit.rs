//! How often somebody may ask: token buckets (the generic cell rate algorithm), in memory of a fixed size.
//!
//! A bucket is not kept for each key but found by its hash, once in each of two rows, and the emptier counts: whoever
//! shares one bucket with a flood still has the other. So no number of keys needs more memory, and none is refused
//! because there are many. Nothing is shared between processes: with N replicas a key has N times its rate.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    num::NonZeroU32,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;

/// Buckets of a row; each has 8 bytes.
const BUCKETS: usize = 1 << 16;

/// So many requests in a time, on average, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time after which one more request is allowed.
    interval: Duration,
    burst: u32,
}

/// A rate that cannot be read.
#[derive(Debug, Error)]
#[error("expected requests per second as 100 or 100/s, per minute as 30/m, with a burst as 100:500, got {0:?}")]
pub struct RateError(String);

impl Rate {
    /// So many requests a second, and twice as many at once.
    pub fn per_second(requests: NonZeroU32) -> Self {
        Self { interval: Duration::from_secs(1) / requests.get(), burst: requests.get().saturating_mul(2) }
    }

    /// So many requests a minute, and as many at once.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self { interval: Duration::from_mins(1) / requests.get(), burst: requests.get() }
    }

    /// The same rate with another number of requests at once.
    #[must_use]
    pub fn with_burst(self, burst: NonZeroU32) -> Self {
        Self { burst: burst.get(), ..self }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError(text.to_owned());
        let number = |digits: &str| digits.parse::<NonZeroU32>().map_err(|_| wrong());
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let rate = match rate.split_once('/') {
            None => Self::per_second(number(rate)?),
            Some((requests, "s")) => Self::per_second(number(requests)?),
            Some((requests, "m")) => Self::per_minute(number(requests)?),
            Some(_) => return Err(wrong()),
        };
        burst.map_or(Ok(rate), |burst| Ok(rate.with_burst(number(burst)?)))
    }
}

/// Refused for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many requests; the next is welcome in {} s", self.seconds())]
pub struct Limited {
    /// Time until the next request is allowed.
    pub retry_after: Duration,
}

impl Limited {
    /// The time in whole seconds, at least one, as the header `Retry-After` says it (RFC 9110 section 10.2.3).
    pub fn seconds(&self) -> u64 {
        self.retry_after.as_secs() + 1
    }
}

/// The buckets of one rate.
#[derive(Debug)]
pub struct RateLimit {
    rate: Rate,
    begun: Instant,
    seeds: [RandomState; 2],
    /// When each bucket will be full again, in nanoseconds since `begun`.
    rows: Mutex<[Box<[u64]>; 2]>,
}

impl RateLimit {
    /// Full buckets for that rate (1 MiB).
    pub fn new(rate: Rate) -> Self {
        let row = || vec![0; BUCKETS].into_boxed_slice();
        let seeds = [RandomState::new(), RandomState::new()];
        Self { rate, begun: Instant::now(), seeds, rows: Mutex::new([row(), row()]) }
    }

    /// Takes a token of `key`'s bucket, or says when there will be one. A refused request costs nothing.
    pub fn admit<K: Hash + ?Sized>(&self, key: &K, now: Instant) -> Result<(), Limited> {
        let now = nanos(now.saturating_duration_since(self.begun));
        let interval = nanos(self.rate.interval).max(1);
        let depth = interval.saturating_mul(u64::from(self.rate.burst));
        let at = self.seeds.each_ref().map(|seed| bucket(seed.hash_one(key)));
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        // No key of a bucket has used more than the bucket says, so the smaller of the two is the nearer to the truth.
        let full = rows[0][at[0]].min(rows[1][at[1]]).max(now) + interval;
        let wait = (full - now).saturating_sub(depth);
        if wait > 0 {
            return Err(Limited { retry_after: Duration::from_nanos(wait) });
        }
        for (row, at) in rows.iter_mut().zip(at) {
            row[at] = row[at].max(full);
        }
        Ok(())
    }
}

#[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
fn bucket(hash: u64) -> usize {
    hash as usize % BUCKETS
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_has_its_burst_then_its_rate_and_refusals_cost_nothing() {
        let limit = RateLimit::new(rate("2:5"));
        let begun = limit.begun;
        let ask = |key: &str, millis| limit.admit(key, begun + Duration::from_millis(millis)).is_ok();
        assert_eq!([0; 7].map(|_| ask("a", 0)), [true, true, true, true, true, false, false]);
        assert_eq!([499, 500, 501, 999, 1000].map(|at| ask("a", at)), [false, true, false, false, true]);
        assert!(ask("b", 0), "another key has another bucket");
        assert_eq!([60_000; 6].map(|at| ask("a", at)), [true, true, true, true, true, false], "full again, no fuller");
    }

    #[test]
    fn the_wait_is_told_in_whole_seconds_that_suffice() {
        let limit = RateLimit::new(rate("6/m:1"));
        let begun = limit.begun;
        assert_eq!(limit.admit("a", begun), Ok(()));
        let limited = limit.admit("a", begun + Duration::from_millis(2500)).unwrap_err();
        assert_eq!((limited.retry_after, limited.seconds()), (Duration::from_millis(7500), 8));
        assert_eq!(limited.to_string(), "too many requests; the next is welcome in 8 s");
        assert_eq!(limit.admit("a", begun + Duration::from_millis(10_500)), Ok(()));
    }

    #[test]
    fn a_flood_of_many_keys_takes_no_other_keys_share() {
        let limit = RateLimit::new(rate("1:3"));
        let now = limit.begun;
        for key in 0..2000_u32 {
            while limit.admit(&key, now).is_ok() {}
        }
        let spared = (0..1000_u32).filter(|key| limit.admit(&(key, "other"), now).is_ok()).count();
        // One in a thousand shares both its buckets with the flood: (2000 / 65536)².
        assert!(spared >= 980, "{spared} of 1000");
    }

    #[test]
    fn rates_are_read_and_nonsense_is_not() {
        assert_eq!(rate("100"), rate("100/s:200"));
        assert_eq!(rate("60/m"), rate("1:60"));
        for nonsense in ["", "0", "-1", "1/h", "1:0", "1:", "5000000000", "1/s/s"] {
            let said = nonsense.parse::<Rate>().unwrap_err().to_string();
            assert!(said.ends_with(&format!("got {nonsense:?}")), "{said}");
        }
    }
}
