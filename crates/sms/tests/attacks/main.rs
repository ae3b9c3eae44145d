//! The attack suite: each case is a named request that must be refused with the documented cause.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../common/mod.rs"]
mod common;
mod request;
mod secrets;
mod secrets_of_assets;
mod secrets_v1;
