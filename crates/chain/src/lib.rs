//! The protocol on a PoCo chain: contract calls and events, wallets and keystores, and the local network's chain.
//!
//! alloy stays inside this crate; its neighbours see `iexec-protocol`'s types, addresses and boxed futures.

pub mod anvil;
pub mod client;
mod contracts;
pub mod deploy;
pub mod devnet;
pub mod error;
pub mod keyring;
pub mod keystore;
pub mod network;
mod order;
pub mod recent;
pub mod toolchain;
mod transaction;
pub mod view;
pub mod wallet;
pub mod writer;

pub use client::{Answer, Chain};
pub use error::ChainError;
pub use transaction::MINING_TIMEOUT;
pub use wallet::Wallet;
pub use writer::ChainWriter;
