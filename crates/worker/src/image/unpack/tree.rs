//! The folder that layers are unpacked into. Every name is resolved inside it, link by link.

use std::{
    collections::{HashSet, VecDeque},
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use iexec_protocol::id::Sha256;
use sha2::Digest as _;

use super::UnpackFault;

/// Links followed on the way to one entry (Linux's own bound).
const MAX_LINKS: u32 = 40;
const MAX_DEPTH: usize = 256;

/// A name's parts, none of them empty, `.` or `..`.
pub(super) type Parts = Vec<OsString>;

/// Splits an entry's name. A name that climbs is refused even where it would stay inside.
pub(super) fn relative(name: &[u8]) -> Result<Parts, UnpackFault> {
    let mut parts = Parts::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => (),
            b".." => return Err(UnpackFault::entry(name, "its name climbs with `..`")),
            part if part.contains(&0) || part.len() > 255 => {
                return Err(UnpackFault::entry(name, "its name is malformed"));
            }
            part => parts.push(OsString::from_vec(part.to_vec())),
        }
    }
    if parts.len() > MAX_DEPTH { Err(UnpackFault::entry(name, "it lies too deep")) } else { Ok(parts) }
}

/// What a whiteout's name hides.
#[derive(Clone, Copy)]
pub(super) enum Hidden<'a> {
    /// One entry of the layers below.
    Entry(&'a OsStr),
    /// All that the layers below have in the folder.
    Folder,
}

/// Reads `.wh.<name>` and `.wh..wh..opq`.
pub(super) fn whiteout(name: &OsStr) -> Option<Hidden<'_>> {
    let rest = name.as_bytes().strip_prefix(b".wh.")?;
    Some(if rest == b".wh..opq" { Hidden::Folder } else { Hidden::Entry(OsStr::from_bytes(rest)) })
}

/// Owner, mode and time of an entry.
#[derive(Clone, Copy)]
pub(super) struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    modified: u64,
}

impl Attributes {
    pub(super) fn of(header: &tar::Header) -> io::Result<Self> {
        let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
        let old = header.as_old();
        // Some writers leave a zero blank.
        let blank = |field: &[u8]| field.iter().all(|byte| matches!(byte, 0 | b' '));
        Ok(Self {
            uid: if blank(&old.uid) { 0 } else { id(header.uid()?)? },
            gid: if blank(&old.gid) { 0 } else { id(header.gid()?)? },
            // Without set-id bits: no_new_privs makes them idle in the container, and the host has no use for them.
            mode: header.mode()? & 0o1777,
            modified: header.mtime().unwrap_or(0),
        })
    }

    fn apply(self, path: &Path) -> io::Result<()> {
        if nix::unistd::geteuid().is_root() {
            lchown(path, Some(self.uid), Some(self.gid))?;
        }
        fs::set_permissions(path, Permissions::from_mode(self.mode))
    }
}

