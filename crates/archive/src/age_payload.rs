//! The payload of an age file being read: chunks of 64 KiB under ChaCha20-Poly1305 (C2SP age, "Payload"), by AWS-LC.
//! Not the header: recipients, the file key and the header's seal are the `age` crate's business. It could read the payload
//! too, at twice the processor time (ADR 8).

use crate::Identity;
use crate::chunks::{ChunkReader, Chunks, Plain, fill};
use crate::open::{decrypt_failed, is_outer};
use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use zeroize::Zeroizing;

/// Plaintext of every chunk but the last, bytes.
const CHUNK: usize = 64 * 1024;
/// Seal of a chunk, bytes.
const TAG: usize = 16;
/// The payload's own nonce, in front of it, bytes.
const SALT: usize = 16;

/// The plaintext of an age file; `Err(None)` where no identity opens it.
pub(crate) fn reader<'a>(
    identities: &[Identity],
    input: impl Read + 'a,
) -> Result<Box<dyn BufRead + 'a>, Option<io::Error>> {
    let mut input = BufReader::with_capacity(CHUNK, input);
    let mut trail = Trail { input: &mut input, last: [0; SALT] };
    let outer = |error| match error {
        age::DecryptError::Io(error) if is_outer(&error) => Some(error),
        _ => None,
    };
    let header = age::Decryptor::new_buffered(&mut trail).map_err(outer)?;
    let file_key = RefCell::new(None);
    let witnesses: Vec<_> =
        identities.iter().filter_map(Identity::age).map(|inner| Witness { inner, seen: &file_key }).collect();
    // Checks the header's seal; of the payload it has read the nonce and nothing more.
    header.decrypt(witnesses.iter().map(|witness| witness as _)).map(drop).map_err(outer)?;
    let key = file_key.borrow().as_ref().and_then(|file_key| payload_key(file_key, &trail.last)).ok_or(None)?;
    Ok(Box::new(Payload::reader(key, input)))
}

/// HKDF-SHA-256 of the file key, salted with the payload's nonce.
fn payload_key(file_key: &[u8; 16], salt: &[u8; SALT]) -> Option<LessSafeKey> {
    let secret = Salt::new(HKDF_SHA256, salt).extract(file_key);
    let key = secret.expand(&[b"payload"], &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

/// An identity whose answer is seen.
struct Witness<'a> {
    inner: &'a dyn age::Identity,
    seen: &'a RefCell<Option<Zeroizing<[u8; 16]>>>,
}

impl Witness<'_> {
    fn note(&self, answer: Option<Result<FileKey, age::DecryptError>>) -> Option<Result<FileKey, age::DecryptError>> {
        if let Some(Ok(file_key)) = &answer {
            *self.seen.borrow_mut() = Some(Zeroizing::new(*file_key.expose_secret()));
        }
        answer
    }
}

impl age::Identity for Witness<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.note(self.inner.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        self.note(self.inner.unwrap_stanzas(stanzas))
    }
}

/// Remembers the last bytes that were taken: behind a header, the payload's nonce.
struct Trail<R> {
    input: R,
    last: [u8; SALT],
}

impl<R> Trail<R> {
    fn note(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(SALT)..];
        self.last.rotate_left(new.len());
        self.last[SALT - new.len()..].copy_from_slice(new);
    }
}

impl<R: Read> Read for Trail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.note(&buffer[..count]);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Trail<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let mut last = [0; SALT];
        let kept = self.input.fill_buf().map_or(0, |bytes| {
            let new = &bytes[count.saturating_sub(SALT)..count];
            last[..new.len()].copy_from_slice(new);
            new.len()
        });
        self.note(&last[..kept]);
        self.input.consume(count);
    }
}

/// The chunks. The last one is marked in its nonce, and it alone may be short; it is empty only if all is.
struct Payload<R> {
    key: LessSafeKey,
    input: R,
    /// Of the next chunk, its first byte, once it was seen that there is one.
    next: Option<u8>,
    count: u64,
}

