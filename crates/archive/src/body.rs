//! The cipher of an archive's body: AES-CBC and, for layout B only, AES-ECB, with PKCS#7 padding, a chunk at a time.
//! Not authentication: CBC has none, the receipt does that.

use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyInit, KeyIvInit, consts::U16};
use aes::{Aes128, Aes256};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// AES block and CBC initialisation vector, bytes.
pub(crate) const BLOCK: usize = 16;
/// Bytes in memory at once; a multiple of [`BLOCK`].
const CHUNK: usize = 64 * 1024;

/// Encrypts what is written to it with AES-256-CBC; `finish` pads.
pub(crate) struct CbcWriter<W> {
    cipher: cbc::Encryptor<Aes256>,
    /// Plaintext waiting for a whole chunk; shorter than [`CHUNK`].
    pending: Zeroizing<Vec<u8>>,
    out: W,
}

impl<W: Write> CbcWriter<W> {
    pub(crate) fn new(key: &[u8; 32], iv: &[u8; BLOCK], out: W) -> Self {
        let cipher = cbc::Encryptor::new(key.into(), iv.into());
        Self { cipher, pending: Zeroizing::new(Vec::with_capacity(CHUNK)), out }
    }

    /// Pads (PKCS#7, RFC 5652 6.3), writes the last block and gives the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let missing = BLOCK - self.pending.len() % BLOCK;
        // 1..=16 always fits.
        let padding = u8::try_from(missing).unwrap_or_default();
        let padded = self.pending.len() + missing;
        self.pending.resize(padded, padding);
        self.encrypt_pending()?;
        Ok(self.out)
    }

    fn encrypt_pending(&mut self) -> io::Result<()> {
        let (blocks, _) = InOutBuf::from(self.pending.as_mut_slice()).into_chunks::<U16>();
        self.cipher.encrypt_blocks_inout_mut(blocks);
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for CbcWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == CHUNK {
            self.encrypt_pending()?;
        }
        Ok(taken)
    }

    /// Does nothing: a partial block cannot be flushed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body's cipher, keyed.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack of one call")]
pub(crate) enum BodyCipher {
    Cbc128(cbc::Decryptor<Aes128>),
    Cbc256(cbc::Decryptor<Aes256>),
    Ecb128(ecb::Decryptor<Aes128>),
}

/// Why a body was not decrypted.
pub(crate) enum BodyError {
    Read(io::Error),
    Write(io::Error),
    /// Wrong length or padding: a wrong key or an altered body.
    Decrypt,
}

impl BodyCipher {
    /// CBC with a key of 16 or 32 bytes; `None` for another length.
    pub(crate) fn cbc(key: &[u8], iv: &[u8; BLOCK]) -> Option<Self> {
        match key.len() {
            16 => cbc::Decryptor::new_from_slices(key, iv).ok().map(Self::Cbc128),
            32 => cbc::Decryptor::new_from_slices(key, iv).ok().map(Self::Cbc256),
            _ => None,
        }
    }

    /// ECB with a key of 16 bytes; `None` for another length.
    pub(crate) fn ecb(key: &[u8]) -> Option<Self> {
        ecb::Decryptor::new_from_slice(key).ok().map(Self::Ecb128)
    }

    /// Decrypts all of `input` to `out` and returns the plaintext's size in bytes.
    ///
    /// The last block is written only once its padding is right; the ones before it are out already.
    pub(crate) fn decrypt(mut self, mut input: impl Read, out: &mut impl Write) -> Result<u64, BodyError> {
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        let (mut held, mut written) = (0, 0);
        loop {
            held += fill(&mut input, &mut chunk[held..]).map_err(BodyError::Read)?;
            let last = held < CHUNK;
            // The last block waits for the end of input: only there does padding mean anything.
            let ready = if last { held } else { CHUNK - BLOCK };
            if ready == 0 || ready % BLOCK != 0 {
                return Err(BodyError::Decrypt);
            }
            self.decrypt_blocks(&mut chunk[..ready]);
            let plain = if last { unpadded(&chunk[..ready]).ok_or(BodyError::Decrypt)? } else { &chunk[..ready] };
            out.write_all(plain).map_err(BodyError::Write)?;
            written += plain.len() as u64;
            if last {
                return Ok(written);
            }
            chunk.copy_within(ready.., 0);
            held = CHUNK - ready;
        }
    }

    fn decrypt_blocks(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = InOutBuf::from(bytes).into_chunks::<U16>();
        match self {
            Self::Cbc128(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
            Self::Cbc256(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
            Self::Ecb128(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Cuts PKCS#7 padding; every byte of the last block is looked at, whatever it says (A8).
fn unpadded(plain: &[u8]) -> Option<&[u8]> {
    let block = plain.last_chunk::<BLOCK>()?;
    let padding = usize::from(block[BLOCK - 1]);
    let wrong = (0..BLOCK).fold(padding == 0 || padding > BLOCK, |wrong, i| {
        wrong | ((i + padding >= BLOCK) & (usize::from(block[i]) != padding))
    });
    if wrong { None } else { plain.get(..plain.len() - padding) }
}

#[cfg(test)]
mod tests {
    use super::{BodyCipher, BodyError, CHUNK, CbcWriter, unpadded};
    use std::io::Write;

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let mut writer = CbcWriter::new(&[7; 32], &[9; 16], Vec::new());
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn decrypt(body: &[u8]) -> Result<Vec<u8>, BodyError> {
        let mut out = Vec::new();
        let cipher = BodyCipher::cbc(&[7; 32], &[9; 16]).unwrap();
        cipher.decrypt(body, &mut out).map(|size| {
            assert_eq!(size, out.len() as u64);
            out
        })
    }

    #[test]
    fn every_length_around_a_block_and_a_chunk_comes_back() {
        for size in (0..50).chain(CHUNK - 40..CHUNK + 40).chain(2 * CHUNK - 20..2 * CHUNK + 20) {
            let plain: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let body = encrypt(&plain);
            assert_eq!(body.len(), (size / 16 + 1) * 16);
            assert!(decrypt(&body).is_ok_and(|out| out == plain), "size {size}");
        }
    }

    #[test]
    fn an_empty_or_cut_body_does_not_decrypt() {
        let body = encrypt(&[1; 100]);
        for size in [0, 1, 15, 17, 111] {
            assert!(matches!(decrypt(&body[..size]), Err(BodyError::Decrypt)), "size {size}");
        }
    }

    #[test]
    fn a8_padding_is_checked_whole() {
        for bad in [[0; 16], [17; 16], [255; 16], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3]] {
            assert_eq!(unpadded(&bad), None);
        }
        assert_eq!(unpadded(&[16; 16]), Some(&[][..]));
        assert_eq!(unpadded(&[9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 2]), Some(&[9; 14][..]));
    }
}
