//! The archives on disk: `archives/<cid>`, each written once; unfinished ones in `archives/tmp`, removed at the start.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use iexec_protocol::cid::Cid;
use iexec_service::store::private_folder;
use tempfile::NamedTempFile;

/// The folder of the archives.
#[derive(Clone, Debug)]
pub(crate) struct Archives {
    folder: PathBuf,
}

impl Archives {
    /// Opens the folder below `data`, and removes what was not finished.
    pub(crate) fn open(data: &std::path::Path) -> anyhow::Result<Self> {
        let archives = Self { folder: data.join("archives") };
        let unfinished = archives.unfinished();
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be cleared", unfinished.display()));
            }
            _ => private_folder(&unfinished)?,
        }
        Ok(archives)
    }

    /// A file to receive into; gone when dropped, or at the next start.
    pub(crate) fn receive(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix("upload-").tempfile_in(self.unfinished())
    }

    /// Keeps a received file, whose bytes have this identifier and are on disk. Blocks.
    ///
    /// After it returns, the archive survives a crash; before, nothing is at its path.
    pub(crate) fn keep(&self, file: NamedTempFile, cid: Cid) -> io::Result<()> {
        let path = self.path(cid);
        match file.persist_noclobber(&path) {
            Ok(_) => (),
            // The same bytes, by their name.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error.error),
        }
        fs::File::open(&self.folder)?.sync_all()
    }

    /// Where the archive is, if it is.
    pub(crate) fn path(&self, cid: Cid) -> PathBuf {
        self.folder.join(cid.to_string())
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join("tmp")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use iexec_protocol::id::Sha256;

    use super::*;

    #[test]
    fn an_archive_is_written_once_and_an_unfinished_one_is_gone_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let archives = Archives::open(data.path()).unwrap();
        let cid = Cid::new(Sha256::of("one"));
        for bytes in ["one", "never two under one name"] {
            let mut file = archives.receive().unwrap();
            file.write_all(bytes.as_bytes()).unwrap();
            archives.keep(file, cid).unwrap();
        }
        assert_eq!(fs::read(archives.path(cid)).unwrap(), b"one");
        let (_, unfinished) = archives.receive().unwrap().keep().unwrap();
        let archives = Archives::open(data.path()).unwrap();
        assert!(!unfinished.exists());
        assert!(archives.path(cid).exists());
    }
}
