//! A deal's dataset and input files, onto this machine's disk. Their contents mean nothing here: the enclave reads them.

use std::{path::Path, time::Duration};

use http::{HeaderMap, StatusCode};
use iexec_protocol::{cause::Cause, id::Sha256, multiaddr};
use url::Url;

use crate::{
    failure::Failure,
    net::{self, Net, Reach, Saved},
};

/// Where files may come from, and how large and slow they may be.
#[derive(Clone, Debug)]
pub struct FetchRules {
    /// IPFS gateway for `/ipfs/…` addresses; the operator's own, so it may be on a private network.
    pub gateway: Option<Url>,
    /// Machines that http addresses may lead to.
    pub reach: Reach,
    /// Bytes of each file.
    pub max_bytes: u64,
    /// Time for each file.
    pub time: Duration,
}

impl Default for FetchRules {
    fn default() -> Self {
        Self { gateway: None, reach: Reach::Public, max_bytes: 2 * 1024 * 1024 * 1024, time: Duration::from_mins(10) }
    }
}

/// Most input files of a deal.
pub const MAX_INPUTS: usize = 64;

/// Fetches by these rules.
#[derive(Clone, Debug)]
pub struct Fetcher {
    rules: FetchRules,
    net: Net,
    gateway: Net,
}

impl Fetcher {
    /// A fetcher by these rules.
    pub fn new(rules: FetchRules) -> Result<Self, net::NetFault> {
        Ok(Self { net: Net::new(rules.reach)?, gateway: Net::new(Reach::Anywhere)?, rules })
    }

    /// The encrypted dataset into `to`; its bytes must have the on-chain checksum.
    pub async fn dataset(&self, multiaddr: &[u8], checksum: Sha256, to: &Path) -> Result<(), Failure> {
        let address = address(multiaddr).map_err(Failure::of(Cause::DatasetFileDownloadFailed))?;
        let saved = self.fetch(&address, to).await.map_err(Failure::of(Cause::DatasetFileDownloadFailed))?;
        // A zero checksum pins nothing: the enclave decides whether it takes such a dataset.
        if saved.sha256 != checksum && checksum != Sha256::default() {
            let text =
                format!("the dataset at {address} should have SHA-256 {checksum} (on chain), it has {}", saved.sha256);
            return Err(Failure::new(Cause::DatasetFileBadChecksum, text));
        }
        Ok(())
    }

    /// The input files into `folder`, as `input-1`, `input-2`, … in the deal's order.
    pub async fn inputs(&self, urls: &[String], folder: &Path) -> Result<(), Failure> {
        let failed = |message: String| Failure::new(Cause::InputFilesDownloadFailed, message);
        if urls.len() > MAX_INPUTS {
            return Err(failed(format!("the deal has {} input files; at most {MAX_INPUTS} are fetched", urls.len())));
        }
        for (index, url) in urls.iter().enumerate() {
            let number = index + 1;
            let saved = self.fetch(url, &folder.join(format!("input-{number}"))).await;
            saved.map_err(|error| failed(format!("input file {number}: {error}")))?;
        }
        Ok(())
    }

    async fn fetch(&self, address: &str, to: &Path) -> Result<Saved, String> {
        let (url, net) = self.locate(address)?;
        let fetched = async {
            let answer = net.open(&url, &HeaderMap::new()).await.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("{url} answers {}", answer.status()));
            }
            net::save(answer, to, self.rules.max_bytes).await.map_err(|error| error.to_string())
        };
        let late = || Err(format!("{url} took longer than {} s", self.rules.time.as_secs()));
        tokio::time::timeout(self.rules.time, fetched).await.unwrap_or_else(|_| late())
    }

    fn locate(&self, address: &str) -> Result<(Url, &Net), String> {
        let content = address.strip_prefix("ipfs://").map(|rest| format!("/ipfs/{rest}"));
        let content = content.as_deref().unwrap_or(address).strip_prefix("/ipfs/").map(str::to_owned);
        let Some(content) = content else {
            let url = Url::parse(address).map_err(|error| format!("{:?} is no address: {error}", short(address)))?;
            return Ok((url, &self.net));
        };
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let allowed = content.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        if !allowed || !content.split('/').all(plain) {
            return Err(format!("{:?} is no IPFS address", short(address)));
        }
        let gateway =
            self.rules.gateway.as_ref().ok_or("this worker has no IPFS gateway, so it fetches no /ipfs/ address")?;
        let url = gateway.join(&format!("/ipfs/{content}")).map_err(|error| error.to_string())?;
        Ok((url, &self.gateway))
    }
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Longest multiaddr read, in bytes.
const MAX_ADDRESS: usize = 2048;

/// A dataset's address: text, or iExec's binary form of `/ipfs/Qm…`.
fn address(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() > MAX_ADDRESS {
        return Err(format!("an address of {} bytes; at most {MAX_ADDRESS} are read", bytes.len()));
    }
    multiaddr::text(bytes).ok_or_else(|| "the address is neither text nor an IPFS multiaddr".to_owned())
}

#[cfg(test)]
mod tests;
