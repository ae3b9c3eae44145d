//! The Secret Management Service: keeps secrets, and gives a session to an attested enclave of an authorized worker.
//!
//! Every secret goes in by its owner's signature and out only inside a session sealed to an enclave's key; there is no
//! way to read one back. Spec: `docs/spec/http.md` (SMS), `docs/spec/session.md`, `docs/spec/attestation.md`.
//!
//! What it is not: it makes no evidence, runs no app, sends no transaction.

pub mod admin;
pub mod collateral;
mod description;
pub mod explain;
mod http;
mod policy;
mod private_file;
mod purge;
mod secret;
mod session;
mod store;
mod tee;
mod vault;

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use iexec_attestation::TrustAnchors;
use iexec_chain::Chain;
use iexec_protocol::{Address, evidence::Tee, key::SigningKey};
use iexec_service::{
    BoxFuture, CancellationToken, Listen, Listener, Metrics, Options,
    limit::{Rate, RateLimit},
    serve,
};

use crate::{
    collateral::{CollateralSources, Library, Simulated, Source},
    http::{Context, limits::Limits},
    policy::SmsPolicy,
    store::Store,
    tee::Trust,
};
pub use crate::{
    http::limits::OwnerLimits,
    store::{DatabaseUrl, KekSource, Location},
};

/// Chain ids that no public network has: ganache, anvil and hardhat, and this project's own local network.
pub const LOCAL_CHAINS: [u64; 3] = [1337, 31337, iexec_chain::devnet::CHAIN_ID];

/// Name of the simulated TEE's collateral, beside its root.
pub const SIMULATED_COLLATERAL: &str = "collateral.json";

/// The folder of collateral, in the data folder.
const COLLATERAL: &str = "collateral";

/// Largest body of any request, in bytes: evidence's. The other routes have smaller ones.
const MAX_BODY: usize = iexec_protocol::evidence::MAX_JSON;

/// An SMS's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: Listen,
    /// Origin under which enclaves' workers reach this SMS; `None` for the address it listens on.
    pub public_url: Option<String>,
    /// Folder of database and master key; made if absent.
    pub data: PathBuf,
    /// PostgreSQL instead of a file in `data`.
    pub database: Option<DatabaseUrl>,
    /// What the data keys are wrapped under.
    pub kek: KekSource,
    /// How much one owner may keep and ask.
    pub limits: OwnerLimits,
    /// JSON-RPC endpoint.
    pub chain_url: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The PoCo contract.
    pub hub: Address,
    /// Which enclaves may receive secrets, and for which deals: the operator's file. Without one, none may.
    pub policy: Option<PathBuf>,
    /// Where the vendors' word on platforms comes from.
    pub collateral: CollateralSources,
    /// Be the hub's TEE broker: keep a key for it, made at the first start.
    pub tee_broker: bool,
    /// A simulated TEE's root certificate, DER; its collateral is [`SIMULATED_COLLATERAL`] beside it. Whoever has the
    /// root's key gets every secret: for local networks alone, and refused on any other chain.
    pub insecure_simulated_tee: Option<PathBuf>,
}

/// An SMS that has its port and its store.
pub struct Sms {
    listener: Listener,
    context: Arc<Context>,
}

/// The OpenAPI 3.1 document of its routes, as JSON in lines.
pub fn openapi() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&http::document()).map(|json| json + "\n")
}

/// Runs an SMS until `stop`.
pub fn run(config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move { Sms::start(config).await?.serve(stop).await })
}

impl Sms {
    /// Takes the port, opens the store, asks the chain whether it is the right one. A chain that is down delays nothing.
    pub fn start(config: Config) -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let metrics = Metrics::default();
            let trust = trust(&config, &metrics)?;
            let chain = Chain::new(&config.chain_url, config.chain_id, config.hub)?;
            let listener = Listener::bind(config.listen.clone()).await?;
            let store = Store::open(&location(&config)).await?.with_quota(config.limits.secrets);
            let broker = if config.tee_broker { Some(broker(&store).await?) } else { None };
            show_trust(&trust, &metrics);
            let origin = config.public_url.unwrap_or_else(|| listener.origin()).trim_end_matches('/').to_owned();
            let checked = tokio::sync::OnceCell::new();
            let context = Context {
                store,
                chain,
                checked,
                trust,
                broker,
                asking: RateLimit::new(asking()),
                origin,
                chain_id: config.chain_id,
                limits: Limits::new(config.limits),
                max_secrets: config.limits.secrets,
                document: http::document(),
                metrics,
            };
            if let Err(error) = check_chain(&context).await {
                context.store.close().await;
                return Err(error);
            }
            Ok(Self { listener, context: Arc::new(context) })
        })
    }

    /// Origin that it listens on.
    pub fn origin(&self) -> String {
        self.listener.origin()
    }

    /// Answers until `stop`. When it returns, the store is closed: another SMS may open it.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        let (metrics, checks) = (self.context.metrics.clone(), http::checks(&self.context));
        let options = Options { body: MAX_BODY, cors: true, metrics, checks, ..Options::default() };
        let router = http::router(Arc::clone(&self.context));
        Box::pin(async move {
            let context = self.context;
            let purge = tokio::spawn(purge::purge(Arc::clone(&context), stop.clone()));
            let tell = tokio::spawn(http::tell_refusals(Arc::clone(&context), stop.clone()));
            let served = serve(self.listener, router, options, stop).await;
            let ended = (purge.await, tell.await);
            context.store.close().await;
            ended.0.context("the purge panicked")?;
            ended.1.context("the count of refusals panicked")?;
            served
        })
    }
}

