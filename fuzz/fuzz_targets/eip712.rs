//! Typed data that is signed: requests for secrets, with their header, and the challenges that services give.

#![no_main]

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    Address,
    call::sms::SecretId,
    secret::{SecretKind, proxy_origin},
    secret_request::{RequestHeader, Subject},
    typed_data::LoginChallenge,
};

fuzz_target!(|input: (&str, &str)| {
    let (name, text) = input;
    if let Ok(origin) = proxy_origin(name) {
        assert_eq!(proxy_origin(&origin).as_ref(), Ok(&origin), "an origin is its own origin");
    }
    let ids = SecretKind::ALL.map(|kind| SecretId::new(kind, Address::repeat_byte(1), name));
    // The JSON inside is base64, which mutations destroy.
    for text in [text, &format!("iexec {}", BASE64_URL_SAFE_NO_PAD.encode(text))] {
        let Ok(header) = text.parse::<RequestHeader>() else { continue };
        assert_eq!(header.to_string().parse().ok(), Some(header.clone()), "what was written is read");
        let _ = header.terms.check(1_700_000_000, "https://sms.example");
        for id in ids.iter().flatten() {
            let (put, delete) = (Subject::put(id, name), Subject::delete(id));
            assert_ne!(header.terms.hash(&put, 1), header.terms.hash(&delete, 1));
            assert_ne!(header.terms.hash(&put, 1), header.terms.hash(&put, 2));
            let _ = header.signer(&put, 1);
        }
    }
    if let Ok(json) = serde_json::from_str(text)
        && let Some(challenge) = LoginChallenge::from_typed_data(&json)
    {
        let hash = challenge.hash();
        let again = LoginChallenge::from_typed_data(&challenge.to_typed_data()).expect("what was written is read");
        assert_eq!(again.hash(), hash);
    }
});
