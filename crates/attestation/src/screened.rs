//! The decision in its two halves: what evidence alone can be refused for, then what its platform's vendor says. Between
//! them the vendor's collateral is looked for, and nobody is asked about evidence that is refused anyway.

use iexec_protocol::{Timestamp, evidence::Evidence};

use crate::{
    AttestationError, Attested, Collateral, CollateralId, Expected, Policy, SnpCollateral, TrustAnchors, collateral,
    decision::Question, quote::Quote,
};

/// Evidence that passed every check that needs no collateral. It proves nothing yet: no signature was looked at.
pub struct Screened<'a> {
    evidence: &'a Evidence,
    expected: &'a Expected,
    anchors: &'a TrustAnchors,
    policy: &'a Policy,
    quote: Quote,
}

/// The first half of [`crate::verify`].
pub fn screen<'a>(
    evidence: &'a Evidence,
    expected: &'a Expected,
    anchors: &'a TrustAnchors,
    policy: &'a Policy,
    now: Timestamp,
) -> Result<Screened<'a>, AttestationError> {
    let nothing = Collateral::Snp(SnpCollateral::default());
    let question = Question { evidence, expected: Some(expected), collateral: &nothing, anchors, policy, now };
    let quote = question.screen()?;
    Ok(Screened { evidence, expected, anchors, policy, quote })
}

impl Screened<'_> {
    /// Which collateral the second half needs, as [`crate::needs`] tells it.
    pub fn needs(&self) -> CollateralId {
        collateral::of(self.evidence, &self.quote)
    }

    /// The second half of [`crate::verify`].
    pub fn verify(&self, collateral: &Collateral, now: Timestamp) -> Result<Attested, AttestationError> {
        let Self { evidence, expected, anchors, policy, ref quote } = *self;
        let question = Question { evidence, expected: Some(expected), collateral, anchors, policy, now };
        let claims = question.confirm(quote)?;
        let reference = policy.meets(claims.tee, &claims.measurement).unwrap_or_default().to_owned();
        Ok(Attested::new(claims, evidence, *expected, reference, now))
    }
}
