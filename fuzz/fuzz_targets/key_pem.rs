//! A key file, or what the SMS keeps for one.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_archive::{Identity, PrivateKey, PublicKey, Recipient};

fuzz_target!(|text: &str| {
    if let Ok(recipient) = Recipient::from_sms_value(text) {
        let again = Recipient::from_sms_value(&recipient.to_sms_value());
        assert_eq!(again.expect("what was written is read").key_id(), recipient.key_id());
    }
    let _ = PublicKey::from_pem(text);
    let _ = PrivateKey::is_encrypted(text);
    let _ = Identity::from_text(text, None);
    let _ = Identity::from_text(text, Some(b"vector"));
});
