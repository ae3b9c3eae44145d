//! Orders leave the list when the chain says that they are used up or that their asset was sold (rule M11).
//!
//! It is looked up when they are read and what is known is old. If the chain does not answer, what is known is shown:
//! who takes an order checks it on chain anyway.

use futures_util::future::join_all;
use iexec_chain::ChainError;
use iexec_protocol::id::OrderHash;
use iexec_service::Problem;

use crate::{
    Market,
    book::{self, Row, State},
    chain_facts::owner,
    filter::{Filter, signed},
    listing::Kind,
};

/// Milliseconds for which a remaining volume is taken as known: the shortest time between blocks.
const VOLUME_AGE: u64 = 1000;
/// Milliseconds for which an owner is taken as known.
const OWNER_AGE: u64 = 60_000;
/// Questions to the chain at a time.
const AT_ONCE: usize = 8;

/// A page of orders that are open on chain, best first.
pub(crate) async fn page(market: &Market, filter: &Filter, now: u64) -> Result<Vec<Row>, Problem> {
    loop {
        let rows = book::page(&market.store, filter).await?;
        if !refresh(market, filter.kind, &rows, now).await? {
            return Ok(rows);
        }
        // Each round takes orders out of the list or marks them fresh at `now`, so this ends.
    }
}

/// The order with this hash, as the chain sees it.
pub(crate) async fn find(market: &Market, kind: Kind, hash: OrderHash, now: u64) -> Result<Option<Row>, Problem> {
    let row = book::find(&market.store, kind, hash).await?;
    match row {
        Some(row) if row.status == "open" && refresh(market, kind, std::slice::from_ref(&row), now).await? => {
            book::find(&market.store, kind, hash).await
        }
        row => Ok(row),
    }
}

/// Looks up what is old; whether anything changed.
async fn refresh(market: &Market, kind: Kind, rows: &[Row], now: u64) -> Result<bool, Problem> {
    let old: Vec<&Row> = rows.iter().filter(|row| is_older(row.checked, VOLUME_AGE, now)).collect();
    let mut changed = false;
    for batch in old.chunks(AT_ONCE) {
        let mut checks = Vec::new();
        for row in batch {
            checks.push(check(market, kind, row, now));
        }
        for found in join_all(checks).await {
            let Ok((row, state, owner_checked)) =
                found.inspect_err(|error| tracing::warn!("shown as last known: {error}"))
            else {
                return Ok(changed);
            };
            book::update(&market.store, row, &state, now, owner_checked).await?;
            changed |= state.status != row.status || state.remaining != row.remaining;
        }
    }
    Ok(changed)
}

async fn check<'a>(market: &Market, kind: Kind, row: &'a Row, now: u64) -> Result<(&'a Row, State, bool), ChainError> {
    let hash: OrderHash = row.hash.parse().unwrap_or_default();
    let consumed: u64 = market.chain.view_consumed(hash).await?.saturating_to();
    let remaining = row.volume.saturating_sub(signed(consumed)).max(0);
    let asset = row.asset(kind).filter(|_| is_older(row.owner_checked, OWNER_AGE, now));
    let sold = match asset {
        Some(asset) => {
            owner(&market.chain, kind, asset).await?.is_none_or(|owner| crate::filter::column(owner) != row.signer)
        }
        None => false,
    };
    let status = match (remaining, sold) {
        (0, _) => "filled",
        (_, true) => "dead",
        (_, false) => "open",
    };
    Ok((row, State { status, remaining }, asset.is_some()))
}

fn is_older(checked: i64, age: u64, now: u64) -> bool {
    signed(now).saturating_sub(checked) >= signed(age)
}
