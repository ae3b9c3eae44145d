//! A body being read: AES-CBC and, for layout B only, AES-ECB, with PKCS#7 padding, a chunk at a time.

use crate::body::BLOCK;
use crate::chunks::{ChunkReader, Chunks, Plain, fill};
use crate::open::decrypt_failed;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockDecryptMut, KeyInit, KeyIvInit, consts::U16};
use aes::{Aes128, Aes256};
use std::io::{self, Read};

/// Bytes decrypted at once; a multiple of [`BLOCK`], and of a page, so that whole pages are written.
const CHUNK: usize = 128 * 1024;

/// A body's cipher, keyed.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub(crate) enum BodyCipher {
    Cbc128(cbc::Decryptor<Aes128>),
    Cbc256(cbc::Decryptor<Aes256>),
    Ecb128(ecb::Decryptor<Aes128>),
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

    fn decrypt_blocks(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = InOutBuf::from(bytes).into_chunks::<U16>();
        match self {
            Self::Cbc128(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
            Self::Cbc256(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
            Self::Ecb128(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
        }
    }
}

/// A body. A wrong length or padding is the one error of decryption, at the end (A7).
///
/// The last block comes only once its padding is right; the ones before it have come already.
pub(crate) struct Body<R> {
    cipher: BodyCipher,
    input: R,
    /// End of the ciphertext that is in the chunk behind the plaintext.
    held: usize,
}

impl<R: Read> Body<R> {
    /// The plaintext.
    pub(crate) fn reader(cipher: BodyCipher, input: R) -> ChunkReader<Self> {
        ChunkReader::new(Self { cipher, input, held: 0 }, CHUNK + BLOCK)
    }
}

impl<R: Read> Chunks for Body<R> {
    fn refill(&mut self, chunk: &mut [u8], spent: usize) -> io::Result<Plain> {
        chunk.copy_within(spent..self.held, 0);
        self.held -= spent;
        fill(&mut self.input, chunk, &mut self.held)?;
        let last = self.held < chunk.len();
        // The last block waits for the end of input: only there does padding mean anything.
        let whole = if last { std::mem::take(&mut self.held) } else { CHUNK };
        if whole == 0 || whole % BLOCK != 0 {
            return Err(decrypt_failed());
        }
        self.cipher.decrypt_blocks(&mut chunk[..whole]);
        let ready = if last { unpadded(&chunk[..whole]).ok_or_else(decrypt_failed)? } else { whole };
        Ok(Plain { ready, last })
    }
}

/// Size without PKCS#7 padding; every byte of the last block is looked at, whatever it says (A8).
fn unpadded(plain: &[u8]) -> Option<usize> {
    let block = plain.last_chunk::<BLOCK>()?;
    let padding = usize::from(block[BLOCK - 1]);
    let wrong = (0..BLOCK).fold(padding == 0 || padding > BLOCK, |wrong, i| {
        wrong | ((i + padding >= BLOCK) & (usize::from(block[i]) != padding))
    });
    if wrong { None } else { plain.len().checked_sub(padding) }
}

#[cfg(test)]
mod tests {
    use super::{Body, BodyCipher, CHUNK, unpadded};
    use crate::body::CbcWriter;
    use std::io::{self, Read, Write};

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let mut writer = CbcWriter::new(&[7; 32], &[9; 16], Vec::new());
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn decrypt(body: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let cipher = BodyCipher::cbc(&[7; 32], &[9; 16]).unwrap();
        Body::reader(cipher, body).read_to_end(&mut out).map(|_| out)
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
            assert!(decrypt(&body[..size]).is_err(), "size {size}");
        }
    }

    #[test]
    fn a8_padding_is_checked_whole() {
        for bad in [[0; 16], [17; 16], [255; 16], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3]] {
            assert_eq!(unpadded(&bad), None);
        }
        assert_eq!(unpadded(&[16; 16]), Some(0));
        assert_eq!(unpadded(&[9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 2]), Some(14));
    }
}
