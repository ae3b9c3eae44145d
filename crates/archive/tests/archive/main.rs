//! The archive from outside: vectors made by other tools, round trips, hostile bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[cfg(feature = "age")]
mod age;
mod extraction;
mod hostile;
mod keys;
mod onepass;
#[cfg(feature = "age")]
mod pipe;
mod roundtrip;
mod table;
mod vectors;

use iexec_archive::{Archive, Encryptor, EntryDigest, OpenError, PrivateKey, Sealed};
use rand::{SeedableRng, rngs::StdRng};
use std::io::Cursor;

/// A file under `vectors/archive/`, whose README says who made it.
macro_rules! vector {
    ($path:literal) => {
        include_bytes!(concat!("../../../../vectors/archive/", $path)).as_slice()
    };
}
pub(crate) use vector;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn private_key(pem: &[u8]) -> PrivateKey {
    PrivateKey::from_pem(text(pem)).unwrap()
}

fn rsa2048() -> PrivateKey {
    private_key(vector!("rsa2048.pem"))
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn decrypt(archive: &[u8], key: &PrivateKey) -> Result<Vec<u8>, OpenError> {
    let mut out = Vec::new();
    let size = Archive::open(Cursor::new(archive))?.decrypt(key, &mut out)?;
    assert_eq!(size, out.len() as u64);
    Ok(out)
}

/// Stands for a receipt: the digests, one a line. Its signature is stood for by the test that keeps the right one.
fn receipt(sealed: &Sealed) -> Vec<u8> {
    format!("{:?} {}", sealed.entries, sealed.tree).into_bytes()
}

/// An archive of `files` to the 2048-bit vector key, and what was sealed.
fn seal(files: &[(&str, &[u8])], seed: u64) -> (Vec<u8>, Sealed) {
    let key = rsa2048().public_key().unwrap();
    let mut writer = Encryptor::new(&key, &mut rng(seed), Cursor::new(Vec::new())).unwrap();
    for (name, content) in files {
        writer.add_file(name, *content).unwrap();
    }
    let mut kept = None;
    let out = writer.finish(|sealed| {
        kept = Some(sealed.clone());
        receipt(sealed)
    });
    (out.unwrap().into_inner(), kept.unwrap())
}

fn names(entries: &[EntryDigest]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

/// The lines of a vector's receipt: SHA-256, size, name.
fn list(receipt: &[u8]) -> Option<Vec<EntryDigest>> {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (hex, size, name) = (words.next()?.strip_prefix("0x")?, words.next()?, words.next()?);
        let mut sha256 = [0; 32];
        for (at, byte) in sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(EntryDigest { name: name.to_owned(), size: size.parse().ok()?, sha256 })
    };
    std::str::from_utf8(receipt).ok()?.lines().map(line).collect()
}
