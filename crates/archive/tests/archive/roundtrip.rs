//! What is sealed opens again, says the same of itself, and is the same bytes each time.

use crate::{decrypt, names, receipt, rng, rsa2048, seal};
use iexec_archive::{
    Archive, Encryptor, FileDigest, Layout, MAX_RECEIPT_SIZE, PlainWriter, SealError, Tree, TreeError, tree_of_zip,
    write_plain,
};
use proptest::prelude::*;
use std::io::{Cursor, Read};

fn expected_tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::default();
    for (name, content) in files {
        tree.add_file(&FileDigest::of(name, content)).unwrap();
    }
    tree
}

#[test]
fn a3_a_sealed_archive_is_layout_c_with_a_receipt() {
    let files: &[(&str, &[u8])] = &[("my-result.txt", b"Hello, world!"), ("computed.json", b"{}"), ("a/b/empty", b"")];
    let (bytes, sealed) = seal(files, 1);
    let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.layout(), Layout::C);
    assert_eq!(archive.receipt().unwrap(), receipt(&sealed));
    assert_eq!(archive.entries().unwrap(), sealed.entries);
    assert_eq!(names(&sealed.entries), ["aes-key.rsa", "iexec_out.zip.aes"]);
    assert_eq!(sealed.recipients, [rsa2048().public_key().unwrap().key_id()]);
    assert_eq!(sealed.tree, expected_tree(files).hash());
    let results = decrypt(&bytes, &rsa2048()).unwrap();
    assert_eq!(tree_of_zip(Cursor::new(results)).unwrap(), sealed.tree);
}

#[test]
fn a16_the_same_files_make_the_same_plaintext_and_no_two_archives_the_same_ciphertext() {
    let long = vec![7; 200_000];
    let files: &[(&str, &[u8])] = &[("a", &long), ("b", b"x")];
    let ((one, sealed_one), (two, sealed_two)) = (seal(files, 1), seal(files, 2));
    assert_eq!(decrypt(&one, &rsa2048()).unwrap(), decrypt(&two, &rsa2048()).unwrap());
    assert_ne!(sealed_one.entries, sealed_two.entries);
}

#[test]
fn a_file_as_long_as_any_buffer_or_a_byte_off_comes_back() {
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000] {
        for compressible in [true, false] {
            let mut content = vec![b'a'; size];
            if !compressible {
                rand::RngCore::fill_bytes(&mut rng(3), &mut content);
            }
            let (bytes, sealed) = seal(&[("file", &content)], 1);
            let results = decrypt(&bytes, &rsa2048()).unwrap();
            assert_eq!(tree_of_zip(Cursor::new(&results)).unwrap(), sealed.tree);
            assert_eq!(sealed.tree, expected_tree(&[("file", &content)]).hash(), "size {size}");
            let room = if compressible { size / 50 + 300 } else { size + size / 1000 + 300 };
            assert!(results.len() <= room, "size {size} took {}", results.len());
        }
    }
}

#[test]
fn a11_more_than_65535_files_use_zip64_and_come_back() {
    let mut writer = PlainWriter::new(Cursor::new(Vec::new()));
    writer.add_file("computed.json", &b"{}"[..]).unwrap();
    for i in 0..66_000 {
        writer.add_directory(&format!("{i}")).unwrap();
    }
    let (out, tree) = writer.finish().unwrap();
    assert_eq!(tree_of_zip(out.clone()).unwrap(), tree);
    let archive = Archive::open(out).unwrap();
    assert_eq!(archive.layout(), Layout::Plain);
}

#[test]
fn a11_names_that_no_reader_would_take_are_refused_when_written() {
    let mut writer = PlainWriter::new(Cursor::new(Vec::new()));
    writer.add_file("computed.json", &b"{}"[..]).unwrap();
    let refused = (0..20_000).find_map(|i| writer.add_directory(&format!("{i:01000}")).err());
    assert!(matches!(refused, Some(SealError::Tree(TreeError::TooMany))));
    let (out, tree) = writer.finish().unwrap();
    assert_eq!(tree_of_zip(out).unwrap(), tree);
}

