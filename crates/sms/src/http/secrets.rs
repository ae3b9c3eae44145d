//! `/secrets`, `/apps` and `/requesters`: is a secret there, keep it, replace it (spec SMS-10 to SMS-17). Nothing reads one back.

mod refusal;

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    routing::head,
};
use iexec_protocol::{Address, call::sms::SecretId, key::Signature, secret::MAX_SECRET, session::SecretText};
use serde::Deserialize;
use zeroize::Zeroizing;

use refusal::Refusal;

use super::{Context, Shared, address, signature};
use crate::{
    secret,
    store::{Created, Updated},
};

type Body = Result<Bytes, BytesRejection>;

/// The routes. A body is read up to the size of a secret and no further.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/secrets/web2", head(web2_exists).post(web2_create).put(web2_update))
        .route("/secrets/web3", head(web3_exists).post(web3_create))
        .route("/apps/{app}/secrets", head(app_exists).post(app_create))
        .route("/requesters/{requester}/secrets/{key}", head(requester_exists).post(requester_create))
        .layer(DefaultBodyLimit::max(MAX_SECRET))
}

/// Query of `/secrets/web2`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Web2 {
    owner_address: Option<String>,
    secret_name: Option<String>,
}

/// Query of `/secrets/web3`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Web3 {
    secret_address: Option<String>,
}

fn web2(query: Result<Query<Web2>, QueryRejection>) -> Result<SecretId, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::Malformed(error.body_text()))?;
    let owner = address("ownerAddress", query.owner_address.as_deref()).map_err(Refusal::Malformed)?;
    let name = query.secret_name.ok_or_else(|| Refusal::Malformed("parameter secretName is missing".into()))?;
    checked(SecretId::Web2 { owner, name })
}

fn web3(query: Result<Query<Web3>, QueryRejection>) -> Result<SecretId, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::Malformed(error.body_text()))?;
    let asset = address("secretAddress", query.secret_address.as_deref()).map_err(Refusal::Malformed)?;
    Ok(SecretId::Web3 { asset })
}

fn app(app: &str) -> Result<SecretId, Refusal> {
    Ok(SecretId::App { app: address("appAddress", Some(app)).map_err(Refusal::Malformed)? })
}

fn requester(requester: &str, key: String) -> Result<SecretId, Refusal> {
    let requester = address("requesterAddress", Some(requester)).map_err(Refusal::Malformed)?;
    checked(SecretId::Requester { requester, key })
}

fn checked(id: SecretId) -> Result<SecretId, Refusal> {
    secret::check_id(&id)?;
    Ok(id)
}

async fn web2_exists(State(sms): State<Shared>, query: Result<Query<Web2>, QueryRejection>) -> Reply {
    exists(&sms, &web2(query)?).await
}

async fn web2_create(
    State(sms): State<Shared>,
    query: Result<Query<Web2>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, &web2(query)?, &headers, body, false).await
}

async fn web2_update(
    State(sms): State<Shared>,
    query: Result<Query<Web2>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, &web2(query)?, &headers, body, true).await
}

async fn web3_exists(State(sms): State<Shared>, query: Result<Query<Web3>, QueryRejection>) -> Reply {
    exists(&sms, &web3(query)?).await
}

async fn web3_create(
    State(sms): State<Shared>,
    query: Result<Query<Web3>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, &web3(query)?, &headers, body, false).await
}

async fn app_exists(State(sms): State<Shared>, Path(address): Path<String>) -> Reply {
    exists(&sms, &app(&address)?).await
}

async fn app_create(State(sms): State<Shared>, Path(address): Path<String>, headers: HeaderMap, body: Body) -> Reply {
    set(&sms, &app(&address)?, &headers, body, false).await
}

async fn requester_exists(State(sms): State<Shared>, Path((address, key)): Path<(String, String)>) -> Reply {
    exists(&sms, &requester(&address, key)?).await
}

async fn requester_create(
    State(sms): State<Shared>,
    Path((address, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    set(&sms, &requester(&address, key)?, &headers, body, false).await
}

type Reply = Result<StatusCode, Refusal>;

async fn exists(sms: &Context, id: &SecretId) -> Reply {
    if sms.store.has_secret(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::NotFound) }
}

/// Size and signature first, the chain only for a signed request of an asset, the store last (spec SMS-12).
async fn set(sms: &Context, id: &SecretId, headers: &HeaderMap, body: Body, update: bool) -> Reply {
    let outcome = try_set(sms, id, headers, body, update).await.map_err(|refusal| refusal.of(id));
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
    let signature = signature(headers).map_err(Refusal::Unsigned)?;
    let owner = owner(sms, id, &signature, &value).await?;
    let approved = secret::approve(id, &value, &signature, owner)?;
    if update {
        return match sms.store.update_secret(approved).await? {
            Updated::Kept => Ok(()),
            Updated::Absent => Err(Refusal::NotFound),
            Updated::Returned => Err(Refusal::Returned),
        };
    }
    match sms.store.create_secret(approved).await? {
        Created::Kept => Ok(()),
        Created::Exists => Err(Refusal::Exists),
        Created::Returned => Err(Refusal::Returned),
        Created::Full => Err(Refusal::Full),
    }
}

fn value(body: Body) -> Result<SecretText, Refusal> {
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Malformed(error.body_text()),
    })?;
    let bytes = Zeroizing::new(bytes.to_vec());
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::Malformed("the body must be UTF-8 text".into()))?;
    let value = SecretText::new(text);
    secret::check_size(&value)?;
    Ok(value)
}

/// Who must have signed: the wallet itself, or the owner on chain of a registered dataset or app.
async fn owner(sms: &Context, id: &SecretId, signature: &Signature, value: &SecretText) -> Result<Address, Refusal> {
    if let Some(wallet) = secret::wallet_owner(id) {
        return Ok(wallet);
    }
    // A signature of nobody asks the chain nothing.
    let signer = signature.signer_of_personal(id.challenge(value.expose()));
    signer.ok_or_else(|| Refusal::Unsigned("no key can have made it".into()))?;
    let chain = sms.chain().await?;
    match id {
        SecretId::App { app } => chain.view_app(*app).await?.map(|app| app.owner).ok_or(Refusal::NoAsset("app")),
        other => {
            chain.view_dataset(other.owner()).await?.map(|dataset| dataset.owner).ok_or(Refusal::NoAsset("dataset"))
        }
    }
}
