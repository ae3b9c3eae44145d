//! Fetching from addresses that a requester or an app's owner chose: streamed to disk, bounded, and never from a
//! machine of the operator's own network unless the operator said so.
//!
//! No system proxy is asked: it would resolve names where this guard cannot look.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use http::{HeaderMap, StatusCode, header};
use iexec_protocol::id::Sha256;
use sha2::Digest as _;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use url::{Host, Url};

/// Redirects followed, each checked like the first address.
pub const MAX_REDIRECTS: usize = 5;

const CONNECT_TIME: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// Which machines may be fetched from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses only.
    #[default]
    Public,
    /// Public addresses, and this machine's own (a local network).
    Loopback,
    /// Anything, private networks included.
    Anywhere,
}

impl Reach {
    /// Whether this address may be fetched from.
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Loopback => is_public(address) || unmapped(address).is_loopback(),
            Self::Public => is_public(address),
        }
    }
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// IANA's special-purpose registry (RFC 6890), without what is globally reachable.
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation();
    !(a == 0 || a >= 224 || shared || protocol || benchmark || special)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    // Only 2000::/3 is allotted to the public; in it, 2001::/23, 2001:db8::/32 and 6to4 (2002::/16) are special.
    let global = segments[0] & 0xe000 == 0x2000;
    let special = segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0x0db8);
    global && !special && segments[0] != 0x2002
}

/// Fetches over http and https within a [`Reach`].
#[derive(Clone, Debug)]
pub struct Net {
    client: reqwest::Client,
    reach: Reach,
}

/// A file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: Sha256,
}

impl Net {
    /// A client. [`iexec_service::crypto::install`] has run before.
    pub fn new(reach: Reach) -> Result<Self, NetFault> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(std::sync::Arc::new(GuardedNames(reach)))
            .connect_timeout(CONNECT_TIME)
            .read_timeout(SILENCE)
            .user_agent(concat!("iexec-worker/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NetFault::unreachable("the HTTP client", &error))?;
        Ok(Self { client, reach })
    }

    /// Asks for `url`, following redirects; `headers` go to the first origin only. Any status is an answer.
    pub async fn open(&self, url: &Url, headers: &HeaderMap) -> Result<reqwest::Response, NetFault> {
        let (mut at, mut headers) = (url.clone(), headers.clone());
        for _ in 0..=MAX_REDIRECTS {
            self.check(&at)?;
            let answer = self.client.get(at.clone()).headers(headers.clone()).send().await;
            let answer = answer.map_err(|error| NetFault::unreachable(at.as_str(), &error))?;
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| at.join(location).ok());
            let next = next.ok_or_else(|| NetFault::Redirect(at.to_string()))?;
            if next.origin() != at.origin() {
                headers.remove(header::AUTHORIZATION);
            }
            at = next;
        }
        Err(NetFault::Redirects(url.to_string()))
    }

    fn check(&self, url: &Url) -> Result<(), NetFault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NetFault::Scheme(url.to_string()));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(_)) => None,
            None => return Err(NetFault::Scheme(url.to_string())),
        };
        match literal {
            Some(address) if !self.reach.admits(address) => Err(NetFault::Denied(url.to_string())),
            _ => Ok(()),
        }
    }
}

/// Resolves names and keeps the admitted addresses: what is checked is what is connected to.
struct GuardedNames(Reach);

impl reqwest::dns::Resolve for GuardedNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted: Vec<_> = found.into_iter().filter(|address| reach.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(NetFault::Denied(name.as_str().to_owned()).into());
            }
            Ok(Box::new(admitted.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Writes an answer's body to `path`, at most `limit` bytes; what is written is on disk when this returns.
pub async fn save(mut answer: reqwest::Response, path: &Path, limit: u64) -> Result<Saved, NetFault> {
    let url = answer.url().to_string();
    let disk = |error: std::io::Error| NetFault::Disk(format!("{}: {error}", path.display()));
    if let Some(size) = answer.content_length().filter(|size| *size > limit) {
        return Err(NetFault::TooLarge { url, limit, size });
    }
    let mut file = tokio::fs::File::create(path).await.map_err(disk)?;
    let (mut hash, mut size) = (sha2::Sha256::new(), 0_u64);
    while let Some(chunk) = answer.chunk().await.map_err(|error| NetFault::unreachable(&url, &error))? {
        size += chunk.len() as u64;
        if size > limit {
            return Err(NetFault::TooLarge { url, limit, size });
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.sync_all().await.map_err(disk)?;
    Ok(Saved { size, sha256: Sha256(<[u8; 32]>::from(hash.finalize()).into()) })
}

/// An answer's body in memory, at most `limit` bytes.
pub async fn read(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, NetFault> {
    let (url, mut body) = (answer.url().to_string(), Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(|error| NetFault::unreachable(&url, &error))? {
        let size = body.len() + chunk.len();
        if size > limit {
            return Err(NetFault::TooLarge { url, limit: limit as u64, size: size as u64 });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Nothing was fetched.
#[derive(Debug, Error)]
pub enum NetFault {
    /// No connection, or it broke.
    #[error("{url} cannot be reached: {error}")]
    Unreachable {
        /// Where.
        url: String,
        /// The innermost cause.
        error: String,
    },
    /// Neither http nor https, or no host.
    #[error("{0} is no http or https address")]
    Scheme(String),
    /// Outside the operator's [`Reach`].
    #[error("{0} is on a private network, from which this worker fetches nothing")]
    Denied(String),
    /// A redirect without a usable address.
    #[error("{0} redirects to nowhere")]
    Redirect(String),
    /// Too many redirects.
    #[error("{0} redirects more than {MAX_REDIRECTS} times")]
    Redirects(String),
    /// Larger than allowed.
    #[error("{url} has more than {limit} bytes ({size} seen)")]
    TooLarge {
        /// Where.
        url: String,
        /// Bytes allowed.
        limit: u64,
        /// Bytes announced or read so far.
        size: u64,
    },
    /// The worker's disk.
    #[error("cannot write {0}")]
    Disk(String),
}

impl NetFault {
    fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Unreachable { url: url.to_owned(), error: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_denied_in_every_spelling() {
        for private in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "2002:0a00:0001::1",
            "64:ff9b::a00:1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!Reach::Public.admits(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(Reach::Public.admits(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_local_network_admits_its_own_machine_and_no_other_private_one() {
        assert!(Reach::Loopback.admits("127.0.0.1".parse().unwrap()));
        assert!(Reach::Loopback.admits("::1".parse().unwrap()));
        assert!(!Reach::Loopback.admits("10.0.0.1".parse().unwrap()));
        assert!(!Reach::Loopback.admits("169.254.169.254".parse().unwrap()));
        assert!(Reach::Anywhere.admits("10.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_denied_like_its_address() {
        iexec_service::crypto::install();
        let net = Net::new(Reach::Public).unwrap();
        for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "http://2130706433:1/"] {
            let error = net.open(&url.parse().unwrap(), &HeaderMap::new()).await.unwrap_err().to_string();
            assert!(error.contains("private network"), "{url}: {error}");
        }
        for url in ["file:///etc/passwd", "ftp://example.org/x"] {
            let error = net.open(&url.parse().unwrap(), &HeaderMap::new()).await.unwrap_err();
            assert!(matches!(error, NetFault::Scheme(_)), "{url}: {error}");
        }
    }
}
