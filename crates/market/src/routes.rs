//! Paths and methods of the market, and what each reads from a request.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    routing::get,
};
use iexec_protocol::{
    Address,
    id::{OrderHash, parse_address},
    order::{AppOrder, DatasetOrder, RequestOrder, WorkerpoolOrder},
};
use iexec_service::{Problem, clock, login};
use serde_json::{Value, json};

use crate::{
    Market,
    answer::{Answer, Refusal, Yes},
    book::{self, Which},
    chain_facts, compass,
    filter::Filter,
    fresh,
    listing::{Kind, Listed, read_order},
    publish::publish,
    query::Params,
};

/// Name of the login challenges' domain.
const GATEWAY: &str = "iExec Gateway";

type Shared = State<Arc<Market>>;

/// The whole API.
pub(crate) fn router(market: Arc<Market>) -> Router {
    Router::new()
        .route("/challenge", get(challenge))
        .route("/categories", get(categories))
        .route("/categories/{id}", get(category))
        .route("/deals", get(deals))
        .route("/{chain}/workerpools/{workerpool}", get(scheduler).put(set_scheduler))
        .merge(collection::<AppOrder>())
        .merge(collection::<DatasetOrder>())
        .merge(collection::<WorkerpoolOrder>())
        .merge(collection::<RequestOrder>())
        .with_state(market)
}

fn collection<T: Listed>() -> Router<Arc<Market>> {
    let path = format!("/{}orders", T::KIND);
    Router::new()
        .route(&path, get(list::<T>).post(add::<T>).put(remove::<T>))
        .route(&format!("{path}/{{hash}}"), get(one::<T>))
}

async fn challenge(State(market): Shared, RawQuery(query): RawQuery) -> Answer {
    let mut params = params(&market, query.as_deref())?;
    let address = params.address("address")?;
    params.finish()?;
    let address = address.ok_or_else(|| Problem::bad_request("address is required"))?;
    let challenge = login::challenge(&market.store, GATEWAY, market.chain.chain_id(), address, clock::now()).await?;
    Ok(Yes(json!({ "data": challenge.to_typed_data() })))
}

async fn list<T: Listed>(State(market): Shared, RawQuery(query): RawQuery) -> Answer {
    let filter = Filter::read(T::COLLECTION, params(&market, query.as_deref())?)?;
    let rows = fresh::page(&market, &filter, clock::now_millis()).await?;
    let count = book::count(&market.store, &filter).await?;
    let shown: Result<Vec<_>, _> = rows.iter().map(|row| row.shown(market.chain.chain_id())).collect();
    let mut body = json!({"count": count, "orders": shown?});
    let next = filter.skip.saturating_add(filter.limit);
    if next < count {
        body["nextPage"] = json!(next);
    }
    Ok(Yes(body))
}

async fn one<T: Listed>(State(market): Shared, Path(hash): Path<String>, RawQuery(query): RawQuery) -> Answer {
    params(&market, query.as_deref())?.finish()?;
    let hash: OrderHash = hash.parse().map_err(Problem::bad_request)?;
    let row = fresh::find(&market, T::COLLECTION, hash, clock::now_millis()).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("{}order {hash} not found", T::KIND)))?;
    Ok(Yes(row.shown(market.chain.chain_id())?))
}

async fn add<T: Listed>(
    State(market): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer {
    params(&market, query.as_deref())?.finish()?;
    let order = read_order::<T>(&json_body(body)?)?;
    let caller = login::authorize(&market.store, &headers, clock::now()).await?;
    let row = publish(&market, &order, caller).await?;
    tracing::info!(hash = row.hash, kind = T::KIND, "published");
    market.metrics.counter("market_published_total", "Orders published.", &[("kind", T::KIND)]).increment();
    Ok(Yes(json!({ "published": row.shown(market.chain.chain_id())? })))
}

async fn remove<T: Listed>(
    State(market): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer {
    params(&market, query.as_deref())?.finish()?;
    let which = which(T::COLLECTION, &json_body(body)?)?;
    let caller = login::authorize(&market.store, &headers, clock::now()).await?;
    let hashes = book::remove(&market.store, T::COLLECTION, caller, which).await?;
    if hashes.is_empty() {
        return Err(Problem::not_found(format!("{caller} has no such open {} order", T::KIND)).into());
    }
    Ok(Yes(json!({ "unpublished": hashes })))
}

/// `{target, orderHash}` or `{target, <asset or requester>}`.
fn which(kind: Kind, body: &Value) -> Result<Which, Problem> {
    let text = |name: &str| {
        body[name].as_str().ok_or_else(|| Problem::bad_request(format!("{name} is required, and must be a string")))
    };
    let own = || {
        let name = kind.own_column();
        parse_address(text(name)?).map_err(|error| Problem::bad_request(format!("{name}: {error}")))
    };
    match body.get("target").map_or(Ok("unpublish_orderHash"), |_| text("target"))? {
        "unpublish_orderHash" => text("orderHash")?.parse().map(Which::Hash).map_err(Problem::bad_request),
        "unpublish_last" => own().map(Which::Last),
        "unpublish_all" => own().map(Which::All),
        _ => Err(Problem::bad_request("target must be unpublish_orderHash, unpublish_last or unpublish_all")),
    }
}

async fn categories(State(market): Shared, RawQuery(query): RawQuery) -> Answer {
    params(&market, query.as_deref())?.finish()?;
    chain_facts::categories(&market.chain).await
}

async fn category(State(market): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    params(&market, query.as_deref())?.finish()?;
    let id = id.parse().map_err(|_| Problem::bad_request("a category is an integer from 0"))?;
    chain_facts::category(&market.chain, id).await
}

async fn deals(State(market): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = params(&market, query.as_deref())?;
    chain_facts::deals(&market.chain, params).await
}

async fn scheduler(State(market): Shared, Path((chain, workerpool)): Path<(String, String)>) -> Answer {
    let workerpool = workerpool_of(&market, &chain, &workerpool)?;
    compass::find(&market, workerpool).await
}

async fn set_scheduler(
    State(market): Shared,
    Path((chain, workerpool)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer {
    let workerpool = workerpool_of(&market, &chain, &workerpool)?;
    let body = json_body(body)?;
    let caller = login::authorize(&market.store, &headers, clock::now()).await?;
    compass::set(&market, workerpool, caller, &body).await
}

fn workerpool_of(market: &Market, chain: &str, workerpool: &str) -> Result<Address, Problem> {
    let own = market.chain.chain_id();
    if chain.parse() != Ok(own) {
        let shown: String = chain.chars().take(80).collect();
        return Err(Problem::bad_request(format!("chainId: this market is for chain {own}, not {shown:?}")));
    }
    parse_address(workerpool).map_err(|error| Problem::bad_request(format!("workerpool: {error}")))
}

fn params(market: &Market, query: Option<&str>) -> Result<Params, Problem> {
    Params::read(query, market.chain.chain_id())
}

fn json_body(body: Result<Bytes, axum::extract::rejection::BytesRejection>) -> Result<Value, Refusal> {
    let body = body.map_err(Problem::from)?;
    Ok(serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("the JSON body: {error}")))?)
}
