//! The development PKI: what Intel's provisioning service and a machine's manufacturer are to real hardware.
//!
//! All keys come from one secret, so that a folder can be renewed and a test can be repeated. [`Pki`] makes a
//! [`Platform`] and its [`Collateral`]; [`Terms`] says what that collateral states, sound or spoiled on purpose.

mod certificates;
mod collateral;
mod extension;
mod folder;

use p256::ecdsa::SigningKey;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

pub use collateral::{Collateral, TcbStatus, Terms};
pub use folder::{COLLATERAL, Files, PLATFORM, ROOT, ROOT_KEY, VALIDITY, setup};

use crate::Platform;
use certificates::Key;

/// FMSPC of the simulated platform: the kind of machine that TCB info is for. Intel gives out none like it.
pub const FMSPC: [u8; 6] = [0x51, 0x00, 0x00, 0x00, 0x00, 0x00];

/// A development PKI. Whoever has its secret passes for any machine under its root.
pub struct Pki {
    secret: Zeroizing<[u8; 32]>,
    root: Key,
    pck_authority: Key,
    tcb_signer: Key,
    chains: certificates::Chains,
}

impl Pki {
    /// The PKI of a secret: the same secret gives the same keys and the same certificates.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, PkiError> {
        let secret = Zeroizing::new(*secret);
        let of = |name: &str| Key::new(derived(&secret, name));
        let (root, pck_authority, tcb_signer) = (of("root"), of("PCK authority"), of("TCB signer"));
        let chains = certificates::Chains::issue(&root, &pck_authority, &tcb_signer)?;
        Ok(Self { secret, root, pck_authority, tcb_signer, chains })
    }

    /// The trust anchor: the root's certificate, DER.
    pub fn root_der(&self) -> &[u8] {
        &self.chains.root
    }

    /// The PKI's one machine.
    pub fn platform(&self) -> Result<Platform, PkiError> {
        self.platform_of_kind(FMSPC)
    }

    /// A machine of another kind than the one that the collateral is for.
    pub fn platform_of_kind(&self, fmspc: [u8; 6]) -> Result<Platform, PkiError> {
        let pck = Key::new(derived(&self.secret, "PCK"));
        let chain = self.chains.pck(&pck, &self.pck_authority, fmspc)?;
        Ok(Platform { pck: pck.into_inner(), attestation: derived(&self.secret, "attestation"), chain })
    }
}

/// Why a PKI could not be made.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A certificate or revocation list.
    #[error("a certificate of the simulated TEE cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A time before 1970 or after 9999.
    #[error("{0} seconds since 1970 is no time that a certificate can state")]
    Time(u64),
    /// A file.
    #[error("{path}: {error}")]
    Io {
        /// Its path.
        path: String,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The folder's secret.
    #[error("{path}: not 64 hex digits\nhint: remove the folder, another PKI is made")]
    Secret {
        /// Its path.
        path: String,
    },
}

/// A P-256 key of this name: the first hash, counting up, that is a scalar.
fn derived(secret: &[u8; 32], name: &str) -> SigningKey {
    let mut counter = 0_u64;
    loop {
        let mut hash = Sha256::new_with_prefix(b"iexec simulated tee key v1");
        hash.update(secret);
        hash.update(counter.to_be_bytes());
        hash.update(name);
        let bytes = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        if let Ok(key) = SigningKey::from_slice(bytes.as_slice()) {
            return key;
        }
        counter += 1;
    }
}
