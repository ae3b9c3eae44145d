//! iExec's API for secrets: `/secrets`, `/apps` and `/requesters`. Is a secret there, keep it, replace it (spec SMS-10 to
//! SMS-17). Nothing reads one back.

mod asked;
mod refusal;

use axum::{
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
};
use iexec_protocol::{call::sms::SecretId, secret::MAX_SECRET};
use utoipa_axum::{router::OpenApiRouter, routes};

use asked::{App, Asked, Requester, Web2, Web3, app, requester, web2, web3};
use refusal::Refusal;
pub(super) use refusal::Said;

use super::{
    Context, Shared, address,
    audited::{Caller, audited},
    document::schema::SecretValue,
    fault::Fault,
    owner::speaker,
    signature,
    value::{Body, value},
};
use crate::{
    secret::Signed,
    store::{Created, Updated},
};

/// The routes. A body is read up to the size of a secret and no further.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(web2_exists, web2_create, web2_update))
        .routes(routes!(web3_exists, web3_create))
        .routes(routes!(app_exists, app_create))
        .routes(routes!(requester_exists, requester_create))
        .layer(DefaultBodyLimit::max(MAX_SECRET))
}

/// Does the SMS have this secret of a wallet?
#[utoipa::path(
    head, path = "/secrets/web2", tag = "secrets",
    params(Web2),
    responses((status = 204, description = "Yes"), V1Asked),
)]
async fn web2_exists(State(sms): State<Shared>, query: Asked<Web2>) -> Reply {
    exists(&sms, &web2(query)?).await
}

/// Keep a secret of a wallet that is not there yet.
#[utoipa::path(
    post, path = "/secrets/web2", tag = "secrets",
    params(Web2),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 204, description = "Kept"), V1Set),
    security(("v1" = [])),
)]
async fn web2_create(
    State(sms): State<Shared>,
    caller: Caller,
    query: Asked<Web2>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, caller, &web2(query)?, &headers, body, false).await
}

/// Replace a secret of a wallet by a value that it never had.
#[utoipa::path(
    put, path = "/secrets/web2", tag = "secrets",
    params(Web2),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 204, description = "Kept, or the value was this one already"), V1Set),
    security(("v1" = [])),
)]
async fn web2_update(
    State(sms): State<Shared>,
    caller: Caller,
    query: Asked<Web2>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, caller, &web2(query)?, &headers, body, true).await
}

/// Does the SMS have the key of this dataset?
#[utoipa::path(
    head, path = "/secrets/web3", tag = "secrets",
    params(Web3),
    responses((status = 204, description = "Yes"), V1Asked),
)]
async fn web3_exists(State(sms): State<Shared>, query: Asked<Web3>) -> Reply {
    exists(&sms, &web3(query)?).await
}

/// Keep a dataset's key that is not there yet.
#[utoipa::path(
    post, path = "/secrets/web3", tag = "secrets",
    params(Web3),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 204, description = "Kept"), V1Set),
    security(("v1" = [])),
)]
async fn web3_create(
    State(sms): State<Shared>,
    caller: Caller,
    query: Asked<Web3>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, caller, &web3(query)?, &headers, body, false).await
}

/// Does the SMS have the developer's secret of this app?
#[utoipa::path(
    head, path = "/apps/{app}/secrets", tag = "secrets",
    params(App),
    responses((status = 204, description = "Yes"), V1Asked),
)]
async fn app_exists(State(sms): State<Shared>, Path(path): Path<App>) -> Reply {
    exists(&sms, &app(&path)?).await
}

/// Keep an app developer's secret that is not there yet.
#[utoipa::path(
    post, path = "/apps/{app}/secrets", tag = "secrets",
    params(App),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 204, description = "Kept"), V1Set),
    security(("v1" = [])),
)]
async fn app_create(
    State(sms): State<Shared>,
    caller: Caller,
    Path(path): Path<App>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, caller, &app(&path)?, &headers, body, false).await
}

/// Does the SMS have this secret of a requester?
#[utoipa::path(
    head, path = "/requesters/{requester}/secrets/{key}", tag = "secrets",
    params(Requester),
    responses((status = 204, description = "Yes"), V1Asked),
)]
async fn requester_exists(State(sms): State<Shared>, Path(path): Path<Requester>) -> Reply {
    exists(&sms, &requester(&path)?).await
}

