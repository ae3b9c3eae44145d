//! Files that others made, opened without being led elsewhere, and read within bounds.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use iexec_protocol::id::Sha256;
use nix::{fcntl::OFlag, libc::c_int};
use sha2::Digest as _;

/// Opens a regular file for reading; a link, device, pipe or socket is an error and never waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags: c_int = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    bounded(open(path)?, limit)
}

/// Reads a pseudo-file of the kernel, whose size is not known before, of at most `limit` bytes.
pub(crate) fn read_kernel(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    bounded(File::open(path)?, limit)
}

/// Writes a pseudo-file of the kernel, in one write(2): it takes a value whole. One that is not there is not made.
pub(crate) fn write_kernel(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = OpenOptions::new().write(true).open(path)?.write(bytes)?;
    if written == bytes.len() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("took {written} bytes of {}", bytes.len())))
}

/// SHA-256 of all that can be read.
pub(crate) fn sha256(mut source: impl io::Read) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    io::copy(&mut source, &mut hasher)?;
    Ok(digest(hasher))
}

/// SHA-384 of all that can be read.
#[cfg(feature = "simulated")]
pub(crate) fn sha384(mut source: impl io::Read) -> io::Result<[u8; 48]> {
    let mut hasher = sha2::Sha384::new();
    io::copy(&mut source, &mut hasher)?;
    Ok(hasher.finalize().into())
}

/// What a hasher has seen.
pub(crate) fn digest(hasher: sha2::Sha256) -> Sha256 {
    Sha256(<[u8; 32]>::from(hasher.finalize()).into())
}

fn bounded(file: File, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_and_folders_are_not_opened_and_long_files_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "1234").unwrap();
        symlink(at("a"), at("link")).unwrap();
        assert_eq!(read(&at("a"), 4).unwrap(), b"1234");
        assert!(read(&at("a"), 3).unwrap_err().to_string().contains("longer than 3 bytes"));
        assert!(open(&at("link")).is_err());
        assert!(open(dir.path()).is_err());
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&path).is_err());
    }
}
