//! What comes out of an execution: `computed.json`, the digest, the contribution and its signature, the result link
//! (iExec post-compute; `IexecPoco2Facet.contributeAndFinalize`).

use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cid::Cid,
    id::{Sha256, TaskId},
    key::{KeyError, Signature, SigningKey},
};

/// Largest `computed.json`, in bytes (callback data included).
pub const MAX_COMPUTED: usize = 256 * 1024;

/// What the app says it computed (`$IEXEC_OUT/computed.json`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Computed {
    /// A file or folder whose digest is the result.
    Path(String),
    /// Bytes for the callback contract.
    Callback(Bytes),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ComputedFile {
    deterministic_output_path: Option<String>,
    callback_data: Option<String>,
}

impl Computed {
    /// Reads `computed.json`. A callback deal needs `callback-data`; any other needs `deterministic-output-path`.
    pub fn parse(json: &[u8], callback: bool) -> Result<Self, ComputedError> {
        if json.len() > MAX_COMPUTED {
            return Err(ComputedError::TooLarge(json.len()));
        }
        let file: ComputedFile =
            serde_json::from_slice(json).map_err(|error| ComputedError::Json(error.to_string()))?;
        if callback {
            let text = file.callback_data.ok_or(ComputedError::Missing("callback-data"))?;
            let bytes = const_hex::decode(&text).map_err(|_| ComputedError::Callback)?;
            return Ok(Self::Callback(bytes.into()));
        }
        match file.deterministic_output_path {
            Some(path) if !path.is_empty() => Ok(Self::Path(path)),
            _ => Err(ComputedError::Missing("deterministic-output-path")),
        }
    }
}

/// A `computed.json` that says nothing usable.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ComputedError {
    /// Longer than [`MAX_COMPUTED`].
    #[error("computed.json has {0} bytes; at most {MAX_COMPUTED} are read")]
    TooLarge(usize),
    /// Not JSON of that shape.
    #[error("computed.json is malformed: {0}")]
    Json(String),
    /// A key is missing or empty.
    #[error("computed.json has no {0:?}")]
    Missing(&'static str),
    /// Not hex.
    #[error("computed.json: callback-data must be 0x and hex digits")]
    Callback,
}

/// The digest that goes on chain: the legacy one, which covers contents only. Names are in the receipt's tree hash.
pub mod digest {
    use super::{B256, Bytes, Sha256, keccak256};

    /// Of a single file: its SHA-256.
    pub fn file(sha256: Sha256) -> B256 {
        sha256.0
    }

    /// Of a folder: `keccak256` of its direct files' SHA-256, concatenated in the order of their paths.
    pub fn folder(sorted: &[Sha256]) -> B256 {
        keccak256(sorted.iter().flat_map(|digest| digest.as_bytes().iter().copied()).collect::<Vec<_>>())
    }

    /// Of callback data: its `keccak256`.
    pub fn callback(bytes: &Bytes) -> B256 {
        keccak256(bytes)
    }
}

/// `keccak256(taskId ‖ digest)`.
pub fn result_hash(task: TaskId, digest: B256) -> B256 {
    keccak256([task.0.as_slice(), digest.as_slice()].concat())
}

/// `keccak256(worker ‖ taskId ‖ digest)`.
pub fn result_seal(worker: Address, task: TaskId, digest: B256) -> B256 {
    keccak256([worker.as_slice(), task.0.as_slice(), digest.as_slice()].concat())
}

/// What an enclave is about to vouch for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// The task.
    pub task: TaskId,
    /// The worker it ran on.
    pub worker: Address,
    /// Digest of the deterministic output.
    pub result_digest: B256,
    /// Bytes for the callback contract; empty without one.
    pub callback: Bytes,
}

impl Contribution {
    /// What the enclave signs (EIP-191): `keccak256(resultHash ‖ resultSeal)`.
    pub fn hash(&self) -> B256 {
        let hash = result_hash(self.task, self.result_digest);
        let seal = result_seal(self.worker, self.task, self.result_digest);
        keccak256([hash.as_slice(), seal.as_slice()].concat())
    }

    /// Signs it with the challenge key.
    pub fn sign(self, challenge_key: &SigningKey) -> Result<SignedContribution, KeyError> {
        let enclave_signature = challenge_key.sign_personal(self.hash())?;
        Ok(SignedContribution { contribution: self, enclave_signature })
    }
}

/// A contribution with the enclave's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedContribution {
    /// What is vouched for.
    #[serde(flatten)]
    pub contribution: Contribution,
    /// By the challenge key.
    pub enclave_signature: Signature,
}

impl SignedContribution {
    /// Whether the key of `challenge` signed it.
    pub fn is_signed_by(&self, challenge: Address) -> bool {
        self.enclave_signature.signer_of_personal(self.contribution.hash()) == Some(challenge)
    }
}

/// Where a result lies; the `results` bytes on chain are this JSON with iExec's exact spacing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultLink {
    /// In a storage with an IPFS gateway.
    Ipfs(Cid),
    /// An IPFS location that is not of this project's form.
    ForeignIpfs(String),
    /// In a contract.
    Callback(Address),
    /// Elsewhere.
    Other {
        /// Storage.
        storage: String,
        /// Location there.
        location: String,
    },
    /// Nowhere.
    None,
}

