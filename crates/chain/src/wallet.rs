//! A wallet: the key of one Ethereum account, which signs orders, authorizations and transactions.
//!
//! It knows no file and no password: [`crate::keystore`] is its encrypted form, [`crate::keyring`] finds it on disk.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use iexec_protocol::key::{KeyError, Signature, SigningKey};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// The private key of one account, shared by its clones and zeroed with the last. Mute: no `Display`, no `Serialize`;
/// `Debug` names the address only.
#[derive(Clone)]
pub struct Wallet {
    key: Arc<SigningKey>,
}

impl Wallet {
    /// A new wallet from the operating system's randomness.
    pub fn random() -> Result<Self, WalletError> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        loop {
            OsRng.try_fill_bytes(secret.as_mut()).map_err(|cause| WalletError::Randomness(cause.to_string()))?;
            // Out of range with probability 2^-128 (SEC 1, 3.2.1): draw again.
            if let Ok(wallet) = Self::from_secret(&secret) {
                return Ok(wallet);
            }
        }
    }

    /// The wallet of a 32-byte big-endian private key.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, WalletError> {
        Ok(SigningKey::from_bytes(secret)?.into())
    }

    /// The wallet of a private key written as 64 hexadecimal digits, with or without `0x`. The error never repeats it.
    pub fn from_hex(text: &str) -> Result<Self, WalletError> {
        Ok(SigningKey::from_hex(text)?.into())
    }

    /// The key, for the protocol's own signing functions.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The uncompressed public key: `0x04`, then 32 bytes each of x and y (SEC 1, 2.3.3).
    pub fn public_key(&self) -> [u8; 65] {
        self.key.public_key()
    }

    /// Signs a 32-byte digest as it is (an EIP-712 order hash).
    pub fn sign_hash(&self, digest: B256) -> Result<Signature, WalletError> {
        Ok(self.key.sign_hash(digest)?)
    }

    /// Signs 32 bytes under EIP-191's `personal_sign` prefix (authorizations, enclave signatures, SMS calls).
    pub fn sign_message(&self, message: B256) -> Result<Signature, WalletError> {
        Ok(self.key.sign_personal(message)?)
    }

    /// The private key itself, for a keystore or for an owner who asks to see it.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        self.key.expose()
    }
}

impl From<SigningKey> for Wallet {
    fn from(key: SigningKey) -> Self {
        Self { key: Arc::new(key) }
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({})", self.address())
    }
}

/// Why bytes are no wallet, or a wallet cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Not a private key, or signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{address, b256};

    const SCHEDULER: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";

    // A scheduler's authorization that PoCo 6.1.0 accepted on chain 65535, made by the JavaScript stack.
    #[test]
    fn a_message_is_signed_as_the_contracts_verify_it() {
        let wallet = Wallet::from_hex(SCHEDULER).unwrap();
        assert_eq!(wallet.address(), address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"));
        let authorization = b256!("d90cbf4b41b67785a25eed8e51a63baa71f34a40f0db1bb4923eceb6fdbe2e86");
        let expected = "0xf1942344fd1f4dd45d456c49cdf1aa541c7a99c2a27ff5a603b28eb12214d1830481b95aa99768201c9268c24c76605ff877ed5bedae4e77580e329e2de7b5651c";
        assert_eq!(wallet.sign_message(authorization).unwrap().to_string(), expected);
    }

    #[test]
    fn debug_shows_the_address_and_never_the_key() {
        let shown = format!("{:?}", Wallet::from_hex(SCHEDULER).unwrap());
        assert_eq!(shown, "Wallet(0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC)");
    }
}
