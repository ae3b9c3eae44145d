//! An archive from a storage, read in every way that needs no secret, and unpacked as a result.

#![no_main]

use libfuzzer_sys::fuzz_target;

use std::io::Cursor;

use iexec_archive::{Archive, Kind, Limits, tree_of_zip, unpack, unpack_stream};

const LIMITS: Limits = Limits { entries: 1000, total: 1 << 24, ratio: 200, portable_names: true };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut archive) = Archive::open(Cursor::new(bytes)) {
        let _ = archive.inspect();
        // Digesting reads every entry; whatever it finds, it must not panic.
        if let Ok(entries) = archive.entries() {
            // No key fits, and the digests are right: refused, never a panic.
            assert!(archive.decrypt_verified(&[], &entries, &mut std::io::sink()).is_err());
        }
    }
    let (mut whole, mut streamed) = (Vec::new(), Vec::new());
    let stream = unpack_stream(bytes, &LIMITS, &mut keep(&mut streamed));
    let file = unpack(Cursor::new(bytes), &LIMITS, &mut keep(&mut whole));
    // What a stream takes, the reader that starts at the directory takes too, and sees the same.
    if let Ok(stream) = stream {
        let file = file.expect("a stream was read that is no file");
        assert_eq!((stream.tree, &streamed), (file.tree, &whole));
        assert_eq!(tree_of_zip(Cursor::new(bytes)).expect("a zip that was unpacked"), stream.tree);
    }
});

fn keep(seen: &mut Vec<(String, Kind)>) -> impl FnMut(&str, Kind, &mut dyn std::io::Read) -> std::io::Result<()> + '_ {
    |name, kind, _| {
        assert!(!name.starts_with('/') && !name.split('/').any(|part| matches!(part, "" | "." | "..")), "{name:?}");
        seen.push((name.to_owned(), kind));
        Ok(())
    }
}
