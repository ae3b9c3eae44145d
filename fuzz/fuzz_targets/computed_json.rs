//! What an app leaves.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::result::{Computed, ResultLink};

fuzz_target!(|bytes: &[u8]| {
    let _ = Computed::parse(bytes, true);
    let _ = Computed::parse(bytes, false);
    let _ = ResultLink::from_bytes(bytes);
});
