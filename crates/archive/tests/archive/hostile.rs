//! Altered, cut, swapped and crafted archives: each is refused, and for its own reason.

use crate::{decrypt, private_key, receipt, rsa2048, seal, vector};
use iexec_archive::{Archive, OpenError, PrivateKey, Sealed};
use proptest::prelude::*;
use std::io::Cursor;

/// Opens as a careful caller does: the signed receipt first, then the digests, then the plaintext.
fn open_verified(bytes: &[u8], sealed: &Sealed, key: &PrivateKey) -> Option<Vec<u8>> {
    let mut archive = Archive::open(Cursor::new(bytes)).ok()?;
    // A changed receipt would not carry the signature.
    let genuine = archive.receipt() == Some(receipt(sealed).as_slice());
    let matches = archive.entries().ok()? == sealed.entries;
    let mut out = Vec::new();
    (genuine && matches && archive.decrypt(key, &mut out).is_ok()).then_some(out)
}

fn sample() -> (Vec<u8>, Sealed) {
    seal(&[("my-result.txt", b"Hello, world!"), ("computed.json", b"{}")], 5)
}

/// Where the content of an entry is: behind the first header that has its name.
fn content_range(bytes: &[u8], sealed: &Sealed, index: usize) -> std::ops::Range<usize> {
    let entry = &sealed.entries[index];
    let name = entry.name.as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let extra = usize::from(u16::from_le_bytes([bytes[at - 2], bytes[at - 1]]));
    let start = at + name.len() + extra;
    start..start + usize::try_from(entry.size).unwrap()
}

const DECRYPT: &str = "archive: it does not open with this key; the key is another one, or the archive was altered";

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let (bytes, _) = sample();
    for size in 0..bytes.len() {
        assert!(matches!(Archive::open(Cursor::new(&bytes[..size])), Err(OpenError::Zip(_))), "cut at {size}");
    }
}

#[test]
fn bytes_before_or_behind_an_archive_are_refused() {
    let (bytes, _) = sample();
    for added in [&b"x"[..], b"PK\x05\x06", &[0; 22]] {
        assert!(Archive::open(Cursor::new([added, &bytes].concat())).is_err());
        assert!(Archive::open(Cursor::new([&bytes, added].concat())).is_err());
    }
}

#[test]
fn every_byte_of_every_entry_counts() {
    let (bytes, sealed) = sample();
    let key = rsa2048();
    assert!(open_verified(&bytes, &sealed, &key).is_some());
    for index in 0..sealed.entries.len() {
        for at in content_range(&bytes, &sealed, index) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(open_verified(&altered, &sealed, &key).is_none(), "entry {index}, byte {at}");
        }
    }
}

/// Replaces an entry's CRC wherever it stands, so that the zip is sound again and only cryptography is left.
fn with_content(bytes: &[u8], sealed: &Sealed, index: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let range = content_range(bytes, sealed, index);
    let mut altered = bytes.to_vec();
    let crc = |content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        crc.sum().to_le_bytes()
    };
    let old = crc(&altered[range.clone()]);
    change(&mut altered[range.clone()]);
    let new = crc(&altered[range]);
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == old).collect();
    assert_eq!(places.len(), 2, "the entry's header and the directory's");
    for at in places {
        altered[at..at + 4].copy_from_slice(&new);
    }
    altered
}

#[test]
fn a7_an_altered_key_and_altered_padding_fail_alike() {
    let (bytes, sealed) = sample();
    for (index, at_end) in [(0, 0), (0, 1), (1, 1), (1, 17)] {
        let altered = with_content(&bytes, &sealed, index, |content| {
            let at = content.len() - 1 - at_end;
            content[at] ^= 0x40;
        });
        let archive = Archive::open(Cursor::new(&altered)).map(|mut a| a.entries().unwrap()).unwrap();
        assert_ne!(archive, sealed.entries);
        match decrypt(&altered, &rsa2048()) {
            Err(error) => assert_eq!(error.to_string(), DECRYPT, "entry {index}, {at_end} from the end"),
            // Without a receipt, CBC lets a change inside the last blocks through: this is what receipts are for.
            Ok(plain) => assert!(index == 1 && plain != decrypt(&bytes, &rsa2048()).unwrap()),
        }
    }
}