#[test]
fn a9_a_plain_archive_is_the_output_alone() {
    let (out, tree) =
        write_plain([("computed.json", &b"{}"[..]), ("r.txt", &b"x"[..])], Cursor::new(Vec::new())).unwrap();
    let mut archive = Archive::open(out.clone()).unwrap();
    assert_eq!(archive.layout(), Layout::Plain);
    assert_eq!(names(&archive.entries().unwrap()), ["computed.json", "r.txt"]);
    assert_eq!(tree_of_zip(out).unwrap(), tree);
    for name in ["iexec_out.zip.aes", "aes-key.rsa", "receipt.json"] {
        let refused = write_plain([(name, &b"x"[..])], Cursor::new(Vec::new()));
        assert!(matches!(refused, Err(SealError::Reserved(_))), "{name}");
    }
}

#[test]
fn an_archive_may_follow_other_bytes_of_its_output() {
    let key = rsa2048().public_key().unwrap();
    let mut out = Cursor::new(b"prefix".to_vec());
    out.set_position(6);
    let mut writer = Encryptor::new(&key, &mut rng(1), out).unwrap();
    writer.add_file("a", &b"x"[..]).unwrap();
    let out = writer.finish(receipt).unwrap().into_inner();
    assert_eq!(&out[..6], b"prefix");
    assert!(decrypt(&out[6..], &rsa2048()).is_ok());
}

#[test]
fn a14_an_empty_or_long_receipt_is_refused() {
    let key = rsa2048().public_key().unwrap();
    for (size, fine) in [(0, false), (1, true), (MAX_RECEIPT_SIZE, true), (MAX_RECEIPT_SIZE + 1, false)] {
        let writer = Encryptor::new(&key, &mut rng(1), Cursor::new(Vec::new())).unwrap();
        match writer.finish(|_| vec![b' '; size]) {
            Ok(out) => assert!(fine && Archive::open(out).unwrap().receipt().unwrap().len() == size),
            Err(error) => assert!(!fine && matches!(error, SealError::Receipt(found) if found == size)),
        }
    }
}

#[test]
fn a12_a13_bad_and_repeated_names_are_refused_and_the_archive_goes_on() {
    let key = rsa2048().public_key().unwrap();
    let mut writer = Encryptor::new(&key, &mut rng(1), Cursor::new(Vec::new())).unwrap();
    writer.add_file("a", &b"x"[..]).unwrap();
    for name in ["a", "a/b", "../b", "/b", "b//c", ""] {
        assert!(matches!(writer.add_file(name, &b"y"[..]), Err(SealError::Tree(_))), "{name:?}");
        assert!(matches!(writer.add_directory(name), Err(SealError::Tree(_))), "{name:?}");
    }
    let bytes = writer.finish(receipt).unwrap().into_inner();
    let results = decrypt(&bytes, &rsa2048()).unwrap();
    assert_eq!(tree_of_zip(Cursor::new(results)).unwrap(), expected_tree(&[("a", b"x")]).hash());
}

/// A file that fails after some bytes.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::other("disk on fire"));
        }
        let count = buffer.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for size in [0, 10, 200_000] {
        let key = rsa2048().public_key().unwrap();
        let mut writer = Encryptor::new(&key, &mut rng(1), Cursor::new(Vec::new())).unwrap();
        let error = writer.add_file("dir/file", Failing(size)).unwrap_err();
        assert_eq!(error.to_string(), "archive: reading \"dir/file\": disk on fire");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_set_of_files_comes_back(
        files in proptest::collection::btree_map("[a-zé ]{1,6}", proptest::collection::vec(any::<u8>(), 0..3000), 0..8),
        folders in proptest::collection::btree_set("[A-Z]{1,4}(/[A-Z]{1,4}){0,2}", 0..4),
        repeat in 1_usize..80,
    ) {
        let key = rsa2048();
        let mut writer = Encryptor::new(&key.public_key().unwrap(), &mut rng(9), Cursor::new(Vec::new())).unwrap();
        let mut tree = Tree::default();
        for (name, content) in &files {
            let content = content.repeat(repeat);
            let digest = writer.add_file(name, content.as_slice()).unwrap();
            prop_assert_eq!(&digest, &FileDigest::of(name, &content));
            tree.add_file(&digest).unwrap();
        }
        for folder in &folders {
            // A folder that is known by its content already is a repeat for neither.
            writer.add_directory(folder).unwrap();
            tree.add_directory(folder).unwrap();
        }
        let bytes = writer.finish(receipt).unwrap().into_inner();
        let results = decrypt(&bytes, &key).unwrap();
        prop_assert_eq!(tree_of_zip(Cursor::new(results)).unwrap(), tree.hash());
    }
}
