//! A PoCo chain: one JSON-RPC endpoint, its chain id and the hub's address, with a time limit on every call.
//!
//! It carries calls and turns failures into [`ChainError`]; what is asked is in [`crate::view`], what is sent in
//! [`crate::writer`].

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, Bytes};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::{SolCall, SolError};
use alloy::transports::{RpcError, TransportError, TransportResult};

use crate::contracts::Hub;
use crate::error::ChainError;
use crate::recent::Recent;
use crate::wallet::Wallet;
use crate::writer::ChainWriter;

/// What every call at this crate's border returns: its body is compiled here, once.
pub type Answer<'a, T, E = ChainError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// How long one JSON-RPC exchange may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A chain with the PoCo contracts. Clones share the connection, and the order in which each account's transactions go out.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    provider: DynProvider,
    chain_id: u64,
    hub: Address,
    poll: Duration,
    contracts: tokio::sync::OnceCell<Contracts>,
    turns: Mutex<HashMap<Address, Turn>>,
    recent: Recent,
}

/// Held while an account's next nonce is read and used.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

/// The contracts that the hub names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contracts {
    /// RLC, the token that is staked.
    pub token: Address,
    /// Registry of apps.
    pub apps: Address,
    /// Registry of datasets.
    pub datasets: Address,
    /// Registry of workerpools.
    pub workerpools: Address,
}

impl Chain {
    /// A chain at an http or https URL. Nothing is asked yet.
    pub fn new(url: &str, chain_id: u64, hub: Address) -> Result<Self, ChainError> {
        let fault = |cause: String| ChainError::Url { url: url.to_owned(), cause };
        let parsed: url::Url = url.parse().map_err(|cause: url::ParseError| fault(cause.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(fault(format!("scheme {:?}, expected http or https", parsed.scheme())));
        }
        let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_http(parsed).erased();
        Ok(Self {
            inner: Arc::new(Inner {
                url: url.to_owned(),
                provider,
                chain_id,
                hub,
                poll: Duration::from_millis(if local { 100 } else { 1000 }),
                contracts: tokio::sync::OnceCell::new(),
                turns: Mutex::default(),
                recent: Recent::default(),
            }),
        })
    }

    /// A chain that answers with this chain id and has a contract at the hub's address.
    pub fn connect(url: &str, chain_id: u64, hub: Address) -> Answer<'static, Self> {
        let chain = Self::new(url, chain_id, hub);
        Box::pin(async move {
            let chain = chain?;
            chain.check().await?;
            Ok(chain)
        })
    }

    /// Asks whether the endpoint is this chain and the hub is there.
    pub fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let (url, expected) = (self.url().to_owned(), self.chain_id());
            let found = self.timed("eth_chainId", self.provider().get_chain_id()).await?;
            if found != expected {
                return Err(ChainError::WrongChain { url, expected, found });
            }
            let code = self.timed("eth_getCode", async { self.provider().get_code_at(self.hub()).await }).await?;
            if code.is_empty() { Err(ChainError::NoHub { url, hub: self.hub() }) } else { Ok(()) }
        })
    }

    /// The same chain, signing as `wallet`.
    pub fn with_wallet(&self, wallet: Wallet) -> ChainWriter {
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Arc::clone(turns.entry(wallet.address()).or_default());
        ChainWriter::new(self.clone(), wallet, turn)
    }

    /// The JSON-RPC endpoint.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The chain id, EIP-155.
    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    /// The PoCo contract.
    pub fn hub(&self) -> Address {
        self.inner.hub
    }

    /// The token and the registries, asked once.
    pub fn contracts(&self) -> Answer<'_, Contracts> {
        Box::pin(async move {
            let ask = || async {
                Ok(Contracts {
                    token: self.read(self.hub(), &Hub::tokenCall {}).await?,
                    apps: self.read(self.hub(), &Hub::appregistryCall {}).await?,
                    datasets: self.read(self.hub(), &Hub::datasetregistryCall {}).await?,
                    workerpools: self.read(self.hub(), &Hub::workerpoolregistryCall {}).await?,
                })
            };
            self.inner.contracts.get_or_try_init(ask).await.copied()
        })
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.inner.recent
    }

    pub(crate) fn provider(&self) -> &DynProvider {
        &self.inner.provider
    }

    /// How long to wait before asking again whether something was mined.
    pub(crate) fn poll(&self) -> Duration {
        self.inner.poll
    }

    /// Calls a view function.
    pub(crate) async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ChainError> {
        let bytes = self.call_view(name_of::<C>(), to, call.abi_encode()).await?;
        C::abi_decode_returns(&bytes).map_err(|cause| ChainError::Answer {
            call: name_of::<C>(),
            contract: to,
            cause: if bytes.is_empty() { "nothing (no such contract or function)".into() } else { cause.to_string() },
        })
    }

    fn call_view(&self, call: &'static str, to: Address, input: Vec<u8>) -> Answer<'_, Bytes> {
        let request = TransactionRequest::default().to(to).input(input.into());
        Box::pin(async move { self.timed(call, async { self.provider().call(request).await }).await })
    }

    pub(crate) async fn timed<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = TransportResult<T>>,
    ) -> Result<T, ChainError> {
        match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure(call, &error)),
            Err(_) => Err(ChainError::Timeout { url: self.url().to_owned(), call, seconds: CALL_TIMEOUT.as_secs() }),
        }
    }

    fn failure(&self, call: &'static str, error: &TransportError) -> ChainError {
        let url = self.url().to_owned();
        match error {
            RpcError::ErrorResp(payload) => {
                let data = payload.as_revert_data();
                // EIP-1474 names no code for reverts; nodes agree on 3, older ones only on the word.
                if payload.code == 3 || data.is_some() || payload.message.contains("revert") {
                    return ChainError::Reverted { call, reason: revert_reason(&data.unwrap_or_default()) };
                }
                ChainError::Refused { url, call, message: payload.message.to_string() }
            }
            RpcError::Transport(cause) => ChainError::Unreachable { url, cause: innermost(cause) },
            other => ChainError::Refused { url, call, message: other.to_string() },
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain({} at {}, hub {})", self.chain_id(), self.url(), self.hub())
    }
}

/// A function's name without its argument types.
pub(crate) fn name_of<C: SolCall>() -> &'static str {
    C::SIGNATURE.split('(').next().unwrap_or(C::SIGNATURE)
}

fn revert_reason(data: &Bytes) -> String {
    if let Ok(incompatible) = Hub::IncompatibleDatasetOrder::abi_decode(data) {
        return incompatible.reason;
    }
    let reason = alloy::sol_types::decode_revert_reason(data);
    let reason = reason.map(|text| text.trim_start_matches("revert: ").to_owned());
    reason.filter(|text| !text.is_empty()).unwrap_or_else(|| {
        if data.is_empty() { "the contract gives no reason".into() } else { format!("error data {data}") }
    })
}

/// The last cause says what happened ("Connection refused"); those above it only say where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
