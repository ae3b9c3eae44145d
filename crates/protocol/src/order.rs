//! The four orders of the `PoCo` market, their EIP-712 hashes and their signatures.
//!
//! JSON is that of the SDK: numbers as decimal strings, `tag` and `salt` as 32-byte hex, `params` as a JSON string,
//! `sign` beside the fields.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, eip712_domain};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    id::OrderHash,
    key::{KeyError, Signature, SigningKey},
    tag::Tag,
};

/// Solidity's view of the orders; field names and order are those of the EIP-712 type strings.
mod solidity {
    alloy_sol_types::sol! {
        struct AppOrder { address app; uint256 appprice; uint256 volume; bytes32 tag; address datasetrestrict; address workerpoolrestrict; address requesterrestrict; bytes32 salt; }
        struct DatasetOrder { address dataset; uint256 datasetprice; uint256 volume; bytes32 tag; address apprestrict; address workerpoolrestrict; address requesterrestrict; bytes32 salt; }
        struct WorkerpoolOrder { address workerpool; uint256 workerpoolprice; uint256 volume; bytes32 tag; uint256 category; uint256 trust; address apprestrict; address datasetrestrict; address requesterrestrict; bytes32 salt; }
        struct RequestOrder { address app; uint256 appmaxprice; address dataset; uint256 datasetmaxprice; address workerpool; uint256 workerpoolmaxprice; address requester; uint256 volume; bytes32 tag; uint256 category; uint256 trust; address beneficiary; address callback; string params; bytes32 salt; }
    }
}

/// What every order is: hashable under a domain, spendable up to a volume.
pub trait Order: Clone + Serialize + DeserializeOwned {
    /// Lower-case name: `app`, `dataset`, `workerpool`, `request`.
    const KIND: &'static str;

    /// EIP-712 hash under the hub's domain.
    fn hash(&self, domain: &Domain) -> OrderHash;

    /// How many executions the order allows in all.
    fn volume(&self) -> U256;

    /// The requirements it carries.
    fn tag(&self) -> Tag;
}

macro_rules! order {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$field_doc:meta])* $([$with:literal])? $field:ident: $ty:ty => $sol:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* $(#[serde(with = $with)])? pub $field: $ty,)*
        }

        impl Order for $name {
            const KIND: &'static str = $kind;

            fn hash(&self, domain: &Domain) -> OrderHash {
                let order = solidity::$name { $($field: ($sol)(self.$field.clone()),)* };
                OrderHash(order.eip712_signing_hash(&domain.eip712()))
            }

            fn volume(&self) -> U256 {
                self.volume
            }

            fn tag(&self) -> Tag {
                self.tag
            }
        }
    };
}

fn same<T>(value: T) -> T {
    value
}

fn tag_bytes(tag: Tag) -> B256 {
    tag.0
}

order!(
    /// An app owner sells runs of an app.
    AppOrder, "app" {
        /// The app contract.
        app: Address => same,
        /// nRLC per task.
        ["crate::decimal"] appprice: U256 => same,
        /// Tasks in all.
        ["crate::decimal"] volume: U256 => same,
        /// Requirements of the app.
        tag: Tag => tag_bytes,
        /// Only with this dataset; zero for any.
        datasetrestrict: Address => same,
        /// Only on this workerpool; zero for any.
        workerpoolrestrict: Address => same,
        /// Only for this requester; zero for any.
        requesterrestrict: Address => same,
        /// Random bytes that make the order unique.
        salt: B256 => same,
    }
);
order!(
    /// A dataset owner sells uses of a dataset.
    DatasetOrder, "dataset" {
        /// The dataset contract; zero for «no dataset».
        dataset: Address => same,
        /// nRLC per task.
        ["crate::decimal"] datasetprice: U256 => same,
        /// Tasks in all.
        ["crate::decimal"] volume: U256 => same,
        /// Requirements of the dataset.
        tag: Tag => tag_bytes,
        /// Only with this app; zero for any.
        apprestrict: Address => same,
        /// Only on this workerpool; zero for any.
        workerpoolrestrict: Address => same,
        /// Only for this requester; zero for any.
        requesterrestrict: Address => same,
        /// Random bytes that make the order unique.
        salt: B256 => same,
    }
);
order!(
    /// A workerpool owner sells computing.
    WorkerpoolOrder, "workerpool" {
        /// The workerpool contract.
        workerpool: Address => same,
        /// nRLC per task.
        ["crate::decimal"] workerpoolprice: U256 => same,
        /// Tasks in all.
        ["crate::decimal"] volume: U256 => same,
        /// What the pool offers.
        tag: Tag => tag_bytes,
        /// Time category.
        ["crate::decimal"] category: U256 => same,
        /// Greatest trust offered.
        ["crate::decimal"] trust: U256 => same,
        /// Only for this app; zero for any.
        apprestrict: Address => same,
        /// Only with this dataset; zero for any.
        datasetrestrict: Address => same,
        /// Only for this requester; zero for any.
        requesterrestrict: Address => same,
        /// Random bytes that make the order unique.
        salt: B256 => same,
    }
);
order!(
    /// A requester asks for executions.
    RequestOrder, "request" {
        /// The app contract.
        app: Address => same,
        /// Most nRLC per task for the app.
        ["crate::decimal"] appmaxprice: U256 => same,
        /// The dataset contract; zero for none.
        dataset: Address => same,
        /// Most nRLC per task for the dataset.
        ["crate::decimal"] datasetmaxprice: U256 => same,
        /// Only this workerpool; zero for any.
        workerpool: Address => same,
        /// Most nRLC per task for the workerpool.
        ["crate::decimal"] workerpoolmaxprice: U256 => same,
        /// Who pays and signs.
        requester: Address => same,
        /// Tasks in all.
        ["crate::decimal"] volume: U256 => same,
        /// Requirements of the requester.
        tag: Tag => tag_bytes,
        /// Time category.
        ["crate::decimal"] category: U256 => same,
        /// Least trust wanted.
        ["crate::decimal"] trust: U256 => same,
        /// Who may read the result.
        beneficiary: Address => same,
        /// Contract called with the result; zero for none.
        callback: Address => same,
        /// Deal parameters, JSON text (see [`crate::params`]).
        params: String => same,
        /// Random bytes that make the order unique.
        salt: B256 => same,
    }
);

