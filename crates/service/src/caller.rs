//! Who calls: the address at the other end, or the one that a trusted proxy tells.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// Entries of `X-Forwarded-For` that are looked at, from the last.
const MOST_HOPS: usize = 32;

/// Address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Address of the client: the peer's, or the one that trusted proxies tell. In every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What a limit is kept for: an IPv4 address, or the /64 that a household or machine has of IPv6 (RFC 6177).
    pub fn network(&self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX))),
        }
    }
}

/// The client of a request; `None` for a router that is called without a connection, as in a test.
pub(crate) fn client(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> Option<ClientAddress> {
    let Peer(peer) = extensions.get()?;
    Some(ClientAddress(resolve(peer.to_canonical(), headers, proxies)))
}

/// Walks from the nearest hop outwards for as long as proxies are trusted: what lies beyond, anyone could have written.
fn resolve(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|proxies| proxies.contains(address));
    if !trusted(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut client = peer;
    for hop in hops.take(MOST_HOPS) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_go() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::1/128".parse().unwrap()];
        for (peer, forwarded, client) in [
            ("192.0.2.7", &["203.0.113.9"][..], "192.0.2.7"),
            ("10.1.1.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.1.1.1", &["1.2.3.4, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
            ("10.1.1.1", &["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.1.1", &["203.0.113.9"], "203.0.113.9"),
            ("fd00::1", &["2001:db8::5"], "2001:db8::5"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &["203.0.113.9, garbage, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &[""], "10.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().unwrap()));
            let found = super::client(&extensions, &headers, &proxies).unwrap();
            assert_eq!(found.0, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn ipv6_clients_are_limited_by_their_network() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
