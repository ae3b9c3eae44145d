//! Headers by which services know their callers.

#![no_main]

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    call::{scheduler::WorkerHeader, storage::UploadHeader},
    typed_data::LoginHeader,
};

fuzz_target!(|text: &str| {
    if let Ok(header) = text.parse::<LoginHeader>() {
        let _ = header.verified();
        assert_eq!(header.to_string().parse().ok(), Some(header), "what was written is read");
    }
    let _ = UploadHeader::parse(text);
    // The JSON inside is base64, which mutations destroy.
    if let Ok(header) = UploadHeader::parse(&format!("iexec {}", BASE64_URL_SAFE_NO_PAD.encode(text))) {
        let written = header.to_text().expect("what was read is written");
        assert_eq!(UploadHeader::parse(&written).ok(), Some(header), "what was written is read");
    }
    let _ = WorkerHeader::verify(text, 0, "/v1/grants", b"");
});
