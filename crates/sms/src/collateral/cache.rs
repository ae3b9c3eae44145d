//! Parts of collateral as files: one folder that is ours, 0700, and perhaps one that is only read.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context as _;
use iexec_attestation::MAX_COLLATERAL;
use iexec_protocol::Timestamp;

use super::part::{Item, Part};

/// Most files that are kept; beyond them nothing more is written.
const MAX_FILES: usize = 4096;

/// The folders.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    own: PathBuf,
    bundle: Option<PathBuf>,
}

/// A part and since when it is here, in seconds since the Unix epoch.
pub(super) struct Kept {
    pub(super) item: Item,
    pub(super) since: Timestamp,
}

impl Cache {
    /// Makes its own folder if it is not there; a bundle must be.
    pub(super) fn open(own: PathBuf, bundle: Option<PathBuf>) -> anyhow::Result<Self> {
        iexec_service::store::private_folder(&own)?;
        if let Some(bundle) = &bundle {
            anyhow::ensure!(bundle.is_dir(), "the collateral bundle {} is no folder", bundle.display());
        }
        Ok(Self { own, bundle })
    }

    /// The file of the part that holds longest, if one holds at all; a file that does not read is passed by.
    pub(super) fn read(&self, part: &Part, now: Timestamp) -> Option<Kept> {
        let folders = [Some(&self.own), self.bundle.as_ref()];
        let found = folders.into_iter().flatten().filter_map(|folder| {
            let path = folder.join(part.file());
            match read(&path, part) {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::warn!("{}: {error:#}; it is passed by", path.display());
                    None
                }
            }
        });
        found.filter(|kept| now < kept.item.expires).max_by_key(|kept| kept.item.expires)
    }

    /// Writes a part: whole or not at all.
    pub(super) fn write(&self, part: &Part, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.own.join(part.file());
        if !path.exists() && fs::read_dir(&self.own)?.take(MAX_FILES).count() == MAX_FILES {
            anyhow::bail!("{} has {MAX_FILES} files; remove some", self.own.display());
        }
        write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Every file of a folder that is a part, sorted by name.
pub(super) fn list(folder: &Path) -> anyhow::Result<Vec<(String, anyhow::Result<Kept>)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())?.take(2 * MAX_FILES) {
        names.extend(entry?.file_name().into_string().ok().filter(|name| Part::of_file(name).is_some()));
    }
    names.sort();
    let read = |name: &String| {
        let part = Part::of_file(name).context("it is no part")?;
        read(&folder.join(name), &part)?.context("it is gone")
    };
    Ok(names
        .into_iter()
        .map(|name| {
            let kept = read(&name);
            (name, kept)
        })
        .collect())
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn read(path: &Path, part: &Part) -> anyhow::Result<Option<Kept>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let since = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut bytes = Vec::new();
    let limit = MAX_COLLATERAL as u64 + 1;
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(Kept { item: part.read(bytes)?, since }))
}
