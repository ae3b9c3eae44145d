//! Plaintext that comes a chunk at a time, as a reader: what is read is lent from the one buffer where it was decrypted.
//! How a chunk is made is its source's business.

use std::io::{self, BufRead, Read};
use zeroize::Zeroizing;

/// Makes chunks.
pub(crate) trait Chunks {
    /// Puts the next plaintext at the front of `chunk`, of which the first `spent` bytes were read and the rest is as it was
    /// left.
    fn refill(&mut self, chunk: &mut [u8], spent: usize) -> io::Result<Plain>;
}

/// Plaintext at the front of a chunk.
pub(crate) struct Plain {
    /// Its length, bytes.
    pub(crate) ready: usize,
    /// Nothing comes behind it.
    pub(crate) last: bool,
}

/// The plaintext of all chunks.
pub(crate) struct ChunkReader<C> {
    chunks: C,
    /// Plaintext up to `ready`.
    chunk: Zeroizing<Vec<u8>>,
    taken: usize,
    ready: usize,
    ended: bool,
}

impl<C: Chunks> ChunkReader<C> {
    /// `size`: of the buffer, bytes.
    pub(crate) fn new(chunks: C, size: usize) -> Self {
        Self { chunks, chunk: Zeroizing::new(vec![0; size]), taken: 0, ready: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let spent = self.ready;
        (self.taken, self.ready) = (0, 0);
        let Plain { ready, last } = self.chunks.refill(&mut self.chunk, spent)?;
        (self.ready, self.ended) = (ready, last);
        Ok(())
    }
}

impl<C: Chunks> BufRead for ChunkReader<C> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.ready && !self.ended {
            self.refill()?;
        }
        Ok(&self.chunk[self.taken..self.ready])
    }

    fn consume(&mut self, count: usize) {
        self.taken = self.ready.min(self.taken + count);
    }
}

impl<C: Chunks> Read for ChunkReader<C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Reads behind the first `held` bytes until `room` is full or the input ends. What came before an error is held.
pub(crate) fn fill(input: &mut impl Read, room: &mut [u8], held: &mut usize) -> io::Result<()> {
    while *held < room.len() {
        match input.read(&mut room[*held..]) {
            Ok(0) => break,
            Ok(count) => *held += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
