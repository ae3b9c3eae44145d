//! What a task is, read from the chain: task, deal with its parameters, app, dataset, time. All that a session needs
//! beside secrets.

use std::collections::BTreeMap;

use iexec_chain::view::{App, Dataset};
use iexec_protocol::{deal::Deal, id::Sha256, params::DealParams, secret::proxy_origin, task::ChainTask};
use thiserror::Error;

/// Most requester secrets that one session carries.
pub(crate) const MAX_REQUESTER_SECRETS: usize = 100;

/// A task that this SMS can make a session for.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) task: ChainTask,
    pub(crate) deal: Deal,
    pub(crate) params: DealParams,
    pub(crate) app: App,
    pub(crate) dataset: Option<Dataset>,
    /// Origin of the result proxy that the requester chose; `None` for the network's own storage.
    pub(crate) proxy: Option<String>,
    /// Seconds of the deal's category.
    pub(crate) time_limit: u64,
}

impl Description {
    /// Puts together what the chain told; refuses parameters that are unclear or that nobody would carry out (spec
    /// SES-23).
    pub(crate) fn new(
        task: ChainTask,
        deal: Deal,
        app: App,
        dataset: Option<Dataset>,
        time_limit: u64,
    ) -> Result<Self, Undescribed> {
        let params = deal.params().map_err(|error| Undescribed::Params(error.to_string()))?;
        check_bulk(&params)?;
        check_requester_secrets(&params.iexec_secrets)?;
        check_callback(&params, &deal)?;
        check_storage(&params, &deal)?;
        let proxy = proxy(&params, &deal)?;
        Ok(Self { task, deal, params, app, dataset, proxy, time_limit })
    }

    /// The digest of the app's image manifest: its checksum on chain.
    pub(crate) fn image(&self) -> Sha256 {
        Sha256(self.app.checksum)
    }
}

fn check_bulk(params: &DealParams) -> Result<(), Undescribed> {
    if params.other.contains_key("bulk_cid") { Err(Undescribed::Bulk) } else { Ok(()) }
}

fn check_requester_secrets(secrets: &BTreeMap<String, String>) -> Result<(), Undescribed> {
    let count = secrets.len();
    if count <= MAX_REQUESTER_SECRETS { Ok(()) } else { Err(Undescribed::RequesterSecrets { count }) }
}

fn check_callback(params: &DealParams, deal: &Deal) -> Result<(), Undescribed> {
    if params.encrypts() && deal.has_callback() { Err(Undescribed::EncryptedCallback) } else { Ok(()) }
}

fn check_storage(params: &DealParams, deal: &Deal) -> Result<(), Undescribed> {
    match params.iexec_result_storage_provider.as_deref() {
        None | Some("ipfs" | "") => Ok(()),
        Some(_) if deal.has_callback() => Ok(()),
        Some(other) => Err(Undescribed::Storage(other.chars().take(40).collect())),
    }
}

/// A callback's result goes to the chain, whatever proxy is named.
fn proxy(params: &DealParams, deal: &Deal) -> Result<Option<String>, Undescribed> {
    let named = params.iexec_result_storage_proxy.as_deref().filter(|url| !url.is_empty() && !deal.has_callback());
    let shown = |url: &str| Undescribed::Proxy(url.chars().take(80).collect());
    named.map(|url| proxy_origin(url).map_err(|_| shown(url))).transpose()
}

/// Why no session can be made for a task.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Undescribed {
    /// Malformed, or unclear about encryption.
    #[error("{0}")]
    Params(String),
    /// Several datasets in one task.
    #[error("deal parameters: bulk_cid asks for bulk processing, which this SMS does not do")]
    Bulk,
    /// More than a session carries.
    #[error("deal parameters: iexec_secrets names {count} secrets; at most {MAX_REQUESTER_SECRETS} are given")]
    RequesterSecrets {
        /// How many.
        count: usize,
    },
    /// A callback is public.
    #[error("the deal asks for an encrypted result and for a callback, which publishes the result on chain")]
    EncryptedCallback,
    /// Another storage than IPFS.
    #[error("deal parameters: iexec_result_storage_provider {0:?} is not served; use \"ipfs\"")]
    Storage(String),
    /// A result proxy that is none.
    #[error("deal parameters: iexec_result_storage_proxy must be an http or https URL, it is {0:?}")]
    Proxy(String),
    /// The registry does not know what the deal names.
    #[error("the deal's {0} is not registered on this chain")]
    Unregistered(&'static str),
}
