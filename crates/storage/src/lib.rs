//! Keeps result archives: content-addressed, write-once, streamed in and out. Rules S1 to S12: `docs/spec/http.md`.
//!
//! It is trusted with ciphertext only. It never opens an archive further than its directory; who downloads one checks the
//! content identifier, and who decrypts one checks the receipt.

mod accept;
mod archives;
mod byte_range;
mod gateway;
mod login;
mod results;
mod routes;
mod token;
mod upload;

use std::{path::PathBuf, sync::Arc, time::Duration};

use iexec_chain::Chain;
use iexec_service::{
    BoxFuture, CancellationToken, Check, Listen, Listener, Metrics, Options, Store, serve, store::open_sqlite,
};

use archives::Archives;
use token::TokenKey;

/// What a storage is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// The data directory: `storage.sqlite`, `archives/`, `token.key`.
    pub data: PathBuf,
    /// The chain whose tasks have results here.
    pub chain: Chain,
    /// Largest archive, in bytes.
    pub max_archive: u64,
}

/// Longest time for a whole upload; silence in it ends it much sooner.
const UPLOAD_TIME: Duration = Duration::from_hours(2);

/// Runs the storage until `stop`.
pub fn run(config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move { run_on(Listener::bind(config.listen.clone()).await?, config, stop).await })
}

/// Runs the storage on a port that is bound already (`config.listen` is not looked at).
pub fn run_on(listener: Listener, config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        // The store's lock comes first: only its holder may clear the folder of unfinished uploads.
        let store = open_sqlite(&config.data.join("storage.sqlite"), results::MIGRATIONS).await?;
        let archives = Archives::open(&config.data)?;
        let token_key = TokenKey::open(&config.data.join("token.key"))?;
        let metrics = Metrics::default();
        let Config { chain, max_archive, .. } = config;
        let options = Options {
            cors: true,
            time: UPLOAD_TIME,
            body_time: None,
            metrics: metrics.clone(),
            checks: vec![Check::store(&store), Check::answers("chain", chain.clone(), Chain::block_number)],
            ..Options::default()
        };
        let storage = Arc::new(Storage { store, archives, token_key, chain, max_archive, metrics });
        serve(listener, routes::router(storage), options, stop).await
    })
}

/// What every request works with.
struct Storage {
    store: Store,
    archives: Archives,
    token_key: TokenKey,
    chain: Chain,
    max_archive: u64,
    metrics: Metrics,
}
