//! Reads the deals announced to the workerpool, from a cursor that never passes an unread deal (spec T1, T2).

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use iexec_chain::view::Notice;
use iexec_protocol::deal::Deal;
use iexec_service::CancellationToken;

use crate::{
    Scheduler,
    admit::{self, Pool},
    log_change,
    store::NewDeal,
};

/// How often the newest block is asked for.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// Blocks of one request for notices.
const BATCH: u64 = 1000;

/// Blocks read again behind the cursor: a chain that lost its last blocks (a re-organisation, a local node restarted
/// from its last save) may have put other deals in their place.
const OVERLAP: u64 = 64;

/// A chain without new blocks is read again after this: one that went back may have come to the same height.
const AGAIN: Duration = Duration::from_secs(3);

/// Deals read at once.
const READERS: usize = 16;

/// Watches until `stop`. A failure stops nothing but the cursor.
pub(crate) async fn run(scheduler: &Arc<Scheduler>, stop: &CancellationToken) {
    let mut watch = Watch { scheduler, seconds: HashMap::new(), read: None };
    let mut said = None;
    loop {
        match watch.pass().await {
            Ok(()) => said = None,
            Err(error) => log_change(&mut said, "deals", &error),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => (),
        }
    }
}

/// Reads the newest block's number, and its time if it is another than before.
pub(crate) async fn note_head(scheduler: &Scheduler) -> anyhow::Result<u64> {
    let chain = scheduler.chain.chain();
    let head = chain.block_number().await?;
    if scheduler.clock.head() != Some(head) {
        scheduler.clock.note(head, chain.block_timestamp().await?, Instant::now());
        scheduler.metrics.gauge("chain_block", "The newest block seen.", &[]).set(head);
    }
    Ok(head)
}

struct Watch<'a> {
    scheduler: &'a Scheduler,
    /// Of each category; the hub never changes one.
    seconds: HashMap<u64, u64>,
    /// The head up to which everything was read, and when.
    read: Option<(u64, Instant)>,
}

/// The blocks to read next.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    from: u64,
    to: u64,
}

impl Watch<'_> {
    /// Reads up to the newest block.
    async fn pass(&mut self) -> anyhow::Result<()> {
        let head = note_head(self.scheduler).await?;
        if self.read.is_some_and(|(read, at)| read == head && at.elapsed() < AGAIN) {
            return Ok(());
        }
        let cursor = self.scheduler.store.next_block().await?;
        let mut from = first_block(cursor, head).max(self.scheduler.start_block);
        while from <= head {
            let range = batch(from, head);
            self.read_range(&range).await?;
            from = range.to + 1;
        }
        self.read = Some((head, Instant::now()));
        self.scheduler.metrics.gauge("deals_block", "The block up to which deals were read.", &[]).set(head);
        Ok(())
    }

    /// Reads the deals announced in these blocks. Those that can be read are kept in any case; the cursor stops at the
    /// first block with one that cannot.
    async fn read_range(&mut self, range: &Range) -> anyhow::Result<()> {
        let scheduler = self.scheduler;
        let notices = scheduler.chain.chain().notices(scheduler.workerpool, range.from, range.to).await?;
        let (mut deals, mut unread) = (Vec::new(), None::<(u64, anyhow::Error)>);
        let read = stream::iter(notices).map(|notice| async move { (notice, read_deal(scheduler, notice).await) });
        let read: Vec<_> = read.buffered(READERS).collect().await;
        for (notice, deal) in read {
            let deal = match deal {
                Ok(None) => continue,
                Ok(Some(deal)) => self.admit(notice, deal).await,
                Err(error) => Err(error),
            };
            match deal {
                Ok(deal) => deals.push(deal),
                Err(error) if unread.is_none() => unread = Some((notice.block, error)),
                Err(_) => (),
            }
        }
        let next = unread.as_ref().map_or(range.to + 1, |(block, _)| *block);
        let new = scheduler.store.keep_deals(&deals, next).await?;
        if new > 0 {
            tracing::info!("{new} new deals up to block {}", range.to);
            scheduler.wake.notify_one();
        }
        unread.map_or(Ok(()), |(_, error)| Err(error))
    }

    async fn admit(&mut self, notice: Notice, deal: Deal) -> anyhow::Result<NewDeal> {
        let seconds = self.category_seconds(deal.category).await?;
        let pool = Pool { owner: self.scheduler.chain.address(), has_sms: self.scheduler.sms_url.is_some() };
        let (first, message) = admit::admit(&deal, pool);
        if let Some(why) = &message {
            tracing::warn!("deal {} cannot be computed: {why}", deal.id);
        }
        Ok(NewDeal { deadlines: deal.deadlines(seconds), block: notice.block, deal, first, message })
    }

    async fn category_seconds(&mut self, category: u64) -> anyhow::Result<u64> {
        if let Some(seconds) = self.seconds.get(&category) {
            return Ok(*seconds);
        }
        let found = self.scheduler.chain.chain().view_category(category).await?;
        let seconds = found.with_context(|| format!("the chain knows no category {category}"))?.seconds;
        self.seconds.insert(category, seconds);
        Ok(seconds)
    }
}

/// The deal of a notice; `None` when it is in the store already.
async fn read_deal(scheduler: &Scheduler, notice: Notice) -> anyhow::Result<Option<Deal>> {
    if scheduler.store.has_deal(notice.deal).await? {
        return Ok(None);
    }
    let deal = scheduler.chain.chain().view_deal(notice.deal).await?;
    let missing = || format!("the deal {} of block {} is announced, but not on the chain", notice.deal, notice.block);
    deal.map(Some).with_context(missing)
}

/// Where to begin: some blocks before the cursor, or before the head of a chain that went back behind the cursor.
fn first_block(cursor: u64, head: u64) -> u64 {
    cursor.min(head.saturating_add(1)).saturating_sub(OVERLAP)
}

fn batch(from: u64, head: u64) -> Range {
    Range { from, to: head.min(from.saturating_add(BATCH - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_behind_the_cursor_are_read_again_and_a_chain_that_went_back_is_followed() {
        assert_eq!(first_block(500, 499), 436);
        assert_eq!(first_block(500, 10_000), 436);
        assert_eq!(first_block(500, 300), 237);
        assert_eq!(first_block(5, 2), 0);
    }

    #[test]
    fn a_long_absence_is_read_in_batches_without_a_gap() {
        assert_eq!(batch(436, 10_000), Range { from: 436, to: 1435 });
        assert_eq!(batch(1436, 1500), Range { from: 1436, to: 1500 });
    }
}
