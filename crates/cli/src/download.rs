//! Download of a task's result: streamed to a file beside its final name, its bytes held against the CID on chain as they
//! come. What was cut off goes on where it ended.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use futures_util::StreamExt as _;
use iexec_archive::Identity;
use iexec_protocol::{
    call::CallError,
    id::Sha256,
    result::ResultLink,
    task::{ChainStatus, ChainTask},
};
use iexec_service::client::Download;
use sha2::Digest as _;

use crate::{
    failure::{Blame, Failure},
    files,
    remote::{Remote, Service},
    result::{
        decrypt::{Decryption, Target},
        facts::{OnChain, TrustOptions},
        source,
    },
    screen::Screen,
};

/// Largest archive that is downloaded, in bytes.
const MAX_ARCHIVE: u64 = 64 << 30;
const BUFFER: usize = 128 * 1024;

/// A download that is to be made.
pub(crate) struct Fetch {
    path: PathBuf,
    keys: Option<Vec<Identity>>,
    replace: bool,
}

impl Fetch {
    /// To `<name>.zip` here; with private keys, what is written is the decrypted result.
    pub(crate) fn new(name: &str, keys: Option<Vec<Identity>>, replace: bool) -> Result<Self, Failure> {
        let name = if Path::new(name).extension().is_some_and(|end| end == "zip") {
            name.to_owned()
        } else {
            format!("{name}.zip")
        };
        let path = files::working_folder()?.join(name);
        files::check_target(&path, replace)?;
        Ok(Self { path, keys, replace })
    }

    /// Downloads the result; yields the file.
    pub(crate) async fn run(&self, remote: &Remote, task: &ChainTask, screen: Screen) -> Result<PathBuf, Failure> {
        let (location, digest) = located(task)?;
        let gateway = remote.url(Service::Gateway)?;
        let url = format!("{}{location}", gateway.trim_end_matches('/'));
        let transfer = Transfer { remote, gateway, url, digest, screen };
        let part = Part::of(&self.path, task, digest);
        tokio::select! {
            done = transfer.run(&part) => done?,
            _ = tokio::signal::ctrl_c() => {
                let failure = Failure::user("Interrupted", format!("stopped; {} has what came so far", part.path.display()));
                return Err(Failure { blame: Blame::Interrupt, ..failure }.hint("the same command goes on from there"));
            }
        }
        match digest {
            Some(_) => screen.note("verified: the downloaded bytes are those that the chain names"),
            None => screen.warn("the result's CID is of a form that cannot be verified here"),
        }
        let Some(keys) = &self.keys else {
            part.finish(&self.path, self.replace)?;
            if let Some(name) = self.path.file_name() {
                screen.note(format!("Next, if the result is encrypted: `iexec result decrypt {}`", name.display()));
            }
            return Ok(self.path.clone());
        };
        self.decrypt(remote, task, &part, keys, screen).await?;
        part.remove();
        Ok(self.path.clone())
    }

    /// Decrypts from the one file that holds the ciphertext.
    async fn decrypt(
        &self,
        remote: &Remote,
        task: &ChainTask,
        part: &Part,
        keys: &[Identity],
        screen: Screen,
    ) -> Result<(), Failure> {
        let file = File::open(&part.path).map_err(|error| part.broken(&error))?;
        let on_chain = OnChain::read(remote, task).await?;
        let (archive, origin) = source::open_file(file, format!("task {}", task.id), source::stop_at_ctrl_c(), screen)?;
        let target = Target::Zip { path: self.path.clone(), replace: self.replace };
        let trust = TrustOptions { task: Some(task.id), ..TrustOptions::default() };
        let keys = || Ok(keys.to_vec());
        let on_chain = |_| Ok(on_chain.clone());
        Decryption { origin, keys: &keys, target: &target, trust: &trust, on_chain: &on_chain }
            .run(archive.into(), screen)?;
        Ok(())
    }
}

/// What came so far, in a file beside the final one.
struct Part {
    path: PathBuf,
}

impl Part {
    /// Named after the digest, so that only the same bytes are ever continued.
    fn of(target: &Path, task: &ChainTask, digest: Option<Sha256>) -> Self {
        let id = digest.map_or_else(|| task.id.to_string(), |digest| digest.to_string());
        let id: String = id.trim_start_matches("0x").chars().take(16).collect();
        Self { path: target.with_file_name(format!(".iexec-{id}.part")) }
    }

    fn open(&self, anew: bool) -> Result<File, Failure> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = file.map_err(|error| self.broken(&error))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Failure::user("Busy", format!("another command is downloading to {}", self.path.display()))
                .hint("wait for it, or stop it"));
        }
        if anew {
            file.set_len(0).map_err(|error| self.broken(&error))?;
        }
        Ok(file)
    }

    fn finish(&self, target: &Path, replace: bool) -> Result<(), Failure> {
        files::refuse_existing(target, replace)?;
        std::fs::rename(&self.path, target).map_err(|error| files::failure("cannot be written", target, &error))
    }

    /// It is of no use any more; that it stays would be no failure.
    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn broken(&self, error: &io::Error) -> Failure {
        files::failure("cannot be written", &self.path, error)
    }

    /// Where there is no room for all of it, its beginning would only take what room there is.
    fn full(&self, error: &io::Error) -> Failure {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            self.remove();
        }
        self.broken(error)
    }
}

