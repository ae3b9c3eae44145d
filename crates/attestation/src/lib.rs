//! Evidence → verified claims → policy (RATS, RFC 9334; spec `docs/spec/attestation.md`).
//!
//! [`verify`] is the whole of it: a decision as a list of one-line checks, whose proof is [`Attested`]. [`explain`] runs
//! the same checks and tells the outcome of each. What is cheap comes first: evidence that was not made for this task
//! and nonce costs a hash and no signature.
//!
//! What this crate is not: it makes no evidence, it fetches no collateral, and it has no clock, no files, no network and
//! no log.
#![forbid(unsafe_code)]

mod anchors;
mod attested;
mod checks;
mod claims;
mod collateral;
mod dcap;
mod decision;
mod error;
mod explanation;
mod policy;
mod quote;
mod reference;
mod screened;
mod snp;

pub use anchors::TrustAnchors;
pub use attested::{Attested, Expected};
pub use claims::{
    Claims, CollateralDates, DcapTcb, Digest384, Measurement, SgxMeasurement, SnpMeasurement, SnpTcb, SnpVersion,
    TcbClaims, TcbStatus, TdxMeasurement,
};
pub use collateral::{
    Collateral, CollateralId, DcapCollateral, DcapId, DcapParts, MAX_COLLATERAL, PckCa, SnpCollateral, SnpId, needs,
};
pub use decision::{appraise, verify};
pub use error::AttestationError;
pub use explanation::{Explanation, Outcome, Verdict, explain};
pub use policy::{DcapPolicy, Policy, SnpPolicy, VlekProviders};
pub use reference::{References, Register, SgxIdentity, SgxReference, SimulatedReference, SnpReference, TdxReference};
pub use screened::{Screened, screen};
pub use snp::{ChipId, SnpKey, SnpProduct, SnpSigner};
