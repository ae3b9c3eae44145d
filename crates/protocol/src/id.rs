//! Identifiers: four kinds of 32 bytes that must not mix.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, U256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Text that is not an identifier of the kind that its place asks for.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{kind} must be 0x and {digits} hex digits, got {found:?}")]
pub struct IdError {
    kind: &'static str,
    digits: usize,
    found: String,
}

impl IdError {
    fn new(kind: &'static str, digits: usize, found: &str) -> Self {
        Self { kind, digits, found: found.chars().take(80).collect() }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_bytes32(text).map(Self).ok_or_else(|| IdError::new($kind, 64, text))
            }
        }

        impl From<B256> for $name {
            fn from(bytes: B256) -> Self {
                Self(bytes)
            }
        }
    };
}

id!(
    /// `keccak256(requestOrderHash ‖ uint256 firstIndex)`: one match of orders on chain.
    DealId, "a deal id"
);
id!(
    /// `keccak256(dealid ‖ uint256 index)`: one execution of a deal's app.
    TaskId, "a task id"
);
id!(
    /// EIP-712 hash of an order under the hub's domain.
    OrderHash, "an order hash"
);
id!(
    /// SHA-256 of bytes: an image manifest, a measurement, a file.
    Sha256, "a SHA-256 digest"
);

impl DealId {
    /// The id that the hub gives to a request order matched when `consumed` of its volume was used
    /// (`PoCo` `IexecPoco1Facet.matchOrders`).
    pub fn of(request: OrderHash, consumed: u64) -> Self {
        Self(keccak256([request.0.as_slice(), &U256::from(consumed).to_be_bytes::<32>()].concat()))
    }

    /// The id of the deal's task at `index` (counted from the deal's `botFirst`).
    pub fn task(self, index: u64) -> TaskId {
        TaskId(keccak256([self.0.as_slice(), &U256::from(index).to_be_bytes::<32>()].concat()))
    }
}

impl Sha256 {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        use sha2::Digest as _;
        Self(B256::from_slice(&sha2::Sha256::digest(bytes)))
    }

    /// The `sha256:<hex>` form that OCI descriptors use.
    pub fn to_oci(self) -> String {
        format!("sha256:{}", const_hex::encode(self.0))
    }

    /// Reads `sha256:<hex>` or `0x<hex>`.
    pub fn from_oci(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix("sha256:") {
            Some(hex) if !hex.starts_with("0x") => hex.parse(),
            _ => text.parse(),
        }
        .map_err(|_: IdError| IdError::new("an OCI digest (sha256:…)", 64, text))
    }
}

/// Reads an Ethereum address; mixed case must be a valid EIP-55 checksum.
pub fn parse_address(text: &str) -> Result<Address, AddressError> {
    let malformed = || AddressError::Malformed(text.chars().take(80).collect());
    let hex = text.strip_prefix("0x").ok_or_else(malformed)?;
    let address = Address::from_str(hex).map_err(|_| malformed())?;
    let mixed = hex.bytes().any(|b| b.is_ascii_uppercase()) && hex.bytes().any(|b| b.is_ascii_lowercase());
    if mixed && address.to_checksum(None) != text {
        return Err(AddressError::Checksum { found: text.to_owned(), expected: address.to_checksum(None) });
    }
    Ok(address)
}

/// Text that is not an Ethereum address.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not 0x and 40 hex digits.
    #[error("an address must be 0x and 40 hex digits, got {0:?}")]
    Malformed(String),
    /// Mixed case whose EIP-55 checksum does not hold: most likely a typing error.
    #[error("address {found} fails its checksum (EIP-55); with these digits it would read {expected}")]
    Checksum {
        /// As given.
        found: String,
        /// The same digits, checksummed.
        expected: String,
    },
}

fn parse_bytes32(text: &str) -> Option<B256> {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    (hex.len() == 64).then(|| B256::from_str(hex).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_the_hash_of_its_deal_and_index() {
        let deal = DealId(B256::repeat_byte(0x11));
        let expected = "0x5c75bb376affa44a4f06c8a768453c2f7945122a65eb322a0dd3cc2edcbd6f0a";
        assert_eq!(deal.task(0).to_string(), expected);
    }

    #[test]
    fn an_id_says_what_it_should_have_been() {
        let error = TaskId::from_str("0x12").unwrap_err();
        assert_eq!(error.to_string(), "a task id must be 0x and 64 hex digits, got \"0x12\"");
    }

    #[test]
    fn a_mistyped_checksum_address_is_refused_and_lower_case_is_taken() {
        let good = "0x7bd4783FDCAD405A28052a0d1f11236A741da593";
        assert!(parse_address(good).is_ok());
        assert!(parse_address(&good.to_lowercase()).is_ok());
        assert!(matches!(
            parse_address("0x7Bd4783FDCAD405A28052a0d1f11236A741da593"),
            Err(AddressError::Checksum { .. })
        ));
        assert!(matches!(parse_address("0x12"), Err(AddressError::Malformed(_))));
    }
}
