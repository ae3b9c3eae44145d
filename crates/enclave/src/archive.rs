//! The archive of an output: encrypted to the beneficiary with a signed receipt, or plain where the deal says so.
//!
//! The file is opened while the supervisor is still root, and written after it has become the app's user.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read as _, Seek as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use iexec_archive::{Encryptor, FileDigest, PlainWriter, Recipient, SealError, Sealed};
use iexec_protocol::{
    cause::Cause,
    session::{ARCHIVE_NAME, ArchiveFile},
};
use rand_core::{OsRng, UnwrapErr};

use crate::{
    failure::{Failure, OrFail as _},
    file,
    output::{Output, unreadable},
};

const BUFFER: usize = 256 * 1024;

/// The archive's file and folder, open. Emptied again unless the archive is finished.
pub(crate) struct Destination {
    file: File,
    folder: File,
    finished: bool,
}

impl Destination {
    /// Creates the file; one that is there already, from another attempt or by the host, is refused.
    pub(crate) fn create(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(ARCHIVE_NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
        Ok(Self {
            file: file.or_fail(Cause::TeePreparationFailed, format_args!("{}", path.display()))?,
            folder: File::open(folder).or_fail(Cause::TeePreparationFailed, format_args!("{}", folder.display()))?,
            finished: false,
        })
    }

    /// Writes the layout that the recipients' keys ask for; `receipt` is asked for the receipt's bytes once everything else is in.
    pub(crate) fn write_encrypted(
        self,
        output: &Output,
        recipients: &[Recipient],
        receipt: impl FnOnce(&Sealed) -> Result<Vec<u8>, Failure>,
    ) -> Result<ArchiveFile, Failure> {
        let writer = BufWriter::with_capacity(BUFFER, &self.file);
        let mut encryptor = Encryptor::to_recipients(recipients, &mut UnwrapErr(OsRng), writer).map_err(encrypting)?;
        fill(&mut encryptor, output, encrypting)?;
        let mut refused = None;
        let finished =
            encryptor.finish(|sealed| receipt(sealed).map_err(|failure| refused = Some(failure)).unwrap_or_default());
        if let Some(failure) = refused {
            return Err(failure);
        }
        flush(finished.map_err(encrypting)?).or_fail(Cause::PostComputeEncryptionFailed, "the archive")?;
        self.finish(true)
    }

    /// Writes a plain zip.
    pub(crate) fn write_plain(self, output: &Output) -> Result<ArchiveFile, Failure> {
        let mut plain = PlainWriter::new(BufWriter::with_capacity(BUFFER, &self.file));
        fill(&mut plain, output, zipping)?;
        let (writer, _) = plain.finish().map_err(zipping)?;
        flush(writer).or_fail(Cause::PostComputeOutFolderZipFailed, "the archive")?;
        self.finish(false)
    }

    fn finish(mut self, encrypted: bool) -> Result<ArchiveFile, Failure> {
        let cause = Cause::PostComputeResultFileNotFound;
        self.file.sync_all().and_then(|()| self.folder.sync_all()).or_fail(cause, "the archive")?;
        self.file.rewind().or_fail(cause, "the archive")?;
        let size = self.file.metadata().or_fail(cause, "the archive")?.len();
        let sha256 = file::sha256((&self.file).take(size)).or_fail(cause, "the archive")?;
        self.finished = true;
        Ok(ArchiveFile { size, sha256, encrypted })
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if !self.finished {
            // Half an archive helps nobody. That it is not finished is what the worker is told.
            let _ = self.file.set_len(0);
        }
    }
}

/// The two kinds of archive, as far as filling them goes.
trait Entries {
    fn add_file(&mut self, name: &str, content: File) -> Result<FileDigest, SealError>;
    fn add_directory(&mut self, path: &str) -> Result<(), SealError>;
}

impl<W: Write + io::Seek> Entries for Encryptor<W> {
    fn add_file(&mut self, name: &str, content: File) -> Result<FileDigest, SealError> {
        Encryptor::add_file(self, name, content)
    }

    fn add_directory(&mut self, path: &str) -> Result<(), SealError> {
        Encryptor::add_directory(self, path)
    }
}

impl<W: Write> Entries for PlainWriter<W> {
    fn add_file(&mut self, name: &str, content: File) -> Result<FileDigest, SealError> {
        PlainWriter::add_file(self, name, content)
    }

