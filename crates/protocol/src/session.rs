//! A session: the secrets and parameters of one task, sealed by the SMS to an enclave's key (HPKE, RFC 9180), and the
//! frames by which the worker carries it over the enclave's pipes (spec `docs/spec/session.md`).
//!
//! The contents are iExec's session variables (`name`, `version`, `services[].environment`), so that what a
//! pre-compute, an app or a post-compute reads is what it always read.

use std::{collections::BTreeMap, fmt};

use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    cause::Cause,
    evidence::{Evidence, Nonce, base64_bytes},
    id::{Sha256, TaskId},
    result::SignedContribution,
};

/// Version that this project writes.
pub const VERSION: &str = "0.1.0";

const INFO: &[u8] = b"iexec session v1";

/// The secrets and parameters of one task.
#[derive(Serialize, Deserialize)]
pub struct Session {
    /// Session id: ten random characters, `0000`, the task id.
    pub name: String,
    /// [`VERSION`].
    pub version: String,
    /// Seconds that the app may run (the category's time).
    pub time_limit: u64,
    /// `pre-compute`, `app` and `post-compute`.
    pub services: Vec<Service>,
}

/// One stage's variables.
#[derive(Default, Serialize, Deserialize)]
pub struct Service {
    /// `pre-compute`, `app` or `post-compute`.
    pub name: String,
    /// The app's image as the chain names it; empty for the other stages.
    pub image_name: String,
    /// The app image's checksum on chain (`0x…`); empty for the other stages.
    pub fingerprint: String,
    /// The deal's `iexec_args`; empty for the other stages.
    pub command: String,
    /// Variables by name.
    pub environment: BTreeMap<String, SecretText>,
}

impl Session {
    /// The stage of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

/// Text that may be secret: zeroed when dropped, mute in logs. Serialized only into a sealed session.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The enclave's ephemeral key pair.
pub struct EphemeralKey {
    private: <X25519HkdfSha256 as hpke::Kem>::PrivateKey,
    public: [u8; 32],
}

impl EphemeralKey {
    /// A fresh pair.
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        let (private, public) = X25519HkdfSha256::gen_keypair(rng);
        Self { private, public: public.to_bytes().into() }
    }

    /// The public half, for the evidence.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Opens a session sealed to this key under this id. Used once: the key is consumed.
    pub fn open(self, sealed: &SealedSession) -> Result<Session, SealError> {
        let encapped =
            <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&sealed.encapsulated).map_err(|_| SealError)?;
        let mut plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapped,
            INFO,
            &sealed.ciphertext,
            sealed.id.as_bytes(),
        )
        .map_err(|_| SealError)?;
        let session = serde_json::from_slice(&plain).map_err(|_| SealError);
        plain.zeroize();
        session
    }
}

/// A session that only the enclave with the right key can open. The worker carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedSession {
    /// Session id; the AEAD's associated data.
    pub id: String,
    /// HPKE encapsulated key.
    #[serde(with = "base64_bytes")]
    pub encapsulated: Vec<u8>,
    /// HPKE ciphertext.
    #[serde(with = "base64_bytes")]
    pub ciphertext: Vec<u8>,
}

/// Seals a session to an enclave's public key (HPKE base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305).
pub fn seal(
    session: &Session,
    key: &[u8; 32],
    rng: &mut impl rand_core::CryptoRng,
) -> Result<SealedSession, SealError> {
    let recipient = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(key).map_err(|_| SealError)?;
    let plain = Zeroizing::new(serde_json::to_vec(session).map_err(|_| SealError)?);
    let (encapped, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &recipient,
        INFO,
        &plain,
        session.name.as_bytes(),
        rng,
    )
    .map_err(|_| SealError)?;
    Ok(SealedSession { id: session.name.clone(), encapsulated: encapped.to_bytes().to_vec(), ciphertext })
}

/// Sealing or opening failed; it is not said where.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the session does not open: it was sealed to another key, or changed on its way")]
pub struct SealError;

/// Largest frame, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Worker → enclave.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToEnclave {
    /// First frame: what the evidence is to bind.
    Begin {
        /// The task.
        task: TaskId,
        /// The SMS's nonce.
        nonce: Nonce,
    },
    /// Second frame.
    Session(SealedSession),
}

/// Enclave → worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromEnclave {
    /// Answer to `Begin`.
    Evidence(Evidence),
    /// A stage begins.
    Stage {
        /// Which.
        stage: Stage,
    },
    /// Last frame: the archive is written.
    Finished(Box<Finished>),
    /// Last frame: it failed.
    Failed {
        /// Why.
        cause: Cause,
        /// In a sentence without secrets.
        message: String,
    },
}

/// Stages of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Dataset and inputs.
    PreCompute,
    /// The app.
    App,
    /// Digest, signature, archive.
    PostCompute,
}

