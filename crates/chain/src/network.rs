//! `chain.json`: which networks there are, where their services are, and which one a command means.
//!
//! Reads every key that the JavaScript SDK's major versions know (spec: sdk configuration, 5 to 9) and two of our own,
//! `faucet` and `simulatedTee`; writes the subset that each of them insists on. An unknown key is an error that names key and place.

use std::collections::BTreeMap;
use std::str::FromStr;

use alloy::primitives::Address;
use serde_json::{Map, Value, json};

use crate::devnet;

mod place;
use place::Place;

/// A `chain.json` larger than this is not read.
pub const MAX_BYTES: usize = 256 * 1024;
/// The network of a `chain.json` that names no default.
pub const DEFAULT: &str = "devnet";

const TOP_KEYS: [&str; 4] = ["default", "chains", "providers", "allowExperimentalNetworks"];
const SERVICE_KEYS: [&str; 6] = ["resultProxy", "ipfsGateway", "iexecGateway", "compass", "pocoSubgraph", "faucet"];
/// Known to some SDK versions and of no use here: accepted, kept, not interpreted.
const FOREIGN_KEYS: [&str; 11] = [
    "ensRegistry",
    "ensPublicResolver",
    "ipfsNode",
    "voucherHub",
    "voucherSubgraph",
    "defaultTeeFramework",
    "native",
    "useGas",
    "flavour",
    "bridge",
    "enterprise",
];

/// One network, complete: what is missing in `chain.json` was filled from the built-in ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name in `chain.json`.
    pub name: String,
    /// EIP-155 chain id.
    pub id: u64,
    /// JSON-RPC endpoint.
    pub host: String,
    /// The PoCo contract.
    pub hub: Address,
    /// The services' URLs.
    pub services: Services,
    /// Folder of a local network's simulated TEE, with `root.der` and `collateral.json`.
    pub simulated_tee: Option<String>,
}

/// Where a network's services are; `None`: the network does not have this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// Secret management.
    pub sms: Option<String>,
    /// Where results are uploaded (SDKs up to 8).
    pub result_proxy: Option<String>,
    /// Where results are downloaded.
    pub ipfs_gateway: Option<String>,
    /// Market: the order book. Called `iexecGateway` in the file.
    pub market: Option<String>,
    /// Workerpool to scheduler look-up.
    pub compass: Option<String>,
    /// Index of the chain's history.
    pub poco_subgraph: Option<String>,
    /// Gives ether and RLC on a local network.
    pub faucet: Option<String>,
}

/// Whose `chain.json` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Ours.
    Iexec,
    /// The npm SDK up to 7.x.
    SdkTo7,
    /// The npm SDK 8.x.
    Sdk8,
    /// The npm SDK 9.x.
    Sdk9,
}

/// A `chain.json`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFile {
    default: Option<String>,
    chains: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entry {
    id: Option<u64>,
    host: Option<String>,
    hub: Option<Address>,
    services: Services,
    simulated_tee: Option<String>,
}

impl ChainFile {
    /// What `iexec init` writes: the local network as the default, and the public ones.
    pub fn initial() -> Self {
        let names = BUILT_IN.map(|network| network().name);
        Self { default: Some(DEFAULT.into()), chains: names.into_iter().map(|name| (name, Entry::default())).collect() }
    }

    /// A file with one network, which is its default.
    pub fn of(network: &Network) -> Self {
        let Network { name, id, host, hub, services, simulated_tee } = network.clone();
        let entry = Entry { id: Some(id), host: Some(host), hub: Some(hub), services, simulated_tee };
        Self { default: Some(name.clone()), chains: BTreeMap::from([(name, entry)]) }
    }

    /// The network that `--chain` names (by name or chain id), or the file's default.
    pub fn select(&self, chain: Option<&str>) -> Result<Network, NetworkError> {
        let wanted = chain.or(self.default.as_deref()).unwrap_or(DEFAULT);
        if let Some((name, entry)) = self.find(wanted) {
            return complete(name, entry);
        }
        if let Some(closed) = CLOSED.iter().find(|closed| closed.name == wanted || closed.id.to_string() == wanted) {
            return Err(NetworkError::ShutDown { name: closed.name });
        }
        let known = if self.chains.is_empty() { "none".into() } else { join(self.chains.keys().map(String::as_str)) };
        Err(NetworkError::Unknown { name: wanted.to_owned(), known })
    }

    /// The file's text: two spaces, no newline at the end.
    pub fn render(&self, dialect: Dialect) -> String {
        let chains: Map<_, _> = self.chains.iter().map(|(name, entry)| (name.clone(), entry.render(dialect))).collect();
        let mut file = Map::new();
        if let Some(default) = &self.default {
            file.insert("default".into(), json!(default));
        }
        file.insert("chains".into(), Value::Object(chains));
        format!("{:#}", Value::Object(file))
    }