/// The EIP-712 domain of a hub: `iExecODB`, version `5.0.0`, chain id, hub address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Chain id.
    pub chain_id: u64,
    /// Address of the `PoCo` hub.
    pub hub: Address,
}

impl Domain {
    fn eip712(&self) -> Eip712Domain {
        eip712_domain! { name: "iExecODB", version: "5.0.0", chain_id: self.chain_id, verifying_contract: self.hub, }
    }
}

/// An order with its signature bytes as they travel; nothing is checked yet. `sign` is empty for «no dataset».
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unverified<T> {
    /// The order's fields.
    #[serde(flatten)]
    pub order: T,
    /// 65 bytes, or whatever a contract owner's `isValidSignature` takes.
    pub sign: Bytes,
}

/// An order whose signature was checked against the key that must have signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    order: T,
    signature: Signature,
    hash: OrderHash,
    signer: Address,
}

impl<T: Order> Signed<T> {
    /// Signs an order.
    pub fn sign(order: T, domain: &Domain, key: &SigningKey) -> Result<Self, KeyError> {
        let hash = order.hash(domain);
        Ok(Self { signature: key.sign_hash(hash.0)?, signer: key.address(), order, hash })
    }

    /// Checks that `signer` (the asset's owner, or the requester) signed the order.
    pub fn verify(unverified: Unverified<T>, domain: &Domain, signer: Address) -> Result<Self, OrderError> {
        let hash = unverified.order.hash(domain);
        let signature = Signature::from_bytes(&unverified.sign).map_err(|_| OrderError::Malformed { kind: T::KIND })?;
        let found = signature.signer_of_hash(hash.0).ok_or(OrderError::Malformed { kind: T::KIND })?;
        if found != signer {
            return Err(OrderError::Signer { kind: T::KIND, expected: signer, found });
        }
        Ok(Self { order: unverified.order, signature, hash, signer })
    }

    /// The order.
    pub fn order(&self) -> &T {
        &self.order
    }

    /// Its EIP-712 hash.
    pub fn hash(&self) -> OrderHash {
        self.hash
    }

    /// Who signed it.
    pub fn signer(&self) -> Address {
        self.signer
    }

    /// The form that travels.
    pub fn to_unverified(&self) -> Unverified<T> {
        Unverified { order: self.order.clone(), sign: Bytes::copy_from_slice(&self.signature.to_bytes()) }
    }
}

/// A signature that does not hold.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// Not 65 bytes, or no key can have made it.
    #[error("the {kind} order's `sign` is not a signature")]
    Malformed {
        /// Kind of order.
        kind: &'static str,
    },
    /// Somebody else signed.
    #[error("the {kind} order must be signed by {expected}, but {found} signed it (or its fields were changed)")]
    Signer {
        /// Kind of order.
        kind: &'static str,
        /// Owner or requester.
        expected: Address,
        /// Recovered signer.
        found: Address,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        Domain { chain_id: 65535, hub: "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707".parse().unwrap() }
    }

    #[test]
    fn an_order_survives_json_and_still_verifies() {
        let key = SigningKey::from_bytes(&[9; 32]).unwrap();
        let order = AppOrder {
            app: Address::repeat_byte(1),
            appprice: U256::from(5),
            volume: U256::from(10),
            tag: Tag::TEE_TDX,
            ..Default::default()
        };
        let signed = Signed::sign(order, &domain(), &key).unwrap();
        let json = serde_json::to_value(signed.to_unverified()).unwrap();
        assert_eq!(json["appprice"], "5");
        let read: Unverified<AppOrder> = serde_json::from_value(json).unwrap();
        assert_eq!(Signed::verify(read, &domain(), key.address()).unwrap(), signed);
    }

    #[test]
    fn an_order_changed_after_signing_is_refused() {
        let key = SigningKey::from_bytes(&[9; 32]).unwrap();
        let signed =
            Signed::sign(RequestOrder { volume: U256::from(1), ..Default::default() }, &domain(), &key).unwrap();
        let mut changed = signed.to_unverified();
        changed.order.volume = U256::from(2);
        assert!(matches!(Signed::verify(changed, &domain(), key.address()), Err(OrderError::Signer { .. })));
        let mut cut = signed.to_unverified();
        cut.sign = Bytes::new();
        assert!(matches!(Signed::verify(cut, &domain(), key.address()), Err(OrderError::Malformed { .. })));
    }
}