/// The key that signs authorizations, made when there is none.
async fn broker(store: &Store) -> anyhow::Result<SigningKey> {
    let fresh = SigningKey::random(&mut rand::rng());
    let key = store.broker_or(&fresh).await?;
    tracing::info!("TEE broker {}: the hub's owner names it with setTeeBroker", key.address());
    Ok(key)
}

/// How often one client may ask for collateral.
fn asking() -> Rate {
    Rate::per_minute(NonZeroU32::MIN.saturating_add(29))
}

fn location(config: &Config) -> Location {
    Location { data: config.data.clone(), database: config.database.clone(), kek: config.kek.clone() }
}

fn trust(config: &Config, metrics: &Metrics) -> anyhow::Result<Trust> {
    let simulated = config.insecure_simulated_tee.as_deref();
    if simulated.is_some() {
        check_local(config.chain_id)?;
    }
    let policy = config.policy.as_deref().map_or_else(|| Ok(SmsPolicy::nothing()), SmsPolicy::open)?;
    let (anchors, word) = simulated.map_or_else(|| Ok((TrustAnchors::hardware(), None)), read_simulated)?;
    let counts = |tee: &Tee| *tee != Tee::Simulated || simulated.is_some();
    let tees = policy.base().tees.iter().copied().filter(counts).collect();
    iexec_service::store::private_folder(&config.data)?;
    let library = Library::open(config.data.join(COLLATERAL), config.collateral.clone(), metrics.clone())?;
    Ok(Trust { anchors, tees, policy, collateral: Source::new(word, library) })
}

/// A development root and the collateral beside it.
pub(crate) fn read_simulated(root: &Path) -> anyhow::Result<(TrustAnchors, Option<Simulated>)> {
    let read = std::fs::read(root);
    let der = read.with_context(|| format!("--insecure-simulated-tee: cannot read {}", root.display()))?;
    let anchors = TrustAnchors::hardware().insecure_with_simulated(der).context("--insecure-simulated-tee")?;
    Ok((anchors, Some(Simulated::open(root.with_file_name(SIMULATED_COLLATERAL))?)))
}

/// Spec ATT-41.
fn check_local(chain_id: u64) -> anyhow::Result<()> {
    if LOCAL_CHAINS.contains(&chain_id) {
        return Ok(());
    }
    bail!(
        "--insecure-simulated-tee is refused on chain {chain_id}: it is allowed on the local chains {LOCAL_CHAINS:?} alone\n\
         hint: a simulated TEE protects nothing; run on hardware, or on a local network"
    )
}

/// A simulation says so where people and monitors look (spec ATT-42).
fn show_trust(trust: &Trust, metrics: &Metrics) {
    let simulated = trust.tees.contains(&Tee::Simulated);
    let help = "1 if evidence of this TEE is accepted; tee=\"simulated\" protects nothing.";
    for tee in [Tee::Simulated, Tee::Tdx, Tee::Snp, Tee::Sgx] {
        metrics.gauge("sms_accepted_tee", help, &[("tee", tee.name())]).set(u64::from(trust.tees.contains(&tee)));
    }
    if simulated {
        tracing::warn!(
            "INSECURE: this SMS accepts the SIMULATED TEE. Its secrets are open to whoever runs the worker. Never for real data."
        );
    }
    if trust.tees.is_empty() {
        tracing::warn!(
            "no evidence is accepted and no session will be released: --policy names no TEE that counts here"
        );
    }
}

async fn check_chain(context: &Context) -> anyhow::Result<()> {
    match context.chain().await.map(drop) {
        Err(error) if error.is_transient() => {
            tracing::warn!("{error}; requests that need the chain get 503 until it answers");
            Ok(())
        }
        checked => Ok(checked?),
    }
}

#[cfg(test)]
mod tests;
