//! A rule: the deals that it is about, and what it asks of their enclaves beyond the base.

use iexec_attestation::{Policy, TcbStatus, VlekProviders};
use iexec_protocol::{Address, deal::Deal, evidence::Tee};
use thiserror::Error;

/// A rule of the operator. It can only take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What people call it.
    pub(crate) name: String,
    /// Which deals it is about: all conditions that are there must hold.
    pub(crate) when: When,
    /// What it does.
    pub(crate) effect: Effect,
}

/// Conditions on a deal; each is a list of addresses of which one must be the deal's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) app: Option<Vec<Address>>,
    pub(crate) app_owner: Option<Vec<Address>>,
    pub(crate) dataset: Option<Vec<Address>>,
    pub(crate) workerpool: Option<Vec<Address>>,
    pub(crate) requester: Option<Vec<Address>>,
    pub(crate) beneficiary: Option<Vec<Address>>,
}

/// What a rule does to the deals that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// No session, for this reason.
    Deny(String),
    /// Less counts.
    Narrow(Narrow),
}

/// What still counts. `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrow {
    pub(crate) tees: Option<Vec<Tee>>,
    /// Names of reference values.
    pub(crate) references: Option<Vec<String>>,
    pub(crate) statuses: Option<Vec<TcbStatus>>,
    pub(crate) vlek_providers: Option<VlekProviders>,
    pub(crate) rejected_advisories: Vec<String>,
    /// Seconds.
    pub(crate) maximum_collateral_age: Option<u64>,
}

/// A rule that refuses a deal altogether.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("rule {rule:?} of this SMS refuses the deal: {reason}")]
pub(crate) struct Denied {
    /// Its name.
    pub(crate) rule: String,
    /// The operator's words.
    pub(crate) reason: String,
}

impl Rule {
    /// Whether it is about `deal`.
    pub(crate) fn meets(&self, deal: &Deal) -> bool {
        let When { app, app_owner, dataset, workerpool, requester, beneficiary } = &self.when;
        [
            (app, deal.app.pointer),
            (app_owner, deal.app.owner),
            (dataset, deal.dataset.pointer),
            (workerpool, deal.workerpool.pointer),
            (requester, deal.requester),
            (beneficiary, deal.beneficiary),
        ]
        .into_iter()
        .all(|(condition, found)| condition.as_ref().is_none_or(|allowed| allowed.contains(&found)))
    }

    /// Takes away what no longer counts.
    pub(crate) fn narrow(&self, policy: &mut Policy) -> Result<(), Denied> {
        match &self.effect {
            Effect::Deny(reason) => Err(Denied { rule: self.name.clone(), reason: reason.clone() }),
            Effect::Narrow(narrow) => {
                narrow.apply(policy);
                Ok(())
            }
        }
    }
}

impl Narrow {
    fn apply(&self, policy: &mut Policy) {
        if let Some(tees) = &self.tees {
            policy.tees.retain(|tee| tees.contains(tee));
        }
        if let Some(names) = &self.references {
            policy.references.tdx.retain(|value| names.contains(&value.name));
            policy.references.snp.retain(|value| names.contains(&value.name));
            policy.references.sgx.retain(|value| names.contains(&value.name));
            policy.references.simulated.retain(|value| names.contains(&value.name));
        }
        if let Some(statuses) = &self.statuses {
            policy.dcap.statuses.retain(|status| statuses.contains(status));
        }
        if let Some(providers) = &self.vlek_providers {
            policy.snp.vlek_providers.narrow(providers);
        }
        policy.dcap.rejected_advisories.extend(self.rejected_advisories.iter().cloned());
        if let Some(age) = self.maximum_collateral_age {
            policy.dcap.maximum_collateral_age = Some(lower(policy.dcap.maximum_collateral_age, age));
            policy.snp.maximum_collateral_age = Some(lower(policy.snp.maximum_collateral_age, age));
        }
    }
}

fn lower(base: Option<u64>, age: u64) -> u64 {
    base.map_or(age, |base| base.min(age))
}
