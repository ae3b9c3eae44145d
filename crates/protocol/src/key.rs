//! secp256k1 keys and their signatures over 32-byte hashes, plain (EIP-712) or personal (EIP-191).

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, Signature as EthSignature, keccak256};
use k256::ecdsa;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// A private key. Zeroed when dropped, never printed; [`SigningKey::expose`] is the one way to its bytes.
pub struct SigningKey(ecdsa::SigningKey);

impl SigningKey {
    /// Reads 32 bytes; they must be a scalar in `1..n`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ecdsa::SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::OutOfRange)
    }

    /// Reads 64 hex digits, with or without `0x`.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let hex = text.trim().trim_start_matches("0x");
        let mut bytes = [0; 32];
        let read = const_hex::decode_to_slice(hex, &mut bytes).map_err(|_| KeyError::Malformed);
        let key = read.and_then(|()| Self::from_bytes(&bytes));
        bytes.zeroize();
        key
    }

    /// A fresh key from `rng`.
    pub fn random(rng: &mut impl rand_core::CryptoRng) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(bytes.as_mut());
            // Fails once in 2^128 draws, for a scalar out of range.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The 32 secret bytes.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The Ethereum address of the public key.
    pub fn address(&self) -> Address {
        Address::from_private_key(&self.0)
    }

    /// The uncompressed public key, `0x04` and 64 bytes.
    pub fn public_key(&self) -> [u8; 65] {
        let point = self.0.verifying_key().to_encoded_point(false);
        let mut bytes = [0; 65];
        bytes.copy_from_slice(point.as_bytes());
        bytes
    }

    /// Signs a hash as it is (what EIP-712 asks for). RFC 6979, so no randomness is needed.
    pub fn sign_hash(&self, hash: B256) -> Result<Signature, KeyError> {
        let (signature, recovery) = self.0.sign_prehash_recoverable(hash.as_slice()).map_err(|_| KeyError::Signing)?;
        Ok(Signature(EthSignature::from((signature, recovery))))
    }

    /// Signs the EIP-191 personal message made of these 32 bytes.
    pub fn sign_personal(&self, hash: B256) -> Result<Signature, KeyError> {
        self.sign_hash(personal_hash(hash))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.address())
    }
}

/// `keccak256("\x19Ethereum Signed Message:\n32" ‖ hash)` (EIP-191).
pub fn personal_hash(hash: B256) -> B256 {
    keccak256([b"\x19Ethereum Signed Message:\n32".as_slice(), hash.as_slice()].concat())
}

/// A recoverable signature: `r ‖ s ‖ v`, 65 bytes, `v` 27 or 28; in JSON `0x` and 130 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(EthSignature);

impl Signature {
    /// Reads 65 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        EthSignature::from_raw(bytes).ok().filter(|_| bytes.len() == 65).map(Self).ok_or(KeyError::Signature)
    }

    /// The 65 bytes.
    pub fn to_bytes(self) -> [u8; 65] {
        self.0.as_bytes()
    }

    /// Who signed this hash as it is; `None` when nobody can have.
    pub fn signer_of_hash(&self, hash: B256) -> Option<Address> {
        self.0.recover_address_from_prehash(&hash).ok()
    }

    /// Who signed this hash as a personal message.
    pub fn signer_of_personal(&self, hash: B256) -> Option<Address> {
        self.signer_of_hash(personal_hash(hash))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode_prefixed(self.to_bytes()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 65];
        const_hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyError::Signature)?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key or signature that cannot be used. Never repeats the key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 32 bytes of hex.
    #[error("a private key must be 0x and 64 hex digits")]
    Malformed,
    /// Zero, or not below the order of secp256k1.
    #[error("the private key is not a valid secp256k1 scalar")]
    OutOfRange,
    /// Not 65 bytes of hex.
    #[error("a signature must be 0x and 130 hex digits (r, s, v)")]
    Signature,
    /// The library refused to sign.
    #[error("signing failed")]
    Signing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_never_printed() {
        let key = SigningKey::from_hex(&"11".repeat(32)).unwrap();
        assert!(!format!("{key:?}").contains("1111"));
    }

    /// Two libraries may not differ in whom they name.
    #[cfg(feature = "libsecp256k1")]
    #[test]
    fn libsecp256k1_and_k256_recover_the_same_signers_and_refuse_the_same_signatures() {
        let by_k256 = |signature: &Signature, hash| {
            signature.0.recover_from_prehash(&hash).ok().map(|key| Address::from_public_key(&key))
        };
        let order = const_hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
        for seed in 1..=20_u8 {
            let (key, hash) = (SigningKey::from_bytes(&[seed; 32]).unwrap(), B256::repeat_byte(seed));
            let sound = key.sign_hash(hash).unwrap().to_bytes();
            let high = {
                let s = alloy_primitives::U256::from_be_slice(&order)
                    - alloy_primitives::U256::from_be_slice(&sound[32..64]);
                let v = [if sound[64] == 27 { 28 } else { 27 }];
                [&sound[..32], &s.to_be_bytes::<32>(), &v].concat()
            };
            assert_eq!(Signature::from_bytes(&high).unwrap().signer_of_hash(hash), Some(key.address()), "high s");
            let mut all = vec![sound.to_vec(), high];
            for part in [0..32, 32..64] {
                for bytes in [vec![0; 32], vec![0xff; 32], order.clone(), vec![seed; 32]] {
                    let mut changed = sound.to_vec();
                    changed[part.clone()].copy_from_slice(&bytes);
                    all.push(changed);
                }
            }
            for byte in 0..64 {
                let mut changed = sound.to_vec();
                changed[byte] ^= seed;
                all.push(changed);
            }
            for bytes in all {
                let Ok(signature) = Signature::from_bytes(&bytes) else { continue };
                for hash in [hash, B256::ZERO, B256::repeat_byte(0xff), B256::from_slice(&order)] {
                    assert_eq!(signature.signer_of_hash(hash), by_k256(&signature, hash), "{signature} of {hash}");
                }
            }
        }
    }

    #[test]
    fn malformed_keys_and_signatures_are_refused() {
        assert_eq!(SigningKey::from_hex("0x12").unwrap_err(), KeyError::Malformed);
        assert_eq!(SigningKey::from_hex(&"00".repeat(32)).unwrap_err(), KeyError::OutOfRange);
        assert_eq!(SigningKey::from_hex(&"ff".repeat(32)).unwrap_err(), KeyError::OutOfRange);
        assert_eq!("0x1234".parse::<Signature>().unwrap_err(), KeyError::Signature);
        assert_eq!(Signature::from_bytes(&[0; 64]).unwrap_err(), KeyError::Signature);
    }
}
