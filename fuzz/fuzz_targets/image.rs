//! An image'\''s documents, from a registry.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::image::{Image, split_args};

fuzz_target!(|parts: (&[u8], &[u8], &str)| {
    let _ = Image::parse(parts.0, parts.1);
    let _ = split_args(parts.2);
});
