//! The chain's time, running on between blocks: deadlines are the hub's to judge, by block timestamps.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use iexec_protocol::Timestamp;

/// The newest block's time and when it was first seen. Knows nothing until a block was seen.
#[derive(Debug, Default)]
pub(crate) struct ChainClock(Mutex<Option<Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    block: u64,
    time: Timestamp,
    at: Instant,
}

impl ChainClock {
    /// Takes note of the newest block; a block that was noted already does not hold the clock.
    pub(crate) fn note(&self, block: u64, time: Timestamp, at: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|seen| (seen.block, seen.time) != (block, time)) {
            *seen = Some(Seen { block, time, at });
        }
    }

    /// The newest block noted.
    pub(crate) fn head(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|seen| seen.block)
    }

    /// The chain's time now; `None` before the first block.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Option<Timestamp> {
        let seen = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since: Duration = instant.saturating_duration_since(seen.at);
        Some(seen.time.saturating_add(since.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_on_between_blocks_and_follows_the_next_one() {
        let (clock, start) = (ChainClock::default(), Instant::now());
        assert_eq!(clock.at(start), None);
        clock.note(7, 1000, start);
        clock.note(7, 1000, start + Duration::from_secs(4));
        assert_eq!(clock.at(start + Duration::from_secs(5)), Some(1005));
        clock.note(8, 5000, start + Duration::from_secs(6));
        assert_eq!(clock.at(start + Duration::from_secs(7)), Some(5001));
    }
}
