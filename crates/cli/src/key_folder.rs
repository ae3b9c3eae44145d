//! The folder of a beneficiary's keys. Its files are the JavaScript SDK's: `<checksummed address>_key`, readable by its owner
//! only, and `<checksummed address>_key.pub`. Keys that were replaced are `<checksummed address>_key.<n>`, the newest with
//! the highest number; one that is being pushed is `<checksummed address>_key.new`.

use std::path::{Path, PathBuf};

use iexec_protocol::Address;

use crate::{failure::Failure, files};

/// Most files of a folder that are looked at.
const MOST_FILES: usize = 1000;

/// Folder of beneficiaries' keys.
#[derive(Debug)]
pub(crate) struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The folder given, else `.secrets/beneficiary` here.
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self, Failure> {
        let here = files::working_folder()?;
        Ok(Self(here.join(given.unwrap_or_else(|| Path::new(".secrets").join("beneficiary")))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn private_path(&self, address: Address) -> PathBuf {
        self.0.join(format!("{}_key", address.to_checksum(None)))
    }

    pub(crate) fn public_path(&self, address: Address) -> PathBuf {
        self.0.join(format!("{}_key.pub", address.to_checksum(None)))
    }

    /// Where a new private key is until the SMS has its public half.
    pub(crate) fn pending_path(&self, address: Address) -> PathBuf {
        self.0.join(format!("{}_key.new", address.to_checksum(None)))
    }

    /// Whether this address' private key is there.
    pub(crate) fn has_private_key(&self, address: Address) -> bool {
        self.private_path(address).is_file()
    }

    /// This address' private key, which must be there.
    pub(crate) fn private_key(&self, address: Address) -> Result<PathBuf, Failure> {
        let path = self.private_path(address);
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::absent(format!("there is no private key {}", path.display())).hint(
            "name the key that the result was encrypted to with --beneficiary-key-file, or its folder with --beneficiary-keystoredir",
        ))
    }

    /// This address' private keys: the current one first, which must be there, then those that it replaced.
    pub(crate) fn private_keys(&self, address: Address) -> Result<Vec<PathBuf>, Failure> {
        let mut keys = vec![self.private_key(address)?];
        keys.extend(Some(self.pending_path(address)).filter(|path| path.is_file()));
        keys.extend(self.replaced(address).into_iter().map(|(_, path)| path));
        Ok(keys)
    }

    /// A file of this folder, or a path.
    pub(crate) fn named(&self, name: &Path) -> Result<PathBuf, Failure> {
        let candidates = [self.0.join(name), name.to_owned()];
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            Failure::absent(format!(
                "--beneficiary-key-file: there is no file {} in {}",
                name.display(),
                self.0.display()
            ))
            .hint("its folder is named with --beneficiary-keystoredir")
        })
    }

    /// The folder's private key, if there is exactly one.
    pub(crate) fn only_private_key(&self) -> Option<PathBuf> {
        let mut keys = self.files().filter(|path| path.to_string_lossy().ends_with("_key"));
        keys.next().filter(|_| keys.next().is_none())
    }

    /// Keeps the current private key under the next number; yields where.
    pub(crate) fn retire(&self, address: Address, current: &Path) -> Result<PathBuf, Failure> {
        let number = self.replaced(address).first().map_or(1, |(newest, _)| newest.saturating_add(1));
        let path = self.0.join(format!("{}_key.{number}", address.to_checksum(None)));
        files::refuse_existing(&path, false)?;
        std::fs::rename(current, &path).map_err(|error| files::failure("cannot be renamed", current, &error))?;
        Ok(path)
    }

    /// Keys that were replaced, the newest first.
    fn replaced(&self, address: Address) -> Vec<(u32, PathBuf)> {
        let prefix = format!("{}_key.", address.to_checksum(None));
        let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok();
        let mut keys: Vec<_> = self.files().filter_map(|path| Some((number(&path)?, path))).collect();
        keys.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        keys
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().take(MOST_FILES);
        entries.filter_map(Result::ok).map(|entry| entry.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_keys_are_tried_from_the_newest_on() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(Some(folder.path().to_owned())).unwrap();
        let address = Address::repeat_byte(7);
        assert!(keys.private_keys(address).is_err());
        for _ in 0..11 {
            std::fs::write(keys.private_path(address), "").unwrap();
            keys.retire(address, &keys.private_path(address)).unwrap();
        }
        std::fs::write(keys.private_path(address), "").unwrap();
        std::fs::write(keys.public_path(address), "").unwrap();
        let names: Vec<String> =
            keys.private_keys(address).unwrap().iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names.len(), 12);
        assert!(
            names[0].ends_with("_key") && names[1].ends_with("_key.11") && names[11].ends_with("_key.1"),
            "{names:?}"
        );
    }
}
