//! A service on its port: bound first, measured, limited, and stopped without dropping what it answers.

mod accept;
mod body_time;
mod connection;
mod observe;
mod stop;
mod words;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::header,
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};

use crate::{Check, Listen, Listener, Metrics, Problem, health::Readiness};
use accept::Acceptor;
use observe::{Observer, observe};

pub use stop::stop_on_signal;

/// Limits of a service and what it shows of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest body that extractors read, in bytes; larger ones get 413.
    pub body: usize,
    /// Time until the head of an answer; longer gets 503.
    pub time: Duration,
    /// Time for the body of a request, with 408 for who takes longer; `None` where a handler has a rule of its own.
    pub body_time: Option<Duration>,
    /// Time for a TLS handshake, for the head of a request, and for the pause before it; who takes longer is cut off.
    pub head_time: Duration,
    /// Whether any web page may call (CORS `*`).
    pub cors: bool,
    /// The body of refusals that no handler made: of unknown paths and methods, or when a handler does not answer.
    pub refuse: fn(Problem) -> Response,
    /// Shown at `/metrics`.
    pub metrics: Metrics,
    /// What `/health/ready` asks.
    pub checks: Vec<Check>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body: 256 * 1024,
            time: Duration::from_secs(30),
            body_time: Some(Duration::from_secs(10)),
            head_time: Duration::from_secs(10),
            cors: false,
            refuse: Problem::into_response,
            metrics: Metrics::default(),
            checks: Vec::new(),
        }
    }
}

/// In the extensions of an answer: the dependency that failed, `chain` or `database`, to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub &'static str);

/// Serves `router` and `/version`, `/health`, `/health/live`, `/health/ready`, `/metrics` until `stop`; then open
/// requests have [`Listen::grace`] to end.
pub fn serve(
    listener: Listener,
    router: Router,
    options: Options,
    stop: CancellationToken,
) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        tracing::info!("listening on {}", listener.origin());
        let grace = listener.listen.grace;
        let acceptor = Acceptor::new(&listener, wrap(router, &options, &listener.listen), &options, stop)?;
        let mut open = tokio::select! {
            open = acceptor.accept(&listener, &options) => open,
            () = keep_fresh(&listener, &options) => JoinSet::new(),
        };
        // Nobody is kept waiting by a port that takes no more connections.
        drop(listener);
        if tokio::time::timeout(grace, async { while open.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("stopped with {} connections still open after {grace:?}", open.len());
        }
        Ok(())
    })
}

/// Never ends.
async fn keep_fresh(listener: &Listener, options: &Options) {
    match listener.identity.clone() {
        Some(identity) => identity.keep_fresh(options.metrics.clone()).await,
        None => std::future::pending().await,
    }
}

/// The router as it is served: own routes, limits, panics caught, requests counted.
fn wrap(router: Router, options: &Options, listen: &Listen) -> Router {
    let (metrics, refuse) = (options.metrics.clone(), options.refuse);
    let ready = Arc::new(Readiness::new(options.checks.clone(), options.metrics.clone()));
    let own = Router::new()
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/health", get(|| async { "ok" }))
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(move || async move { ready.show().await }))
        .route("/metrics", get(move || async move { show(&metrics) }));
    let served = own
        .merge(router)
        .layer(DefaultBodyLimit::max(options.body))
        .layer(CatchPanicLayer::custom(move |_| refuse(Problem::internal("a request handler panicked"))))
        .layer(middleware::from_fn_with_state(Arc::new(Observer::new(options, listen)), observe));
    if options.cors { served.layer(any_origin()) } else { served }
}

fn any_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
}

fn show(metrics: &Metrics) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.to_text()).into_response()
}
