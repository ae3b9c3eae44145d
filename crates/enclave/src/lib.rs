//! The measured program of a task (spec `docs/spec/session.md`): it shows evidence, opens its session, runs the app as
//! a child without privileges, digests what came out, signs it, and encrypts it to the beneficiary.
//!
//! What it is not: it has no network, no clock that matters, no TLS, no async runtime, and it verifies no evidence. The
//! worker carries its frames and its archive; both are sealed or signed before they pass the edge.
#![forbid(unsafe_code)]

mod app;
mod archive;
mod channel;
mod dataset;
mod evidence;
mod failure;
mod file;
mod input;
mod layout;
mod output;
mod plan;
mod process;
mod receipt;
mod run;

pub use layout::Layout;
pub use run::{Exit, run};

use std::io::Write as _;

/// Writes lines to the log, which is stderr. Never a secret; nobody to tell when it fails.
pub fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
