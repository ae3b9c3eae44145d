//! A network that a command talks to: its chain and its services, with errors that name the service and its URL.

use std::future::Future;

use iexec_chain::{Chain, ChainWriter, Wallet, network::Network};
use iexec_protocol::call::{Call, CallError};
use iexec_service::Client;

use crate::{
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
};

/// The chain and the services of one network.
pub(crate) struct Remote {
    pub(crate) network: Network,
    pub(crate) chain: Chain,
    pub(crate) client: Client,
}

/// A service of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Sms,
    Market,
    Compass,
    Gateway,
    ResultProxy,
    Faucet,
}

impl Service {
    /// What users call it, its key in chain.json, and the name of its errors.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sms => ("SMS", "sms", "SmsCallError"),
            Self::Market => ("market", "iexecGateway", "MarketCallError"),
            Self::Compass => ("workerpool look-up", "compass", "CompassCallError"),
            Self::Gateway => ("result storage", "ipfsGateway", "IpfsGatewayCallError"),
            Self::ResultProxy => ("result proxy", "resultProxy", "ResultProxyCallError"),
            Self::Faucet => ("faucet", "faucet", "FaucetCallError"),
        }
    }
}

/// Runs what needs the network. Only here is a runtime made.
pub(crate) fn online<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    iexec_service::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::ours("InternalError", format!("no asynchronous runtime: {error}")))?.block_on(work)
}

impl Remote {
    /// The network of the options. Nothing is asked yet; call it inside [`online`].
    pub(crate) fn new(options: &ChainOptions) -> Result<Self, Failure> {
        let network = options.network()?;
        let chain = Chain::new(&network.host, network.id, network.hub)?;
        let client = Client::new().map_err(|error| Failure::ours("InternalError", format!("{error:#}")))?;
        Ok(Self { network, chain, client })
    }

    /// The network of the options, whose chain answers and is the one that chain.json says.
    pub(crate) async fn connect(options: &ChainOptions) -> Result<Self, Failure> {
        let remote = Self::new(options)?;
        remote.chain.check().await?;
        Ok(remote)
    }

    /// The chain, signing as `wallet`.
    pub(crate) fn writer(&self, wallet: Wallet, options: &TransactionOptions) -> ChainWriter {
        self.chain.with_wallet(wallet).confirming(options.confirms)
    }

    /// Sends a call to one of the network's services.
    pub(crate) async fn send<C>(&self, service: Service, call: &C) -> Result<C::Reply, Failure>
    where
        C: Call + Sync,
        C::Reply: Send,
    {
        let url = self.url(service)?;
        self.client.send(url, call).await.map_err(|error| Self::failure(service, url, &error))
    }

    /// Where a service is.
    pub(crate) fn url(&self, service: Service) -> Result<&str, Failure> {
        let (words, key, _) = service.words();
        self.url_if_any(service).ok_or_else(|| {
            Failure::user("ConfigurationError", format!("the chain {:?} has no {words}", self.network.name))
                .hint(format!("add `{key}` to chains.{} in chain.json", self.network.name))
        })
    }

    pub(crate) fn url_if_any(&self, service: Service) -> Option<&str> {
        let services = &self.network.services;
        match service {
            Service::Sms => services.sms.as_deref(),
            Service::Market => services.market.as_deref(),
            Service::Compass => services.compass.as_deref(),
            Service::Gateway => services.ipfs_gateway.as_deref(),
            Service::ResultProxy => services.result_proxy.as_deref(),
            Service::Faucet => services.faucet.as_deref(),
        }
    }

    /// A service's failure, in words.
    pub(crate) fn failure(service: Service, url: &str, error: &CallError) -> Failure {
        let (words, _, name) = service.words();
        Failure::of_call(name, words, url, error)
    }
}
