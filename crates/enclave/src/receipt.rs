//! The receipt of an encrypted archive, as far as it is known before the archive is.

use iexec_archive::{BODY_ENTRY, EntryDigest, KEY_ENTRY, MAX_RECEIPT_SIZE, MAX_RECIPIENTS, Sealed, TreeHash};
use iexec_protocol::{
    B256,
    cause::Cause,
    evidence::{Evidence, Nonce},
    id::{DealId, Sha256},
    key::SigningKey,
    receipt::{Entry, Inputs, Statement},
    result::Contribution,
};

use crate::failure::{Failure, OrFail as _};

/// Who signs a receipt.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// From the session: its address is in the contribution on chain. The SMS knows it, too.
    pub(crate) challenge: &'a SigningKey,
    /// Made here and bound by the evidence: nobody else knows it.
    pub(crate) enclave: &'a SigningKey,
}

/// Everything that a statement holds but the result.
pub(crate) struct Draft {
    pub(crate) deal: DealId,
    pub(crate) inputs: Inputs,
    pub(crate) evidence: Evidence,
    pub(crate) nonce: Nonce,
}

impl Draft {
    /// Checks, before the app runs, that a receipt with these inputs will be signed and will fit.
    pub(crate) fn rehearse(&self, contribution: &Contribution, keys: Keys<'_>) -> Result<(), Failure> {
        let entry = |name: &str| EntryDigest { name: name.to_owned(), size: u64::MAX, sha256: [0xff; 32] };
        let entries = vec![entry(KEY_ENTRY), entry(BODY_ENTRY)];
        let sealed = Sealed { entries, tree: TreeHash([0xff; 32]), recipients: vec![[0xff; 32]; MAX_RECIPIENTS] };
        let size = self.sign(contribution, &sealed, keys)?.len();
        if size > MAX_RECEIPT_SIZE {
            let message = "the arguments or the input files are too many for a receipt";
            return Err(Failure::new(Cause::TaskDescriptionInvalid, message));
        }
        Ok(())
    }

    /// Signs the statement of one archive.
    pub(crate) fn sign(
        &self,
        contribution: &Contribution,
        sealed: &Sealed,
        keys: Keys<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let entries = sealed.entries.iter().map(|entry| Entry {
            name: entry.name.clone(),
            size: entry.size,
            sha256: sha256(entry.sha256),
        });
        let statement = Statement {
            task: contribution.task,
            deal: self.deal,
            worker: contribution.worker,
            tee: self.evidence.tee,
            inputs: self.inputs.clone(),
            evidence: self.evidence.clone(),
            nonce: self.nonce,
            result_digest: contribution.result_digest,
            tree: sha256(sealed.tree.0),
            recipients: sealed.recipients.iter().copied().map(sha256).collect(),
            entries: entries.collect(),
        };
        statement.sign(keys.challenge, keys.enclave).or_fail(Cause::PostComputeInvalidTeeSignature, "the receipt")
    }
}

fn sha256(bytes: [u8; 32]) -> Sha256 {
    Sha256(B256::from(bytes))
}

#[cfg(test)]
mod tests {
    use iexec_protocol::{Address, evidence::Tee, id::TaskId, receipt::Receipt};

    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32]).unwrap()
    }

    fn draft(argument: String) -> Draft {
        let image = Sha256::of("image");
        Draft {
            deal: DealId::default(),
            inputs: Inputs { image, command: vec![argument], dataset: None, files: vec![] },
            evidence: Evidence {
                tee: Tee::Simulated,
                key: B256::ZERO,
                signer: key(2).address(),
                image,
                quote: vec![0; 500],
                certificates: vec![],
            },
            nonce: Nonce(B256::ZERO),
        }
    }

    #[test]
    fn a_receipt_states_the_archives_entries_and_tree() {
        let (challenge, enclave) = (&key(1), &key(2));
        let keys = Keys { challenge, enclave };
        let contribution = Contribution {
            task: TaskId([1; 32].into()),
            worker: Address::repeat_byte(2),
            result_digest: B256::repeat_byte(3),
            callback: [].into(),
        };
        let entries = vec![EntryDigest { name: "a".into(), size: 5, sha256: [6; 32] }];
        let sealed = Sealed { entries, tree: TreeHash([7; 32]), recipients: vec![[8; 32], [9; 32]] };
        let bytes = draft("x".into()).sign(&contribution, &sealed, keys).unwrap();
        let receipt = Receipt::verify(&bytes).unwrap();
        assert_eq!((receipt.signer(), receipt.enclave()), (challenge.address(), Some(enclave.address())));
        assert_eq!(receipt.statement().tree, sha256([7; 32]));
        assert_eq!(receipt.statement().recipients, [sha256([8; 32]), sha256([9; 32])]);
        assert_eq!(receipt.check_entries(&[Entry { name: "a".into(), size: 5, sha256: sha256([6; 32]) }]), Ok(()));

        assert_eq!(draft("x".into()).rehearse(&contribution, keys), Ok(()));
        let failure = draft("x".repeat(60_000)).rehearse(&contribution, keys).unwrap_err();
        assert_eq!(failure.cause, Cause::TaskDescriptionInvalid);
    }
}
