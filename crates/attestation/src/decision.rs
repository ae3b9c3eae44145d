//! The decision: a list of checks, each with a stable name and its rule in `docs/spec/attestation.md`.
//!
//! [`verify`] stops at the first that fails, [`crate::explain`] runs them all; the list is the same.

use iexec_protocol::{
    Timestamp,
    evidence::{Evidence, Tee},
};

use crate::{
    AttestationError, Attested, Claims, Collateral, Expected, Policy, TrustAnchors, checks, checks::Checked, dcap,
    quote::Quote, screened::screen, snp,
};

/// Decides whether `evidence` comes from an enclave that may work on `expected.task`.
///
/// `now` is the verifier's time in seconds since the Unix epoch. Nothing is parsed that exceeds its bound. The proof says
/// what was verified, and is what a secret's release asks for.
pub fn verify(
    evidence: &Evidence,
    expected: &Expected,
    collateral: &Collateral,
    anchors: &TrustAnchors,
    policy: &Policy,
    now: Timestamp,
) -> Result<Attested, AttestationError> {
    screen(evidence, expected, anchors, policy, now)?.verify(collateral, now)
}

/// As [`verify`], for evidence of which nobody knows any more what it was made for: the checks of report data and image
/// are left out, and so there is no proof.
pub fn appraise(
    evidence: &Evidence,
    collateral: &Collateral,
    anchors: &TrustAnchors,
    policy: &Policy,
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    let question = Question { evidence, expected: None, collateral, anchors, policy, now };
    question.confirm(&question.screen()?)
}

/// All that a decision depends on.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) expected: Option<&'a Expected>,
    pub(crate) collateral: &'a Collateral,
    pub(crate) anchors: &'a TrustAnchors,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
}

/// A check of a name, a rule, and what it looks at.
pub(crate) struct Check<F> {
    pub(crate) name: &'static str,
    pub(crate) rule: &'static str,
    /// Whether it needs to know what the evidence was made for, or collateral.
    pub(crate) needs: Needs,
    pub(crate) run: F,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Expected,
    Collateral,
}

const fn check<F>(name: &'static str, rule: &'static str, needs: Needs, run: F) -> Check<F> {
    Check { name, rule, needs, run }
}

pub(crate) type OnEvidence = Check<fn(&Question<'_>) -> Checked>;
pub(crate) type OnQuote = Check<fn(&Question<'_>, &Quote) -> Checked>;
pub(crate) type OnClaims = Check<fn(&Question<'_>, &Claims) -> Checked>;

/// On the evidence as it came.
pub(crate) const FIRST: [OnEvidence; 4] = [
    check("size", "ATT-1", Needs::Nothing, |question| checks::size(question.evidence)),
    check("tee", "ATT-2", Needs::Nothing, checks::tee),
    check("anchor", "ATT-3", Needs::Nothing, checks::anchor),
    check("image", "ATT-5", Needs::Expected, checks::image),
];

/// On the quote, before it is known to be authentic.
pub(crate) const CHEAP: [OnQuote; 9] = [
    check("report-data", "ATT-6", Needs::Expected, checks::report_data),
    check("image-register", "ATT-7", Needs::Expected, checks::image_register),
    check("debug", "ATT-8", Needs::Nothing, checks::debug),
    check("migration", "ATT-9", Needs::Nothing, checks::migration),
    check("privilege-level", "ATT-10", Needs::Nothing, checks::privilege_level),
    check("signing-key", "ATT-29", Needs::Nothing, checks::signing_key),
    check("reference", "ATT-11", Needs::Nothing, checks::reference),
    check("collateral", "ATT-12", Needs::Collateral, checks::collateral),
    check("collateral-dates", "ATT-13", Needs::Collateral, checks::collateral_dates),
];

/// On the claims of an authentic quote.
pub(crate) const LAST: [OnClaims; 5] = [
    check("collateral-age", "ATT-15", Needs::Collateral, checks::collateral_age),
    check("tcb-status", "ATT-16", Needs::Collateral, checks::tcb_status),
    check("tcb-advisories", "ATT-17", Needs::Collateral, checks::tcb_advisories),
    check("tcb-evaluation", "ATT-18", Needs::Collateral, checks::tcb_evaluation),
    check("tcb-floor", "ATT-19", Needs::Collateral, checks::tcb_floor),
];

impl Question<'_> {
    /// All checks that need no collateral, and the quote.
    pub(crate) fn screen(&self) -> Result<Quote, AttestationError> {
        FIRST.iter().try_for_each(|check| (check.run)(self))?;
        let quote = Quote::parse(self.evidence)?;
        CHEAP
            .iter()
            .filter(|check| check.needs != Needs::Collateral)
            .try_for_each(|check| (check.run)(self, &quote))?;
        Ok(quote)
    }

    /// All checks of a quote that [`Question::screen`] let through, now with collateral: the cheap ones once more, since
    /// some see more with it.
    pub(crate) fn confirm(&self, quote: &Quote) -> Result<Claims, AttestationError> {
        CHEAP.iter().try_for_each(|check| (check.run)(self, quote))?;
        let claims = self.authenticate(quote)?;
        LAST.iter().try_for_each(|check| (check.run)(self, &claims))?;
        Ok(claims)
    }

    /// The quote's signatures, up to the trust anchor (spec ATT-14).
    pub(crate) fn authenticate(&self, quote: &Quote) -> Result<Claims, AttestationError> {
        let evidence = self.evidence;
        match (quote, self.collateral) {
            (Quote::Dcap(quote), Collateral::Dcap(collateral)) => {
                let root = self.anchors.dcap_root(evidence.tee)?;
                dcap::authenticate(evidence.tee, &evidence.quote, quote, collateral, root, self.now)
            }
            (Quote::Snp(report), Collateral::Snp(collateral)) => {
                snp::authenticate(report, &evidence.certificates, collateral, self.now)
            }
            _ => Err(self.wrong_collateral()),
        }
    }

    pub(crate) fn wrong_collateral(&self) -> AttestationError {
        let tee = self.evidence.tee;
        let needed = if tee == Tee::Snp { "snp" } else { "dcap" };
        AttestationError::CollateralKind { tee, needed, found: self.collateral.kind() }
    }
}