    fn add_directory(&mut self, path: &str) -> Result<(), SealError> {
        PlainWriter::add_directory(self, path)
    }
}

fn fill(archive: &mut impl Entries, output: &Output, failed: fn(SealError) -> Failure) -> Result<(), Failure> {
    for name in &output.files {
        let content = output.open(name).map_err(|error| unreadable(name, &error))?;
        archive.add_file(name, content).map_err(failed)?;
    }
    for folder in &output.empty_folders {
        archive.add_directory(folder).map_err(failed)?;
    }
    Ok(())
}

fn flush(mut writer: BufWriter<&File>) -> io::Result<()> {
    writer.flush()
}

fn encrypting(error: SealError) -> Failure {
    match error {
        SealError::Tree(_) | SealError::Content { .. } => zipping(error),
        error => Failure::new(Cause::PostComputeEncryptionFailed, error),
    }
}

fn zipping(error: SealError) -> Failure {
    Failure::new(Cause::PostComputeOutFolderZipFailed, error)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use iexec_archive::{AgeIdentity, Archive, Layout, PrivateKey, tree_of_zip};
    use iexec_protocol::id::Sha256;

    use super::*;

    fn output(files: &[(&str, &str)]) -> (tempfile::TempDir, Output) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/void")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let output = Output::list(dir.path()).unwrap();
        (dir, output)
    }

    #[test]
    fn an_encrypted_archive_opens_with_the_beneficiarys_key_and_holds_the_receipt() {
        let (_folder, output) = output(&[("a.txt", "Hello"), ("sub/empty", ""), ("computed.json", "{}")]);
        let key = PrivateKey::generate(2048).unwrap();
        let to = tempfile::tempdir().unwrap();
        let mut tree = None;
        let receipt = |sealed: &Sealed| {
            tree = Some(sealed.tree);
            Ok(b"a receipt".to_vec())
        };
        let destination = Destination::create(to.path()).unwrap();
        let written = destination.write_encrypted(&output, &[key.public_key().unwrap().into()], receipt).unwrap();

        let path = to.path().join(ARCHIVE_NAME);
        let bytes = fs::read(&path).unwrap();
        assert_eq!((written.size, written.sha256, written.encrypted), (bytes.len() as u64, Sha256::of(&bytes), true));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut archive = Archive::open(File::open(&path).unwrap()).unwrap();
        assert_eq!((archive.layout(), archive.receipt()), (Layout::C, Some(&b"a receipt"[..])));
        let mut zip = Vec::new();
        archive.decrypt(&key, &mut zip).unwrap();
        assert_eq!(Some(tree_of_zip(io::Cursor::new(zip)).unwrap()), tree);
    }

    #[test]
    fn keys_of_age_each_open_their_archive() {
        let (_folder, output) = output(&[("a.txt", "Hello"), ("computed.json", "{}")]);
        let keys = [AgeIdentity::generate(), AgeIdentity::generate()];
        let recipients = keys.each_ref().map(|key| key.recipient().into());
        let to = tempfile::tempdir().unwrap();
        let destination = Destination::create(to.path()).unwrap();
        destination.write_encrypted(&output, &recipients, |_| Ok(b"a receipt".to_vec())).unwrap();
        for key in keys {
            let mut archive = Archive::open(File::open(to.path().join(ARCHIVE_NAME)).unwrap()).unwrap();
            assert_eq!(archive.layout(), Layout::Age);
            archive.decrypt_with(&[key.into()], &mut io::sink()).unwrap();
        }
    }

    #[test]
    fn a_refused_receipt_leaves_an_empty_file() {
        let (_folder, output) = output(&[("a.txt", "Hello")]);
        let key = PrivateKey::generate(2048).unwrap().public_key().unwrap();
        let to = tempfile::tempdir().unwrap();
        let refuse = |_: &Sealed| Err(Failure::new(Cause::PostComputeInvalidTeeSignature, "no"));
        let failure =
            Destination::create(to.path()).unwrap().write_encrypted(&output, &[key.into()], refuse).unwrap_err();
        assert_eq!(failure.cause, Cause::PostComputeInvalidTeeSignature);
        assert_eq!(fs::read(to.path().join(ARCHIVE_NAME)).unwrap(), b"");
    }

    #[test]
    fn a_plain_archive_never_looks_encrypted() {
        let to = tempfile::tempdir().unwrap();
        let (_folder, good) = output(&[("a.txt", "Hello")]);
        let written = Destination::create(to.path()).unwrap().write_plain(&good).unwrap();
        assert!(!written.encrypted);
        assert_eq!(Destination::create(to.path()).err().unwrap().cause, Cause::TeePreparationFailed);
        fs::remove_file(to.path().join(ARCHIVE_NAME)).unwrap();
        let (_folder, odd) = output(&[("aes-key.rsa", "")]);
        let failure = Destination::create(to.path()).unwrap().write_plain(&odd).unwrap_err();
        assert_eq!(failure.cause, Cause::PostComputeOutFolderZipFailed);
    }
}
