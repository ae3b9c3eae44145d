//! The Secret Management Service: keeps secrets, and gives a session to an attested enclave of an authorized worker.
//!
//! Every secret goes in by its owner's signature and out only inside a session sealed to an enclave's key; there is no
//! way to read one back. Spec: `docs/spec/http.md` (SMS), `docs/spec/session.md`, `docs/spec/attestation.md`.
//!
//! What it is not: it makes no evidence, runs no app, sends no transaction.

pub mod admin;
mod description;
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
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use iexec_attestation::{Collateral, DcapCollateral, SnpCollateral, TrustAnchors};
use iexec_chain::Chain;
use iexec_protocol::{Address, evidence::Tee};
use iexec_service::{BoxFuture, CancellationToken, Listen, Listener, Metrics, Options, serve};

pub use crate::{
    http::limits::OwnerLimits,
    store::{DatabaseUrl, KekSource, Location},
};
use crate::{
    http::{Context, limits::Limits},
    policy::SmsPolicy,
    store::Store,
    tee::Trust,
};

/// Chain ids that no public network has: ganache, anvil and hardhat, and this project's own local network.
pub const LOCAL_CHAINS: [u64; 3] = [1337, 31337, iexec_chain::devnet::CHAIN_ID];

/// Name of the simulated TEE's collateral, beside its root.
pub const SIMULATED_COLLATERAL: &str = "collateral.json";

/// Largest body of any request, in bytes; the routes have smaller ones.
const MAX_BODY: usize = 64 * 1024;

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
            let trust = trust(&config)?;
            let chain = Chain::new(&config.chain_url, config.chain_id, config.hub)?;
            let listener = Listener::bind(config.listen.clone()).await?;
            let store = Store::open(&location(&config)).await?.with_quota(config.limits.secrets);
            let metrics = Metrics::default();
            show_trust(&trust, &metrics);
            let origin = config.public_url.unwrap_or_else(|| listener.origin()).trim_end_matches('/').to_owned();
            let checked = tokio::sync::OnceCell::new();
            let context = Context {
                store,
                chain,
                checked,
                trust,
                origin,
                chain_id: config.chain_id,
                limits: Limits::new(config.limits),
                max_secrets: config.limits.secrets,
                document: http::document(),
                metrics,
            };
            check_chain(&context).await?;
            Ok(Self { listener, context: Arc::new(context) })
        })
    }

    /// Origin that it listens on.
    pub fn origin(&self) -> String {
        self.listener.origin()
    }

    /// Answers until `stop`.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        let (metrics, checks) = (self.context.metrics.clone(), http::checks(&self.context));
        let options = Options { body: MAX_BODY, cors: true, metrics, checks, ..Options::default() };
        let router = http::router(Arc::clone(&self.context));
        Box::pin(async move {
            let purge = tokio::spawn(purge::purge(self.context, stop.clone()));
            let served = serve(self.listener, router, options, stop).await;
            purge.await.context("the purge panicked")?;
            served
        })
    }
}

fn location(config: &Config) -> Location {
    Location { data: config.data.clone(), database: config.database.clone(), kek: config.kek.clone() }
}

fn trust(config: &Config) -> anyhow::Result<Trust> {
    let policy = config.policy.as_deref().map_or_else(|| Ok(SmsPolicy::nothing()), SmsPolicy::open)?;
    let anchors = TrustAnchors::hardware();
    let Some(root) = &config.insecure_simulated_tee else {
        let tees = policy.base().tees.iter().copied().filter(|tee| *tee != Tee::Simulated).collect();
        return Ok(Trust { anchors, tees, policy, collateral: Collateral::Snp(SnpCollateral::default()) });
    };
    check_local(config.chain_id)?;
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("--insecure-simulated-tee: cannot read {}", path.display()))
    };
    let anchors = anchors.insecure_with_simulated(read(root)?).context("--insecure-simulated-tee")?;
    let collateral = DcapCollateral::from_json(&read(&root.with_file_name(SIMULATED_COLLATERAL))?)?;
    Ok(Trust { anchors, tees: policy.base().tees.clone(), policy, collateral: Collateral::Dcap(collateral) })
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
        tracing::warn!("no evidence is accepted and no session will be released: --policy names no TEE that counts here");
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
