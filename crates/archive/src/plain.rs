//! Writes the archive of a deal without encryption: a zip of `/iexec_out`, and nothing else (A9).

use crate::seal::{self, SealError};
use crate::tree::{Tree, TreeHash};
use crate::zip::ZipWriter;
use crate::{AGE_ENTRY, BODY_ENTRY, BODY_ENTRY_A, FileDigest, KEY_ENTRY, KEY_ENTRY_A, RECEIPT_ENTRY};
use std::io::{Read, Write};

/// A plain archive being written.
pub struct PlainWriter<W: Write> {
    zip: ZipWriter<W>,
    tree: Tree,
}

impl<W: Write> PlainWriter<W> {
    /// Starts an archive where `out` stands.
    pub fn new(out: W) -> Self {
        Self { zip: ZipWriter::new(out), tree: Tree::default() }
    }

    /// Adds a file of any size; the names of encrypted archives' entries are refused (A9).
    pub fn add_file(&mut self, name: &str, content: impl Read) -> Result<FileDigest, SealError> {
        if [AGE_ENTRY, BODY_ENTRY, KEY_ENTRY, BODY_ENTRY_A, KEY_ENTRY_A, RECEIPT_ENTRY].contains(&name) {
            return Err(SealError::Reserved(name.to_owned()));
        }
        seal::add_file(&mut self.zip, &mut self.tree, name, content)
    }

    /// Adds a folder; only empty ones need it.
    pub fn add_directory(&mut self, path: &str) -> Result<(), SealError> {
        seal::add_directory(&mut self.zip, &mut self.tree, path)
    }

    /// Ends the file; gives back the output and the tree hash of what is inside (A20).
    pub fn finish(self) -> Result<(W, TreeHash), SealError> {
        let out = self.zip.finish().map_err(SealError::Write)?;
        Ok((out, self.tree.hash()))
    }
}

/// Writes a plain archive of the given files in one call: [`PlainWriter`] without folders.
pub fn write_plain<N: AsRef<str>, C: Read, W: Write>(
    files: impl IntoIterator<Item = (N, C)>,
    out: W,
) -> Result<(W, TreeHash), SealError> {
    let mut writer = PlainWriter::new(out);
    for (name, content) in files {
        writer.add_file(name.as_ref(), content)?;
    }
    writer.finish()
}
