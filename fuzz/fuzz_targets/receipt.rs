//! A receipt from an archive.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::receipt::Receipt;

fuzz_target!(|bytes: &[u8]| {
    let _ = Receipt::verify(bytes);
});
