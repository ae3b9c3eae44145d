//! The body of layout C being written: AES-256-CBC with PKCS#7 padding, a chunk at a time.
//! Not authentication: CBC has none, the receipt does that.

use aes::Aes256;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockEncryptMut, KeyIvInit, consts::U16};
use std::io::{self, Write};
use zeroize::Zeroizing;

/// AES block and CBC initialisation vector, bytes.
pub(crate) const BLOCK: usize = 16;
/// Bytes in memory at once; a multiple of [`BLOCK`].
pub(crate) const CHUNK: usize = 64 * 1024;

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