#[test]
fn an_entry_of_another_archive_is_not_what_the_receipt_says() {
    let (one, sealed_one) = seal(&[("a", b"1")], 1);
    let (two, sealed_two) = seal(&[("a", b"2")], 2);
    let body = two[content_range(&two, &sealed_two, 1)].to_vec();
    let spliced = with_content(&one, &sealed_one, 1, |content| content.copy_from_slice(&body));
    assert!(open_verified(&spliced, &sealed_one, &rsa2048()).is_none());
    assert!(open_verified(&two, &sealed_one, &rsa2048()).is_none());
}

/// A zip of stored entries, record by record, so that it can say anything.
struct Crafted {
    bytes: Vec<u8>,
    central: Vec<u8>,
    count: u16,
}

impl Crafted {
    fn new() -> Self {
        Self { bytes: Vec::new(), central: Vec::new(), count: 0 }
    }

    /// One entry; `patch` may change the local header, the data and the central header.
    fn entry(mut self, name: &[u8], content: &[u8], patch: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_size = u16::try_from(name.len()).unwrap().to_le_bytes();
        let common = [&[0; 8][..], &crc.sum().to_le_bytes(), &size, &size, &name_size, &[0, 0]].concat();
        let offset = u32::try_from(self.bytes.len()).unwrap().to_le_bytes();
        let mut local = [b"PK\x03\x04\x14\0", &common[..], name, content].concat();
        let mut central = [b"PK\x01\x02\x14\0\x14\0", &common[..], &[0; 10], &offset, name].concat();
        patch(&mut local, &mut central);
        self.bytes.extend(local);
        self.central.extend(central);
        self.count += 1;
        self
    }

    fn finish(self) -> Vec<u8> {
        let offset = u32::try_from(self.bytes.len()).unwrap().to_le_bytes();
        let size = u32::try_from(self.central.len()).unwrap().to_le_bytes();
        let count = self.count.to_le_bytes();
        [&self.bytes[..], &self.central, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &offset, &[0, 0]].concat()
    }

    fn error(self) -> String {
        Archive::open(Cursor::new(self.finish())).map(|_| ()).unwrap_err().to_string()
    }
}

fn set(at: usize, value: &'static [u8]) -> impl Fn(&mut Vec<u8>) {
    move |bytes| bytes[at..at + value.len()].copy_from_slice(value)
}

#[test]
fn a10_a_crafted_zip_that_lies_nowhere_is_taken() {
    let zip = Crafted::new().entry(b"computed.json", b"{}", |_, _| {}).finish();
    assert!(Archive::open(Cursor::new(zip)).is_ok());
}

