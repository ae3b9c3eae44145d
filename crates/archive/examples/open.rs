//! Opens an archive of any layout: `open KEY ARCHIVE.zip RESULTS.zip`, or `open KEY ARCHIVE.zip FOLDER/` to unpack.
//!
//! Where the receipt is a list as `seal` writes it, every byte is compared before the result has its name. That the list
//! is genuine nobody vouches for here: a real receipt is signed (docs/spec/receipt.md).
#![allow(clippy::disallowed_methods, reason = "the library has no paths; a program has")]

use iexec_archive::{Archive, EntryDigest, Identity, Kind, Limits};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, archive, target] = arguments.as_slice() else {
        return Err("usage: open KEY ARCHIVE.zip RESULTS.zip|FOLDER/".into());
    };
    let identities = [Identity::from_text(&fs::read_to_string(key)?, None)?];
    let mut archive = Archive::open(File::open(archive)?)?;
    let expected = archive.receipt().and_then(parse);
    // Nothing has its name before everything was compared.
    let temporary = format!("{}.part", target.trim_end_matches('/'));
    if target.ends_with('/') {
        fs::create_dir(&temporary)?;
        let mut store =
            |name: &str, kind: Kind, content: &mut dyn Read| store(Path::new(&temporary), name, kind, content);
        archive.extract(&identities, expected.as_deref(), &Limits::default(), &mut store)?;
    } else {
        let mut out = File::create(&temporary)?;
        match &expected {
            Some(expected) => archive.decrypt_verified(&identities, expected, &mut out)?,
            None => archive.decrypt_with(&identities, &mut out)?,
        };
    }
    fs::rename(temporary, target)?;
    let said = if expected.is_some() { "every byte is that of the list" } else { "nothing to compare it with" };
    writeln!(io::stderr(), "layout {}: {said}", archive.layout())?;
    Ok(())
}

/// Names come checked: relative, without `..`, without links, one thing each.
fn store(folder: &Path, name: &str, kind: Kind, content: &mut dyn Read) -> io::Result<()> {
    let path = folder.join(name);
    match kind {
        Kind::Folder => fs::create_dir_all(path),
        Kind::File => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            io::copy(content, &mut File::create_new(path)?).map(drop)
        }
    }
}

/// The list that `seal` writes.
fn parse(receipt: &[u8]) -> Option<Vec<EntryDigest>> {
    let text = std::str::from_utf8(receipt).ok()?;
    text.lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (hex, size, name) = (words.next()?.strip_prefix("0x")?, words.next()?, words.next()?);
            let mut sha256 = [0; 32];
            for (at, byte) in sha256.iter_mut().enumerate() {
                *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
            }
            Some(EntryDigest { name: name.to_owned(), size: size.parse().ok()?, sha256 })
        })
        .collect()
}
