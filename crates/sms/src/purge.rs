//! What ended is forgotten, hourly (spec SMS-34): challenges, sessions, used nonces.
//!
//! It must have ended by this machine's clock and by the chain's. A clock that jumps ahead takes no challenge away from a
//! task that still runs; a chain that does not answer leaves everything for later.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use iexec_protocol::Timestamp;
use iexec_service::{CancellationToken, clock};

use crate::http::Context;

const EVERY: Duration = Duration::from_hours(1);
/// What ended is kept this long, in seconds, so that late questions get a precise answer.
const AFTER: u64 = 3600;

/// Forgets until `stop`.
pub(crate) async fn purge(context: Arc<Context>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        let purged = async {
            ticks.tick().await;
            once(&context).await
        };
        // A chain that is slow to answer does not hold up the end.
        let purged = tokio::select! {
            () = stop.cancelled() => return,
            purged = purged => purged,
        };
        match purged {
            Ok(0) => (),
            Ok(gone) => tracing::debug!("purged {gone} ended challenges, sessions and nonces"),
            Err(error) => tracing::warn!("nothing was purged: {error:#}"),
        }
    }
}

async fn once(context: &Context) -> Result<u64> {
    let chain = context.chain().await?.block_timestamp().await?;
    Ok(context.store.purge(before(clock::now(), chain)).await?)
}

/// What ended before this is forgotten.
fn before(own: Timestamp, chain: Timestamp) -> Timestamp {
    own.min(chain).saturating_sub(AFTER)
}

#[cfg(test)]
mod tests {
    use iexec_protocol::{B256, id::TaskId, key::SigningKey};

    use super::*;
    use crate::store::{Location, Store};

    #[tokio::test]
    async fn a_clock_that_jumps_ahead_or_back_loses_no_challenge_of_a_task_that_still_runs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::folder(folder.path())).await.unwrap();
        let (task, year, now) = (TaskId(B256::repeat_byte(1)), 365 * 24 * 3600, 1_790_000_000);
        let (deadline, key) = (now + 300, |byte| SigningKey::from_bytes(&[byte; 32]).unwrap());
        store.challenge_or(task, &key(1), deadline).await.unwrap();
        for own in [now, now + year, now - year, 0, u64::MAX] {
            assert_eq!(store.purge(before(own, now)).await.unwrap(), 0, "{own}");
            let kept = store.challenge_or(task, &key(2), deadline).await.unwrap();
            assert_eq!(kept.address(), key(1).address());
        }
        let later = deadline + AFTER + 1;
        assert_eq!(store.purge(before(later + year, later)).await.unwrap(), 1);
    }
}
