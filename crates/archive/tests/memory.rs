//! No archive, however large or hostile, makes the library hold more than 64 MiB: counted at the allocator.
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::disallowed_methods, reason = "vectors and an archive larger than the limit are files")]

use cap::Cap;
use iexec_archive::{
    Archive, Encryptor, Identity, Limits, PlainWriter, PrivateKey, tree_of_zip, unpack, unpack_stream,
};
use std::alloc::System;
use std::fs;
use std::io::{self, BufWriter, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const LIMIT: usize = 64 * 1024 * 1024;
/// Larger than the limit, by far enough.
const LARGE: u64 = 200 * 1024 * 1024;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/archive")
}

/// Runs with the limit set beyond what is held already: one byte more ends the process.
fn within_limit(work: impl FnOnce()) {
    MEMORY.set_limit(MEMORY.allocated() + LIMIT).unwrap();
    work();
    MEMORY.set_limit(usize::MAX).unwrap();
}

fn open_all_ways(bytes: &[u8], identities: &[Identity]) {
    let _ = unpack(Cursor::new(bytes), &Limits::default(), &mut |_, _, _| Ok(()));
    let _ = unpack_stream(bytes, &Limits::default(), &mut |_, _, _| Ok(()));
    let _ = tree_of_zip(Cursor::new(bytes));
    if let Ok(mut archive) = Archive::open(Cursor::new(bytes)) {
        let _ = archive.inspect();
        let _ = archive.entries();
        let _ = archive.decrypt_with(identities, &mut io::sink());
        let _ = archive.extract(identities, None, &Limits::default(), &mut |_, _, _| Ok(()));
    }
}

/// As many files as may be, each in folders of its own, with names as long as may be.
fn crowded() -> Vec<u8> {
    let mut writer = PlainWriter::new(Vec::new());
    writer.add_file("computed.json", &b"{}"[..]).unwrap();
    for number in 0.. {
        let name = format!("{number:05}/{}", "d/".repeat(120).trim_end_matches('/'));
        if writer.add_file(&name, &b""[..]).is_err() {
            break;
        }
    }
    writer.finish().unwrap().0
}

/// A directory of 16 MiB that names what no tree takes.
fn deep() -> Vec<u8> {
    let mut writer = PlainWriter::new(Vec::new());
    for number in 0..100_000 {
        let _ = writer.add_directory(&format!("{number}{}", "x".repeat(100)));
    }
    writer.finish().unwrap().0
}

/// One test: the allocator is the process'.
#[test]
fn a11_nothing_makes_the_library_hold_more_than_64_mib() {
    let keys = fs::read_to_string(vectors().join("rsa2048.pem")).unwrap();
    let identities = [Identity::from_text(&keys, None).unwrap()];
    let in_folder = |name: &str| fs::read_dir(vectors().join(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = in_folder("hostile").chain(in_folder("inside")).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    for path in files {
        let bytes = fs::read(&path).unwrap();
        within_limit(|| open_all_ways(&bytes, &identities));
    }
    for bytes in [crowded(), deep()] {
        within_limit(|| open_all_ways(&bytes, &identities));
    }
    let memory = fs::read_to_string(vectors().join("rsa2048-passphrase-memory.pem")).unwrap();
    within_limit(|| assert!(PrivateKey::from_encrypted_pem(&memory, b"vector").is_err()));
    large(&identities);
}

/// Sealed and opened from end to end, four times the limit.
fn large(identities: &[Identity]) {
    let mut file = tempfile::tempfile().unwrap();
    within_limit(|| {
        let Identity::Rsa(key) = &identities[0] else { panic!() };
        let out = BufWriter::new(&mut file);
        let mut writer = Encryptor::new(&key.public_key().unwrap(), &mut rand::rng(), out).unwrap();
        writer.add_file("noise", Noise(7).take(LARGE)).unwrap();
        writer.add_file("zeros", io::repeat(0).take(LARGE / 4)).unwrap();
        writer.finish(|_| b"{}".to_vec()).unwrap().flush().unwrap();
    });
    file.rewind().unwrap();
    within_limit(|| {
        let mut archive = Archive::open(&mut file).unwrap();
        let digests = archive.entries().unwrap();
        let opened = archive.decrypt_verified(identities, &digests, &mut io::sink()).unwrap();
        assert!(opened.size > LARGE);
        let extracted = archive.extract(identities, Some(&digests), &Limits::default(), &mut |_, _, _| Ok(())).unwrap();
        assert_eq!((extracted.unpacked.entries, extracted.unpacked.size), (2, LARGE + LARGE / 4));
    });
}

/// Bytes that do not compress: xorshift64.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}
