//! How much one owner may: writes in a time, and secrets in all (the store counts those).

use std::{num::NonZeroU32, time::Instant};

use iexec_protocol::{Address, secret::SecretKind};
use iexec_service::limit::{Limited, Rate, RateLimit};

/// How much one owner may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Secrets that are there at once; each has at most 4096 bytes.
    pub secrets: u64,
    /// Signed requests about secrets in a time, 10 a second and 100 at once by default; `None` for any number.
    pub rate: Option<Rate>,
}

impl Default for OwnerLimits {
    fn default() -> Self {
        let rate = |each: NonZeroU32, burst| Rate::per_second(each).with_burst(burst);
        Self {
            secrets: crate::store::QUOTA,
            rate: NonZeroU32::new(10).zip(NonZeroU32::new(100)).map(|(each, burst)| rate(each, burst)),
        }
    }
}

/// The owners' turns.
pub(crate) struct Limits(Option<RateLimit>);

impl Limits {
    pub(crate) fn new(limits: OwnerLimits) -> Self {
        Self(limits.rate.map(RateLimit::new))
    }

    /// Takes a turn of `signer`, unless its signature cannot count: then it is refused anyway, and no turn of the owner is
    /// spent by somebody else.
    pub(super) fn admit(&self, kind: SecretKind, owner: Address, signer: Address) -> Result<(), Limited> {
        match &self.0 {
            Some(limit) if kind.is_of_asset() || signer == owner => limit.admit(&signer, Instant::now()),
            _ => Ok(()),
        }
    }
}
