//! The order book, between those who sell and those who ask (iExec market API), and the look-up of a workerpool's
//! scheduler (Compass). Rules M1 to M14: `docs/spec/http.md`.
//!
//! It is trusted with nothing: whoever takes an order from it checks hash, signature and volume on chain again.

mod answer;
mod book;
mod chain_facts;
mod compass;
mod filter;
mod fresh;
mod listing;
mod publish;
mod query;
mod routes;
mod schema;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use axum::response::IntoResponse as _;
use iexec_chain::Chain;
use iexec_protocol::Address;
use iexec_service::{
    BoxFuture, CancellationToken, Check, Listen, Listener, Metrics, Options, Store, serve, store::open_sqlite,
};

pub use filter::MAX_PAGE;
pub use publish::MAX_OPEN;

/// What a market is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// The data directory; the book is `market.sqlite` in it.
    pub data: PathBuf,
    /// The chain that its orders are for.
    pub chain: Chain,
    /// Known schedulers by workerpool: origins such as `http://127.0.0.1:13000`.
    pub schedulers: HashMap<Address, String>,
}

/// Runs the market until `stop`.
pub fn run(config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move { run_on(Listener::bind(config.listen.clone()).await?, config, stop).await })
}

/// Runs the market on a port that is bound already (`config.listen` is not looked at).
pub fn run_on(listener: Listener, config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        let store = open_sqlite(&config.data.join("market.sqlite"), schema::MIGRATIONS).await?;
        compass::learn(&store, &config.schedulers).await.context("the schedulers of the configuration")?;
        let metrics = Metrics::default();
        let refuse = |problem| answer::Refusal::from(problem).into_response();
        let checks = vec![Check::store(&store), Check::answers("chain", config.chain.clone(), Chain::block_number)];
        let options = Options { cors: true, refuse, metrics: metrics.clone(), checks, ..Options::default() };
        let market = Arc::new(Market { store, chain: config.chain, metrics });
        serve(listener, routes::router(market), options, stop).await
    })
}

/// What every request works with.
#[derive(Debug)]
struct Market {
    store: Store,
    chain: Chain,
    metrics: Metrics,
}
