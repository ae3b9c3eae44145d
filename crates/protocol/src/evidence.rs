//! Evidence (RATS, RFC 9334): what an enclave shows so that somebody trusts it. Made here, verified elsewhere.
//!
//! Evidence binds a fresh HPKE key, the task, the verifier's nonce and the app's image to a measured program. The
//! quote's own format is the TEE's; the simulated TEE's is that of TDX.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha384, Sha512};

use crate::id::{Sha256, TaskId};

/// Largest quote read, in bytes.
pub const MAX_QUOTE: usize = 32 * 1024;
/// Largest table of certificates read, in bytes.
pub const MAX_CERTIFICATES: usize = 32 * 1024;
/// Largest evidence read as JSON, in bytes: the largest quote and certificates in base64 (RFC 4648), and 4 KiB for the rest (spec SMS-91).
pub const MAX_JSON: usize = base64_length(MAX_QUOTE) + base64_length(MAX_CERTIFICATES) + 4 * 1024;

const fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Which technology vouches. `Simulated` is no hardware at all and says so wherever it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tee {
    /// A development key instead of hardware: proves nothing about the machine.
    Simulated,
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
    /// Intel SGX.
    Sgx,
}

impl Tee {
    /// Lower-case name, as in logs, metrics and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Tdx => "tdx",
            Self::Snp => "snp",
            Self::Sgx => "sgx",
        }
    }
}

impl std::fmt::Display for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// 32 bytes from the verifier that make evidence fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(pub alloy_primitives::B256);

/// What an enclave shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who vouches.
    pub tee: Tee,
    /// The enclave's ephemeral HPKE public key (X25519), 32 bytes of hex.
    pub key: B256,
    /// Address of the enclave's ephemeral signing key (secp256k1): who signs the receipt beside the challenge key.
    pub signer: Address,
    /// Digest of the app image's manifest that the enclave is about to start.
    pub image: Sha256,
    /// The quote, in the TEE's own format; base64, at most [`MAX_QUOTE`].
    #[serde(with = "base64_bytes")]
    pub quote: Vec<u8>,
    /// The platform's own certificates, if it hands them out: SNP's table as in configfs-tsm's `auxblob`; base64, at
    /// most [`MAX_CERTIFICATES`].
    #[serde(with = "base64_bytes", default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<u8>,
}

/// What the quote's report data must be:
/// `SHA-512("iexec evidence v2" ‖ key ‖ signer ‖ task ‖ nonce ‖ image)` (spec ATT-30).
pub fn report_data(key: &[u8; 32], signer: Address, task: TaskId, nonce: Nonce, image: Sha256) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in
        [b"iexec evidence v2".as_slice(), key, signer.as_slice(), task.as_bytes(), nonce.0.as_slice(), image.as_bytes()]
    {
        hash.update(part);
    }
    hash.finalize().into()
}

/// What a TDX enclave extends RTMR3 with before it starts an image: `SHA-384(image)`, of the digest's 32 bytes (spec
/// ATT-31).
pub fn image_event(image: Sha256) -> [u8; 48] {
    Sha384::digest(image.as_bytes()).into()
}

/// RTMR3 once [`image_event`] alone was extended into it: `SHA-384(0^48 ‖ event)` (Intel TDX module, TDG.MR.RTMR.EXTEND).
pub fn image_register(image: Sha256) -> [u8; 48] {
    let mut hash = Sha384::new();
    hash.update([0; 48]);
    hash.update(image_event(image));
    hash.finalize().into()
}

/// Serde form of bytes as base64 text.
pub mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Writes base64.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_data_changes_with_each_of_its_parts() {
        let (task, nonce, image) = (TaskId::default(), Nonce(alloy_primitives::B256::ZERO), Sha256::default());
        let signer = Address::ZERO;
        let base = report_data(&[0; 32], signer, task, nonce, image);
        let one = B256::with_last_byte(1);
        assert_ne!(base, report_data(&[1; 32], signer, task, nonce, image));
        assert_ne!(base, report_data(&[0; 32], Address::with_last_byte(1), task, nonce, image));
        assert_ne!(base, report_data(&[0; 32], signer, TaskId(one), nonce, image));
        assert_ne!(base, report_data(&[0; 32], signer, task, Nonce(one), image));
        assert_ne!(base, report_data(&[0; 32], signer, task, nonce, Sha256(one)));
    }

    // Known answer: python3 hashlib over the bytes that the formulas name.
    #[test]
    fn report_data_and_the_images_register_are_the_documented_digests() {
        let image = Sha256(B256::repeat_byte(5));
        let data = report_data(
            &[1; 32],
            Address::repeat_byte(2),
            TaskId(B256::repeat_byte(3)),
            Nonce(B256::repeat_byte(4)),
            image,
        );
        assert_eq!(
            const_hex::encode(data),
            concat!(
                "b719eedfd837413c5c2d126d9c11ad7af9dd19e07e9e41d14ae6d08dcbc60f3f",
                "7212db755ce8e696bb3a3980bd60d1d30a4fd04b07fc4b77f6bf8fecf9535eee"
            )
        );
        assert_eq!(
            const_hex::encode(image_register(image)),
            "073d0fa18868e084bcfa1e6e681c0b1756445d8c457039e3919f54359dd848a0240747281f9c77e7b062164c53fa674d"
        );
    }

    #[test]
    fn evidence_without_certificates_says_nothing_of_them() {
        let evidence = Evidence {
            tee: Tee::Tdx,
            key: B256::repeat_byte(1),
            signer: Address::repeat_byte(2),
            image: Sha256::of("i"),
            quote: vec![1, 2, 3],
            certificates: Vec::new(),
        };
        let json = serde_json::to_string(&evidence).unwrap();
        assert!(!json.contains("certificates"), "{json}");
        assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), evidence);
        let with = Evidence { certificates: vec![9; 4], ..evidence };
        let json = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), with);
    }
}