/// One layer's view of the folder.
pub(super) struct Tree {
    root: PathBuf,
    /// What this layer wrote, and the folders above it: an opaque whiteout spares them.
    written: HashSet<PathBuf>,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), written: HashSet::new() }
    }

    pub(super) fn folder(&mut self, parts: &Parts, attributes: Attributes) -> Result<(), UnpackFault> {
        let path = self.locate(parts)?;
        if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            discard(&path).and_then(|()| fs::create_dir(&path)).map_err(UnpackFault::read)?;
        }
        attributes.apply(&path).map_err(UnpackFault::read)?;
        self.note(path);
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        parts: &Parts,
        bytes: &mut impl Read,
        attributes: Attributes,
    ) -> Result<(), UnpackFault> {
        let path = self.locate(parts)?;
        let mut write = || {
            discard(&path)?;
            let mut file = fs::File::options().write(true).create_new(true).open(&path)?;
            io::copy(bytes, &mut file)?;
            attributes.apply(&path)?;
            file.set_modified(
                SystemTime::UNIX_EPOCH + Duration::from_secs(attributes.modified.min(u64::from(u32::MAX))),
            )
        };
        write().map_err(UnpackFault::read)?;
        self.note(path);
        Ok(())
    }

    /// The link's text is kept: it is followed only here, inside the folder, and in the container.
    pub(super) fn symlink(&mut self, parts: &Parts, target: &[u8], attributes: Attributes) -> Result<(), UnpackFault> {
        let path = self.locate(parts)?;
        let write = || {
            discard(&path)?;
            symlink(OsStr::from_bytes(target), &path)?;
            if nix::unistd::geteuid().is_root() {
                lchown(&path, Some(attributes.uid), Some(attributes.gid))
            } else {
                Ok(())
            }
        };
        write().map_err(UnpackFault::read)?;
        self.note(path);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, parts: &Parts, target: &Parts) -> Result<(), UnpackFault> {
        let (path, target) = (self.locate(parts)?, self.locate(target)?);
        if target == path {
            return Ok(());
        }
        discard(&path).and_then(|()| fs::hard_link(&target, &path)).map_err(UnpackFault::read)?;
        self.note(path);
        Ok(())
    }

    /// Removes what a whiteout in this place hides.
    pub(super) fn hide(&mut self, parts: &Parts, hidden: Hidden<'_>) -> Result<(), UnpackFault> {
        let marker = self.locate(parts)?;
        let Some(folder) = marker.parent() else { return Ok(()) };
        match hidden {
            Hidden::Entry(name) if matches!(name.as_bytes(), b"" | b"." | b"..") => {
                Err(UnpackFault::entry(marker.as_os_str().as_bytes(), "a whiteout of nothing"))
            }
            Hidden::Entry(name) => discard(&folder.join(name)).map_err(UnpackFault::read),
            Hidden::Folder => self.clear(folder).map_err(UnpackFault::read),
        }
    }

    /// A folder to mount on, a link replaced by one. Its mode counts: runc gives it to the memory mounted there.
    pub(super) fn mount_folder(&mut self, parts: &Parts, mode: u32) -> Result<(), UnpackFault> {
        let path = self.locate(parts)?;
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => (),
            Ok(found) if !found.is_symlink() => {
                return Err(UnpackFault::entry(path.as_os_str().as_bytes(), "a file where a folder is mounted"));
            }
            _ => discard(&path).and_then(|()| fs::create_dir(&path)).map_err(UnpackFault::read)?,
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(UnpackFault::read)
    }

    pub(super) fn mount_file(&mut self, parts: &Parts) -> Result<(), UnpackFault> {
        let path = self.locate(parts)?;
        fs::File::options().write(true).create_new(true).open(&path).map(drop).map_err(UnpackFault::read)
    }

    fn clear(&self, folder: &Path) -> io::Result<()> {
        for child in fs::read_dir(folder)? {
            let child = child?.path();
            if !self.written.contains(&child) {
                discard(&child)?;
            } else if child.symlink_metadata()?.is_dir() {
                self.clear(&child)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, path: PathBuf) {
        let mut path = path;
        while path != self.root && self.written.insert(path.clone()) {
            if !path.pop() {
                break;
            }
        }
    }

    /// The entry's own path, its folders resolved inside the root and made where they are missing.
    fn locate(&self, parts: &Parts) -> Result<PathBuf, UnpackFault> {
        let Some((name, folders)) = parts.split_last() else { return Ok(self.root.clone()) };
        let shown = || parts.iter().collect::<PathBuf>().into_os_string().into_vec();
        let mut todo: VecDeque<OsString> = folders.iter().cloned().collect();
        let (mut at, mut links) = (self.root.clone(), 0);
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                if at != self.root {
                    at.pop();
                }
                continue;
            }
            let next = at.join(&part);
            match next.symlink_metadata() {
                Ok(found) if found.is_dir() => at = next,
                Ok(found) if found.is_symlink() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(UnpackFault::entry(&shown(), "too many links on its way"));
                    }
                    let target = fs::read_link(&next).map_err(UnpackFault::read)?;
                    if target.is_absolute() {
                        at.clone_from(&self.root);
                    }
                    for part in target.as_os_str().as_bytes().rsplit(|byte| *byte == b'/') {
                        if !matches!(part, b"" | b".") {
                            todo.push_front(OsString::from_vec(part.to_vec()));
                        }
                    }
                }
                Ok(_) => return Err(UnpackFault::entry(&shown(), "a file is on its way")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&next).map_err(UnpackFault::read)?;
                    fs::set_permissions(&next, Permissions::from_mode(0o755)).map_err(UnpackFault::read)?;
                    at = next;
                }
                Err(error) => return Err(UnpackFault::read(error)),
            }
        }
        Ok(at.join(name))
    }
}

/// Removes whatever is there, without following it.
fn discard(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A digest of names, kinds, owners, modes, sizes and times of change of all that is under `root`. The kernel moves the
/// time of change with every write, so equal seals mean an untouched folder without reading its files again.
pub fn seal(root: &Path) -> io::Result<Sha256> {
    let (mut todo, mut hash) = (vec![root.to_owned()], sha2::Sha256::new());
    while let Some(folder) = todo.pop() {
        let mut children = fs::read_dir(&folder)?.map(|child| Ok(child?.path())).collect::<io::Result<Vec<_>>>()?;
        children.sort();
        for child in children {
            let found = child.symlink_metadata()?;
            let name = child.as_os_str().as_bytes();
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
            for number in [u64::from(found.mode()), u64::from(found.uid()), u64::from(found.gid()), found.ino()] {
                hash.update(number.to_be_bytes());
            }
            let size = if found.is_dir() { 0 } else { found.size() };
            hash.update(size.to_be_bytes());
            hash.update(found.ctime().to_be_bytes());
            hash.update(found.ctime_nsec().to_be_bytes());
            if found.is_dir() {
                todo.push(child);
            }
        }
    }
    Ok(Sha256(<[u8; 32]>::from(hash.finalize()).into()))
}
