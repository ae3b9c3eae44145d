//! Decrypts the dataset: AES-256-CBC, PKCS#7, the first 16 bytes are the IV (iExec SDK, `dataset encrypt`).
//!
//! The worker's file is read once, and hashed as it is decrypted, so that what was checked is what the app reads.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use aes::Aes256;
use cbc::cipher::{
    BlockDecryptMut as _, KeyIvInit as _,
    block_padding::{Pkcs7, RawPadding as _},
    consts::U16,
    inout::InOutBuf,
};
use iexec_protocol::{cause::Cause, id::Sha256};
use sha2::Digest as _;
use zeroize::Zeroizing;

use crate::{
    failure::{Failure, OrFail as _},
    file,
    plan::{DataKey, Dataset},
};

const BLOCK: usize = 16;
/// Bytes in memory at once; a multiple of [`BLOCK`].
const CHUNK: usize = 64 * 1024;

/// Decrypts `fetched` to `target` if it is the dataset; otherwise leaves nothing.
pub(crate) fn open(dataset: &Dataset, fetched: &Path, target: &Path) -> Result<(), Failure> {
    let source = file::open(fetched).or_fail(Cause::PreComputeDatasetDownloadFailed, "the worker gave no dataset")?;
    let saving = |error| Failure::new(Cause::PreComputeSavingPlainDatasetFailed, error);
    let plain = File::create_new(target).map_err(saving)?;
    let decrypted = decrypt(&dataset.key, source, plain).and_then(|(checksum, whole)| judge(dataset, checksum, whole));
    if decrypted.is_err() {
        fs::remove_file(target).map_err(saving)?;
    }
    decrypted
}

/// A wrong file is named as such, whatever it decrypts to.
fn judge(dataset: &Dataset, found: Sha256, whole: bool) -> Result<(), Failure> {
    let expected = dataset.checksum;
    if found != expected {
        let message = format_args!("the dataset's checksum is {expected}, the fetched file's {found}");
        return Err(Failure::new(Cause::PreComputeInvalidDatasetChecksum, message));
    }
    if !whole {
        let message = "the dataset does not decrypt with the key that the SMS has";
        return Err(Failure::new(Cause::PreComputeDatasetDecryptionFailed, message));
    }
    Ok(())
}

/// Streams `source` to `plain`; returns the ciphertext's SHA-256 and whether length and padding were right.
fn decrypt(key: &DataKey, mut source: impl Read, mut plain: impl Write) -> Result<(Sha256, bool), Failure> {
    let reading = |error| Failure::new(Cause::PreComputeDatasetDownloadFailed, error);
    let mut hasher = sha2::Sha256::new();
    let mut iv = [0; BLOCK];
    let mut held = fill(&mut source, &mut iv).map_err(reading)?;
    hasher.update(&iv[..held]);
    if held < BLOCK {
        return Ok((file::digest(hasher), false));
    }
    let mut cipher = cbc::Decryptor::<Aes256>::new(key.expose().into(), &iv.into());
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    held = 0;
    loop {
        let read = fill(&mut source, &mut chunk[held..]).map_err(reading)?;
        hasher.update(&chunk[held..held + read]);
        held += read;
        let last = held < CHUNK;
        // The last block waits for the end of the file: only there is padding.
        let ready = if last { held } else { CHUNK - BLOCK };
        if ready == 0 || ready % BLOCK != 0 {
            return Ok((file::digest(hasher), false));
        }
        let (blocks, _) = InOutBuf::from(&mut chunk[..ready]).into_chunks::<U16>();
        cipher.decrypt_blocks_inout_mut(blocks);
        let size = if last { unpadded(&chunk[..ready]) } else { Some(ready) };
        let Some(size) = size else { return Ok((file::digest(hasher), false)) };
        plain.write_all(&chunk[..size]).or_fail(Cause::PreComputeSavingPlainDatasetFailed, "the decrypted dataset")?;
        if last {
            return Ok((file::digest(hasher), true));
        }
        chunk.copy_within(ready.., 0);
        held = CHUNK - ready;
    }
}

/// Size of what the last block's padding leaves, if the padding is right.
fn unpadded(plain: &[u8]) -> Option<usize> {
    let before = plain.len().checked_sub(BLOCK)?;
    Pkcs7::raw_unpad(&plain[before..]).ok().map(|rest| before + rest.len())
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use cbc::cipher::BlockEncryptMut as _;

    use super::*;
    use crate::plan::FileName;

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let iv = [9; BLOCK];
        let body = cbc::Encryptor::<Aes256>::new(&[7; 32].into(), &iv.into()).encrypt_padded_vec_mut::<Pkcs7>(plain);
        [iv.as_slice(), &body].concat()
    }

    fn dataset(checksum: Sha256, key: [u8; 32]) -> Dataset {
        Dataset { checksum, key: DataKey::parse(&STANDARD.encode(key)).unwrap(), name: FileName::parse("d").unwrap() }
    }

    /// Opens `bytes` as the dataset with that checksum and key; the plaintext or the cause, and never both.
    fn opened(bytes: &[u8], checksum: Sha256, key: [u8; 32]) -> Result<Vec<u8>, Cause> {
        let dir = tempfile::tempdir().unwrap();
        let (fetched, target) = (dir.path().join("dataset"), dir.path().join("plain"));
        fs::write(&fetched, bytes).unwrap();
        let result = open(&dataset(checksum, key), &fetched, &target);
        assert_eq!(result.is_ok(), target.exists());
        result.map(|()| fs::read(&target).unwrap()).map_err(|failure| failure.cause)
    }

    #[test]
    fn every_length_around_a_block_and_a_chunk_comes_back() {
        for size in (0..34).chain(CHUNK - 34..CHUNK + 34).chain([3 * CHUNK]) {
            let plain: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let bytes = encrypt(&plain);
            assert!(opened(&bytes, Sha256::of(&bytes), [7; 32]) == Ok(plain), "{size} bytes");
        }
    }

    #[test]
    fn another_file_is_a_wrong_checksum_and_a_wrong_key_a_failed_decryption() {
        let bytes = encrypt(b"some data");
        let checksum = Sha256::of(&bytes);
        assert_eq!(opened(&bytes, Sha256::of("other"), [7; 32]), Err(Cause::PreComputeInvalidDatasetChecksum));
        assert_eq!(opened(&bytes, checksum, [8; 32]), Err(Cause::PreComputeDatasetDecryptionFailed));
        for cut in [0, 5, 16, 31] {
            let cut = &bytes[..cut];
            assert_eq!(opened(cut, checksum, [7; 32]), Err(Cause::PreComputeInvalidDatasetChecksum));
            assert_eq!(opened(cut, Sha256::of(cut), [7; 32]), Err(Cause::PreComputeDatasetDecryptionFailed));
        }
    }

    #[test]
    fn a_dataset_that_the_worker_does_not_give_is_not_downloaded() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dataset(Sha256::of(""), [7; 32]);
        let failure = open(&wanted, &dir.path().join("dataset"), &dir.path().join("plain")).unwrap_err();
        assert_eq!(failure.cause, Cause::PreComputeDatasetDownloadFailed);
    }
}
