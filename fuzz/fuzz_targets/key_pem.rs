//! A key file, or what the SMS keeps for one.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_archive::{PrivateKey, PublicKey};

fuzz_target!(|text: &str| {
    let _ = PublicKey::from_sms_value(text);
    let _ = PrivateKey::from_pem(text);
});
