//! The folder that a result is unpacked into: a temporary one beside it, renamed when all is there and all is true.
//! Names come checked from the archive's reader: relative, without `..`, one thing each; there are no links.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use iexec_archive::{Kind, Limits};
use tempfile::TempDir;

use crate::{failure::Failure, files};

/// A folder being filled; dropped, it is gone.
pub(crate) struct Folder {
    temporary: TempDir,
    path: PathBuf,
}

impl Folder {
    /// A folder may be made, or be empty.
    pub(crate) fn check(path: &Path) -> Result<(), Failure> {
        let taken = || {
            Failure::user("FileExists", format!("{} exists already", path.display()))
                .hint("name a new folder: what is in this one is not touched")
        };
        match fs::read_dir(path) {
            Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(taken())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => files::check_target(path, false),
            Err(_) => Err(taken()),
        }
    }

    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().prefix(".iexec-").suffix(".tmp").tempdir_in(beside);
        let temporary = temporary.map_err(|error| files::failure("cannot be written", path, &error.kind().into()))?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    /// Puts the entries of a result where they belong.
    pub(crate) fn store(&self) -> impl FnMut(&str, Kind, &mut dyn Read) -> io::Result<()> + use<> {
        let root = self.temporary.path().to_owned();
        move |name, kind, content| {
            let path = root.join(name);
            match kind {
                Kind::Folder => fs::create_dir_all(path),
                Kind::File => {
                    path.parent().map_or(Ok(()), fs::create_dir_all)?;
                    let mut file = File::create_new(path)?;
                    copy(content, &mut file)?;
                    file.sync_all()
                }
            }
        }
    }

    /// Gives it its name.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        Self::check(&self.path)?;
        let temporary = self.temporary.keep();
        fs::rename(&temporary, &self.path).map_err(|error| {
            let failure = files::failure("cannot be written", &self.path, &error);
            // The error that matters is the one before.
            let _ = fs::remove_dir_all(&temporary);
            failure
        })
    }
}

/// As [`io::copy`], in larger pieces: a result has large files.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn io::Write) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What may be unpacked: without a limit of the user's, 64 GiB and 200 bytes for each byte of the archive.
pub(crate) fn limits(max_size: Option<u64>) -> Limits {
    match max_size {
        Some(total) => Limits { total, ratio: u64::MAX, ..Limits::default() },
        None => Limits::default(),
    }
}

/// Reads a size: bytes, or with a unit of 1024 (`K`, `M`, `G`, `T`, also as `KiB`, …).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let exponent = match unit.trim().trim_end_matches("iB").trim_end_matches('B').to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err("expected bytes, or a number with K, M, G or T, as `20G`".into()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number, as `20G`".to_owned())?;
    number.checked_mul(1024_u64.pow(exponent)).ok_or_else(|| "the size is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units_of_1024() {
        for (text, size) in
            [("0", 0), ("17", 17), ("17B", 17), ("2K", 2048), ("2KiB", 2048), ("3M", 3 << 20), ("20G", 20 << 30)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "1X", "99999999999999999999", "99999999999T"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
