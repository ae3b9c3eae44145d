//! `vectors/archive/hostile/` and `inside/`: each file is refused with the very line that `expected.tsv` has for it.
#![allow(clippy::disallowed_methods, reason = "a folder of vectors")]

use crate::{list, rsa2048, vector};
use iexec_archive::{Archive, EntryDigest, Identity, Layout, Limits, OpenError, unpack, unpack_stream};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::Cursor;
use std::path::Path;

const LIMITS: Limits = Limits { entries: 200, total: 64 << 20, ratio: 200, portable_names: true };

/// The receipts that would carry a signature; any other is forged.
fn signed(receipt: &[u8]) -> Option<Vec<EntryDigest>> {
    let genuine = [vector!("c-receipt.zip"), vector!("c-receipt-other.zip"), vector!("age-receipt.zip")];
    let signed = |bytes: &[u8]| bytes.windows(receipt.len()).any(|window| window == receipt);
    genuine.iter().any(|bytes| signed(bytes)).then(|| list(receipt)).flatten()
}

/// The one key that fits the archives of its kind.
fn identity(layout: Layout) -> Identity {
    match layout {
        #[cfg(feature = "age")]
        Layout::Age => Identity::from_text(crate::text(vector!("age-identity.txt")), None).unwrap(),
        _ => rsa2048().into(),
    }
}

/// Opens as a careful caller does, and says why it could not.
fn refusal(bytes: &[u8]) -> Option<String> {
    let open = || -> Result<bool, OpenError> {
        let mut archive = Archive::open(Cursor::new(bytes))?;
        if archive.layout() == Layout::Plain {
            let whole = unpack(Cursor::new(bytes), &LIMITS, &mut |_, _, _| Ok(()));
            let stream = unpack_stream(bytes, &LIMITS, &mut |_, _, _| Ok(()));
            assert_eq!(whole.is_ok(), stream.is_ok());
            return whole.map(|_| true);
        }
        let expected = match archive.receipt() {
            Some(receipt) => match signed(receipt) {
                Some(expected) => Some(expected),
                None => return Ok(false),
            },
            None => None,
        };
        let keys = [identity(archive.layout())];
        archive.decrypt_with_tree(&keys, expected.as_deref(), &mut Vec::new(), &mut |_, _, _| Ok(()))?;
        archive.extract(&keys, expected.as_deref(), &LIMITS, &mut |_, _, _| Ok(()))?;
        Ok(true)
    };
    match open() {
        Ok(true) => None,
        Ok(false) => Some("the receipt is not signed".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn each_hostile_file_is_refused_with_its_own_error() {
    assert!(check("hostile") >= 60);
}

#[test]
fn each_result_that_must_not_be_unpacked_is_refused_with_its_own_error() {
    assert!(check("inside") >= 8);
}

/// Number of files in the folder, each refused as its table says.
fn check(folder: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/archive").join(folder);
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap_or_default();
    let rows: BTreeMap<&str, &str> = table.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    files.sort();
    assert_eq!(rows.len(), files.len(), "rows and files");
    let count = files.len();
    let mut wrong = String::new();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.starts_with("age-") && !cfg!(feature = "age") {
            continue;
        }
        let found = refusal(&fs::read(&path).unwrap()).unwrap_or_else(|| "not refused".to_owned());
        if rows.get(name) != Some(&found.as_str()) {
            writeln!(wrong, "{name}\t{found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "not as in expected.tsv:\n{wrong}");
    count
}

#[test]
fn the_files_that_the_hostile_ones_are_made_from_open() {
    for bytes in
        [vector!("c-receipt.zip"), vector!("c-rsa2048.zip"), vector!("c-descriptors.zip"), vector!("plain.zip")]
    {
        assert_eq!(refusal(bytes), None);
    }
    #[cfg(feature = "age")]
    assert_eq!(refusal(vector!("age-receipt.zip")), None);
}