/// What an enclave leaves: an archive in its output folder and a contribution.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The contribution for the chain.
    pub contribution: SignedContribution,
    /// The archive, unless the result goes to a callback.
    pub archive: Option<ArchiveFile>,
}

/// The archive in the enclave's output folder, always named [`ARCHIVE_NAME`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ArchiveFile {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: Sha256,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// Name of the archive in the enclave's output folder.
pub const ARCHIVE_NAME: &str = "archive.zip";

/// Where the worker mounts what the enclave needs, inside the container.
pub mod paths {
    /// The enclave program, read-only; the container's entrypoint.
    pub const ENCLAVE: &str = "/iexec/enclave";
    /// The image's manifest bytes, read-only.
    pub const MANIFEST: &str = "/iexec/image/manifest.json";
    /// The image's configuration bytes, read-only.
    pub const CONFIG: &str = "/iexec/image/config.json";
    /// Simulated platform key (simulated TEE only), read-only.
    pub const SIMULATED_PLATFORM: &str = "/iexec/simulated-platform.json";
    /// Linux' folder of reports (configfs-tsm), writable; on a TDX or SEV-SNP guest only.
    pub const TSM_REPORTS: &str = "/sys/kernel/config/tsm/report";
    /// TDX' run-time measurement 3 (Linux 6.16), writable; on a TDX guest only.
    pub const TDX_RTMR3: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";
    /// What the worker fetched, read-only: `dataset` and `input-<n>` (n from 1).
    pub const FETCHED: &str = "/iexec/fetched";
    /// Where the archive goes: ciphertext only, root's alone.
    pub const ARCHIVE: &str = "/iexec/archive";
    /// The app's input folder, in memory.
    pub const IN: &str = "/iexec_in";
    /// The app's output folder, in memory.
    pub const OUT: &str = "/iexec_out";
}

/// A frame: four bytes of big-endian length, then that much JSON.
pub fn encode_frame<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let json = serde_json::to_vec(message).map_err(|error| FrameError::Json(error.to_string()))?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length as usize <= MAX_FRAME);
    let length = length.ok_or(FrameError::TooLarge(json.len()))?;
    Ok([length.to_be_bytes().as_slice(), &json].concat())
}

/// The length that a frame's first four bytes announce.
pub fn frame_length(header: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(header) as usize;
    if length <= MAX_FRAME { Ok(length) } else { Err(FrameError::TooLarge(length)) }
}

/// Reads a frame's JSON.
pub fn decode_frame<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(json).map_err(|error| FrameError::Json(error.to_string()))
}

/// A frame that is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes; at most {MAX_FRAME} are read")]
    TooLarge(usize),
    /// Not the JSON of a message.
    #[error("a malformed frame: {0}")]
    Json(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let secret = ("RESULT_ENCRYPTION".to_owned(), SecretText::new("true"));
        let service = Service { name: "post-compute".into(), environment: [secret].into(), ..Default::default() };
        Session { name: "s-1".into(), version: VERSION.into(), time_limit: 300, services: vec![service] }
    }

    #[test]
    fn a_session_opens_with_the_key_that_it_was_sealed_to() {
        let key = EphemeralKey::generate(&mut rand::rng());
        let sealed = seal(&session(), key.public(), &mut rand::rng()).unwrap();
        let opened = key.open(&sealed).unwrap();
        assert_eq!(opened.service("post-compute").unwrap().environment["RESULT_ENCRYPTION"].expose(), "true");
    }

    #[test]
    fn a_session_does_not_open_with_another_key_or_id_or_a_changed_byte() {
        let key = || EphemeralKey::generate(&mut rand::rng());
        let mine = key();
        let sealed = seal(&session(), mine.public(), &mut rand::rng()).unwrap();
        assert_eq!(key().open(&sealed).err(), Some(SealError));
        let renamed = SealedSession { id: "s-2".into(), ..sealed.clone() };
        assert_eq!(mine.open(&renamed).err(), Some(SealError));
        let other = key();
        let mut changed = seal(&session(), other.public(), &mut rand::rng()).unwrap();
        changed.ciphertext[3] ^= 1;
        assert_eq!(other.open(&changed).err(), Some(SealError));
    }

    #[test]
    fn secrets_are_mute_in_debug_output() {
        assert!(!format!("{:?}", SecretText::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn a_frame_longer_than_the_bound_is_refused_before_it_is_read() {
        assert_eq!(frame_length([0xff; 4]), Err(FrameError::TooLarge(u32::MAX as usize)));
        let frame =
            encode_frame(&ToEnclave::Begin { task: TaskId::default(), nonce: Nonce(alloy_primitives::B256::ZERO) })
                .unwrap();
        let length = frame_length(frame[..4].try_into().unwrap()).unwrap();
        assert!(matches!(decode_frame(&frame[4..4 + length]), Ok(ToEnclave::Begin { .. })));
    }
}
