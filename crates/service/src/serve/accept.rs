//! Connections: so many at once, each with so much time for a request's head.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{Options, connection::Connection};

/// Bytes of a request's head; longer ones get 431. It also bounds what a connection buffers.
const HEAD: usize = 64 * 1024;

/// Takes connections until `stop`; yields those that are open then.
pub(super) async fn accept(
    listener: &TcpListener,
    router: &Router,
    options: &Options,
    stop: &CancellationToken,
) -> GracefulShutdown {
    let (open, free) = (GracefulShutdown::new(), Arc::new(Semaphore::new(options.connections)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.head_time).max_buf_size(HEAD);
    let next = async || {
        let permit = free.clone().acquire_owned().await.ok()?;
        Some((connect(listener).await, permit))
    };
    while let Some(Some((stream, permit))) = stop.run_until_cancelled(next()).await {
        let service = TowerToHyperService::new(router.clone());
        let answered = open.watch(http.serve_connection(TokioIo::new(Connection::new(stream)), service));
        tokio::spawn(async move {
            if let Err(error) = answered.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(permit);
        });
    }
    open
}

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
