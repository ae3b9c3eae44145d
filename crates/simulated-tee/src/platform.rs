//! A simulated machine as it lies in a file: the two keys that a real one never shows, and its certificate chain.

use p256::ecdsa::SigningKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::WARNING;

/// Largest platform file read, in bytes.
pub const MAX_PLATFORM: usize = 16 * 1024;

/// A simulated machine: signs quotes ([`Platform::quote`]).
pub struct Platform {
    /// Of the PCK certificate: signs the quoting enclave's report.
    pub(crate) pck: SigningKey,
    /// The quoting enclave's: signs quotes.
    pub(crate) attestation: SigningKey,
    /// PCK, intermediate and root certificate, PEM.
    pub(crate) chain: String,
}

impl Platform {
    /// Reads the file's JSON. The error repeats nothing of it.
    pub fn from_json(json: &[u8]) -> Result<Self, PlatformError> {
        if json.len() > MAX_PLATFORM {
            return Err(PlatformError::TooLarge(json.len()));
        }
        let mut file: PlatformFile = serde_json::from_slice(json).map_err(|_| PlatformError::Malformed)?;
        let keys = (key(&file.pck_key), key(&file.attestation_key));
        file.pck_key.zeroize();
        file.attestation_key.zeroize();
        Ok(Self { pck: keys.0?, attestation: keys.1?, chain: file.pck_certificate_chain })
    }

    /// The file's JSON: whoever reads it passes for any enclave under its root.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let hex = |key: &SigningKey| const_hex::encode(Zeroizing::new(key.to_bytes()).as_slice());
        let mut file = PlatformFile {
            warning: WARNING.to_owned(),
            pck_key: hex(&self.pck),
            attestation_key: hex(&self.attestation),
            pck_certificate_chain: self.chain.clone(),
        };
        // Texts alone: serialising them cannot fail.
        let json = serde_json::to_vec_pretty(&file).unwrap_or_default();
        file.pck_key.zeroize();
        file.attestation_key.zeroize();
        Zeroizing::new(json)
    }
}

/// Why a platform's file is of no use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PlatformError {
    /// Longer than [`MAX_PLATFORM`].
    #[error("the simulated platform's file has {0} bytes; at most {MAX_PLATFORM} are read")]
    TooLarge(usize),
    /// Not its JSON.
    #[error("the simulated platform's file is malformed")]
    Malformed,
    /// A key that is no P-256 key.
    #[error("a key of the simulated platform's file is not 64 hex digits of a P-256 key")]
    Key,
}

#[derive(Serialize, Deserialize)]
struct PlatformFile {
    warning: String,
    pck_key: String,
    attestation_key: String,
    pck_certificate_chain: String,
}

fn key(hex: &str) -> Result<SigningKey, PlatformError> {
    let mut bytes = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(hex, bytes.as_mut_slice()).map_err(|_| PlatformError::Key)?;
    SigningKey::from_slice(bytes.as_slice()).map_err(|_| PlatformError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(key: &str) -> Vec<u8> {
        let json = serde_json::json!({
            "warning": "", "pck_key": key, "attestation_key": "02".repeat(32), "pck_certificate_chain": "",
        });
        serde_json::to_vec(&json).unwrap()
    }

    #[test]
    fn a_malformed_file_is_an_error_that_repeats_nothing_of_it() {
        for (json, expected) in [
            (b"".to_vec(), PlatformError::Malformed),
            (b"{}".to_vec(), PlatformError::Malformed),
            (file("deadbeef"), PlatformError::Key),
            (file(&"00".repeat(32)), PlatformError::Key),
            (file(&"ff".repeat(32)), PlatformError::Key),
            (vec![b' '; MAX_PLATFORM + 1], PlatformError::TooLarge(MAX_PLATFORM + 1)),
        ] {
            let error = Platform::from_json(&json).err().unwrap();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("deadbeef"));
        }
    }

    #[test]
    fn a_platform_survives_its_file() {
        let platform = Platform::from_json(&file(&"01".repeat(32))).unwrap();
        let again = Platform::from_json(&platform.to_json()).unwrap();
        assert_eq!((again.pck, again.attestation), (platform.pck, platform.attestation));
    }
}