/// Keep a requester's secret that is not there yet.
#[utoipa::path(
    post, path = "/requesters/{requester}/secrets/{key}", tag = "secrets",
    params(Requester),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 204, description = "Kept"), V1Set),
    security(("v1" = [])),
)]
async fn requester_create(
    State(sms): State<Shared>,
    caller: Caller,
    Path(path): Path<Requester>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, caller, &requester(&path)?, &headers, body, false).await
}

type Reply = Result<StatusCode, Refusal>;

async fn exists(sms: &Context, id: &SecretId) -> Reply {
    if sms.store.has_secret(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::NotFound) }
}

/// Size and signature first, the chain only for a signed request of an asset, the store last (spec SMS-12).
async fn set(sms: &Context, caller: Caller, id: &SecretId, headers: &HeaderMap, body: Body, update: bool) -> Reply {
    let outcome = try_set(sms, id, headers, body, update).await.map_err(|refusal| refusal.of(id));
    let outcome = audited(sms, caller, "set", outcome, |entry| entry.secret(id)).await;
    let words = outcome.as_ref().map_or_else(Refusal::title, |()| if update { "updated" } else { "kept" });
    let kind = id.kind().name();
    tracing::info!(kind, path = id.path(), outcome = words, "secret");
    let outcome_label = if outcome.is_ok() { "kept" } else { "refused" };
    let labels = [("kind", kind), ("outcome", outcome_label)];
    sms.metrics
        .counter("sms_secrets_set_total", "Requests to keep a secret, by kind and outcome.", &labels)
        .increment();
    outcome.map(|()| StatusCode::NO_CONTENT)
}

async fn try_set(sms: &Context, id: &SecretId, headers: &HeaderMap, body: Body, update: bool) -> Result<(), Refusal> {
    let value = value(body)?;
    let signature = signature(headers).map_err(Fault::Unsigned)?;
    let signed = Signed::challenge(id, &value, &signature).ok_or_else(Fault::nobody)?;
    sms.limits.admit(id.kind(), id.owner(), signed.signer())?;
    let owner = speaker(sms, id.kind(), id.owner()).await?;
    let approved = signed.approve(owner)?;
    if update {
        return match sms.store.update_secret(approved).await? {
            Updated::Kept => Ok(()),
            Updated::Absent => Err(Refusal::NotFound),
            Updated::Returned => Err(Refusal::Returned),
            Updated::OtherKind => Err(Refusal::OtherKind),
        };
    }
    match sms.store.create_secret(approved).await? {
        Created::Kept => Ok(()),
        Created::Exists => Err(Refusal::Exists),
        Created::Returned => Err(Refusal::Returned),
        Created::OtherKind => Err(Refusal::OtherKind),
        Created::Full => Err(Refusal::Full),
    }
}

/// Whether it is there, or why that is not told.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum V1Asked {
    #[response(status = 400, description = "A parameter is malformed; `detail` names it")]
    Malformed(Said),
    #[response(status = 404, description = "No")]
    Absent(Said),
    #[response(status = 500, description = "The service failed")]
    Internal(Said),
    #[response(status = 503, description = "The database does not answer")]
    Unavailable(Said),
}

/// Why nothing was kept.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum V1Set {
    #[response(status = 400, description = "A parameter or the body is malformed; a requester's secret is too large")]
    Malformed(Said),
    #[response(status = 401, description = "The signature is missing, malformed, or not the owner's over this value")]
    Unsigned(Said),
    #[response(status = 403, description = "The owner has as many secrets as one owner may have")]
    Full(Said),
    #[response(status = 404, description = "No such app or dataset on chain; PUT: no such secret")]
    Absent(Said),
    #[response(status = 409, description = "A secret is there; PUT: it had this value before")]
    Exists(Said),
    #[response(status = 413, description = "The secret has more than 4096 bytes")]
    TooLarge(Said),
    #[response(status = 429, description = "Too many requests of this owner or client")]
    Limited(Said),
    #[response(status = 500, description = "The service failed")]
    Internal(Said),
    #[response(status = 503, description = "The chain or the database does not answer")]
    Unavailable(Said),
}
