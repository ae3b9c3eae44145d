//! An archive from a storage.

#![no_main]

use libfuzzer_sys::fuzz_target;

use std::io::Cursor;

use iexec_archive::Archive;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut archive) = Archive::open(Cursor::new(bytes)) {
        // Digesting reads every entry; whatever it finds, it must not panic.
        let _ = archive.entries();
    }
});
