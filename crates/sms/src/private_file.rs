//! Files that only their owner may read, written whole or not at all.

use std::{fs, io, io::Write as _, path::Path};

/// Writes a new 0600 file: temporary file, fsync, link to its name, fsync of the folder. An existing file is never
/// replaced ([`io::ErrorKind::AlreadyExists`]).
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Reads a file of at most `max` bytes that nobody but its owner may read; `None` when there is none.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Option<String>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    check_private(&found)?;
    if found.len() > max {
        return Err(io::Error::other(format!("it has {} bytes, at most {max} are read", found.len())));
    }
    fs::read_to_string(path).map(Some)
}

#[cfg(unix)]
fn check_private(found: &fs::Metadata) -> io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("its mode is {mode:04o}, others may read it\nhint: chmod 600, if nobody has")))
}

#[cfg(not(unix))]
fn check_private(_: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_its_owners_alone_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 10).unwrap().unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(read(&path, 10).unwrap().is_none());
        create(&path, b"0123456789").unwrap();
        assert!(read(&path, 9).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path, 10).unwrap_err().to_string().contains("0640"));
    }
}