/// From the storage to a file.
struct Transfer<'a> {
    remote: &'a Remote,
    gateway: &'a str,
    url: String,
    digest: Option<Sha256>,
    screen: Screen,
}

impl Transfer<'_> {
    /// Completes the file. One that turns out wrong is begun anew once: what was there before may be what is wrong.
    async fn run(&self, part: &Part) -> Result<(), Failure> {
        // Without a digest nobody could tell whether the old bytes are the right ones.
        let resumed = self.digest.is_some() && part.path.metadata().is_ok_and(|found| found.len() > 0);
        let found = self.attempt(part, resumed).await?;
        let Some(stated) = self.digest.filter(|stated| *stated != found) else { return Ok(()) };
        part.remove();
        if resumed {
            self.screen.note("The bytes of the interrupted download were wrong: downloading all of it …");
            if self.attempt(part, false).await? == stated {
                return Ok(());
            }
            part.remove();
        }
        let url = &self.url;
        let message =
            format!("{url} yields other bytes than the chain says: their SHA-256 is {found}, the result's is {stated}");
        Err(Failure::user("ResultAltered", message)
            .hint("the storage is wrong or was tampered with; nothing was written"))
    }

    /// Writes what is missing; yields the SHA-256 of the whole.
    async fn attempt(&self, part: &Part, resumed: bool) -> Result<Sha256, Failure> {
        let mut file = part.open(!resumed)?;
        let (mut hash, mut size) = (sha2::Sha256::new(), 0);
        if resumed {
            size = digest_file(&mut file, &mut hash).map_err(|error| part.broken(&error))?;
        }
        let download = match self.begin(size).await? {
            Begun::Complete => return Ok(finished(hash)),
            Begun::Rest(download) => download,
            Begun::Whole(download) => {
                (hash, size) = (sha2::Sha256::new(), 0);
                file.set_len(0).and_then(|()| file.rewind()).map_err(|error| part.broken(&error))?;
                download
            }
        };
        self.write(download, part, &mut file, &mut hash, size).await?;
        Ok(finished(hash))
    }

    /// Asks for what follows `size` bytes.
    async fn begin(&self, size: u64) -> Result<Begun, Failure> {
        if size > 0 {
            match self.remote.client.download(&self.url, Some(size..u64::MAX)).await {
                Ok(download) => {
                    self.screen.note(format!("Going on after {size} bytes of an interrupted download …"));
                    return Ok(Begun::Rest(download));
                }
                // Range Not Satisfiable: nothing follows.
                Err(CallError::Refused { status: 416, .. }) => return Ok(Begun::Complete),
                // A server that has no ranges sends it whole.
                Err(CallError::Malformed(_)) => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
        self.remote.client.download(&self.url, None).await.map(Begun::Whole).map_err(|error| self.refused(&error))
    }

    async fn write(
        &self,
        mut download: Download,
        part: &Part,
        file: &mut File,
        hash: &mut sha2::Sha256,
        mut size: u64,
    ) -> Result<(), Failure> {
        let bar = source::progress(download.size.unwrap_or_default().saturating_add(size), self.screen);
        while let Some(chunk) = download.stream.next().await {
            let chunk = chunk.map_err(|error| self.refused(&error))?;
            size += chunk.len() as u64;
            if size > MAX_ARCHIVE {
                part.remove();
                return Err(Failure::user(
                    "ResultTooLarge",
                    format!("{} yields more than {MAX_ARCHIVE} bytes", self.url),
                ));
            }
            hash.update(&chunk);
            file.write_all(&chunk).map_err(|error| part.full(&error))?;
            bar.set_position(size);
        }
        bar.finish_and_clear();
        file.sync_all().map_err(|error| part.full(&error))
    }

    fn refused(&self, error: &CallError) -> Failure {
        Remote::failure(Service::Gateway, self.gateway, error)
    }
}

/// What the storage sends.
enum Begun {
    /// Nothing is missing.
    Complete,
    /// What is missing.
    Rest(Download),
    /// Everything.
    Whole(Download),
}

fn finished(hash: sha2::Sha256) -> Sha256 {
    Sha256(<[u8; 32]>::from(hash.finalize()).into())
}

/// Reads a file from its start to its end, where it is left.
fn digest_file(file: &mut File, hash: &mut sha2::Sha256) -> io::Result<u64> {
    file.rewind()?;
    let (mut buffer, mut size) = (vec![0; BUFFER], 0);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(size);
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Where the result is, and the digest of its bytes where the CID tells it.
fn located(task: &ChainTask) -> Result<(String, Option<Sha256>), Failure> {
    if task.status != ChainStatus::Completed {
        let message = format!("the task {} is {}: it has no result yet", task.id, task.status.name(false));
        return Err(Failure::user("NoResult", message).hint("wait for it with --watch"));
    }
    let link = ResultLink::from_bytes(&task.results);
    let (storage, location) = link.parts();
    match link {
        ResultLink::Ipfs(cid) => Ok((location, Some(cid.digest()))),
        ResultLink::ForeignIpfs(_) if location.starts_with("/ipfs/") && !location.contains("..") => {
            Ok((location, None))
        }
        ResultLink::Callback(contract) => {
            Err(Failure::user("NoResult", format!("the result went to the contract {contract}, not to a storage")))
        }
        ResultLink::None => Err(Failure::user("NoResult", format!("the task {} has no result to download", task.id))),
        _ => Err(Failure::user(
            "NoResult",
            format!("the result is in the storage {storage:?}, from which this command cannot download"),
        )),
    }
}
