//! A workerpool's authorization, as a worker shows it, with the signature beside it.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{authorization::WorkerpoolAuthorization, key::Signature};

fuzz_target!(|input: (&str, &str)| {
    let (json, signature) = input;
    if let Ok(authorization) = serde_json::from_str::<WorkerpoolAuthorization>(json) {
        let hash = authorization.hash();
        let _ = authorization.signature.value.signer_of_personal(hash);
        let written = serde_json::to_string(&authorization).expect("what was read is written");
        let again: WorkerpoolAuthorization = serde_json::from_str(&written).expect("what was written is read");
        assert_eq!(again, authorization);
        assert_eq!(again.hash(), hash);
    }
    if let Ok(signature) = signature.parse::<Signature>() {
        assert_eq!(signature.to_string().parse(), Ok(signature), "what was written is read");
        let _ = signature.signer_of_hash(Default::default());
    }
});
