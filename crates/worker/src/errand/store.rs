//! Errands on disk: one small file per task, replaced as a whole and on disk before the next step begins, and a folder
//! per task for what it works on.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use iexec_protocol::id::TaskId;

use super::Errand;

/// Largest errand file read, in bytes: callback data is the largest part.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// The errands of a worker.
#[derive(Clone, Debug)]
pub struct ErrandStore {
    folder: PathBuf,
}

impl ErrandStore {
    /// In `folder`, which is made and 0700.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// All errands, unfinished or not yet told of. A file that is none is left alone and named in the log.
    pub fn load(&self) -> anyhow::Result<Vec<Errand>> {
        let mut errands = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(|| self.folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Ok(errand) => errands.push(errand),
                Err(error) => tracing::error!("{} is no errand and is left alone: {error:#}", path.display()),
            }
        }
        Ok(errands)
    }

    /// Stores an errand. When this returns it is on disk.
    pub fn save(&self, errand: &Errand) -> anyhow::Result<()> {
        let path = self.path(errand.task());
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".errand-").tempfile_in(&self.folder)?;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(&serde_json::to_vec(errand).map_err(io::Error::other)?)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Forgets an errand and removes its folder.
    pub fn remove(&self, task: TaskId) -> anyhow::Result<()> {
        // The file last: a folder without errand would be left for ever.
        for removed in [fs::remove_dir_all(self.work(task)), fs::remove_file(self.path(task))] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).context("cannot remove an errand");
                }
                _ => (),
            }
        }
        Ok(())
    }

    /// The folder that an errand works in.
    pub fn work(&self, task: TaskId) -> PathBuf {
        self.folder.join(const_hex::encode(task.0))
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.folder.join(format!("{}.json", const_hex::encode(task.0)))
    }
}

/// Makes a folder that is its owner's alone.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Makes a private folder anew, empty.
pub fn empty_folder(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
        _ => private_folder(path),
    }
}

fn read(path: &Path) -> anyhow::Result<Errand> {
    let size = fs::metadata(path)?.len();
    anyhow::ensure!(size <= MAX_FILE, "it has {size} bytes; at most {MAX_FILE} are read");
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errand::State;
    use iexec_protocol::{
        Address, B256,
        authorization::{TaskRef, WorkerpoolAuthorization},
        call::scheduler::Grant,
        cause::Cause,
        cid::Cid,
        id::{DealId, Sha256},
        key::SigningKey,
        result::{Contribution, ResultLink},
        session::ArchiveFile,
    };

    fn errand(state: State) -> Errand {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let task = TaskRef { id: TaskId(B256::repeat_byte(1)), deal: DealId(B256::repeat_byte(2)), index: 3 };
        let authorization =
            WorkerpoolAuthorization::sign(&task, Address::repeat_byte(4), Address::repeat_byte(5), &key).unwrap();
        let grant = Grant { authorization, sms_url: "http://sms".into(), storage_url: "http://storage".into() };
        Errand { grant, state }
    }

    fn states() -> Vec<State> {
        let signed = || {
            let contribution = Contribution {
                task: TaskId(B256::repeat_byte(1)),
                worker: Address::repeat_byte(4),
                result_digest: B256::repeat_byte(6),
                callback: vec![1, 2].into(),
            };
            contribution.sign(&SigningKey::from_bytes(&[8; 32]).unwrap()).unwrap()
        };
        let link = || ResultLink::Ipfs(Cid::new(Sha256::of("x")));
        let archive = ArchiveFile { size: 9, sha256: Sha256::of("x"), encrypted: true };
        vec![
            State::Granted,
            State::Fetched,
            State::Ran { contribution: signed(), archive: Some(archive) },
            State::Ran { contribution: signed(), archive: None },
            State::Uploaded { contribution: signed(), link: link() },
            State::Contributing { contribution: signed(), link: ResultLink::Callback(Address::repeat_byte(9)) },
            State::Done { transaction: Some(B256::repeat_byte(3)) },
            State::GaveUp { cause: Cause::AppComputeFailed, message: "exit 1".into() },
        ]
    }

    #[test]
    fn every_state_reads_back_after_a_restart_as_it_was_stored() {
        let folder = tempfile::tempdir().unwrap();
        for state in states() {
            let shown = format!("{state:?}");
            ErrandStore::open(folder.path().join("errands")).unwrap().save(&errand(state)).unwrap();
            let store = ErrandStore::open(folder.path().join("errands")).unwrap();
            let found = store.load().unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(format!("{:?}", found[0].state), shown);
            let mode = fs::metadata(store.path(found[0].task())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_forgotten_errand_leaves_nothing_and_a_strange_file_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = ErrandStore::open(folder.path().to_owned()).unwrap();
        let errand = errand(State::Granted);
        store.save(&errand).unwrap();
        private_folder(&store.work(errand.task()).join("fetched")).unwrap();
        fs::write(folder.path().join("strange.json"), "{").unwrap();
        assert_eq!(store.load().unwrap().len(), 1);
        store.remove(errand.task()).unwrap();
        assert_eq!(store.load().unwrap().len(), 0);
        store.remove(errand.task()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
