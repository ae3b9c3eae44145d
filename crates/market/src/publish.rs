//! What an order must be to get into the book (rules M3 to M5): one check a line, each with its own words.

use iexec_chain::Chain;
use iexec_protocol::{Address, U256, id::OrderHash, order::Unverified};
use iexec_service::{Problem, clock};

use crate::{
    Market,
    answer::chain_down,
    book::{self, Entry, NotTaken, Row},
    chain_facts::owner,
    listing::{Kind, Listed},
};

/// Open orders of one kind that a wallet may have.
pub const MAX_OPEN: u64 = 50;

/// Publishes an order of the wallet that logged in.
pub(crate) async fn publish<T: Listed>(
    market: &Market,
    order: &Unverified<T>,
    caller: Address,
) -> Result<Row, Problem> {
    let chain = &market.chain;
    let hash = order.order.hash(&chain.domain());
    let signer = check_owner(chain, &order.order, caller).await?;
    check_signature(chain, order, hash, signer).await?;
    check_category(chain, &order.order).await?;
    let remaining = check_remaining(chain, &order.order, hash).await?;
    let entry = Entry { order, hash, signer, remaining, now: clock::now_millis() };
    book::add(&market.store, &entry, MAX_OPEN).await?.map_err(|why| refusal(T::KIND, &why))?;
    let row = book::find(&market.store, T::COLLECTION, hash).await?;
    row.ok_or_else(|| Problem::internal("a published order is not in the book"))
}

fn refusal(kind: &str, why: &NotTaken) -> Problem {
    match why {
        NotTaken::Published(status) => Problem::conflict(format!("this {kind} order is published already ({status})")),
        NotTaken::TooMany(most) => Problem::conflict(format!(
            "the wallet has {most} open {kind} orders, the most that are kept; unpublish some"
        )),
    }
}

async fn check_owner<T: Listed>(chain: &Chain, order: &T, caller: Address) -> Result<Address, Problem> {
    let (kind, own) = (T::KIND, order.own());
    let signer = owner(chain, T::COLLECTION, own).await.map_err(chain_down)?;
    let signer = signer.ok_or_else(|| Problem::bad_request(format!("order.{kind}: no {kind} is deployed at {own}")))?;
    if signer == caller {
        return Ok(signer);
    }
    let who = if T::COLLECTION == Kind::Request { "requester" } else { "owner" };
    Err(Problem::forbidden(format!("only its {who} {signer} may publish this {kind} order, {caller} is logged in")))
}

async fn check_signature<T: Listed>(
    chain: &Chain,
    order: &Unverified<T>,
    hash: OrderHash,
    signer: Address,
) -> Result<(), Problem> {
    // The hub refuses a malformed signature by a revert and a wrong one by false (`SignatureVerifier`).
    let valid = match chain.verify_signature(signer, hash.0, order.sign.clone()).await {
        Err(iexec_chain::ChainError::Reverted { .. }) => Ok(false),
        found => found,
    };
    if valid.map_err(chain_down)? {
        return Ok(());
    }
    Err(Problem::bad_request(format!("order.sign is not a signature of {signer} for this order (hash {hash})")))
}

async fn check_category<T: Listed>(chain: &Chain, order: &T) -> Result<(), Problem> {
    let Some(category) = order.terms().category else { return Ok(()) };
    let count = chain.count_categories().await.map_err(chain_down)?;
    if category < U256::from(count) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "order.category {category} does not exist on chain, which has {count} categories"
    )))
}

async fn check_remaining<T: Listed>(chain: &Chain, order: &T, hash: OrderHash) -> Result<u64, Problem> {
    let consumed = chain.view_consumed(hash).await.map_err(chain_down)?;
    let remaining = order.volume().saturating_sub(consumed);
    if !remaining.is_zero() {
        return Ok(remaining.saturating_to());
    }
    Err(Problem::bad_request(format!("the order's volume of {} is used up or the order is canceled", order.volume())))
}