impl<R: Read> Payload<R> {
    /// The plaintext. A chunk is opened where it lies.
    fn reader(key: LessSafeKey, input: R) -> ChunkReader<Self> {
        ChunkReader::new(Self { key, input, next: None, count: 0 }, CHUNK + TAG + 1)
    }
}

impl<R: Read> Chunks for Payload<R> {
    fn refill(&mut self, chunk: &mut [u8], _: usize) -> io::Result<Plain> {
        let mut held = 0;
        if let Some(byte) = self.next.take() {
            chunk[0] = byte;
            held = 1;
        }
        fill(&mut self.input, chunk, &mut held)?;
        // A byte behind a whole chunk says that it is not the last.
        let last = held < chunk.len();
        self.next = (!last).then(|| chunk[CHUNK + TAG]);
        let sealed = held.min(CHUNK + TAG);
        let nonce = nonce(self.count, last);
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut chunk[..sealed]).map_err(|_| decrypt_failed())?;
        if plain.is_empty() && self.count > 0 {
            return Err(decrypt_failed());
        }
        self.count += 1;
        Ok(Plain { ready: plain.len(), last })
    }
}

/// Eleven bytes of counter, one that marks the last chunk. 2^64 chunks are more than there can be.
fn nonce(count: u64, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..11].copy_from_slice(&count.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Payload, Trail, nonce, payload_key};
    use aws_lc_rs::aead::Aad;
    use std::io::{BufRead, Read};

    /// A payload as the format has it; `last` says which chunks are marked as the last one.
    fn sealed(chunks: &[&[u8]], last: impl Fn(usize) -> bool) -> Vec<u8> {
        let key = payload_key(&[7; 16], &[9; 16]).unwrap();
        let seal = |(at, chunk): (usize, &&[u8])| {
            let mut bytes = chunk.to_vec();
            key.seal_in_place_append_tag(nonce(at as u64, last(at)), Aad::empty(), &mut bytes).unwrap();
            bytes
        };
        chunks.iter().enumerate().flat_map(seal).collect()
    }

    fn opened(payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let key = payload_key(&[7; 16], &[9; 16]).unwrap();
        Payload::reader(key, payload).read_to_end(&mut out).map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_is_whole_in_order_and_ends_where_it_says() {
        let (full, text) = (vec![1; CHUNK], b"Hello, world!");
        for chunks in [&[&text[..]][..], &[b""], &[&full], &[&full, text], &[&full, &full]] {
            let end = chunks.len() - 1;
            assert_eq!(opened(&sealed(chunks, |at| at == end)), Ok(chunks.concat()));
        }
        let two = sealed(&[&full, text], |at| at == 1);
        let swapped = [&two[CHUNK + 16..], &two[..CHUNK + 16]].concat();
        for (payload, fault) in [
            (sealed(&[&full, b""], |at| at == 1), "an empty last chunk"),
            (sealed(&[&full, text], |_| false), "no last chunk"),
            (sealed(&[&full, text], |_| true), "a last chunk that is not"),
            (sealed(&[text, text], |at| at == 1), "a short chunk in the middle"),
            (two[..CHUNK + 16].to_vec(), "cut between chunks"),
            (two[..CHUNK + 20].to_vec(), "cut in a seal"),
            (Vec::new(), "nothing"),
            (swapped, "out of order"),
            ([two, vec![0]].concat(), "a byte behind the end"),
        ] {
            let told = "archive: it does not open with this key; the key is another one, or the archive was altered";
            assert_eq!(opened(&payload).unwrap_err(), told, "{fault}");
        }
    }

    #[test]
    fn the_last_bytes_taken_are_remembered_however_they_were_taken() {
        let bytes: Vec<u8> = (0..60).collect();
        let mut trail = Trail { input: &bytes[..], last: [0; 16] };
        trail.consume(30);
        assert_eq!(trail.last, bytes[14..30]);
        trail.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(trail.last, bytes[17..33]);
        trail.consume(5);
        assert_eq!(trail.last, bytes[22..38]);
    }
}