    fn find(&self, wanted: &str) -> Option<(&str, &Entry)> {
        let by_name = self.chains.get_key_value(wanted);
        let by_id =
            || self.chains.iter().find(|(name, entry)| id_of(name, entry).is_some_and(|id| id.to_string() == wanted));
        by_name.or_else(by_id).map(|(name, entry)| (name.as_str(), entry))
    }
}

impl FromStr for ChainFile {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if text.len() > MAX_BYTES {
            return Err(NetworkError::TooLarge { found: text.len() });
        }
        let file: Value = serde_json::from_str(text).map_err(|cause| NetworkError::Json(cause.to_string()))?;
        let file = Place::root(&file);
        file.object(&TOP_KEYS)?;
        let default = file.field("default").map(|place| place.text()).transpose()?;
        let mut chains = BTreeMap::new();
        if let Some(listed) = file.field("chains") {
            for (name, place) in listed.entries()? {
                chains.insert(name, Entry::parse(&place)?);
            }
        }
        Ok(Self { default, chains })
    }
}

impl Entry {
    fn parse(place: &Place<'_>) -> Result<Self, NetworkError> {
        let known: Vec<_> =
            ["id", "host", "hub", "sms", "simulatedTee"].into_iter().chain(SERVICE_KEYS).chain(FOREIGN_KEYS).collect();
        let entry = place.object(&known)?;
        let service = |key| entry.field(key).map(|place| place.url()).transpose();
        Ok(Self {
            id: entry.field("id").map(|place| place.id()).transpose()?,
            host: entry.field("host").map(|place| place.url()).transpose()?,
            hub: entry.field("hub").map(|place| place.address()).transpose()?,
            services: Services {
                sms: entry.field("sms").map(|place| place.sms()).transpose()?,
                result_proxy: service("resultProxy")?,
                ipfs_gateway: service("ipfsGateway")?,
                market: service("iexecGateway")?,
                compass: service("compass")?,
                poco_subgraph: service("pocoSubgraph")?,
                faucet: service("faucet")?,
            },
            simulated_tee: entry.field("simulatedTee").map(|place| place.text()).transpose()?,
        })
    }

