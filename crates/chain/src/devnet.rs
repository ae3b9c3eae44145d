//! The local network's constants: its chain, its contracts' addresses, its accounts and the ports of its services.
//!
//! The addresses follow from the deployer and the order of [`crate::deploy`]; a test deploys afresh and compares.

use alloy::primitives::{Address, address};

use crate::wallet::{Wallet, WalletError};

/// EIP-155 chain id of every local network.
pub const CHAIN_ID: u64 = 65535;
/// The PoCo contract.
pub const HUB: Address = address!("3aa5ebb10dc797cac828524e59a333d0a371443c");
/// The RLC token.
pub const RLC: Address = address!("5FbDB2315678afecb367f032d93F642f64180aa3");
/// Seconds between blocks.
pub const BLOCK_SECONDS: u64 = 1;

/// Where each service listens on 127.0.0.1 unless told otherwise.
pub mod port {
    /// anvil's JSON-RPC.
    pub const CHAIN: u16 = 8545;
    /// Secret management.
    pub const SMS: u16 = 13300;
    /// Scheduler.
    pub const SCHEDULER: u16 = 13000;
    /// Worker.
    pub const WORKER: u16 = 13100;
    /// Storage: IPFS gateway and result proxy.
    pub const STORAGE: u16 = 13200;
    /// Market: order book and Compass.
    pub const MARKET: u16 = 3000;
    /// Faucet.
    pub const FAUCET: u16 = 13400;
}

/// The accounts that anvil funds, all derived from the public mnemonic "test test test test test test test test test
/// test test junk". Anyone knows these keys: they are worth nothing outside a local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevAccount {
    /// Deploys the contracts, owns the hub and all RLC, feeds the faucet.
    Deployer,
    /// Account 1, kept for an SMS that would need one.
    Sms,
    /// Owns the workerpool and signs as its scheduler.
    Scheduler,
    /// Workers, numbered from 0 to 1.
    Worker(u8),
    /// People who try the network, numbered from 0 to 4.
    Requester(u8),
}

impl DevAccount {
    /// Its index below the mnemonic (`m/44'/60'/0'/0/<index>`); numbers beyond the last wrap around.
    pub const fn index(self) -> usize {
        match self {
            Self::Deployer => 0,
            Self::Sms => 1,
            Self::Scheduler => 2,
            Self::Worker(number) => 3 + (number % 2) as usize,
            Self::Requester(number) => 5 + (number % 5) as usize,
        }
    }

    /// Its wallet.
    pub fn wallet(self) -> Result<Wallet, WalletError> {
        Wallet::from_hex(KEYS[self.index()])
    }
}

const KEYS: [&str; 10] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
];