#[test]
fn a10_an_entry_that_contradicts_the_directory_is_refused() {
    for (at, field) in
        [(6, "flags"), (8, "method"), (10, "time"), (14, "CRC-32"), (18, "compressed size"), (22, "size")]
    {
        let error = Crafted::new().entry(b"computed.json", b"{}", |local, _| set(at, &[8, 0])(local)).error();
        assert!(error.contains(&format!(r#"zip entry "computed.json": {field} is "#)), "{error}");
    }
    let error = Crafted::new().entry(b"computed.json", b"{}", |local, _| local[30] = b'C').error();
    assert!(error.contains("whose name is not the directory's"), "{error}");
}

#[test]
fn a10_gaps_overlaps_and_hidden_entries_are_refused() {
    let gap = Crafted::new().entry(b"computed.json", b"{}", |local, _| local.push(0));
    let hidden =
        Crafted::new().entry(b"computed.json", b"{}", |_, _| {}).entry(b"x", b"", |_, central| central.clear());
    let overlap = Crafted::new()
        .entry(b"computed.json", b"{}", |_, _| {})
        .entry(b"x", b"", |_, central| set(42, &[0; 4])(central));
    let long = Crafted::new().entry(b"computed.json", b"{}", |local, central| {
        for (bytes, at) in [(local, 18), (central, 20)] {
            set(at, &[0xf0, 0xff, 0xff, 0xff, 0xf0, 0xff, 0xff, 0xff])(bytes);
        }
    });
    for (name, zip) in [("gap", gap), ("hidden", hidden), ("overlap", overlap), ("long", long)] {
        assert!(zip.error().starts_with("archive: not a sound zip file: "), "{name}");
    }
}

#[test]
fn a13_two_entries_of_one_name_are_refused() {
    let twice = Crafted::new().entry(b"aes-key.rsa", b"1", |_, _| {}).entry(b"aes-key.rsa", b"2", |_, _| {});
    assert_eq!(twice.error(), r#"archive: zip file has two entries named "aes-key.rsa""#);
    let folder = Crafted::new().entry(b"computed.json", b"1", |_, _| {}).entry(b"computed.json/", b"", |_, _| {});
    assert_eq!(folder.error(), r#"archive: zip file has two entries named "computed.json/""#);
}

#[test]
fn a12_names_that_leave_the_folder_are_refused() {
    let long = [b'a'; 1025];
    for name in [&b"../x"[..], b"/x", b"a/../x", b"a\\x", b"a\nx", b"", b"/", b"a//", b"\xff", &long] {
        let error = Crafted::new().entry(name, b"", |_, _| {}).error();
        assert!(error.contains("name"), "{error}");
    }
}

#[test]
fn a10_other_compressions_flags_and_comments_are_refused() {
    let patched = |at: usize, value: &'static [u8]| {
        Crafted::new().entry(b"computed.json", b"{}", |local, central| {
            set(at, value)(local);
            set(at + 2, value)(central);
        })
    };
    assert!(patched(8, &[14]).error().contains("a compression other than deflate"));
    assert!(patched(6, &[1]).error().contains("zip's own encryption"));
    assert!(patched(6, &[0, 0x20]).error().contains("an unknown flag"));
    let folder = Crafted::new().entry(b"computed.json", b"", |_, _| {}).entry(b"a/", b"x", |_, _| {});
    assert!(folder.error().contains("a folder with content"));
}

/// 1,000 times the declared bytes, deflated: what is read stops at what is declared.
#[test]
fn a11_an_entry_that_inflates_beyond_its_declared_size_is_refused_there() {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &vec![0; 4_000_000]).unwrap();
    let bomb = encoder.finish().unwrap();
    let deflated = |local: &mut Vec<u8>, central: &mut Vec<u8>| {
        for (bytes, at) in [(local, 8), (central, 10)] {
            set(at, &[8, 0])(bytes);
            set(at + 14, &[0, 1, 0, 0])(bytes);
        }
    };
    let error =
        Crafted::new().entry(b"iexec_out.zip.aes", b"", |_, _| {}).entry(b"aes-key.rsa", &bomb, deflated).error();
    let found = r#"archive: reading entry "aes-key.rsa": zip entry "aes-key.rsa": size so far is "#;
    assert!(error.starts_with(found) && error.ends_with(" in the bytes and 256 in the central directory"), "{error}");
}

#[test]
fn a11_a_directory_that_claims_much_allocates_nothing() {
    let (bytes, _) = sample();
    let end = bytes.len() - 22;
    for (at, value) in
        [(8, &[0xfe, 0xff, 0xfe, 0xff][..]), (12, &[0xfe, 0xff, 0xff, 0xff]), (16, &[0xfe, 0xff, 0xff, 0xff])]
    {
        let mut lying = bytes.clone();
        lying[end + at..end + at + value.len()].copy_from_slice(value);
        assert!(matches!(Archive::open(Cursor::new(lying)), Err(OpenError::Zip(_))), "end record, byte {at}");
    }
}

#[test]
fn a7_the_wrong_key_and_an_altered_archive_read_the_same() {
    let wrong = decrypt(vector!("c-rsa2048.zip"), &private_key(vector!("other2048.pem"))).unwrap_err();
    assert_eq!(wrong.to_string(), DECRYPT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever byte changes, a careful caller gets the true plaintext or nothing.
    #[test]
    fn a_changed_byte_never_changes_what_a_careful_caller_gets(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (bytes, sealed) = sample();
        let truth = decrypt(&bytes, &rsa2048()).unwrap();
        let mut altered = bytes.clone();
        altered[at.index(bytes.len())] ^= flip;
        if let Some(plain) = open_verified(&altered, &sealed, &rsa2048()) {
            prop_assert_eq!(plain, truth);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), end in any::<bool>()) {
        if end && bytes.len() >= 22 {
            let at = bytes.len() - 22;
            bytes[at..at + 8].copy_from_slice(b"PK\x05\x06\0\0\0\0");
        }
        let _ = decrypt(&bytes, &rsa2048());
    }

    #[test]
    fn a_zip_with_several_bytes_changed_never_makes_the_reader_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = vector!("c-descriptors.zip").to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = decrypt(&bytes, &rsa2048());
    }
}
