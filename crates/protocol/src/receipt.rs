//! The receipt: an enclave's signed statement about one result, carried in the archive and checked offline
//! (spec `docs/spec/receipt.md`). A DSSE envelope (secure-systems-lab) over JSON, signed by the challenge key, which the
//! SMS made, and by the enclave's own key, which its evidence binds.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::{
    evidence::{Evidence, Nonce, Tee, base64_bytes},
    id::{DealId, Sha256, TaskId},
    key::{KeyError, Signature, SigningKey},
};

/// Largest receipt read, in bytes.
pub const MAX_RECEIPT: usize = 64 * 1024;
/// DSSE payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.iexec.receipt.v2+json";
/// That of receipts from before enclaves had keys of their own: read, no longer written.
pub const PAYLOAD_TYPE_1: &str = "application/vnd.iexec.receipt.v1+json";

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
    #[serde(deserialize_with = "evidence_of_any_version")]
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
    /// Signs the statement into a receipt; `enclave_key` is the one that the evidence names as its signer.
    pub fn sign(&self, challenge_key: &SigningKey, enclave_key: &SigningKey) -> Result<Vec<u8>, ReceiptError> {
        self.check_evidence()?;
        check_enclave(self.evidence.signer, enclave_key.address())?;
        let payload = serde_json::to_vec(self).map_err(|error| ReceiptError::Json(error.to_string()))?;
        let hash = signed_hash(PAYLOAD_TYPE, &payload);
        let sign = |key: &SigningKey| Ok(EnvelopeSignature { keyid: key.address(), sig: key.sign_personal(hash)? });
        let signatures = [challenge_key, enclave_key].map(sign).into_iter().collect::<Result<_, KeyError>>()?;
        let envelope = Envelope { payload_type: PAYLOAD_TYPE.to_owned(), payload, signatures };
        serde_json::to_vec(&envelope).map_err(|error| ReceiptError::Json(error.to_string()))
    }

    /// What is said twice is said the same.
    fn check_evidence(&self) -> Result<(), ReceiptError> {
        let (tee, image) = (self.evidence.tee, self.evidence.image);
        if self.tee != tee {
            return Err(ReceiptError::Tee { stated: self.tee, evidence: tee });
        }
        if self.inputs.image != image {
            return Err(ReceiptError::Image { stated: self.inputs.image, evidence: image });
        }
        Ok(())
    }
}

/// A receipt whose signatures hold. Whose keys they were is for chain and evidence to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    statement: Statement,
    signer: Address,
    enclave: Option<Address>,
}

