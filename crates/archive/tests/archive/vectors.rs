//! Archives that openssl and Info-ZIP made: every layout opens with its key, and with no other.

use crate::{decrypt, names, private_key, text, vector};
use iexec_archive::{Archive, Layout, OpenError, PrivateKey, tree_of_zip};
use std::io::Cursor;

const RESULTS: &[u8] = vector!("results.zip");

fn layouts() -> [(Layout, &'static [u8], PrivateKey); 6] {
    let rsa2048 = || private_key(vector!("rsa2048.pem"));
    let rsa4096 = || private_key(vector!("rsa4096.pem"));
    [
        (Layout::A, vector!("a-aes128-rsa2048.zip"), rsa2048()),
        (Layout::A, vector!("a-aes256-rsa4096.zip"), rsa4096()),
        (Layout::B, vector!("b-rsa2048.zip"), rsa2048()),
        (Layout::C, vector!("c-rsa2048.zip"), rsa2048()),
        (Layout::C, vector!("c-rsa4096.zip"), rsa4096()),
        (Layout::C, vector!("c-descriptors.zip"), rsa2048()),
    ]
}

#[test]
fn a1_every_layout_is_told_apart_and_decrypts_to_the_same_bytes() {
    for (layout, bytes, key) in layouts() {
        let archive = Archive::open(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.layout(), layout);
        assert_eq!(archive.receipt(), None);
        assert_eq!(decrypt(bytes, &key).unwrap(), RESULTS, "layout {layout}");
    }
}

#[test]
fn a7_any_other_key_gets_the_one_error_of_decryption() {
    let others = [private_key(vector!("other2048.pem")), PrivateKey::generate(4096).unwrap()];
    for (layout, bytes, key) in layouts() {
        let other = others.iter().find(|other| other.bits() == key.bits()).unwrap();
        assert!(matches!(decrypt(bytes, other), Err(OpenError::Decrypt)), "layout {layout}");
    }
}

#[test]
fn a_key_of_another_size_is_told_which_key_the_archive_wants() {
    let small = PrivateKey::generate(3072).unwrap();
    for (layout, bytes, key) in layouts() {
        let error = decrypt(bytes, &small).unwrap_err().to_string();
        let wanted = format!("archive: it is encrypted to RSA-{}; the key at hand is RSA-3072", key.bits());
        assert_eq!(error, wanted, "layout {layout}");
    }
}

#[test]
fn a4_pkcs1_and_pkcs8_forms_are_the_same_key() {
    let pkcs1 = private_key(vector!("rsa2048-pkcs1.pem"));
    assert_eq!(decrypt(vector!("c-rsa2048.zip"), &pkcs1).unwrap(), RESULTS);
    assert_eq!(pkcs1.to_pkcs8_pem().unwrap().as_str(), text(vector!("rsa2048.pem")));
}

#[test]
fn a9_a_zip_with_computed_json_and_no_entry_of_ours_is_plain() {
    let mut archive = Archive::open(Cursor::new(vector!("plain.zip"))).unwrap();
    assert_eq!(archive.layout(), Layout::Plain);
    assert_eq!(names(&archive.entries().unwrap()), ["computed.json", "my-result.txt", "empty/"]);
    let key = private_key(vector!("rsa2048.pem"));
    assert!(matches!(archive.decrypt(&key, &mut Vec::new()), Err(OpenError::NotEncrypted)));
}

/// The listing hashed by coreutils, as docs/spec/archive.md shows.
#[test]
fn a20_the_tree_hash_of_a_foreign_zip_is_that_of_its_files() {
    let tree = tree_of_zip(Cursor::new(RESULTS)).unwrap();
    assert_eq!(tree.to_string(), "0x9426eee518e43457f518c02ebec9d3bfb3c035ee941372acaf142cb860171e22");
}
