//! A session as the SMS seals it and as an enclave opens it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rand_core::{CryptoRng, RngCore};

use iexec_protocol::{
    call::sms::SessionOffer,
    session::{EphemeralKey, SealedSession, Session, seal},
};

/// The same bytes every time: a find must happen again.
struct Counting(u8);

impl RngCore for Counting {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

impl CryptoRng for Counting {}

fuzz_target!(|bytes: &[u8]| {
    let key = EphemeralKey::generate(&mut Counting(0));
    let _ = serde_json::from_slice::<SessionOffer>(bytes);
    if let Ok(session) = serde_json::from_slice::<Session>(bytes) {
        let sealed = seal(&session, key.public(), &mut Counting(7)).expect("a session can be sealed");
        let opened = key.open(&sealed).expect("what was sealed opens");
        assert_eq!(opened.name, session.name);
        assert_eq!(opened.services.len(), session.services.len());
    } else if let Ok(sealed) = serde_json::from_slice::<SealedSession>(bytes) {
        assert!(key.open(&sealed).is_err(), "nobody sealed this");
    }
});
