//! The verifier on evidence that real machines made, on the simulation's, and on what forgers make of both.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod authentic;
mod encrypted_ppid;
mod explained;
mod flipped;
mod known;
mod policy;
mod recorded;
mod simulated;
mod snp;
mod spoiled;
mod vlek;
