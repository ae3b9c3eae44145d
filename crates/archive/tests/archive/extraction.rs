//! Files come out as they went in, whichever way the zip is read; what must not be unpacked does not come out at all.

use crate::{private_key, rng, rsa2048, seal, vector};
use iexec_archive::{Archive, Identity, Kind, Limits, OpenError, PlainWriter, unpack, unpack_stream};
use proptest::prelude::*;
use std::io::{self, Cursor, Read};

type Files = Vec<(String, Option<Vec<u8>>)>;

/// Keeps what it is shown.
fn collect(files: &mut Files) -> impl FnMut(&str, Kind, &mut dyn Read) -> io::Result<()> + '_ {
    |name, kind, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        files.push((name.to_owned(), (kind == Kind::File).then_some(bytes)));
        Ok(())
    }
}

fn file(name: &str, content: &[u8]) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(content.to_vec()))
}

#[test]
fn every_layout_unpacks_in_the_pass_that_decrypts() {
    let rsa2048 = || Identity::from(rsa2048());
    let rsa4096 = || Identity::from(private_key(vector!("rsa4096.pem")));
    for (bytes, key) in [
        (vector!("a-aes128-rsa2048.zip"), rsa2048()),
        (vector!("a-aes256-rsa4096.zip"), rsa4096()),
        (vector!("b-rsa2048.zip"), rsa2048()),
        (vector!("c-rsa2048.zip"), rsa2048()),
        (vector!("c-descriptors.zip"), rsa2048()),
        (vector!("plain.zip"), rsa2048()),
    ] {
        let mut files = Files::new();
        let mut archive = Archive::open(Cursor::new(bytes)).unwrap();
        let extracted = archive.extract(&[key], None, &Limits::default(), &mut collect(&mut files)).unwrap();
        let computed = br#"{ "deterministic-output-path": "/iexec_out/my-result.txt" }"#;
        let expected =
            [file("computed.json", computed), file("my-result.txt", b"Hello, world!"), ("empty".to_owned(), None)];
        assert_eq!(files, expected);
        let tree = "0x9426eee518e43457f518c02ebec9d3bfb3c035ee941372acaf142cb860171e22";
        assert_eq!((extracted.unpacked.tree.to_string().as_str(), extracted.unpacked.entries), (tree, 3));
        assert_eq!(extracted.unpacked.size, (computed.len() + 13) as u64);
    }
}

#[test]
fn a_visitor_may_leave_a_file_unread_and_may_fail() {
    let long = vec![1; 300_000];
    let (bytes, sealed) = seal(&[("a", &long), ("b", b"2")], 1);
    let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
    let mut seen = Vec::new();
    let extracted =
        archive.extract(&[rsa2048().into()], Some(&sealed.entries), &Limits::default(), &mut |name, _, _| {
            seen.push(name.to_owned());
            Ok(())
        });
    assert_eq!((extracted.unwrap().unpacked.tree, seen), (sealed.tree, vec!["a".to_owned(), "b".to_owned()]));
    let full = |_: &str, _: Kind, _: &mut dyn Read| Err(io::Error::other("disk full"));
    let error = archive.extract(&[rsa2048().into()], None, &Limits::default(), &mut { full }).unwrap_err();
    assert_eq!(error.to_string(), "archive: writing the decrypted result: disk full");
}

fn plain(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = PlainWriter::new(Vec::new());
    for (name, content) in files {
        writer.add_file(name, *content).unwrap();
    }
    writer.finish().unwrap().0
}

#[test]
fn a33_limits_are_those_of_the_caller() {
    let zeros = vec![0; 1_000_000];
    let zip = plain(&[("a", &zeros), ("b", &zeros), ("c", b"")]);
    let fits = Limits { entries: 3, total: 2_000_000, ratio: 1, portable_names: true };
    assert!(unpack_stream(&zip[..], &fits, &mut |_, _, _| Ok(())).is_ok());
    for (limits, told) in [
        (Limits { entries: 2, ..fits }, "2 files and folders"),
        (Limits { total: 1_999_999, ..fits }, "1999999 bytes"),
        (Limits { total: 0, ..fits }, "0 bytes"),
    ] {
        let told = format!("archive: the result has more than {told}, the limit");
        let whole = unpack(Cursor::new(&zip), &limits, &mut |_, _, _| Ok(())).unwrap_err();
        let stream = unpack_stream(&zip[..], &limits, &mut |_, _, _| Ok(())).unwrap_err();
        assert_eq!((whole.to_string(), stream.to_string()), (told.clone(), told));
    }
    let bomb = plain(&[("zeros", &vec![0; 40_000_000])]);
    let mut read = 0;
    let error = unpack_stream(&bomb[..], &Limits { ratio: 20, ..Limits::default() }, &mut |_, _, content| {
        read += io::copy(content, &mut io::sink())?;
        Ok(())
    });
    assert!(matches!(error, Err(OpenError::Bomb { limit: 20, .. })) && read < 40_000_000);
}

#[test]
fn names_of_other_systems_are_taken_where_the_caller_wants_them() {
    let zip = plain(&[("12:30.txt", b"1"), ("Readme", b"2"), ("README", b"3")]);
    assert!(unpack_stream(&zip[..], &Limits::default(), &mut |_, _, _| Ok(())).is_err());
    let any = Limits { portable_names: false, ..Limits::default() };
    assert_eq!(unpack_stream(&zip[..], &any, &mut |_, _, _| Ok(())).unwrap().entries, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_ways_of_reading_show_the_same_files(
        files in proptest::collection::btree_map("[a-zé]{1,3}(/[a-z]{1,2}x)?", (0..200_000_usize, any::<bool>()), 0..6),
    ) {
        let mut writer = PlainWriter::new(Vec::new());
        let mut expected = Files::new();
        for (name, (size, compressible)) in &files {
            let mut content = vec![b'a'; *size];
            if !compressible {
                rand::RngCore::fill_bytes(&mut rng(3), &mut content);
            }
            if writer.add_file(name, content.as_slice()).is_ok() {
                expected.push((name.clone(), Some(content)));
            }
        }
        let (zip, tree) = writer.finish().unwrap();
        let (mut whole, mut streamed) = (Files::new(), Files::new());
        prop_assert_eq!(unpack(Cursor::new(&zip), &Limits::NONE, &mut collect(&mut whole)).unwrap().tree, tree);
        prop_assert_eq!(unpack_stream(&zip[..], &Limits::NONE, &mut collect(&mut streamed)).unwrap().tree, tree);
        prop_assert_eq!(&whole, &expected);
        prop_assert_eq!(&streamed, &expected);
    }

    /// What a stream takes, the reader that looks at the directory first takes too, and shows the same.
    #[test]
    fn a_stream_is_never_read_otherwise_than_the_file(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        descriptors in any::<bool>(),
    ) {
        let mut bytes = if descriptors { vector!("c-descriptors.zip") } else { vector!("results.zip") }.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (mut whole, mut streamed) = (Files::new(), Files::new());
        if unpack_stream(&bytes[..], &Limits::NONE, &mut collect(&mut streamed)).is_ok() {
            unpack(Cursor::new(&bytes), &Limits::NONE, &mut collect(&mut whole)).unwrap();
            prop_assert_eq!(whole, streamed);
        }
    }
}
