//! The receipt: an enclave's signed statement about one result, carried in the archive and checked offline
//! (spec `docs/spec/receipt.md`). A DSSE envelope (secure-systems-lab) over JSON, signed by the challenge key.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    evidence::{Evidence, Nonce, Tee, base64_bytes},
    id::{DealId, Sha256, TaskId},
    key::{KeyError, Signature, SigningKey},
};

/// Largest receipt read, in bytes.
pub const MAX_RECEIPT: usize = 64 * 1024;
/// DSSE payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.iexec.receipt.v1+json";

/// What an enclave states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The task.
    pub task: TaskId,
    /// Its deal.
    pub deal: DealId,
    /// The worker it ran on.
    pub worker: Address,
    /// Who vouches for the machine; `simulated` means nobody.
    pub tee: Tee,
    /// The app and what went into it.
    pub inputs: Inputs,
    /// The evidence that was shown for the session, and the nonce it answers.
    pub evidence: Evidence,
    /// The SMS's nonce.
    pub nonce: Nonce,
    /// The digest contributed on chain.
    pub result_digest: B256,
    /// Tree hash of the output: names, sub-folders and empty files included (spec `docs/spec/archive.md`).
    pub tree: Sha256,
    /// Ids of the keys that the archive is encrypted to (spec `docs/spec/archive.md`, A5); empty in older receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Sha256>,
    /// Every other entry of the archive.
    pub entries: Vec<Entry>,
}

/// What went into an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// Digest of the app image's manifest.
    pub image: Sha256,
    /// The command as it was started.
    pub command: Vec<String>,
    /// SHA-256 of the encrypted dataset; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Sha256>,
    /// SHA-256 of each input file, in the deal's order.
    #[serde(default)]
    pub files: Vec<Sha256>,
}

/// An entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    #[serde(with = "base64_bytes")]
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    keyid: Address,
    sig: Signature,
}

impl Statement {
    /// Signs the statement into a receipt.
    pub fn sign(&self, challenge_key: &SigningKey) -> Result<Vec<u8>, ReceiptError> {
        let payload = serde_json::to_vec(self).map_err(|error| ReceiptError::Json(error.to_string()))?;
        let sig = challenge_key.sign_personal(signed_hash(&payload))?;
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload,
            signatures: vec![EnvelopeSignature { keyid: challenge_key.address(), sig }],
        };
        serde_json::to_vec(&envelope).map_err(|error| ReceiptError::Json(error.to_string()))
    }
}

/// A receipt whose signature holds. Whose key it was is for the chain to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    statement: Statement,
    signer: Address,
}

impl Receipt {
    /// Reads a receipt and checks that its signature is by the key that it names.
    pub fn verify(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT {
            return Err(ReceiptError::TooLarge(bytes.len()));
        }
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| ReceiptError::Json(error.to_string()))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(ReceiptError::Type(envelope.payload_type.chars().take(80).collect()));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(ReceiptError::Signatures(envelope.signatures.len()));
        };
        let signer = signature.sig.signer_of_personal(signed_hash(&envelope.payload));
        if signer != Some(signature.keyid) {
            return Err(ReceiptError::Signature);
        }
        let statement =
            serde_json::from_slice(&envelope.payload).map_err(|error| ReceiptError::Json(error.to_string()))?;
        Ok(Self { statement, signer: signature.keyid })
    }

    /// What it states.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Address of the key that signed: must be the contribution's enclave challenge.
    pub fn signer(&self) -> Address {
        self.signer
    }

    /// Checks that the archive's other entries are exactly those of the statement.
    pub fn check_entries(&self, found: &[Entry]) -> Result<(), ReceiptError> {
        let sorted = |entries: &[Entry]| {
            let mut entries = entries.to_vec();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            entries
        };
        let (stated, found) = (sorted(&self.statement.entries), sorted(found));
        if stated.len() != found.len() {
            return Err(ReceiptError::EntryCount { stated: stated.len(), found: found.len() });
        }
        match stated.iter().zip(&found).find(|(stated, found)| stated != found) {
            Some((stated, found)) => Err(ReceiptError::Entry(Box::new((stated.clone(), found.clone())))),
            None => Ok(()),
        }
    }
}

