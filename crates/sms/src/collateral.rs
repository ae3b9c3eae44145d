//! What the vendors say of platforms: fetched, kept, given to decisions (spec ATT-20 to ATT-28).
//!
//! Nothing here decides: collateral is believed only as far as it is signed, in the decision itself. What is not there
//! delays a decision, and weakens none.

mod amd;
mod cache;
mod fetch;
mod intel;
mod library;
mod part;
mod simulated;

pub mod tool;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use iexec_attestation::{Collateral, CollateralId, DcapCollateral, SnpCollateral, SnpId, SnpKey, SnpProduct};
use iexec_protocol::Timestamp;
use thiserror::Error;

pub(crate) use library::Library;
use part::Form;
pub(crate) use part::Part;
pub(crate) use simulated::Simulated;

/// Intel's own service.
pub const INTEL_PCS: &str = "https://api.trustedservices.intel.com";
/// Where Intel publishes its root's revocation list.
pub const INTEL_ROOT_LIST: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// AMD's own service.
pub const AMD_KDS: &str = "https://kdsintf.amd.com";

/// Where collateral comes from.
#[derive(Clone, Debug)]
pub struct CollateralSources {
    /// The vendors' services, or caches of them; `None` fetches nothing.
    pub urls: Option<CollateralUrls>,
    /// A folder of collateral that was brought by hand; only read.
    pub bundle: Option<PathBuf>,
}

/// Origins of services.
#[derive(Clone, Debug)]
pub struct CollateralUrls {
    /// A PCS or PCCS of Intel's, API version 4.
    pub pccs: String,
    /// Root revocation list, for a PCS that does not serve it.
    pub root_list: String,
    /// A KDS of AMD's.
    pub kds: String,
}

impl Default for CollateralSources {
    fn default() -> Self {
        Self { urls: Some(CollateralUrls::default()), bundle: None }
    }
}

impl Default for CollateralUrls {
    fn default() -> Self {
        let [pccs, root_list, kds] = [INTEL_PCS, INTEL_ROOT_LIST, AMD_KDS].map(str::to_owned);
        Self { pccs, root_list, kds }
    }
}

/// Collateral that is not there now.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum CollateralError {
    /// The vendor knows no such platform.
    #[error("collateral: {part} is not known to {at}")]
    Absent {
        /// Which.
        part: Part,
        /// Who was asked.
        at: String,
    },
    /// It may come later.
    #[error("collateral: {part} cannot be had now: {cause}; try again later")]
    Unavailable {
        /// Which.
        part: Part,
        /// Why.
        cause: String,
    },
}

/// All collateral: that of the simulated TEE, if there is one, and the vendors'.
#[derive(Clone)]
pub(crate) struct Source {
    simulated: Option<Arc<Simulated>>,
    library: Library,
}

impl Source {
    /// Of the simulated TEE's file and a library.
    pub(crate) fn new(simulated: Option<Simulated>, library: Library) -> Self {
        Self { simulated: simulated.map(Arc::new), library }
    }

    /// Collateral of this id. AMD's revocation list is with it if it can be had; that it cannot is an error only if the
    /// policy asks for one (`list`).
    pub(crate) async fn find(
        &self,
        id: &CollateralId,
        list: bool,
        now: Timestamp,
    ) -> Result<Collateral, CollateralError> {
        match id {
            CollateralId::Simulated => match &self.simulated {
                Some(file) => Ok(Collateral::Dcap(file.now())),
                None => Err(unavailable(Part::Simulated, "this SMS was told of no simulated TEE")),
            },
            CollateralId::Dcap(id) => {
                let part = Part::Dcap(*id);
                match &self.library.find(&part, now).await?.form {
                    Form::Dcap(collateral) => Ok(Collateral::Dcap(DcapCollateral::clone(collateral))),
                    Form::Der => Err(unavailable(part, "the cache holds something else")),
                }
            }
            CollateralId::Snp(id) => self.snp(id, list, now).await.map(Collateral::Snp),
        }
    }

    async fn snp(&self, id: &SnpId, list: bool, now: Timestamp) -> Result<SnpCollateral, CollateralError> {
        let (mut vcek, mut product) = (None, id.products.first().copied());
        match (id.has_certificate, id.key) {
            (true, _) => (),
            // AMD gives VLEKs to their providers alone: there is nobody to ask, and the decision refuses.
            (false, SnpKey::Vlek) => return Ok(SnpCollateral::default()),
            (false, SnpKey::Vcek) => {
                let (found, of) = self.vcek(id, now).await?;
                (vcek, product) = (Some(found), Some(of));
            }
        }
        let Some(product) = product else {
            return Ok(SnpCollateral::default());
        };
        let part = Part::AmdList { product, key: id.key };
        let revocations = match self.library.find(&part, now).await {
            Ok(found) => Some(found.bytes.clone()),
            Err(error) if list => return Err(error),
            Err(_) => None,
        };
        SnpCollateral::new(vcek, revocations.as_deref()).map_err(|error| unavailable(part, error))
    }

    /// The VCEK, of the first generation that has one: an old report does not name its own.
    async fn vcek(&self, id: &SnpId, now: Timestamp) -> Result<(Vec<u8>, SnpProduct), CollateralError> {
        let part = |product| Part::Vcek { product, chip_id: id.chip_id, version: id.reported };
        for product in &id.products {
            if let Some(item) = self.library.kept(&part(*product), now) {
                return Ok((item.bytes.clone(), *product));
            }
        }
        let mut last = None;
        for product in &id.products {
            match self.library.find(&part(*product), now).await {
                Ok(item) => return Ok((item.bytes.clone(), *product)),
                Err(error @ CollateralError::Absent { .. }) => last = last.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let none = || unavailable(Part::Simulated, "the report is of no generation with a built-in root");
        Err(last.unwrap_or_else(none))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors and words, made for it")]
fn unavailable(part: Part, cause: impl ToString) -> CollateralError {
    CollateralError::Unavailable { part, cause: cause.to_string() }
}
