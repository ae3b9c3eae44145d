//! What the app says on stdout and stderr, kept in its output folder up to a bound. The file is ours, not the app's.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Most bytes kept of one stream.
const LIMIT: usize = 100 * 1024 * 1024;

/// A file that takes a stream.
pub(super) struct Capture<W = File> {
    to: W,
    room: usize,
}

impl Capture {
    /// Creates the file, before the app can.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let to = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        Ok(Self { to, room: LIMIT })
    }
}

impl<W: Write> Capture<W> {
    /// Reads to the end whatever happens, so that the app never waits for a full pipe; an error is what was not kept.
    pub(super) fn drain(mut self, mut pipe: impl Read) -> io::Result<()> {
        let mut kept = Ok(());
        let (mut cut, mut chunk) = (false, vec![0; 64 * 1024]);
        loop {
            let read = match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let keep = read.min(self.room);
            cut |= keep < read;
            if kept.is_ok() {
                kept = self.to.write_all(&chunk[..keep]);
                self.room -= keep;
            }
        }
        if cut && kept.is_ok() {
            kept = writeln!(self.to, "\n[cut here: the app wrote more than is kept]");
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(text: &[u8], room: usize) -> String {
        let mut kept = Vec::new();
        Capture { to: &mut kept, room }.drain(text).unwrap();
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn a_stream_is_kept_whole_or_cut_with_a_note() {
        assert_eq!(captured(b"four", 4), "four");
        assert_eq!(captured(b"fours", 4), "four\n[cut here: the app wrote more than is kept]\n");
    }

    #[test]
    fn a_full_disk_does_not_stop_the_reading() {
        let mut small = [0; 2];
        let mut text = &b"longer than that"[..];
        let error = Capture { to: small.as_mut_slice(), room: 100 }.drain(&mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert!(text.is_empty());
    }

    #[test]
    fn a_file_that_is_there_already_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.txt");
        std::fs::write(&path, "").unwrap();
        assert!(Capture::create(&path).is_err());
    }
}
