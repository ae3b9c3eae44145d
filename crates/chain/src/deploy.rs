//! Puts the published PoCo contracts and the RLC token on an empty chain.
//!
//! One account sends every transaction, so every address is known before anything is sent (CREATE: sender and nonce): the
//! plan is a pure list, sent at once and checked afterwards. Bytecode is read from the npm packages, never from here.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use alloy::consensus::TxEip1559;
use alloy::eips::eip2718::Encodable2718;
use alloy::json_abi::JsonAbi;
use alloy::primitives::{Address, Bytes, FixedBytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::sol_types::{SolCall, SolConstructor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{Answer, Chain};
use crate::contracts::{Diamond, DiamondArgs, DiamondInit, FacetCut, Hub, Registry};
use crate::error::ChainError;
use crate::toolchain::Toolchain;
use crate::transaction;
use crate::wallet::Wallet;

/// Facets whose bytecode the package has compiled and unlinked.
const FACETS: [&str; 13] = [
    "IexecAccessorsABILegacyFacet",
    "IexecCategoryManagerFacet",
    "IexecConfigurationExtraFacet",
    "IexecConfigurationFacet",
    "IexecERC20Facet",
    "IexecEscrowTokenFacet",
    "IexecOrderManagementFacet",
    "IexecPoco1Facet",
    "IexecPoco2Facet",
    "IexecPocoAccessorsFacet",
    "IexecPocoBoostAccessorsFacet",
    "IexecPocoBoostFacet",
    "IexecRelayFacet",
];
/// EIP-2535's own facets, found among the package's deployments.
const DIAMOND_FACETS: [&str; 3] = ["DiamondCutFacet", "DiamondLoupeFacet", "OwnershipFacet"];
const REGISTRIES: [(&str, &str); 3] =
    [("apps", "AppRegistry"), ("datasets", "DatasetRegistry"), ("workerpools", "WorkerpoolRegistry")];
/// Name and seconds of the categories 0 to 4, as on the public chains.
pub const CATEGORIES: [(&str, u64); 5] = [("XS", 300), ("S", 1200), ("M", 3600), ("L", 10_800), ("XL", 36_000)];
/// Below the limit of one transaction since Osaka, 2^24 (EIP-7825); the dearest step takes half of it.
const GAS: u64 = 16_000_000;
const MINING_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest of the package's artifacts is under 1 MB.
const MAX_ARTIFACT: u64 = 8 << 20;

/// Where the contracts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The PoCo contract.
    pub hub: Address,
    /// The RLC token.
    pub rlc: Address,
}

/// The transactions of a deployment, in order; the first has the deployer's nonce 0.
#[derive(Debug)]
pub struct Plan {
    deployer: Address,
    steps: Vec<Step>,
    addresses: Addresses,
}

#[derive(Debug)]
struct Step {
    to: TxKind,
    input: Bytes,
}

impl Plan {
    /// Reads the bytecode and lays out every step.
    pub fn new(tools: &Toolchain, deployer: Address) -> Result<Self, DeployError> {
        let none = Addresses { hub: Address::ZERO, rlc: Address::ZERO };
        let mut plan = Self { deployer, steps: Vec::new(), addresses: none };
        plan.addresses.rlc = plan.create(read::<Bytecode>(&tools.rlc)?.bytes(&tools.rlc)?);
        let cuts = plan.facets(&tools.poco)?;
        let init = plan.create(Artifact::published(&tools.poco, "DiamondInit")?.code);
        let diamond = Artifact::compiled(&tools.poco, "Diamond.sol/Diamond", None)?;
        let args = DiamondArgs { owner: deployer, init, initCalldata: DiamondInit::initCall {}.abi_encode().into() };
        let constructor = Diamond::constructorCall { cuts, args }.abi_encode();
        plan.addresses.hub = plan.create([diamond.code.as_ref(), &constructor].concat().into());
        plan.configure(&tools.poco)?;
        Ok(plan)
    }

    /// Where the contracts will be.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    fn facets(&mut self, poco: &Path) -> Result<Vec<FacetCut>, DeployError> {
        let orders = Artifact::compiled(poco, "libs/IexecLibOrders_v5.sol/IexecLibOrders_v5", None)?;
        let orders = self.create(orders.code);
        let published = DIAMOND_FACETS.iter().map(|name| Artifact::published(poco, name));
        let compiled =
            FACETS.iter().map(|name| Artifact::compiled(poco, &format!("facets/{name}.sol/{name}"), Some(orders)));
        let mut taken = HashSet::new();
        published
            .chain(compiled)
            .map(|artifact| {
                let artifact = artifact?;
                // A function of two facets belongs to the first: a diamond refuses to add it twice.
                let selectors = artifact.selectors().into_iter().filter(|selector| taken.insert(*selector)).collect();
                Ok(FacetCut { facetAddress: self.create(artifact.code), action: 0, functionSelectors: selectors })
            })
            .collect()
    }

    fn configure(&mut self, poco: &Path) -> Result<(), DeployError> {
        let mut registries = [Address::ZERO; 3];
        for (address, (folder, name)) in registries.iter_mut().zip(REGISTRIES) {
            *address =
                self.create(Artifact::compiled(poco, &format!("registries/{folder}/{name}.sol/{name}"), None)?.code);
            self.call(*address, &Registry::initializeCall { previous: Address::ZERO });
        }
        let [appregistry, datasetregistry, workerpoolregistry] = registries;
        let Addresses { hub, rlc } = self.addresses;
        let configure = Hub::configureCall {
            token: rlc,
            name: "Staked RLC".into(),
            symbol: "SRLC".into(),
            decimals: 9,
            appregistry,
            datasetregistry,
            workerpoolregistry,
            v3: Address::ZERO,
        };
        self.call(hub, &configure);
        for (name, seconds) in CATEGORIES {
            let (name, description) = (name.to_owned(), "{}".to_owned());
            self.call(hub, &Hub::createCategoryCall { name, description, workClockTimeRef: U256::from(seconds) });
        }
        Ok(())
    }

    fn create(&mut self, input: Bytes) -> Address {
        let address = self.deployer.create(self.steps.len() as u64);
        self.steps.push(Step { to: TxKind::Create, input });
        address
    }

    fn call<C: SolCall>(&mut self, to: Address, call: &C) {
        self.steps.push(Step { to: TxKind::Call(to), input: call.abi_encode().into() });
    }
}

