//! A service on its port: bound first, measured, limited, and stopped without dropping what it answers.

mod accept;
mod body_time;
mod connection;
mod words;

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};

use crate::{Metrics, Problem};

/// How long open requests may take to end once the service is told to stop.
pub const GRACE: Duration = Duration::from_secs(5);

/// A bound port: from here on clients can connect, and nobody else can take it.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

/// A port that cannot be had.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another process has it.
    #[error("cannot listen on {0}: the port is in use\nhint: stop the process that holds it, or choose another port")]
    InUse(SocketAddr),
    /// Below 1024, or refused by the system.
    #[error("cannot listen on {0}: permission denied\nhint: choose a port above 1023")]
    Denied(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {error}")]
    Other {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl Listener {
    /// Takes the port; port 0 takes a free one, told by [`Listener::address`].
    pub fn bind(address: SocketAddr) -> BoxFuture<'static, Result<Self, BindError>> {
        Box::pin(async move {
            let bound = TcpListener::bind(address).await.and_then(|tcp| Ok(Self { address: tcp.local_addr()?, tcp }));
            bound.map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => BindError::InUse(address),
                ErrorKind::PermissionDenied => BindError::Denied(address),
                _ => BindError::Other { address, error },
            })
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, `http://127.0.0.1:13300`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Limits of a service and what it shows of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest body that extractors read, in bytes; larger ones get 413.
    pub body: usize,
    /// Time until the head of an answer; longer gets 503.
    pub time: Duration,
    /// Time for the body of a request, with 408 for who takes longer; `None` where a handler has a rule of its own.
    pub body_time: Option<Duration>,
    /// Time for the head of a request, and for the pause before it; who takes longer is cut off.
    pub head_time: Duration,
    /// Connections that are open at once; more wait to be taken.
    pub connections: usize,
    /// Whether any web page may call (CORS `*`).
    pub cors: bool,
    /// The body of refusals that no handler made: of unknown paths and methods, or when a handler does not answer.
    pub refuse: fn(Problem) -> Response,
    /// Shown at `/metrics`.
    pub metrics: Metrics,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body: 256 * 1024,
            time: Duration::from_secs(30),
            body_time: Some(Duration::from_secs(10)),
            head_time: Duration::from_secs(10),
            // Well below the 1024 descriptors that a process commonly has.
            connections: 512,
            cors: false,
            refuse: Problem::into_response,
            metrics: Metrics::default(),
        }
    }
}

/// Serves `router` and `/version`, `/health`, `/metrics` until `stop`; then open requests have [`GRACE`] to end.
pub fn serve(
    listener: Listener,
    router: Router,
    options: Options,
    stop: CancellationToken,
) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        tracing::info!("listening on {}", listener.origin());
        let router = wrap(router, &options);
        let mut open = accept::accept(&listener.tcp, &router, &options, &stop).await;
        // Nobody is kept waiting by a port that takes no more connections.
        drop(listener);
        if tokio::time::timeout(GRACE, async { while open.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("stopped with requests still open");
        }
        Ok(())
    })
}

/// The router as it is served: own routes, limits, panics caught, requests counted.
pub fn wrap(router: Router, options: &Options) -> Router {
    let (metrics, refuse) = (options.metrics.clone(), options.refuse);
    let own = Router::new()
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/health", get(|| async { "ok" }))
        .route("/metrics", get(move || async move { show(&metrics) }));
    let served = own
        .merge(router)
        .layer(DefaultBodyLimit::max(options.body))
        .layer(CatchPanicLayer::custom(move |_| refuse(Problem::internal("a request handler panicked"))))
        .layer(middleware::from_fn_with_state(options.clone(), observe));
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
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.to_text()).into_response()
}

async fn observe(State(options): State<Options>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let slow =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("no answer within {} s", options.time.as_secs()));
    let (request, lateness) = body_time::bound(request, options.body_time);
    let answer = tokio::time::timeout(options.time, next.run(request)).await;
    let answer = answer.unwrap_or_else(|_| (options.refuse)(slow()));
    let answer = lateness.problem().map_or(answer, options.refuse);
    let answer = words::given(answer, &method, &path, options.refuse).await;
    let class = format!("{}xx", answer.status().as_u16() / 100);
    options
        .metrics
        .counter("http_requests_total", "Requests answered, by class of status.", &[("status", &class)])
        .increment();
    let (status, elapsed) = (answer.status().as_u16(), started.elapsed());
    tracing::debug!(%method, path, status, ?elapsed, "answered");
    answer
}

/// A token that is cancelled by SIGINT or SIGTERM (Ctrl-C elsewhere).
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancel = stop.clone().drop_guard();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
            drop(cancel);
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        drop(cancel);
    });
    Ok(stop)
}