impl ResultLink {
    /// The bytes for the chain.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (storage, location) = self.parts();
        if *self == Self::None {
            return Vec::new();
        }
        format!("{{ \"storage\": \"{storage}\", \"location\": \"{location}\" }}").into_bytes()
    }

    /// Reads the bytes of the chain; what cannot be read is `None`, as in the SDK.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Link {
            storage: String,
            #[serde(default)]
            location: String,
        }
        let Ok(Link { storage, location }) = serde_json::from_slice(bytes) else { return Self::None };
        match storage.as_str() {
            "ipfs" => location
                .strip_prefix("/ipfs/")
                .and_then(|cid| cid.parse().ok())
                .map_or(Self::ForeignIpfs(location), Self::Ipfs),
            "ethereum" => location.parse().map_or(Self::Other { storage, location }, Self::Callback),
            "none" => Self::None,
            _ => Self::Other { storage, location },
        }
    }

    /// Storage and location, as `task show` prints them.
    pub fn parts(&self) -> (String, String) {
        match self {
            Self::Ipfs(cid) => ("ipfs".into(), format!("/ipfs/{cid}")),
            Self::ForeignIpfs(location) => ("ipfs".into(), location.clone()),
            Self::Callback(address) => ("ethereum".into(), address.to_string()),
            Self::Other { storage, location } => (storage.clone(), location.clone()),
            Self::None => ("none".into(), String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream's integration fixture: task 1, worker 2, key 3, callback 0x0…0a.
    #[test]
    fn a_signed_contribution_equals_iexecs_fixture() {
        let callback = Bytes::from(B256::with_last_byte(0x0a).0);
        let digest = digest::callback(&callback);
        assert_eq!(digest.to_string(), "0xc65a7bb8d6351c1cf70c95a316cc6a92839c986682d98bc35f958f4883f9d2a8");
        let contribution = Contribution {
            task: TaskId(B256::with_last_byte(1)),
            worker: Address::with_last_byte(2),
            result_digest: digest,
            callback,
        };
        let key = SigningKey::from_bytes(&B256::with_last_byte(3).0).unwrap();
        let signed = contribution.sign(&key).unwrap();
        assert_eq!(
            signed.enclave_signature.to_string(),
            "0xfc9b8809b88af57718b2d4d853c8f105147894642775e95f43411d4f9f43e87606eb724ae08771a539cd0ca20d99a44a55434b96bca80f27e45f6a7307f5d41b1c"
        );
        assert!(signed.is_signed_by(key.address()));
    }

    /// Accepted by the hub on a local chain (`PoCo` 6.1.0).
    #[test]
    fn result_hash_and_seal_equal_those_of_the_hub() {
        let task: TaskId = "0x014b1b2f5b27ab62313bb4716da84a1ab8009835d852813644e107e92061f717".parse().unwrap();
        let digest: B256 = "0x315f5bdb76d078c43b8ac0064e4a0164612b1fce77c869345bfc94c75894edd3".parse().unwrap();
        let worker: Address = "0x90F79bf6EB2c4f870365E785982E1f101E93b906".parse().unwrap();
        assert_eq!(
            result_hash(task, digest).to_string(),
            "0x765a83b0f355ce129a7cb3a3d108bbb105b79c49bc6d40eabe3dffd3787fb43e"
        );
        assert_eq!(
            result_seal(worker, task, digest).to_string(),
            "0xabda3a82e11d8a34a65108c0e5349f64299f6bd549af3974d0137c5903c6c71c"
        );
        let key = SigningKey::from_hex("0xccf4f43959a3e6057c80a1c167e2d4ba62791e24ffd888b1ac20212706889eff").unwrap();
        let signed = Contribution { task, worker, result_digest: digest, callback: Bytes::new() }.sign(&key).unwrap();
        assert_eq!(
            signed.enclave_signature.to_string(),
            "0xb8880fc5f3be3239a71affa008c0eddb8ca81119c9c9e7399cecbb36695813ea462260aabb1b53181717e207a559e5b699be185c6adcb8555ebb4025410c98fe1b"
        );
    }

    #[test]
    fn folder_digests_equal_iexecs_known_answers() {
        let of = |texts: &[&str]| digest::folder(&texts.iter().map(Sha256::of).collect::<Vec<_>>()).to_string();
        assert_eq!(
            of(&["A result", "Another result"]),
            "0xcc77508549295dd5de5876a2f4f00d4c3c27a547c6403450e43ab4de191bf1bc"
        );
        assert_eq!(of(&["a", "b"]), "0x9357c59d3ff5027438ddab3b1655da04ba890e0a43fac9d9568f78941d4b5a1f");
    }

    #[test]
    fn a_link_has_iexecs_exact_spacing_and_reads_back() {
        let link = ResultLink::Ipfs(Cid::new(Sha256::of("x")));
        let text = String::from_utf8(link.to_bytes()).unwrap();
        assert!(text.starts_with("{ \"storage\": \"ipfs\", \"location\": \"/ipfs/bafkrei"), "{text}");
        assert_eq!(ResultLink::from_bytes(text.as_bytes()), link);
        assert_eq!(ResultLink::from_bytes(b""), ResultLink::None);
    }

    #[test]
    fn computed_json_must_say_where_the_output_is() {
        let path = br#"{"deterministic-output-path":"/iexec_out/r.txt","callback-data":null}"#;
        assert_eq!(Computed::parse(path, false), Ok(Computed::Path("/iexec_out/r.txt".into())));
        assert_eq!(Computed::parse(b"{}", false), Err(ComputedError::Missing("deterministic-output-path")));
        assert_eq!(Computed::parse(path, true), Err(ComputedError::Missing("callback-data")));
        assert_eq!(Computed::parse(br#"{"callback-data":"no hex"}"#, true), Err(ComputedError::Callback));
        assert!(matches!(Computed::parse(b"[]", false), Err(ComputedError::Json(_))));
    }
}
