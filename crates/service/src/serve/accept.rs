//! Connections: so many at once, each with so much time for a request's head.

use std::{io::ErrorKind, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};

use super::{Options, connection::Connection};
use crate::{Listener, caller::Peer};

/// Bytes of a request's head; longer ones get 431.
const HEAD: usize = 64 * 1024;
/// Bytes that a connection buffers.
const BUFFER: usize = 128 * 1024;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Acceptor {
    router: Router,
    tls: Option<TlsAcceptor>,
    http: http1::Builder,
    /// Time for a TLS handshake.
    handshake_time: Duration,
    stop: CancellationToken,
}

type Stream = Either<Connection, Box<TlsStream<Connection>>>;

impl Acceptor {
    pub(super) fn new(
        listener: &Listener,
        router: Router,
        options: &Options,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let tls = listener.identity.clone().map(crate::tls::Identity::acceptor).transpose()?;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(options.head_time);
        http.max_header_size(HEAD).max_buf_size(BUFFER);
        Ok(Self { router, tls, http, handshake_time: options.head_time, stop })
    }

    /// Takes connections until told to stop; yields those that are open then, which end with the request under way.
    /// Dropped, they are cut off.
    pub(super) async fn accept(&self, listener: &Listener, options: &Options) -> JoinSet<()> {
        let (mut open, free) = (JoinSet::new(), Arc::new(Semaphore::new(listener.listen.connections)));
        let gauge = options.metrics.gauge("http_connections", "Connections that are open.", &[]);
        while let Some((stream, peer, permit)) = self.next(&listener.tcp, &free).await {
            // Those that ended are forgotten.
            while open.try_join_next().is_some() {}
            let (acceptor, held) = (self.clone(), gauge.hold());
            open.spawn(async move {
                acceptor.talk(stream, peer).await;
                drop((permit, held));
            });
        }
        open
    }

    async fn next(
        &self,
        listener: &TcpListener,
        free: &Arc<Semaphore>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let next = async {
            let permit = free.clone().acquire_owned().await.ok()?;
            let (stream, peer) = connect(listener).await;
            Some((stream, peer, permit))
        };
        self.stop.run_until_cancelled(next).await.flatten()
    }

    async fn talk(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(stream) = self.secured(Connection::new(stream)).await else { return };
        let caller = Caller { router: TowerToHyperService::new(self.router.clone()), peer: Peer(peer.ip()) };
        let mut answered = pin!(self.http.serve_connection(TokioIo::new(stream), caller));
        let ended = tokio::select! {
            ended = answered.as_mut() => ended,
            () = self.stop.cancelled() => {
                answered.as_mut().graceful_shutdown();
                answered.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a connection ended: {error}");
        }
    }

    /// The connection after its handshake, if there is one to be made; `None` when it failed, took too long or the
    /// service stops.
    async fn secured(&self, connection: Connection) -> Option<Stream> {
        let Some(tls) = &self.tls else { return Some(Either::Left(connection)) };
        let handshake = tokio::time::timeout(self.handshake_time, tls.accept(connection));
        match self.stop.run_until_cancelled(handshake).await? {
            Ok(Ok(stream)) => Some(Either::Right(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::debug!("a TLS handshake failed: {error}");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took longer than {:?}", self.handshake_time);
                None
            }
        }
    }
}

/// The router, told of each request who is at the other end.
struct Caller {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Caller {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = TowerToHyperServiceFuture<Router, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}

async fn connect(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it small answers wait for the caller's delayed acknowledgement; failing is no harm.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
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
