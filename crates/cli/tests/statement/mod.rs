//! What a test's enclave states about an archive, of task 1 of deal 2 on worker 3.

use iexec_archive::Sealed;
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Nonce, Tee},
    id::{DealId, Sha256, TaskId},
    key::SigningKey,
    receipt::{Entry, Inputs, Statement},
};

pub(crate) fn statement(sealed: &Sealed) -> Statement {
    let image = Sha256::of("image");
    let entry = |entry: &iexec_archive::EntryDigest| Entry {
        name: entry.name.clone(),
        size: entry.size,
        sha256: Sha256(entry.sha256.into()),
    };
    Statement {
        task: TaskId(B256::with_last_byte(1)),
        deal: DealId(B256::with_last_byte(2)),
        worker: Address::with_last_byte(3),
        tee: Tee::Simulated,
        inputs: Inputs { image, command: vec!["/app".into()], dataset: None, files: vec![] },
        evidence: Evidence {
            tee: Tee::Simulated,
            key: B256::ZERO,
            signer: enclave_key().address(),
            image,
            quote: vec![],
            certificates: vec![],
        },
        nonce: Nonce(B256::ZERO),
        result_digest: B256::ZERO,
        tree: Sha256(sealed.tree.0.into()),
        recipients: sealed.recipients.iter().map(|id| Sha256((*id).into())).collect(),
        entries: sealed.entries.iter().map(entry).collect(),
    }
}

/// The receipt of a statement, signed by a test's challenge key and by its enclave's.
pub(crate) fn sign(statement: &Statement) -> Vec<u8> {
    statement.sign(&SigningKey::from_bytes(&[7; 32]).unwrap(), &enclave_key()).unwrap()
}

fn enclave_key() -> SigningKey {
    SigningKey::from_bytes(&[8; 32]).unwrap()
}
