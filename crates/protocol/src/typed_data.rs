//! The EIP-712 challenges that iExec's services give to whoever logs in, and the header that answers them.
//!
//! The header is `<eip712 hash>_<signature>_<address>`: market, result proxy and scheduler all read it.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, sol};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::key::{KeyError, Signature, SigningKey};

sol! {
    /// The one type of the challenges.
    #[derive(Debug)]
    struct Challenge {
        string challenge;
    }
}

/// A login challenge: `domain {name, version "1", chainId}` and one random sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginChallenge {
    /// Domain name, as `iExec Gateway` or `iExec Core`.
    pub name: String,
    /// Chain id of the domain.
    pub chain_id: u64,
    /// The sentence to sign; holds the random part.
    pub sentence: String,
}

impl LoginChallenge {
    /// The EIP-712 hash to sign.
    pub fn hash(&self) -> B256 {
        let domain = Eip712Domain {
            name: Some(self.name.clone().into()),
            version: Some("1".into()),
            chain_id: Some(alloy_primitives::U256::from(self.chain_id)),
            verifying_contract: None,
            salt: None,
        };
        Challenge { challenge: self.sentence.clone() }.eip712_signing_hash(&domain)
    }

    /// The typed data as the JSON that `eth_signTypedData_v4` takes and the SDK expects.
    pub fn to_typed_data(&self) -> Value {
        json!({
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                ],
                "Challenge": [{"name": "challenge", "type": "string"}],
            },
            "domain": {"name": self.name, "version": "1", "chainId": self.chain_id},
            "primaryType": "Challenge",
            "message": {"challenge": self.sentence},
        })
    }

    /// Reads the typed data of a service; only the fields that are signed matter.
    pub fn from_typed_data(value: &Value) -> Option<Self> {
        let chain = &value["domain"]["chainId"];
        Some(Self {
            name: value["domain"]["name"].as_str()?.to_owned(),
            chain_id: chain.as_u64().or_else(|| chain.as_str()?.parse().ok())?,
            sentence: value["message"]["challenge"].as_str()?.to_owned(),
        })
    }

    /// Signs it into the header that the services read.
    pub fn answer(&self, key: &SigningKey) -> Result<LoginHeader, KeyError> {
        let hash = self.hash();
        Ok(LoginHeader { hash, signature: key.sign_hash(hash)?, address: key.address() })
    }
}

/// `<hash>_<signature>_<address>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginHeader {
    /// EIP-712 hash of the challenge.
    pub hash: B256,
    /// Signature of that hash.
    pub signature: Signature,
    /// Who claims to have signed.
    pub address: Address,
}

impl LoginHeader {
    /// The address, if it did sign the hash. Whether the hash is one of ours and unused is the service's to know.
    pub fn verified(&self) -> Option<Address> {
        self.signature.signer_of_hash(self.hash).filter(|signer| *signer == self.address)
    }
}

impl fmt::Display for LoginHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.hash, self.signature, self.address)
    }
}

impl FromStr for LoginHeader {
    type Err = LoginHeaderError;

    fn from_str(text: &str) -> Result<Self, LoginHeaderError> {
        let mut parts = text.trim().splitn(3, '_');
        let mut next = || parts.next().ok_or(LoginHeaderError);
        Ok(Self {
            hash: next()?.parse().map_err(|_| LoginHeaderError)?,
            signature: next()?.parse().map_err(|_| LoginHeaderError)?,
            address: next()?.parse().map_err(|_| LoginHeaderError)?,
        })
    }
}

/// The header is not of its form.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the authorization must be <eip712 hash>_<signature>_<address>")]
pub struct LoginHeaderError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answered_challenge_verifies_and_a_foreign_address_does_not() {
        let challenge =
            LoginChallenge { name: "iExec Gateway".into(), chain_id: 65535, sentence: "Sign this message: 1".into() };
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let header: LoginHeader = challenge.answer(&key).unwrap().to_string().parse().unwrap();
        assert_eq!(header.verified(), Some(key.address()));
        let forged = LoginHeader { address: Address::repeat_byte(1), ..header };
        assert_eq!(forged.verified(), None);
        assert_eq!(LoginChallenge::from_typed_data(&challenge.to_typed_data()), Some(challenge));
    }

    #[test]
    fn a_malformed_header_is_an_error() {
        for bad in ["", "a_b_c", "0x12_0x34", "___"] {
            assert!(bad.parse::<LoginHeader>().is_err());
        }
    }
}