    fn render(&self, dialect: Dialect) -> Value {
        let Services { sms, result_proxy, ipfs_gateway, market, compass, poco_subgraph, faucet } = &self.services;
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
        let only = |dialects: &[Dialect], value: &Option<String>| {
            if dialects.contains(&dialect) { text(value) } else { None }
        };
        let sms = match dialect {
            // A single URL would be taken for one framework's only.
            Dialect::Sdk8 => sms.as_ref().map(|url| json!({ "scone": url, "gramine": url, "tdx": url })),
            _ => text(sms),
        };
        let fields = [
            ("id", self.id.map(|id| json!(id.to_string()))),
            ("host", text(&self.host)),
            ("hub", self.hub.map(|hub| json!(hub.to_string()))),
            ("sms", sms),
            ("resultProxy", only(&[Dialect::Iexec, Dialect::SdkTo7, Dialect::Sdk8], result_proxy)),
            ("ipfsGateway", text(ipfs_gateway)),
            ("iexecGateway", text(market)),
            ("compass", only(&[Dialect::Iexec, Dialect::Sdk8, Dialect::Sdk9], compass)),
            ("pocoSubgraph", only(&[Dialect::Iexec, Dialect::Sdk8, Dialect::Sdk9], poco_subgraph)),
            ("faucet", only(&[Dialect::Iexec], faucet)),
            ("simulatedTee", only(&[Dialect::Iexec], &self.simulated_tee)),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// The local network, with its services on their default ports.
pub fn devnet() -> Network {
    use devnet::port;
    let at = |port: u16| Some(format!("http://127.0.0.1:{port}"));
    Network {
        name: "devnet".into(),
        id: devnet::CHAIN_ID,
        host: format!("http://127.0.0.1:{}", port::CHAIN),
        hub: devnet::HUB,
        services: Services {
            sms: at(port::SMS),
            result_proxy: at(port::STORAGE),
            ipfs_gateway: at(port::STORAGE),
            market: at(port::MARKET),
            compass: at(port::MARKET),
            poco_subgraph: None,
            faucet: at(port::FAUCET),
        },
        simulated_tee: None,
    }
}

/// iExec on Arbitrum One.
pub fn arbitrum_mainnet() -> Network {
    public("arbitrum-mainnet", 42161, "https://arb1.arbitrum.io/rpc", ARBITRUM_HUB)
}

/// iExec on Arbitrum's test network.
pub fn arbitrum_sepolia() -> Network {
    public("arbitrum-sepolia-testnet", 421_614, "https://sepolia-rollup.arbitrum.io/rpc", ARBITRUM_SEPOLIA_HUB)
}

const ARBITRUM_HUB: Address = alloy::primitives::address!("098bFCb1E50ebcA0BaA92C12eA0c3F045A1aD9f0");
const ARBITRUM_SEPOLIA_HUB: Address = alloy::primitives::address!("B2157BF2fAb286b2A4170E3491Ac39770111Da3E");
const BUILT_IN: [fn() -> Network; 3] = [devnet, arbitrum_mainnet, arbitrum_sepolia];

fn public(name: &str, id: u64, host: &str, hub: Address) -> Network {
    let at = |service: &str| Some(format!("https://{service}.{name}.iex.ec"));
    Network {
        name: name.into(),
        id,
        host: host.into(),
        hub,
        services: Services {
            sms: at("sms"),
            ipfs_gateway: at("ipfs-gateway"),
            market: at("api-market"),
            compass: at("compass"),
            ..Services::default()
        },
        simulated_tee: None,
    }
}

struct Closed {
    name: &'static str,
    id: u64,
}

const CLOSED: [Closed; 3] =
    [Closed { name: "goerli", id: 5 }, Closed { name: "viviani", id: 133 }, Closed { name: "bellecour", id: 134 }];

fn built_in(name: &str, entry: &Entry) -> Option<Network> {
    let same = |network: &Network| entry.id.map_or(network.name == name, |id| network.id == id);
    BUILT_IN.iter().map(|network| network()).find(same)
}

fn id_of(name: &str, entry: &Entry) -> Option<u64> {
    entry.id.or_else(|| built_in(name, entry).map(|network| network.id))
}

/// What the file leaves out comes from the built-in network of the same id, or, without an id, of the same name.
fn complete(name: &str, entry: &Entry) -> Result<Network, NetworkError> {
    let known = built_in(name, entry);
    let closed = CLOSED.iter().find(|closed| entry.id.map_or(closed.name == name, |id| closed.id == id));
    if let (Some(closed), None) = (closed, &entry.host) {
        return Err(NetworkError::ShutDown { name: closed.name });
    }
    let missing = |key| NetworkError::Missing { key, name: name.to_owned() };
    let known = known.as_ref();
    let mine = &entry.services;
    let theirs = known.map(|network| network.services.clone()).unwrap_or_default();
    Ok(Network {
        name: name.to_owned(),
        id: entry.id.or(known.map(|network| network.id)).ok_or_else(|| missing("id"))?,
        host: entry.host.clone().or(known.map(|network| network.host.clone())).ok_or_else(|| missing("host"))?,
        hub: entry.hub.or(known.map(|network| network.hub)).ok_or_else(|| missing("hub"))?,
        services: Services {
            sms: mine.sms.clone().or(theirs.sms),
            result_proxy: mine.result_proxy.clone().or(theirs.result_proxy),
            ipfs_gateway: mine.ipfs_gateway.clone().or(theirs.ipfs_gateway),
            market: mine.market.clone().or(theirs.market),
            compass: mine.compass.clone().or(theirs.compass),
            poco_subgraph: mine.poco_subgraph.clone().or(theirs.poco_subgraph),
            faucet: mine.faucet.clone().or(theirs.faucet),
        },
        simulated_tee: entry.simulated_tee.clone(),
    })
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Why `chain.json` names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not JSON.
    #[error("chain.json: {0}")]
    Json(String),
    /// Larger than any configuration.
    #[error("chain.json: {found} bytes, at most {MAX_BYTES} are read")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// A key that no version knows.
    #[error("chain.json: unknown key {key:?} in {place} (known: {known})")]
    UnknownKey {
        /// The key.
        key: String,
        /// The object it is in.
        place: String,
        /// What may be there.
        known: String,
    },
    /// A value of another kind.
    #[error("chain.json: {place} is {found}, expected {expected}")]
    Field {
        /// Path to the value.
        place: String,
        /// The value.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// Neither in the file nor built in.
    #[error("chain.json: chains.{name} has no {key}, and no built-in network has its name or id")]
    Missing {
        /// The key.
        key: &'static str,
        /// The network.
        name: String,
    },
    /// No such network.
    #[error("chain.json has no chain {name:?} (it has: {known})")]
    Unknown {
        /// As asked for.
        name: String,
        /// The file's.
        known: String,
    },
    /// A network of the past.
    #[error(
        "the {name} network was shut down; hint: use --chain devnet, arbitrum-sepolia-testnet or arbitrum-mainnet instead"
    )]
    ShutDown {
        /// Its name.
        name: &'static str,
    },
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
