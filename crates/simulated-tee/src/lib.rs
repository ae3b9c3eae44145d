//! SIMULATED, proves nothing: a machine that makes byte-true TDX quotes (version 4, TD 1.0 report) under a development
//! PKI, so that a local network and the tests run the same verifier, policy and release as hardware (spec
//! `docs/spec/attestation.md`, "The simulated TEE").
//!
//! Two halves: [`Platform`] signs quotes, as a machine does (feature `quote`, what the enclave program links); [`pki`]
//! makes the keys, the certificates and the collateral, as the vendor does (feature `pki`, the set-up command and tests).
//!
//! What it is not: a verifier, or a part of a service. `cargo xtask tidy` refuses it in `iexecd`.
#![forbid(unsafe_code)]

#[cfg(feature = "pki")]
pub mod pki;
#[cfg(feature = "quote")]
mod platform;
#[cfg(feature = "quote")]
mod quote;

#[cfg(feature = "quote")]
pub use platform::{MAX_PLATFORM, Platform, PlatformError};
#[cfg(feature = "quote")]
pub use quote::{Td, extended, measured};

/// In every name that a person or a program may see.
pub const WARNING: &str = "SIMULATED, proves nothing";
