//! The REST API: what arrives becomes types here, and what is refused becomes a status with words.

mod audited;
mod collateral;
mod document;
mod fault;
pub(crate) mod limits;
mod owner;
mod secrets;
mod tee;
mod v2;
mod value;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, header},
};
use iexec_chain::{Chain, ChainError};
use iexec_protocol::{
    Address,
    id::parse_address,
    key::{Signature, SigningKey},
};
use iexec_service::{BoxFuture, Check, Metrics, limit::RateLimit};
use tokio::sync::OnceCell;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::audited::tell as tell_refusals;
use self::limits::Limits;
use crate::{
    store::{Store, StoreError},
    tee::Trust,
};

/// Seconds after which somebody may ask again what needs a chain or database that did not answer.
const RETRY_AFTER: u64 = 5;

/// What every request may use.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    /// Set once the endpoint was seen to be the configured chain.
    pub(crate) checked: OnceCell<()>,
    pub(crate) trust: Trust,
    /// The TEE broker's key, if this SMS is one.
    pub(crate) broker: Option<SigningKey>,
    /// How often a client may ask for collateral.
    pub(crate) asking: RateLimit,
    /// Where evidence is to be sent, and the audience of signed requests.
    pub(crate) origin: String,
    pub(crate) chain_id: u64,
    pub(crate) limits: Limits,
    /// Most secrets of one owner.
    pub(crate) max_secrets: u64,
    pub(crate) document: OpenApi,
    pub(crate) metrics: Metrics,
}

pub(crate) type Shared = Arc<Context>;

impl Context {
    /// The chain, once it proved to be the one that is configured.
    pub(crate) async fn chain(&self) -> Result<&Chain, ChainError> {
        self.checked.get_or_try_init(|| self.chain.check()).await?;
        Ok(&self.chain)
    }
}

/// All routes.
pub(crate) fn router(context: Shared) -> Router {
    let (router, _) = documented().split_for_parts();
    router.with_state(context)
}

/// What the SMS cannot do its work without.
pub(crate) fn checks(context: &Shared) -> Vec<Check> {
    fn database(sms: &Shared) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(sms.store.check())
    }
    fn chain(sms: &Shared) -> BoxFuture<'_, Result<u64, ChainError>> {
        Box::pin(async { sms.chain().await?.block_number().await })
    }
    vec![Check::answers("database", Arc::clone(context), database), Check::answers("chain", Arc::clone(context), chain)]
}

/// What the routes are, as OpenAPI 3.1.
pub(crate) fn document() -> OpenApi {
    let mut document = documented().into_openapi();
    document::complete(&mut document);
    document
}

/// A route comes with its description, or not at all.
fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(document::frame())
        .merge(secrets::routes())
        .merge(v2::routes())
        .merge(tee::routes())
        .merge(collateral::routes())
        .merge(document::routes())
}

/// The header `Authorization`, which must be there once: of two, a proxy may have read the other.
fn authorization(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or("is missing")?;
    if values.next().is_some() {
        return Err("is there twice");
    }
    value.to_str().map_err(|_| "is not ASCII")
}

/// The signature in the header `Authorization`.
fn signature(headers: &HeaderMap) -> Result<Signature, String> {
    let text = authorization(headers)?;
    text.parse().map_err(|error: iexec_protocol::key::KeyError| error.to_string())
}

/// The address in a parameter, with the parameter's name if it is none.
fn address(parameter: &str, text: Option<&str>) -> Result<Address, String> {
    let text = text.ok_or_else(|| format!("parameter {parameter} is missing"))?;
    parse_address(text).map_err(|error| format!("parameter {parameter}: {error}"))
}
