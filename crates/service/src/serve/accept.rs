//! Connections: so many at once, each with so much time for a request's head.

use std::{io::ErrorKind, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Options, connection::Connection};

/// Bytes of a request's head; longer ones get 431.
const HEAD: usize = 64 * 1024;
/// Bytes that a connection buffers.
const BUFFER: usize = 128 * 1024;

/// Takes connections until `stop`; yields those that are open then, which end with the request under way. Dropped,
/// they are cut off.
pub(super) async fn accept(
    listener: &TcpListener,
    router: &Router,
    options: &Options,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let (mut open, free) = (JoinSet::new(), Arc::new(Semaphore::new(options.connections)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.head_time);
    http.max_header_size(HEAD).max_buf_size(BUFFER);
    let next = async || {
        let permit = free.clone().acquire_owned().await.ok()?;
        Some((connect(listener).await, permit))
    };
    while let Some(Some((stream, permit))) = stop.run_until_cancelled(next()).await {
        // Those that ended are forgotten.
        while open.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        let answered = http.serve_connection(TokioIo::new(Connection::new(stream)), service);
        let stop = stop.clone();
        open.spawn(async move {
            answer(answered, &stop).await;
            drop(permit);
        });
    }
    open
}

async fn answer(answered: http1::Connection<TokioIo<Connection>, Service>, stop: &CancellationToken) {
    let mut answered = pin!(answered);
    let ended = tokio::select! {
        ended = answered.as_mut() => ended,
        () = stop.cancelled() => {
            answered.as_mut().graceful_shutdown();
            answered.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

type Service = TowerToHyperService<Router>;

async fn connect(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it small answers wait for the caller's delayed acknowledgement; failing is no harm.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // A caller that is gone already.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => (),
            // No descriptor is free: connections that end free some.
            Err(error) => {
                tracing::error!("a connection cannot be taken: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
