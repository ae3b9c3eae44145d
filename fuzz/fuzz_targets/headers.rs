//! Headers by which services know their callers.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    call::{scheduler::WorkerHeader, storage::UploadHeader},
    typed_data::LoginHeader,
};

fuzz_target!(|text: &str| {
    let _ = text.parse::<LoginHeader>();
    let _ = UploadHeader::parse(text);
    let _ = WorkerHeader::verify(text, 0, "/v1/grants", b"");
});
