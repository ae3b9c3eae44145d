//! An age key file under a passphrase: the file is itself an age file with one scrypt stanza, armored or not (A25), as
//! `age -p` makes it. The cost that a file asks for is bounded before it is paid.

use crate::KeyError;
use crate::age_identity::MAX_TEXT;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, scrypt};
use std::io::{Read, Write};
use zeroize::Zeroizing;

/// scrypt as `age -p` asks for it, N = 2^18, r = 8, p = 1: 256 MiB of memory, about a second.
const LOG_N: u8 = 18;
/// Most that is paid for a file: 1 GiB of memory.
const MAX_LOG_N: u8 = 20;
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const MAGIC: &[u8] = b"age-encryption.org/";

/// Whether a key file is itself an age file.
pub(crate) fn is_encrypted(file: &[u8]) -> bool {
    let file = file.trim_ascii_start();
    file.starts_with(ARMOR) || file.starts_with(MAGIC)
}

/// The text of the key file inside.
pub(crate) fn decrypt(file: &[u8], passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    if file.len() > MAX_TEXT {
        return Err(KeyError::Age("an age key file has at most 16384 bytes"));
    }
    let broken = |error| match error {
        DecryptError::ExcessiveWork { .. } => {
            KeyError::Encryption("a cost beyond the limit, 2^20 of scrypt: 1 GiB of memory")
        }
        DecryptError::InvalidHeader | DecryptError::Io(_) | DecryptError::UnknownFormat => {
            KeyError::Age("the encrypted key file is not a sound age file")
        }
        _ => KeyError::WrongPassphrase,
    };
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(file.trim_ascii_start())).map_err(broken)?;
    if !decryptor.is_scrypt() {
        return Err(KeyError::Encryption("age to a key, not to a passphrase"));
    }
    let mut identity = scrypt::Identity::new(secret(passphrase)?);
    identity.set_max_work_factor(MAX_LOG_N);
    let plain = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(broken)?;
    // Room for all of it: a buffer that grew would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
    let read = plain.take(MAX_TEXT as u64).read_to_string(&mut text);
    read.map_err(|_| KeyError::Age("the encrypted key file is not a sound age file"))?;
    Ok(text)
}

/// A key file under a passphrase, armored.
pub(crate) fn encrypt(text: &str, passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let failed = |_| KeyError::Library("encrypt a key file");
    let mut recipient = scrypt::Recipient::new(secret(passphrase)?);
    recipient.set_work_factor(LOG_N);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|_| KeyError::Library("encrypt a key file"))?;
    let mut armored = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut armored, Format::AsciiArmor).map_err(failed)?;
    let mut file = encryptor.wrap_output(armor).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.finish().and_then(ArmoredWriter::finish).map_err(failed)?;
    String::from_utf8(armored).map(Zeroizing::new).map_err(|_| KeyError::Library("encrypt a key file"))
}

/// The library takes text; a passphrase that is none opens nothing.
fn secret(passphrase: &[u8]) -> Result<SecretString, KeyError> {
    std::str::from_utf8(passphrase)
        .map(|text| SecretString::from(text.to_owned()))
        .map_err(|_| KeyError::WrongPassphrase)
}
