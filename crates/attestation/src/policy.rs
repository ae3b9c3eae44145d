//! What an enclave must be to receive a secret. Plain values, given by the verifier's operator.

use std::fmt;

use iexec_protocol::evidence::Tee;

use crate::{References, SnpProduct, SnpVersion, TcbStatus};

/// The verifier's rules. An empty list allows nothing; nothing has a default that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Kinds of TEE that count.
    pub tees: Vec<Tee>,
    /// Programs that count.
    pub references: References,
    /// Platforms of Intel and of the simulation that count.
    pub dcap: DcapPolicy,
    /// Platforms of AMD that count.
    pub snp: SnpPolicy,
}

/// Rules on Intel's verdict. `Revoked` is refused whatever they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcapPolicy {
    /// TCB statuses that count.
    pub statuses: Vec<TcbStatus>,
    /// Advisories that may apply to a platform; `None` is any.
    pub allowed_advisories: Option<Vec<String>>,
    /// Advisories that may not, whatever the status.
    pub rejected_advisories: Vec<String>,
    /// Lowest TCB evaluation data number; `None` is any.
    pub minimum_evaluation_number: Option<u32>,
    /// Oldest collateral, in seconds since its issue; `None` is until it expires by its own date.
    pub maximum_collateral_age: Option<u64>,
}

/// Rules on an AMD platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpPolicy {
    /// Lowest firmware versions by generation, for reported, committed, current and launch TCB. A generation that is not
    /// listed does not count.
    pub floors: Vec<(SnpProduct, SnpVersion)>,
    /// Cloud providers whose VLEKs may sign reports in place of a chip's VCEK.
    pub vlek_providers: VlekProviders,
    /// Whether there must be a revocation list of AMD. One that is there is always obeyed.
    pub require_revocation_list: bool,
    /// Oldest revocation list, in seconds since its issue; `None` is until it expires by its own date.
    pub maximum_collateral_age: Option<u64>,
}

/// Cloud providers whose VLEKs count. A VLEK proves the provider's word on its machines, not one chip: its secret is in
/// many of them, and a guest's platform can no longer be told from its provider's others. So it must be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlekProviders {
    /// Those of these names (the certificate's `cspID`), letter by letter; an empty list refuses every VLEK.
    These(Vec<String>),
    /// Whoever AMD gave one to.
    Any,
}

impl VlekProviders {
    /// Takes away whoever is not among `others`.
    pub fn narrow(&mut self, others: &Self) {
        match (&mut *self, others) {
            (_, Self::Any) => (),
            (Self::Any, Self::These(_)) => *self = others.clone(),
            (Self::These(names), Self::These(others)) => names.retain(|name| others.contains(name)),
        }
    }

    /// Whether a VLEK of `provider` counts; of one that is not known yet, whether some provider's does.
    pub(crate) fn admits(&self, provider: Option<&str>) -> bool {
        match (self, provider) {
            (Self::Any, _) => true,
            (Self::These(names), Some(provider)) => names.iter().any(|name| name == provider),
            (Self::These(names), None) => !names.is_empty(),
        }
    }
}

impl fmt::Display for VlekProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("those of any provider"),
            Self::These(names) if names.is_empty() => f.write_str("none"),
            Self::These(names) => write!(f, "those of {}", names.join(", ")),
        }
    }
}

impl Policy {
    /// Allows nothing: a start to build on.
    pub fn nothing() -> Self {
        Self {
            tees: Vec::new(),
            references: References::default(),
            dcap: DcapPolicy {
                statuses: Vec::new(),
                allowed_advisories: None,
                rejected_advisories: Vec::new(),
                minimum_evaluation_number: None,
                maximum_collateral_age: None,
            },
            snp: SnpPolicy {
                floors: Vec::new(),
                vlek_providers: VlekProviders::These(Vec::new()),
                require_revocation_list: false,
                maximum_collateral_age: None,
            },
        }
    }

    /// Name of the first reference value that `tee`'s measurement meets.
    pub(crate) fn meets(&self, tee: Tee, measurement: &crate::Measurement) -> Option<&str> {
        self.references.find(tee, measurement)
    }
}
