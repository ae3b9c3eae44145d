//! Why a decision is as it is, for people: the outcome of every check.

use iexec_protocol::{Timestamp, evidence::Evidence};

use crate::{
    AttestationError, Claims, Collateral, Expected, Policy, SnpCollateral, TrustAnchors, checks,
    checks::Checked,
    decision::{self, Check, Needs, Question},
    quote::Quote,
};

/// Runs every check that can run and tells each one's outcome, in the order of the decision. Without `expected`, what
/// depends on it is left out.
pub fn explain(
    evidence: &Evidence,
    expected: Option<&Expected>,
    collateral: Option<&Collateral>,
    anchors: &TrustAnchors,
    policy: &Policy,
    now: Timestamp,
) -> Explanation {
    let nothing = Collateral::Snp(SnpCollateral::default());
    let missing = collateral.is_none();
    let question = Question { evidence, expected, collateral: collateral.unwrap_or(&nothing), anchors, policy, now };
    question.explain(missing)
}

/// The outcomes of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// In the order of the decision; the first failure is what [`verify`] answers.
    pub outcomes: Vec<Outcome>,
    /// What the TEE vouched for, if it is authentic.
    pub claims: Option<Claims>,
    /// Name of the reference value that it met.
    pub reference: Option<String>,
}

impl Explanation {
    /// Whether no check failed and none could not run.
    pub fn accepted(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Passed)
    }

    /// The first failure, with the name of its check.
    pub fn refusal(&self) -> Option<(&'static str, &str)> {
        self.outcomes.iter().find_map(|outcome| match &outcome.verdict {
            Verdict::Failed(cause) => Some((outcome.check, cause.as_str())),
            _ => None,
        })
    }
}

/// One check's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its stable name: [`AttestationError::check`].
    pub check: &'static str,
    /// Its rule in `docs/spec/attestation.md`.
    pub rule: &'static str,
    /// What came out.
    pub verdict: Verdict,
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not: the error's words.
    Failed(String),
    /// It could not be run: why.
    NotRun(&'static str),
}

impl Question<'_> {
    fn explain(&self, without_collateral: bool) -> Explanation {
        let mut teller =
            Teller { told: Vec::new(), expected: self.expected.is_some(), collateral: !without_collateral };
        for check in &decision::FIRST {
            teller.run(check, || (check.run)(self));
        }
        let quote = match checks::size(self.evidence).and_then(|()| Quote::parse(self.evidence)) {
            Ok(quote) => {
                teller.tell("format", "ATT-4", Verdict::Passed);
                quote
            }
            Err(error) => return teller.stop(&error),
        };
        for check in &decision::CHEAP {
            teller.run(check, || (check.run)(self, &quote));
        }
        let reference = self.policy.meets(self.evidence.tee, &quote.measurement()).map(str::to_owned);
        if without_collateral {
            return teller.end("there is no collateral", reference);
        }
        match self.authenticate(&quote) {
            Err(error) => {
                teller.tell("authenticity", "ATT-14", Verdict::Failed(error.to_string()));
                teller.end("the quote is not authentic", reference)
            }
            Ok(claims) => {
                teller.tell("authenticity", "ATT-14", Verdict::Passed);
                for check in &decision::LAST {
                    teller.run(check, || (check.run)(self, &claims));
                }
                Explanation { outcomes: teller.told, claims: Some(claims), reference }
            }
        }
    }
}

/// Writes outcomes down.
struct Teller {
    told: Vec<Outcome>,
    expected: bool,
    collateral: bool,
}

impl Teller {
    fn tell(&mut self, check: &'static str, rule: &'static str, verdict: Verdict) {
        self.told.push(Outcome { check, rule, verdict });
    }

    fn run<F>(&mut self, check: &Check<F>, run: impl FnOnce() -> Checked) {
        let verdict = match check.needs {
            Needs::Expected if !self.expected => Verdict::NotRun("no task and nonce were given"),
            Needs::Collateral if !self.collateral => Verdict::NotRun("there is no collateral"),
            _ => run().map_or_else(|error| Verdict::Failed(error.to_string()), |()| Verdict::Passed),
        };
        self.tell(check.name, check.rule, verdict);
    }

    /// A quote that cannot be parsed.
    fn stop(mut self, error: &AttestationError) -> Explanation {
        self.tell("format", "ATT-4", Verdict::Failed(error.to_string()));
        for check in &decision::CHEAP {
            self.tell(check.name, check.rule, Verdict::NotRun("the quote is malformed"));
        }
        self.end("the quote is malformed", None)
    }

    /// Nothing after the cheap checks can run.
    fn end(mut self, why: &'static str, reference: Option<String>) -> Explanation {
        if self.told.last().is_none_or(|outcome| outcome.check != "authenticity") {
            self.tell("authenticity", "ATT-14", Verdict::NotRun(why));
        }
        for check in &decision::LAST {
            self.tell(check.name, check.rule, Verdict::NotRun(why));
        }
        Explanation { outcomes: self.told, claims: None, reference }
    }
}
