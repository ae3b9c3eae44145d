//! Archives with a receipt, read front to back: the same answer as from a file, whatever is wrong with them.

use crate::{list, rsa2048, seal, text, vector};
use iexec_archive::{Archive, EntryDigest, Identity, OpenError, PipedArchive};
use std::io::{Cursor, Read};

/// A pipe whose writer has little to say at once.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(7);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn piped(bytes: &[u8], keys: &[Identity], expected: &[EntryDigest]) -> Result<Vec<u8>, OpenError> {
    let mut out = Vec::new();
    let list = |_: &[u8]| Ok::<_, OpenError>(expected.to_vec());
    PipedArchive::open(Dribble(bytes))?.decrypt_with_tree(keys, &mut out, &mut |_, _, _| Ok(()), list)?;
    Ok(out)
}

fn from_file(bytes: &[u8], keys: &[Identity], expected: &[EntryDigest]) -> Result<Vec<u8>, OpenError> {
    let mut out = Vec::new();
    Archive::open(Cursor::new(bytes))?.decrypt_with_tree(keys, Some(expected), &mut out, &mut |_, _, _| Ok(()))?;
    Ok(out)
}

/// One of ours, one made by other tools.
fn cases() -> Vec<(Vec<u8>, Vec<Identity>, Vec<EntryDigest>)> {
    let (c, sealed) = seal(&[("my-result.txt", b"Hello, world!"), ("computed.json", b"{}"), ("sub/empty", b"")], 5);
    let age = vector!("age-receipt.zip");
    let age_list = list(Archive::open(Cursor::new(age)).unwrap().receipt().unwrap()).unwrap();
    let age_key = Identity::from_text(text(vector!("age-identity.txt")), None).unwrap();
    vec![(c, vec![rsa2048().into()], sealed.entries), (age.to_vec(), vec![age_key], age_list)]
}

#[test]
fn a35_a_pipe_gives_what_a_file_gives() {
    for (bytes, keys, expected) in cases() {
        assert!(PipedArchive::<&[u8]>::is_one(&bytes[..bytes.len().min(PipedArchive::<&[u8]>::START)]));
        let mut seen = Vec::new();
        let archive = PipedArchive::open(&bytes[..]).unwrap();
        let layout = Archive::open(Cursor::new(&bytes)).unwrap().layout();
        assert_eq!(archive.layout(), layout);
        let list = |receipt: &[u8]| {
            seen = receipt.to_vec();
            Ok::<_, OpenError>(expected.clone())
        };
        let mut out = Vec::new();
        let opened = archive.decrypt_verified(&keys, &mut out, list).unwrap();
        assert_eq!((opened.size, opened.entries.as_slice()), (out.len() as u64, expected.as_slice()));
        assert_eq!(Some(&seen[..]), Archive::open(Cursor::new(&bytes)).unwrap().receipt());
        assert_eq!(out, from_file(&bytes, &keys, &expected).unwrap());
        assert_eq!(out, piped(&bytes, &keys, &expected).unwrap());
    }
}

#[test]
fn a18_a_changed_or_missing_byte_is_refused_from_a_pipe_too() {
    for (bytes, keys, expected) in cases() {
        let mut altered = bytes.clone();
        for at in 0..bytes.len() {
            altered[at] ^= 1 << (at % 8);
            assert!(piped(&altered, &keys, &expected).is_err(), "byte {at} changed");
            altered[at] = bytes[at];
        }
        for length in 0..bytes.len() {
            assert!(piped(&bytes[..length], &keys, &expected).is_err(), "cut at {length}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(piped(&longer, &keys, &expected).is_err());
    }
}

#[test]
fn a19_an_altered_body_or_key_is_that_error_whether_or_not_it_decrypts() {
    for (bytes, keys, expected) in cases() {
        for at in 0..expected.len() {
            // As if the entry were another one than the signed one.
            let mut other = expected.clone();
            other[at].sha256[0] ^= 1;
            let errors = [piped(&bytes, &keys, &other), from_file(&bytes, &keys, &other)].map(Result::unwrap_err);
            assert!(matches!(errors[0], OpenError::Altered { .. }), "{}", errors[0]);
            assert_eq!(errors[0].to_string(), errors[1].to_string());
        }
        let other: Identity = iexec_archive::PrivateKey::generate(2048).unwrap().into();
        let other = if expected.len() == 2 { other } else { iexec_archive::AgeIdentity::generate().into() };
        assert!(matches!(piped(&bytes, &[other], &expected), Err(OpenError::Decrypt)));
    }
}

#[test]
fn what_the_caller_does_not_trust_is_not_opened() {
    for (bytes, keys, _) in cases() {
        let refuse = |_: &[u8]| Err::<Vec<EntryDigest>, _>(OpenError::NotEncrypted);
        let outcome = PipedArchive::open(&bytes[..]).unwrap().decrypt_verified(&keys, &mut Vec::new(), refuse);
        assert!(matches!(outcome, Err(OpenError::NotEncrypted)));
    }
}

#[test]
fn an_archive_of_another_form_is_to_be_read_from_a_file() {
    for bytes in [
        vector!("a-aes128-rsa2048.zip"),
        vector!("b-rsa2048.zip"),
        vector!("c-rsa2048.zip"),
        vector!("c-descriptors.zip"),
        vector!("plain.zip"),
    ] {
        assert!(!PipedArchive::<&[u8]>::is_one(bytes));
    }
    assert!(PipedArchive::<&[u8]>::is_one(vector!("c-receipt.zip")));
    assert!(PipedArchive::<&[u8]>::is_one(vector!("age-receipt.zip")));
}
