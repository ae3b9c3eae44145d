//! The local network's faucet.

use alloy_primitives::{Address, U256};
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};

use super::{Call, CallError, json, success_json};

/// `POST /faucet`: a fixed sum of ether or RLC for an address. Only local networks have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drip {
    /// Who receives.
    pub address: Address,
    /// What.
    pub coin: Coin,
}

/// What a faucet gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coin {
    /// Ether, in wei.
    Ether,
    /// RLC, in nRLC.
    Rlc,
}

/// What was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dripped {
    /// Amount in the coin's smallest unit.
    #[serde(with = "crate::decimal")]
    pub amount: U256,
    /// The transaction.
    pub tx_hash: alloy_primitives::B256,
}

impl Call for Drip {
    type Reply = Dripped;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, "/faucet", None, self)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Dripped, CallError> {
        success_json(response)
    }
}