/// Sends a plan from the deployer's wallet to an empty chain that mines at once, and checks every receipt.
pub fn deploy<'a>(chain: &'a Chain, plan: Plan, deployer: &'a Wallet) -> Answer<'a, Addresses> {
    Box::pin(async move {
        let provider = chain.provider();
        let fees = chain.timed("eth_feeHistory", provider.estimate_eip1559_fees()).await?;
        let mut sent = Vec::with_capacity(plan.steps.len());
        for (nonce, step) in plan.steps.into_iter().enumerate() {
            let unsigned = TxEip1559 {
                chain_id: chain.chain_id(),
                nonce: nonce as u64,
                gas_limit: GAS,
                max_fee_per_gas: fees.max_fee_per_gas.saturating_mul(2),
                max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
                to: step.to,
                input: step.input,
                ..TxEip1559::default()
            };
            let signed = transaction::sign(deployer, unsigned)
                .map_err(|cause| ChainError::Signing { call: "deploy", cause: cause.to_string() })?;
            let raw = signed.encoded_2718();
            chain.timed("deploy", async { provider.send_raw_transaction(&raw).await.map(|_| ()) }).await?;
            sent.push(*signed.tx_hash());
        }
        let begun = Instant::now();
        for transaction in sent {
            check_receipt(chain, transaction, begun).await?;
        }
        Ok(plan.addresses)
    })
}

