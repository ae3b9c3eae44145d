//! A receipt from an archive; and a statement, which the fuzzer cannot sign itself: what reads as one is signed and read
//! back.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    key::SigningKey,
    receipt::{MAX_RECEIPT, Receipt, Statement},
};

fuzz_target!(|bytes: &[u8]| {
    let _ = Receipt::verify(bytes);
    if let Ok(mut statement) = serde_json::from_slice::<Statement>(bytes) {
        let [challenge, enclave] = [7, 8].map(|byte| SigningKey::from_bytes(&[byte; 32]).expect("a key"));
        statement.evidence.signer = enclave.address();
        (statement.tee, statement.inputs.image) = (statement.evidence.tee, statement.evidence.image);
        let written = statement.sign(&challenge, &enclave).expect("a statement is signed");
        // Only size keeps what was written from being read.
        let Ok(receipt) = Receipt::verify(&written) else {
            return assert!(written.len() > MAX_RECEIPT);
        };
        assert_eq!((receipt.statement(), receipt.signer()), (&statement, challenge.address()));
        assert_eq!((receipt.enclave(), receipt.check_entries(&statement.entries)), (Some(enclave.address()), Ok(())));
    }
});
