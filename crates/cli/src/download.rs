//! Download of a task's result: streamed to a file beside its final name, its bytes held against the CID on chain.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use futures_util::StreamExt as _;
use iexec_protocol::{
    id::Sha256,
    result::ResultLink,
    task::{ChainStatus, ChainTask},
};
use sha2::Digest as _;

use crate::{
    decrypt::{Decryption, OnChain},
    failure::Failure,
    files,
    remote::{Remote, Service},
    screen::Screen,
};

/// Largest archive that is downloaded, in bytes.
const MAX_ARCHIVE: u64 = 64 << 30;

/// A download that is to be made.
pub(crate) struct Fetch {
    path: PathBuf,
    key: Option<PathBuf>,
    replace: bool,
}

impl Fetch {
    /// To `<name>.zip` here; with a private key, what is written is the decrypted result.
    pub(crate) fn new(name: &str, key: Option<PathBuf>, replace: bool) -> Result<Self, Failure> {
        let name = if Path::new(name).extension().is_some_and(|end| end == "zip") {
            name.to_owned()
        } else {
            format!("{name}.zip")
        };
        let path = files::working_folder()?.join(name);
        files::check_target(&path, replace)?;
        Ok(Self { path, key, replace })
    }

    /// Downloads the result; yields the file.
    pub(crate) async fn run(&self, remote: &Remote, task: &ChainTask, screen: Screen) -> Result<PathBuf, Failure> {
        let (location, digest) = located(task)?;
        let gateway = remote.url(Service::Gateway)?;
        let url = format!("{}{location}", gateway.trim_end_matches('/'));
        let mut file = files::temporary(&self.path, self.key.is_some())?;
        let found = self.stream(remote, gateway, &url, file.as_file_mut()).await?;
        match digest {
            Some(stated) if stated != found => {
                let message = format!(
                    "{url} yields other bytes than the chain says: their SHA-256 is {found}, the result's is {stated}"
                );
                return Err(Failure::user("ResultAltered", message)
                    .hint("the storage is wrong or was tampered with; nothing was written"));
            }
            Some(_) => screen.note("verified: the downloaded bytes are those that the chain names"),
            None => screen.warn("the result's CID is of a form that cannot be verified here"),
        }
        let Some(key) = &self.key else {
            files::finish(file, &self.path, self.replace)?;
            if let Some(name) = self.path.file_name() {
                screen.note(format!("Next, if the result is encrypted: `iexec result decrypt {}`", name.display()));
            }
            return Ok(self.path.clone());
        };
        file.as_file().sync_all().map_err(|error| files::failure("cannot be written", &self.path, &error))?;
        let facts = on_chain(remote, task).await?;
        let decryption = Decryption { archive: file.path(), key_file: key, output: &self.path, replace: self.replace };
        decryption.run(Some(&facts), screen)?;
        Ok(self.path.clone())
    }

    /// Writes the body to the file and yields its SHA-256.
    async fn stream(
        &self,
        remote: &Remote,
        gateway: &str,
        url: &str,
        file: &mut std::fs::File,
    ) -> Result<Sha256, Failure> {
        let refused = |error| Remote::failure(Service::Gateway, gateway, &error);
        let mut download = remote.client.download(url, None).await.map_err(refused)?;
        let (mut hash, mut size) = (sha2::Sha256::new(), 0_u64);
        while let Some(chunk) = download.stream.next().await {
            let chunk = chunk.map_err(refused)?;
            size += chunk.len() as u64;
            if size > MAX_ARCHIVE {
                return Err(Failure::user("ResultTooLarge", format!("{url} yields more than {MAX_ARCHIVE} bytes")));
            }
            hash.update(&chunk);
            file.write_all(&chunk).map_err(|error| files::failure("cannot be written", &self.path, &error))?;
        }
        Ok(Sha256(<[u8; 32]>::from(hash.finalize()).into()))
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

async fn on_chain(remote: &Remote, task: &ChainTask) -> Result<OnChain, Failure> {
    let mut challenges = Vec::new();
    for worker in &task.contributors {
        challenges.push(remote.chain.view_contribution(task.id, *worker).await?.challenge);
    }
    Ok(OnChain { task: task.id, result_digest: task.result_digest, challenges })
}
