//! A port as its operator wants it: where, with which certificate, for how many and whose callers.

use std::{io::ErrorKind, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{
    limit::Rate,
    tls::{Identity, TlsError, TlsFiles},
};

/// How long open requests may take to end once the service is told to stop.
pub const GRACE: Duration = Duration::from_secs(10);
/// Connections that are open at once.
pub const CONNECTIONS: usize = 4096;
/// Descriptors for what is not a caller's connection: files, the database, the chain.
const OWN_DESCRIPTORS: u64 = 256;

/// What an operator chooses about a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 takes a free one, told by [`Listener::address`].
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Connections that are open at once; more wait to be taken.
    pub connections: usize,
    /// Requests that one client's address may make; `None` for any number.
    pub rate: Option<Rate>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long open requests may take to end once the service is told to stop.
    pub grace: Duration,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None, connections: CONNECTIONS, rate: None, trusted_proxies: Vec::new(), grace: GRACE }
    }
}

impl FromStr for Listen {
    type Err = std::net::AddrParseError;

    /// An address and a port, all else as by default.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|address: SocketAddr| address.into())
    }
}

/// A bound port: from here on clients can connect, and nobody else can take it.
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) listen: Listen,
    pub(crate) identity: Option<Arc<Identity>>,
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
    /// Certificate and key are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Listener {
    /// Reads certificate and key, takes the port, and raises the process' limit of descriptors to what the
    /// connections need.
    pub fn bind(mut listen: Listen) -> BoxFuture<'static, Result<Self, BindError>> {
        Box::pin(async move {
            let identity = listen.tls.clone().map(Identity::load).transpose()?.map(Arc::new);
            let address = listen.address;
            listen.connections = affordable(listen.connections);
            let bound = TcpListener::bind(address).await.and_then(|tcp| Ok((tcp.local_addr()?, tcp)));
            let (address, tcp) = bound.map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => BindError::InUse(address),
                ErrorKind::PermissionDenied => BindError::Denied(address),
                _ => BindError::Other { address, error },
            })?;
            Ok(Self { tcp, listen, identity, address })
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, `http://127.0.0.1:13300`, or `https://…` with a certificate.
    pub fn origin(&self) -> String {
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// So many of the connections as the process may have descriptors for.
#[cfg(unix)]
fn affordable(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = (connections as u64).saturating_add(OWN_DESCRIPTORS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(limit) = current.filter(|limit| *limit < needed) else { return connections };
    let raised = maximum.map_or(needed, |maximum| needed.min(maximum));
    let limit = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    let fit = usize::try_from(limit.saturating_sub(OWN_DESCRIPTORS).max(limit / 2)).unwrap_or(connections);
    if fit < connections {
        tracing::warn!("{fit} connections instead of {connections}: the process may open {limit} files (ulimit -n)");
    }
    fit.min(connections)
}

#[cfg(not(unix))]
fn affordable(connections: usize) -> usize {
    connections
}
