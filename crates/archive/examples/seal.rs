//! Seals files for a beneficiary: `seal RECIPIENT.pem|age1… ARCHIVE.zip FILE…`
//!
//! The receipt here is the bare list of digests that `open` compares: an enclave signs it (docs/spec/receipt.md).
#![allow(clippy::disallowed_methods, reason = "the library has no paths; a program has")]

use iexec_archive::{Encryptor, Recipient, Sealed, TreeHash};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recipient, archive, files @ ..] = arguments.as_slice() else {
        return Err("usage: seal RECIPIENT.pem|age1… ARCHIVE.zip FILE…".into());
    };
    // The text of the key decides between layout C and age.
    let key = if Path::new(recipient).exists() { fs::read_to_string(recipient)? } else { recipient.clone() };
    let recipients = [Recipient::from_sms_value(&key)?];
    // A program that keeps its archives would write to a temporary name, sync and rename.
    let out = BufWriter::with_capacity(256 * 1024, File::create(archive)?);
    let mut writer = Encryptor::to_recipients(&recipients, &mut rand::rng(), out)?;
    for path in files {
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?;
        writer.add_file(name, File::open(path)?)?;
    }
    writer.finish(list)?.flush()?;
    Ok(())
}

/// One line an entry: SHA-256, size, name.
fn list(sealed: &Sealed) -> Vec<u8> {
    let line =
        |entry: &iexec_archive::EntryDigest| format!("{} {} {}\n", TreeHash(entry.sha256), entry.size, entry.name);
    sealed.entries.iter().map(line).collect::<String>().into_bytes()
}