impl Receipt {
    /// Reads a receipt and checks that its signatures are by the keys that it names, the second by the evidence's signer.
    pub fn verify(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT {
            return Err(ReceiptError::TooLarge(bytes.len()));
        }
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| ReceiptError::Json(error.to_string()))?;
        let by_enclave = match envelope.payload_type.as_str() {
            PAYLOAD_TYPE => true,
            PAYLOAD_TYPE_1 => false,
            other => return Err(ReceiptError::Type(other.chars().take(80).collect())),
        };
        let signers = envelope.signers()?;
        let statement: Statement =
            serde_json::from_slice(&envelope.payload).map_err(|error| ReceiptError::Json(error.to_string()))?;
        statement.check_evidence()?;
        match (by_enclave, signers.as_slice()) {
            (true, [signer, enclave]) => {
                check_enclave(statement.evidence.signer, *enclave)?;
                Ok(Self { statement, signer: *signer, enclave: Some(*enclave) })
            }
            (false, [signer]) => Ok(Self { statement, signer: *signer, enclave: None }),
            (_, found) => Err(ReceiptError::Signatures { expected: 1 + usize::from(by_enclave), found: found.len() }),
        }
    }

    /// What it states.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Address of the first key that signed: must be the contribution's enclave challenge.
    pub fn signer(&self) -> Address {
        self.signer
    }

    /// Address of the enclave's own key, which signed second: as far as the evidence is authentic and binds it, nobody but
    /// the enclave made this receipt. `None` in receipts from before enclaves had such keys.
    pub fn enclave(&self) -> Option<Address> {
        self.enclave
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

impl Envelope {
    /// Each signature's key, as far as there are two at most.
    fn signers(&self) -> Result<Vec<Address>, ReceiptError> {
        if self.signatures.len() > 2 {
            return Err(ReceiptError::Signatures { expected: 2, found: self.signatures.len() });
        }
        let hash = signed_hash(&self.payload_type, &self.payload);
        let signer = |signature: &EnvelopeSignature| {
            let holds = signature.sig.signer_of_personal(hash) == Some(signature.keyid);
            holds.then_some(signature.keyid).ok_or(ReceiptError::Signature)
        };
        self.signatures.iter().map(signer).collect()
    }
}

fn check_enclave(bound: Address, found: Address) -> Result<(), ReceiptError> {
    if bound == found && !bound.is_zero() { Ok(()) } else { Err(ReceiptError::Enclave { bound, found }) }
}

/// `keccak256` of DSSE's pre-authentication encoding.
fn signed_hash(payload_type: &str, payload: &[u8]) -> B256 {
    let header = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    keccak256([header.as_bytes(), payload].concat())
}

/// Evidence from before enclaves had keys of their own names no signer; here it is the zero address.
fn evidence_of_any_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Evidence, D::Error> {
    #[derive(Deserialize)]
    struct AnyVersion {
        tee: Tee,
        key: B256,
        #[serde(default)]
        signer: Address,
        image: Sha256,
        #[serde(with = "base64_bytes")]
        quote: Vec<u8>,
        #[serde(with = "base64_bytes", default)]
        certificates: Vec<u8>,
    }
    let AnyVersion { tee, key, signer, image, quote, certificates } = AnyVersion::deserialize(deserializer)?;
    Ok(Evidence { tee, key, signer, image, quote, certificates })
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
    #[error("the receipt's payload type is {0:?}, not {PAYLOAD_TYPE:?} or {PAYLOAD_TYPE_1:?}")]
    Type(String),
    /// Too many signatures, or too few.
    #[error("the receipt has {found} signatures, its kind has {expected}")]
    Signatures {
        /// Of this kind of receipt.
        expected: usize,
        /// In the receipt.
        found: usize,
    },
    /// Not by the key that it names.
    #[error("the receipt's signature does not hold")]
    Signature,
    /// The second signature is not by the key that the evidence binds.
    #[error("the receipt's second signature is by {found}, the evidence binds the enclave's key {bound}")]
    Enclave {
        /// In the evidence.
        bound: Address,
        /// Who signed.
        found: Address,
    },
    /// The statement names another TEE than its evidence.
    #[error("the receipt states the TEE {stated}, its evidence is of {evidence}")]
    Tee {
        /// In the statement.
        stated: Tee,
        /// In its evidence.
        evidence: Tee,
    },
    /// The statement names another image than its evidence.
    #[error("the receipt states the app image {stated}, its evidence is for {evidence}")]
    Image {
        /// In the statement.
        stated: Sha256,
        /// In its evidence.
        evidence: Sha256,
    },
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

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32]).unwrap()
    }

    /// The challenge key is 7, the enclave's own is 8.
    fn signed(statement: &Statement) -> Vec<u8> {
        statement.sign(&key(7), &key(8)).unwrap()
    }

    /// A receipt with anything in it, by these keys.
    fn forged(payload_type: &str, payload: &str, signers: &[u8]) -> Vec<u8> {
        let hash = signed_hash(payload_type, payload.as_bytes());
        let sign = |number: &u8| {
            let key = key(*number);
            EnvelopeSignature { keyid: key.address(), sig: key.sign_personal(hash).unwrap() }
        };
        let signatures = signers.iter().map(sign).collect();
        let envelope = Envelope { payload_type: payload_type.to_owned(), payload: payload.into(), signatures };
        serde_json::to_vec(&envelope).unwrap()
    }

    fn json(statement: &Statement) -> String {
        serde_json::to_string(statement).unwrap()
    }

    fn statement() -> Statement {
        let evidence = Evidence {
            tee: Tee::Simulated,
            key: B256::ZERO,
            signer: key(8).address(),
            image: Sha256::of("image"),
            quote: vec![1, 2],
            certificates: vec![],
        };
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
    fn a_signed_receipt_verifies_and_names_both_its_signers() {
        let receipt = Receipt::verify(&signed(&statement())).unwrap();
        assert_eq!(receipt.statement(), &statement());
        assert_eq!((receipt.signer(), receipt.enclave()), (key(7).address(), Some(key(8).address())));
        assert_eq!(receipt.check_entries(&statement().entries), Ok(()));
    }

    #[test]
    fn only_the_key_that_the_evidence_binds_signs_for_the_enclave() {
        let (bound, found) = (key(8).address(), key(9).address());
        let refused = Err(ReceiptError::Enclave { bound, found });
        assert_eq!(statement().sign(&key(7), &key(9)), refused);
        let receipt = |signers: &[u8]| Receipt::verify(&forged(PAYLOAD_TYPE, &json(&statement()), signers));
        assert!(receipt(&[7, 8]).is_ok());
        assert_eq!(receipt(&[7, 9]), Err(ReceiptError::Enclave { bound, found }));
        assert!(matches!(receipt(&[8, 7]), Err(ReceiptError::Enclave { .. })));
        for (signers, found) in [(&[][..], 0), (&[7], 1), (&[7, 8, 8], 3)] {
            assert_eq!(receipt(signers), Err(ReceiptError::Signatures { expected: 2, found }));
        }
        let mut unbound = statement();
        unbound.evidence.signer = Address::ZERO;
        let receipt = Receipt::verify(&forged(PAYLOAD_TYPE, &json(&unbound), &[7, 8]));
        assert!(matches!(receipt, Err(ReceiptError::Enclave { .. })));
    }

    #[test]
    fn a_receipt_of_the_first_kind_is_read_and_has_no_signature_of_an_enclave() {
        let old = json(&statement()).replace(&format!("\"signer\":\"{}\",", json_address(key(8).address())), "");
        assert!(!old.contains("signer"), "{old}");
        let receipt = Receipt::verify(&forged(PAYLOAD_TYPE_1, &old, &[7])).unwrap();
        assert_eq!((receipt.signer(), receipt.enclave()), (key(7).address(), None));
        let two = Receipt::verify(&forged(PAYLOAD_TYPE_1, &old, &[7, 8]));
        assert_eq!(two, Err(ReceiptError::Signatures { expected: 1, found: 2 }));
        // One kind does not pass for the other: the type is signed, too.
        let text = String::from_utf8(signed(&statement())).unwrap().replace(PAYLOAD_TYPE, PAYLOAD_TYPE_1);
        assert_eq!(Receipt::verify(text.as_bytes()), Err(ReceiptError::Signature));
    }

    fn json_address(address: Address) -> String {
        serde_json::to_value(address).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn a_statement_that_says_another_thing_than_its_evidence_is_refused() {
        let other = Statement { tee: Tee::Tdx, ..statement() };
        let refused = || ReceiptError::Tee { stated: Tee::Tdx, evidence: Tee::Simulated };
        assert_eq!(other.sign(&key(7), &key(8)), Err(refused()));
        assert_eq!(Receipt::verify(&forged(PAYLOAD_TYPE, &json(&other), &[7, 8])), Err(refused()));
        let mut other = statement();
        other.inputs.image = Sha256::of("another image");
        let receipt = Receipt::verify(&forged(PAYLOAD_TYPE, &json(&other), &[7, 8]));
        assert!(matches!(receipt, Err(ReceiptError::Image { .. })));
    }

    #[test]
    fn any_changed_byte_of_a_receipt_is_refused() {
        let bytes = signed(&statement());
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
        let receipt = Receipt::verify(&signed(&statement())).unwrap();
        let mut changed = statement().entries;
        changed[0].sha256 = Sha256::of("other");
        assert!(matches!(receipt.check_entries(&changed), Err(ReceiptError::Entry(_))));
        assert_eq!(receipt.check_entries(&[]), Err(ReceiptError::EntryCount { stated: 1, found: 0 }));
    }
}
