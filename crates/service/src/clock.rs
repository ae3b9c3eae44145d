//! The one place where a service reads the clock; everything below takes `now` as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use iexec_protocol::Timestamp;

/// Seconds since the Unix epoch; zero on a machine whose clock is before it.
pub fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
