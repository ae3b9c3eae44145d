//! The REST API: what arrives becomes types here, and what is refused becomes a status with words.

mod secrets;
mod tee;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, header},
};
use iexec_chain::{Chain, ChainError};
use iexec_protocol::{Address, id::parse_address, key::Signature};
use iexec_service::Metrics;
use tokio::sync::OnceCell;

use crate::{store::Store, tee::Trust};

/// What every request may use.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    /// Set once the endpoint was seen to be the configured chain.
    pub(crate) checked: OnceCell<()>,
    pub(crate) trust: Trust,
    /// Where evidence is to be sent.
    pub(crate) origin: String,
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
    secrets::routes().merge(tee::routes()).with_state(context)
}

/// The signature in the header `Authorization`.
fn signature(headers: &HeaderMap) -> Result<Signature, String> {
    let value = headers.get(header::AUTHORIZATION).ok_or("is missing")?;
    let text = value.to_str().map_err(|_| "is not ASCII")?;
    text.parse().map_err(|error: iexec_protocol::key::KeyError| error.to_string())
}

/// The address in a parameter, with the parameter's name if it is none.
fn address(parameter: &str, text: Option<&str>) -> Result<Address, String> {
    let text = text.ok_or_else(|| format!("parameter {parameter} is missing"))?;
    parse_address(text).map_err(|error| format!("parameter {parameter}: {error}"))
}
