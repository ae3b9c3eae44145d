//! The worker's own place: its lock, and its copy of the enclave program.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use iexec_protocol::id::Sha256;

/// Largest enclave program, in bytes.
const MAX_ENCLAVE: u64 = 256 * 1024 * 1024;

/// Takes the data folder for this process; a second worker on it is refused.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => anyhow::bail!(
            "another worker uses {}\nhint: stop it, or give this one its own data folder and wallet",
            data.display()
        ),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Copies the enclave program into the data folder, named by its digest: what containers start stays the same bytes
/// while a newer one is built, and root in a container without `CAP_DAC_OVERRIDE` can read it. Yields the copy and its
/// digest, which the simulated TEE measures. Earlier copies are removed: no container runs yet.
pub(crate) fn enclave(program: &Path, data: &Path) -> anyhow::Result<(PathBuf, Sha256)> {
    let hint = "hint: build it with `cargo xtask setup`, or name it with --enclave";
    let mut bytes = Vec::new();
    let read = File::open(program).and_then(|file| file.take(MAX_ENCLAVE + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("the enclave program {} cannot be read\n{hint}", program.display()))?;
    anyhow::ensure!(bytes.starts_with(b"\x7fELF"), "{} is not a program\n{hint}", program.display());
    anyhow::ensure!(bytes.len() as u64 <= MAX_ENCLAVE, "{} has more than {MAX_ENCLAVE} bytes", program.display());
    let digest = Sha256::of(&bytes);
    let folder = data.join("enclaves");
    let copy = folder.join(const_hex::encode(digest.0));
    let install = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(&bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o555))?;
        file.as_file().sync_all()?;
        file.persist(&copy).map(drop).map_err(|error| error.error)
    };
    install().with_context(|| format!("cannot write {}", copy.display()))?;
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let old = entry?.path();
        if old != copy {
            fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    Ok((std::path::absolute(copy)?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_worker_on_the_same_data_is_refused_with_a_hint() {
        let data = tempfile::tempdir().unwrap();
        let first = lock(data.path()).unwrap();
        let error = lock(data.path()).unwrap_err().to_string();
        assert!(error.contains("another worker uses") && error.contains("hint:"), "{error}");
        drop(first);
        assert!(lock(data.path()).is_ok());
    }

    #[test]
    fn the_enclave_is_copied_under_its_digest_and_what_is_no_program_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let program = data.path().join("program");
        fs::write(&program, b"\x7fELF...").unwrap();
        let (copy, digest) = enclave(&program, data.path()).unwrap();
        assert_eq!(digest, Sha256::of(fs::read(&copy).unwrap()));
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o555);
        fs::write(&program, b"\x7fELF, newer").unwrap();
        let (newer, _) = enclave(&program, data.path()).unwrap();
        assert!(newer.exists() && !copy.exists());
        assert!(enclave(&data.path().join("absent"), data.path()).unwrap_err().to_string().contains("hint:"));
        fs::write(&program, b"#!/bin/sh").unwrap();
        assert!(enclave(&program, data.path()).is_err());
    }
}