/// `keccak256` of DSSE's pre-authentication encoding.
fn signed_hash(payload: &[u8]) -> B256 {
    let header = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    keccak256([header.as_bytes(), payload].concat())
}

/// A receipt that proves nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReceiptError {
    /// Longer than [`MAX_RECEIPT`].
    #[error("the receipt has {0} bytes; at most {MAX_RECEIPT} are read")]
    TooLarge(usize),
    /// Not the JSON of a receipt.
    #[error("the receipt is malformed: {0}")]
    Json(String),
    /// Another kind of envelope.
    #[error("the receipt's payload type is {0:?}, not {PAYLOAD_TYPE:?}")]
    Type(String),
    /// Not exactly one signature.
    #[error("the receipt must have one signature, it has {0}")]
    Signatures(usize),
    /// Not by the key that it names.
    #[error("the receipt's signature does not hold")]
    Signature,
    /// More or fewer entries.
    #[error("the receipt lists {stated} entries, the archive has {found}")]
    EntryCount {
        /// In the receipt.
        stated: usize,
        /// In the archive.
        found: usize,
    },
    /// An entry was changed: as stated in the receipt, as found in the archive.
    #[error(
        "entry {:?} should have {} bytes with SHA-256 {}, the archive has {:?} of {} bytes with {}",
        .0.0.name, .0.0.size, .0.0.sha256, .0.1.name, .0.1.size, .0.1.sha256
    )]
    Entry(Box<(Entry, Entry)>),
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let evidence = Evidence { tee: Tee::Simulated, key: B256::ZERO, signer: Address::ZERO, image: Sha256::of("image"), quote: vec![1, 2], certificates: vec![] };
        Statement {
            task: TaskId(B256::with_last_byte(1)),
            deal: DealId(B256::with_last_byte(2)),
            worker: Address::with_last_byte(3),
            tee: Tee::Simulated,
            inputs: Inputs { image: Sha256::of("image"), command: vec!["/app".into()], dataset: None, files: vec![] },
            evidence,
            nonce: Nonce(B256::with_last_byte(4)),
            result_digest: B256::with_last_byte(5),
            tree: Sha256::of("tree"),
            recipients: vec![Sha256::of("a public key")],
            entries: vec![Entry { name: "aes-key.rsa".into(), size: 512, sha256: Sha256::of("key") }],
        }
    }

    #[test]
    fn a_signed_receipt_verifies_and_names_its_signer() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let receipt = Receipt::verify(&statement().sign(&key).unwrap()).unwrap();
        assert_eq!(receipt.statement(), &statement());
        assert_eq!(receipt.signer(), key.address());
        assert_eq!(receipt.check_entries(&statement().entries), Ok(()));
    }

    #[test]
    fn any_changed_byte_of_a_receipt_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let bytes = statement().sign(&key).unwrap();
        let original = Receipt::verify(&bytes).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            // A hex digit's case is the one change that leaves the meaning, and so the receipt, the same.
            if let Ok(receipt) = Receipt::verify(&changed) {
                assert_eq!(receipt, original, "byte {index}");
            }
        }
    }

    #[test]
    fn an_entry_changed_added_or_removed_is_named() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let receipt = Receipt::verify(&statement().sign(&key).unwrap()).unwrap();
        let mut changed = statement().entries;
        changed[0].sha256 = Sha256::of("other");
        assert!(matches!(receipt.check_entries(&changed), Err(ReceiptError::Entry(_))));
        assert_eq!(receipt.check_entries(&[]), Err(ReceiptError::EntryCount { stated: 1, found: 0 }));
    }
}