async fn check_receipt(chain: &Chain, transaction: alloy::primitives::B256, begun: Instant) -> Result<(), ChainError> {
    loop {
        let asked = async { chain.provider().get_transaction_receipt(transaction).await };
        match chain.timed("eth_getTransactionReceipt", asked).await? {
            Some(receipt) if receipt.status() => return Ok(()),
            Some(_) => return Err(ChainError::Failed { call: "deploy", transaction }),
            None if begun.elapsed() > MINING_TIMEOUT => {
                return Err(ChainError::NotMined { call: "deploy", transaction, seconds: MINING_TIMEOUT.as_secs() });
            }
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

struct Artifact {
    abi: JsonAbi,
    code: Bytes,
}

impl Artifact {
    /// From the package's hardhat artifacts, by path below `contracts` and contract name, linked to the order library.
    fn compiled(poco: &Path, name: &str, library: Option<Address>) -> Result<Self, DeployError> {
        let path = poco.join("artifacts/contracts").join(format!("{name}.json"));
        let mut file: ArtifactFile = read(&path)?;
        for place in file.link_references.values().flat_map(BTreeMap::values).flatten() {
            let fault = || DeployError::Unlinked { path: path.clone() };
            let (library, digits) = (library.ok_or_else(fault)?, 2 + 2 * place.start);
            let placeholder = digits..digits.saturating_add(2 * place.length);
            if place.length != 20 || file.code.bytecode.get(placeholder.clone()).is_none() {
                return Err(fault());
            }
            file.code.bytecode.replace_range(placeholder, &const_hex::encode(library));
        }
        Ok(Self { abi: file.abi, code: file.code.bytes(&path)? })
    }

    /// From the package's record of what runs on Arbitrum: contracts that PoCo takes from elsewhere, linked to nothing.
    fn published(poco: &Path, name: &str) -> Result<Self, DeployError> {
        let path = poco.join("deployments/arbitrum").join(format!("{name}.json"));
        let file: ArtifactFile = read(&path)?;
        Ok(Self { abi: file.abi, code: file.code.bytes(&path)? })
    }

    /// What a diamond routes to this facet. Diamond.sol: `receive` is selector 0x00000000, `fallback` is 0xffffffff.
    fn selectors(&self) -> Vec<FixedBytes<4>> {
        let receive = self.abi.receive.iter().map(|_| FixedBytes::ZERO);
        let fallback = self.abi.fallback.iter().map(|_| FixedBytes::repeat_byte(0xff));
        self.abi.functions().map(alloy::json_abi::Function::selector).chain(receive).chain(fallback).collect()
    }
}

#[derive(Deserialize)]
struct ArtifactFile {
    abi: JsonAbi,
    #[serde(flatten)]
    code: Bytecode,
    #[serde(default, rename = "linkReferences")]
    link_references: BTreeMap<String, BTreeMap<String, Vec<Place>>>,
}

#[derive(Deserialize)]
struct Bytecode {
    bytecode: String,
}

#[derive(Deserialize)]
struct Place {
    start: usize,
    length: usize,
}

impl Bytecode {
    fn bytes(&self, path: &Path) -> Result<Bytes, DeployError> {
        let bytes = const_hex::decode(&self.bytecode).map_err(|_| DeployError::Unlinked { path: path.to_owned() })?;
        Ok(bytes.into())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, DeployError> {
    let io = |cause| DeployError::Io { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_ARTIFACT {
        return Err(DeployError::TooLarge { path: path.to_owned(), size });
    }
    let text = std::fs::read(path).map_err(io)?;
    serde_json::from_slice(&text).map_err(|cause| DeployError::Json { path: path.to_owned(), cause })
}

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A file of the packages is not readable.
    #[error("{path}: {cause}; hint: run `cargo xtask setup`")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file is no artifact.
    #[error("{path}: not a contract artifact: {cause}")]
    Json {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        cause: serde_json::Error,
    },
    /// A file is larger than any artifact.
    #[error("{path}: {size} bytes, at most {MAX_ARTIFACT} are read")]
    TooLarge {
        /// The file.
        path: std::path::PathBuf,
        /// Its bytes.
        size: u64,
    },
    /// Bytecode with a hole that no known library fills.
    #[error("{path}: its bytecode is not hexadecimal or needs a library that is not deployed")]
    Unlinked {
        /// The file.
        path: std::path::PathBuf,
    },
}
