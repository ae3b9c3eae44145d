//! A frame from the other side of an enclave's pipe.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::session::{FromEnclave, ToEnclave, decode_frame};

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_frame::<ToEnclave>(bytes);
    let _ = decode_frame::<FromEnclave>(bytes);
});
