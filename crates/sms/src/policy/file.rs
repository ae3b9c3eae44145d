//! The policy file: TOML into [`SmsPolicy`]. Unknown keys, unknown names and rules that could never do anything are faults.

mod reference;

use std::{collections::BTreeMap, ops::Range};

use iexec_attestation::{DcapPolicy, Policy, SnpPolicy, SnpProduct, SnpVersion, TcbStatus, VlekProviders};
use iexec_protocol::{Address, evidence::Tee};
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use self::reference::ReferenceTables;
use super::{
    SmsPolicy,
    rule::{Effect, Narrow, Rule, When},
    value::{Age, As, Providers, plain},
};

/// A fault in the file. Shown after the file's name and a colon.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{line}: {cause}")]
pub(crate) struct PolicyError {
    /// From 1.
    line: usize,
    cause: String,
}

type Tees = Vec<Spanned<As<Tee>>>;
type Addresses = Option<Vec<As<Address>>>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    tees: Tees,
    #[serde(default)]
    dcap: DcapTable,
    #[serde(default)]
    snp: SnpTable,
    #[serde(default)]
    reference: ReferenceTables,
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct DcapTable {
    statuses: Vec<As<TcbStatus>>,
    allowed_advisories: Option<Vec<String>>,
    rejected_advisories: Vec<String>,
    minimum_evaluation_number: Option<u32>,
    maximum_collateral_age: Option<As<Age>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct SnpTable {
    floor: BTreeMap<String, Spanned<FloorTable>>,
    vlek_providers: Option<Providers>,
    require_revocation_list: bool,
    maximum_collateral_age: Option<As<Age>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorTable {
    fmc: Option<u8>,
    bootloader: u8,
    tee: u8,
    snp: u8,
    microcode: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RuleTable {
    name: String,
    app: Addresses,
    app_owner: Addresses,
    dataset: Addresses,
    workerpool: Addresses,
    requester: Addresses,
    beneficiary: Addresses,
    deny: Option<String>,
    tees: Option<Vec<As<Tee>>>,
    references: Option<Vec<Spanned<String>>>,
    statuses: Option<Vec<As<TcbStatus>>>,
    vlek_providers: Option<Providers>,
    #[serde(default)]
    rejected_advisories: Vec<String>,
    maximum_collateral_age: Option<As<Age>>,
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Result<SmsPolicy, PolicyError> {
    let at = At(text);
    let file: File =
        toml::from_str(text).map_err(|error| at.fault(error.span().unwrap_or_default(), error.message()))?;
    let names = file.reference.names(at)?;
    let rules = file.rule.into_iter().map(|rule| read_rule(rule, &names, at)).collect::<Result<_, _>>()?;
    let snp = file.snp.read(at)?;
    let base = Policy {
        tees: file.tees.iter().map(|tee| tee.get_ref().0).collect(),
        references: file.reference.read(at)?,
        dcap: file.dcap.read(),
        snp,
    };
    file.tees.iter().try_for_each(|tee| check_tee(&base, tee, at))?;
    Ok(SmsPolicy { base, rules })
}

/// Where in the text something stands.
#[derive(Clone, Copy)]
struct At<'a>(&'a str);

impl At<'_> {
    fn fault(self, span: Range<usize>, cause: impl Into<String>) -> PolicyError {
        let before = &self.0.as_bytes()[..span.start.min(self.0.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        PolicyError { line, cause: cause.into() }
    }
}

/// A TEE that counts, but of which nothing could ever be accepted, is a mistake.
fn check_tee(policy: &Policy, tee: &Spanned<As<Tee>>, at: At<'_>) -> Result<(), PolicyError> {
    let (kind, references) = (tee.get_ref().0, &policy.references);
    let (named, rules) = match kind {
        Tee::Tdx => (!references.tdx.is_empty(), !policy.dcap.statuses.is_empty()),
        Tee::Sgx => (!references.sgx.is_empty(), !policy.dcap.statuses.is_empty()),
        Tee::Simulated => (!references.simulated.is_empty(), !policy.dcap.statuses.is_empty()),
        Tee::Snp => (!references.snp.is_empty(), !policy.snp.floors.is_empty()),
    };
    if !named {
        return Err(at.fault(tee.span(), format!("{kind} counts, but no [[reference.{kind}]] says which programs")));
    }
    if !rules {
        let missing = if kind == Tee::Snp { "[snp.floor.…]" } else { "[dcap] statuses" };
        return Err(at.fault(tee.span(), format!("{kind} counts, but {missing} says of which platforms")));
    }
    Ok(())
}

impl DcapTable {
    fn read(self) -> DcapPolicy {
        DcapPolicy {
            statuses: plain(self.statuses),
            allowed_advisories: self.allowed_advisories,
            rejected_advisories: self.rejected_advisories,
            minimum_evaluation_number: self.minimum_evaluation_number,
            maximum_collateral_age: seconds(self.maximum_collateral_age),
        }
    }
}

fn seconds(age: Option<As<Age>>) -> Option<u64> {
    age.map(|As(Age(seconds))| seconds)
}

impl SnpTable {
    fn read(self, at: At<'_>) -> Result<SnpPolicy, PolicyError> {
        let floors = self.floor.into_iter().map(|(name, table)| read_floor(&name, table, at));
        Ok(SnpPolicy {
            floors: floors.collect::<Result<_, _>>()?,
            vlek_providers: self.vlek_providers.map_or_else(|| VlekProviders::These(Vec::new()), |named| named.0),
            require_revocation_list: self.require_revocation_list,
            maximum_collateral_age: seconds(self.maximum_collateral_age),
        })
    }
}

fn read_floor(name: &str, table: Spanned<FloorTable>, at: At<'_>) -> Result<(SnpProduct, SnpVersion), PolicyError> {
    let span = table.span();
    let product = <SnpProduct as super::value::Written>::read(name).map_err(|cause| at.fault(span, cause))?;
    let FloorTable { fmc, bootloader, tee, snp, microcode } = table.into_inner();
    Ok((product, SnpVersion { fmc, bootloader, tee, snp, microcode }))
}

fn read_rule(table: Spanned<RuleTable>, names: &[String], at: At<'_>) -> Result<Rule, PolicyError> {
    let span = table.span();
    let table = table.into_inner();
    for name in table.references.iter().flatten() {
        if !names.contains(name.get_ref()) {
            return Err(at.fault(name.span(), format!("no reference value is called {:?}", name.get_ref())));
        }
    }
    let when = When {
        app: table.app.map(plain),
        app_owner: table.app_owner.map(plain),
        dataset: table.dataset.map(plain),
        workerpool: table.workerpool.map(plain),
        requester: table.requester.map(plain),
        beneficiary: table.beneficiary.map(plain),
    };
    let narrow = Narrow {
        tees: table.tees.map(plain),
        references: table.references.map(|names| names.into_iter().map(Spanned::into_inner).collect()),
        statuses: table.statuses.map(plain),
        vlek_providers: table.vlek_providers.map(|named| named.0),
        rejected_advisories: table.rejected_advisories,
        maximum_collateral_age: seconds(table.maximum_collateral_age),
    };
    let effect = effect(&table.name, table.deny, narrow).map_err(|cause| at.fault(span, cause))?;
    Ok(Rule { name: table.name, when, effect })
}

fn effect(rule: &str, deny: Option<String>, narrow: Narrow) -> Result<Effect, String> {
    match (deny, narrow == Narrow::default()) {
        (Some(reason), true) => Ok(Effect::Deny(reason)),
        (None, false) => Ok(Effect::Narrow(narrow)),
        (Some(_), false) => Err(format!("rule {rule:?} denies and narrows; one of both is enough")),
        (None, true) => Err(format!(
            "rule {rule:?} asks for nothing: it needs deny, tees, references, statuses, vlek-providers, \
             rejected-advisories or maximum-collateral-age"
        )),
    }
}
