//! What the market asks the chain, and the parts of its API that only repeat the chain: categories, a request's deals.

use iexec_chain::{Chain, ChainError};
use iexec_protocol::{
    Address,
    deal::{Deal, Resource},
    id::{DealId, OrderHash},
};
use iexec_service::{Problem, clock::iso8601};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Yes, chain_down},
    filter::page,
    listing::Kind,
    query::Params,
};

/// Deals shown at most for one request order.
const MAX_DEALS: usize = 1000;

/// The owner of an asset; `None` when it is not deployed.
pub(crate) async fn owner(chain: &Chain, kind: Kind, asset: Address) -> Result<Option<Address>, ChainError> {
    Ok(match kind {
        Kind::App => chain.view_app(asset).await?.map(|app| app.owner),
        Kind::Dataset => chain.view_dataset(asset).await?.map(|dataset| dataset.owner),
        Kind::Workerpool => chain.view_workerpool(asset).await?.map(|pool| pool.owner),
        Kind::Request => Some(asset),
    })
}

/// `GET /categories/{id}`.
pub(crate) async fn category(chain: &Chain, id: u64) -> Answer {
    match chain.view_category(id).await.map_err(chain_down)? {
        Some(found) => Ok(Yes(category_shown(chain, &found))),
        None => Err(Problem::not_found(format!("category {id} does not exist")).into()),
    }
}

/// `GET /categories`.
pub(crate) async fn categories(chain: &Chain) -> Answer {
    let count = chain.count_categories().await.map_err(chain_down)?;
    let mut categories = Vec::new();
    for id in 0..count.min(1000) {
        let found = chain.view_category(id).await.map_err(chain_down)?;
        categories.extend(found.map(|found| category_shown(chain, &found)));
    }
    Ok(Yes(json!({"count": count, "categories": categories})))
}

fn category_shown(chain: &Chain, category: &iexec_chain::view::Category) -> Value {
    json!({
        "chainId": chain.chain_id(),
        "catid": category.id,
        "name": category.name,
        "description": category.description,
        "workClockTimeRef": category.seconds,
    })
}

/// `GET /deals?requestorderHash=…`: a request order's deals follow from its hash, so no index is kept for them.
pub(crate) async fn deals(chain: &Chain, mut params: Params) -> Answer {
    let request = params.hash("requestorderHash")?;
    let request =
        request.ok_or_else(|| Problem::bad_request("deals are found by requestorderHash here, and only so"))?;
    let (skip, limit) = page(&mut params)?;
    params.finish()?;
    let deals = deals_of(chain, request).await.map_err(chain_down)?;
    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let shown: Vec<_> =
        deals.iter().skip(at(skip)).take(at(limit)).map(|deal| deal_shown(chain, request, deal)).collect();
    let mut body = json!({"count": deals.len(), "deals": shown});
    let next = skip.saturating_add(limit);
    if at(next) < deals.len() {
        body["nextPage"] = json!(next);
    }
    Ok(Yes(body))
}

/// Each deal begins where the volume used up by the one before ends.
async fn deals_of(chain: &Chain, request: OrderHash) -> Result<Vec<Deal>, ChainError> {
    let (mut deals, mut first) = (Vec::new(), 0);
    while deals.len() < MAX_DEALS {
        let Some(deal) = chain.view_deal(DealId::of(request, first)).await? else { break };
        first = deal.bot_first.saturating_add(deal.bot_size);
        deals.push(deal);
    }
    Ok(deals)
}

fn deal_shown(chain: &Chain, request: OrderHash, deal: &Deal) -> Value {
    let resource = |resource: &Resource| {
        json!({
            "pointer": resource.pointer.to_string(),
            "owner": resource.owner.to_string(),
            "price": resource.price.saturating_to::<u64>(),
        })
    };
    json!({
        "chainId": chain.chain_id(),
        "dealid": deal.id,
        "requestHash": request,
        "app": resource(&deal.app),
        "dataset": resource(&deal.dataset),
        "workerpool": resource(&deal.workerpool),
        "trust": deal.trust,
        "category": deal.category,
        "tag": deal.tag,
        "requester": deal.requester.to_string(),
        "beneficiary": deal.beneficiary.to_string(),
        "callback": deal.callback.to_string(),
        "params": deal.params,
        "startTime": deal.start_time,
        "blockTimestamp": iso8601(deal.start_time.saturating_mul(1000)),
        "botFirst": deal.bot_first,
        "botSize": deal.bot_size,
        "volume": deal.bot_size,
        "workerStake": deal.worker_stake.saturating_to::<u64>(),
        "schedulerRewardRatio": deal.scheduler_reward_ratio,
        "sponsor": deal.sponsor.to_string(),
    })
}
