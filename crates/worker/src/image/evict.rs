//! The cache's bound: before an image is fetched, those that were not used for longest make room.
//!
//! The image in use is the last that was asked for, so it is never among them: a worker runs one task at a time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Written at each use; its time is the use's.
const USED: &str = "used";

/// Notes that the image in `folder` is used now.
pub(super) fn note_use(folder: &Path) -> io::Result<()> {
    fs::write(folder.join(USED), "")
}

/// Removes the images in `cache` that were used least recently until the others have at most `bytes`; yields how many.
pub(super) fn evict(cache: &Path, bytes: u64) -> io::Result<usize> {
    let mut images = Vec::new();
    for entry in fs::read_dir(cache)? {
        let folder = entry?.path();
        images.push((used(&folder), size(&folder)?, folder));
    }
    images.sort();
    let (mut total, mut evicted) = (images.iter().fold(0_u64, |sum, (_, size, _)| sum.saturating_add(*size)), 0);
    for (_, size, folder) in images {
        if total <= bytes {
            break;
        }
        remove(&folder)?;
        (total, evicted) = (total - size, evicted + 1);
    }
    Ok(evicted)
}

/// Half a folder would pass for an image: it loses its name first.
fn remove(folder: &PathBuf) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let leaving = folder.with_file_name(format!("{}{name}", super::FETCHING));
    fs::rename(folder, &leaving)?;
    fs::remove_dir_all(&leaving)
}

/// When it was used; long ago if nothing tells.
fn used(folder: &Path) -> SystemTime {
    fs::metadata(folder.join(USED)).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Bytes of all files below `path`, links not followed.
fn size(path: &Path) -> io::Result<u64> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    fs::read_dir(path)?.try_fold(0_u64, |sum, entry| Ok(sum.saturating_add(size(&entry?.path())?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_make_room_and_links_count_for_nothing() {
        let cache = tempfile::tempdir().unwrap();
        for (age, name) in ["new", "old", "oldest"].into_iter().enumerate() {
            let folder = cache.path().join(name);
            fs::create_dir_all(folder.join("blobs")).unwrap();
            fs::write(folder.join("blobs/layer"), [0; 1000]).unwrap();
            std::os::unix::fs::symlink("/", folder.join("root")).unwrap();
            note_use(&folder).unwrap();
            let time = SystemTime::now() - Duration::from_secs(60 * age as u64);
            fs::File::open(folder.join(USED)).unwrap().set_modified(time).unwrap();
        }
        let left = || fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(evict(cache.path(), 4000).unwrap(), 0);
        assert_eq!(evict(cache.path(), 2100).unwrap(), 1);
        assert!(left().len() == 2 && !left().contains(&"oldest".into()), "{:?}", left());
        assert_eq!(evict(cache.path(), 1500).unwrap(), 1);
        assert_eq!(left(), ["new"]);
        assert_eq!(evict(cache.path(), 0).unwrap(), 1);
    }
}
