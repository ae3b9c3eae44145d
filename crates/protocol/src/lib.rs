//! Everything the parties of iExec's Proof of Contribution (`PoCo`) agree on, as data and pure functions.
//!
//! The modules read in the order of the product: an order is signed, matched into a deal, the deal's tasks are
//! granted to workers, an enclave opens its session, and a result with its receipt comes back.
//!
//! What this crate is not: it holds no clock, no randomness, no network and no files. Those arrive as arguments.
#![forbid(unsafe_code)]

pub mod amount;
pub mod authorization;
pub mod call;
pub mod cause;
pub mod cid;
pub mod deal;
pub mod decimal;
pub mod evidence;
pub mod id;
pub mod image;
pub mod key;
pub mod matching;
pub mod multiaddr;
pub mod order;
pub mod params;
pub mod receipt;
pub mod result;
pub mod secret;
pub mod secret_request;
pub mod session;
pub mod tag;
pub mod task;
pub mod typed_data;

pub use alloy_primitives::{Address, B256, Bytes, U256};

/// Seconds since the Unix epoch, as block timestamps count them.
pub type Timestamp = u64;
