//! Whether an uploaded file may be kept as a deal's result (rules S4, S5): encryption fails closed here too.

use std::io::{Read, Seek};

use iexec_archive::{AGE_ENTRY, Archive, BODY_ENTRY, KEY_ENTRY, Layout, OpenError, RECEIPT_ENTRY};
use iexec_protocol::params::DealParams;
use thiserror::Error;

/// Why a file is not kept.
#[derive(Debug, Error)]
pub(crate) enum NotAccepted {
    /// Not a zip, or none of the layouts.
    #[error("this is no result archive: {0}")]
    Damaged(#[from] OpenError),
    /// Readable by everybody.
    #[error("the deal asks for an encrypted result, this archive is {0}; nothing was kept")]
    NotEncrypted(Layout),
    /// Something beside the ciphertext.
    #[error(
        "the deal asks for an encrypted result: entry {0:?} may not be in its archive, only {KEY_ENTRY} and {BODY_ENTRY}, or {AGE_ENTRY}, and {RECEIPT_ENTRY}"
    )]
    Foreign(String),
    /// The ciphertext is no whole AES-CBC ciphertext.
    #[error("the deal asks for an encrypted result: {BODY_ENTRY} has {0} bytes, which AES-CBC cannot yield")]
    Body(u64),
}

/// Whether a deal with these parameters must have an encrypted result. Unreadable ones count as a wish for it.
pub(crate) fn must_be_encrypted(params: &str) -> bool {
    DealParams::parse(params).map_or(true, |params| params.encrypts())
}

/// Looks at the archive's directory, and at an age file's header.
pub(crate) fn check(archive: impl Read + Seek, encrypted: bool) -> Result<(), NotAccepted> {
    let mut archive = Archive::open(archive)?;
    if !encrypted {
        return Ok(());
    }
    let layout = archive.layout();
    let allowed: &[&str] = match layout {
        Layout::C => &[KEY_ENTRY, BODY_ENTRY, RECEIPT_ENTRY],
        Layout::Age => &[AGE_ENTRY, RECEIPT_ENTRY],
        Layout::A | Layout::B | Layout::Plain => return Err(NotAccepted::NotEncrypted(layout)),
    };
    if let Some(name) = archive.names().find(|name| !allowed.contains(name)) {
        return Err(NotAccepted::Foreign(name.chars().take(80).collect()));
    }
    match archive.body_size().unwrap_or_default() {
        // The header of an age file is read whole: plaintext has none.
        _ if layout == Layout::Age => Ok(archive.inspect().map(drop)?),
        // An IV and at least one block.
        size if size >= 32 && size.is_multiple_of(16) => Ok(()),
        size => Err(NotAccepted::Body(size)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use iexec_archive::{AgeIdentity, Encryptor, PrivateKey, write_plain};

    use super::*;

    fn sealed() -> Vec<u8> {
        let key = PrivateKey::generate(2048).unwrap().public_key().unwrap();
        let mut writer = Encryptor::new(&key, &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
        writer.add_file("computed.json", &b"{}"[..]).unwrap();
        writer.finish(|_| b"{}".to_vec()).unwrap().into_inner()
    }

    fn sealed_by_age() -> Vec<u8> {
        let key = AgeIdentity::generate().recipient();
        let mut writer = Encryptor::to_recipients(&[key.into()], &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
        writer.add_file("computed.json", &b"{}"[..]).unwrap();
        writer.finish(|_| b"{}".to_vec()).unwrap().into_inner()
    }

    fn plain(files: &[(&str, &[u8])]) -> Vec<u8> {
        write_plain(files.iter().copied(), Vec::new()).unwrap().0
    }

    #[test]
    fn an_unclear_wish_is_a_wish_for_encryption() {
        for (params, expected) in [
            (r#"{"iexec_result_encryption":true}"#, true),
            (r#"{"iexec_result_encryption":false}"#, false),
            ("", false),
            ("{}", false),
            (r#"{"iexec_result_encryption":"maybe"}"#, true),
            ("hello", true),
        ] {
            assert_eq!(must_be_encrypted(params), expected, "{params}");
        }
    }

    #[test]
    fn what_is_not_encrypted_is_refused_where_encryption_is_asked_for() {
        check(Cursor::new(sealed()), true).unwrap();
        check(Cursor::new(sealed()), false).unwrap();
        check(Cursor::new(sealed_by_age()), true).unwrap();
        let named_age = zip_of(&[(AGE_ENTRY, b"Hello, world!")]);
        assert!(matches!(check(Cursor::new(&named_age), true), Err(NotAccepted::Damaged(OpenError::AgeHeader(_)))));
        let beside = zip_of(&[(AGE_ENTRY, b"age"), (KEY_ENTRY, b"Hello, world!")]);
        assert!(check(Cursor::new(&beside), true).is_err());
        let readable = plain(&[("computed.json", b"{}"), ("my-result.txt", b"Hello, world!")]);
        check(Cursor::new(&readable), false).unwrap();
        let error = check(Cursor::new(&readable), true).unwrap_err().to_string();
        assert_eq!(
            error,
            "the deal asks for an encrypted result, this archive is plain (not encrypted); nothing was kept"
        );
    }

    /// A zip with these stored entries, as no writer of ours makes it.
    fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let names: Vec<String> = entries.iter().map(|(name, _)| "x".repeat(name.len())).collect();
        let files = names.iter().zip(entries).enumerate();
        let renamed: Vec<(String, &[u8])> =
            files.map(|(index, (name, (_, bytes)))| (format!("{index}{}", &name[1..]), *bytes)).collect();
        let placeholder: Vec<(&str, &[u8])> = renamed.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let mut zip = plain(&placeholder);
        for ((name, _), (placeholder, _)) in entries.iter().zip(&renamed) {
            let ends = zip.windows(placeholder.len()).enumerate();
            let at: Vec<usize> = ends.filter(|(_, found)| *found == placeholder.as_bytes()).map(|(at, _)| at).collect();
            for at in at {
                zip[at..at + name.len()].copy_from_slice(name.as_bytes());
            }
        }
        zip
    }

    #[test]
    fn an_entry_beside_the_ciphertext_is_refused() {
        let key: &[u8] = &[0; 256];
        let zip = zip_of(&[(KEY_ENTRY, key), (BODY_ENTRY, &[0; 32]), ("my-result.txt", b"Hello, world!")]);
        let error = check(Cursor::new(&zip), true).unwrap_err();
        assert!(matches!(&error, NotAccepted::Foreign(name) if name == "my-result.txt"), "{error}");
        let short = zip_of(&[(KEY_ENTRY, key), (BODY_ENTRY, b"Hello, world!")]);
        assert!(matches!(check(Cursor::new(&short), true), Err(NotAccepted::Body(13))));
        let base64 = zip_of(&[(KEY_ENTRY, b"QUJD"), (BODY_ENTRY, &[0; 32])]);
        assert!(matches!(check(Cursor::new(&base64), true), Err(NotAccepted::NotEncrypted(Layout::B))));
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused_whatever_the_deal_asks() {
        let cut = &sealed()[..300];
        for bytes in [&b""[..], b"PK", b"Hello, world!", cut, &plain(&[("x", b"")])] {
            for encrypted in [true, false] {
                assert!(matches!(check(Cursor::new(bytes), encrypted), Err(NotAccepted::Damaged(_))));
            }
        }
    }
}
