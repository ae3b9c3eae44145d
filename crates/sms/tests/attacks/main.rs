//! The attack suite: each case is a named request that must be refused with the documented cause.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking; modules of one test binary")]
#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

mod between;
mod chains;
mod challenges;
#[path = "../common/mod.rs"]
mod common;
mod evidence;
mod figures;
mod platform;
mod request;
mod scene;
mod secrets;
mod secrets_of_assets;
mod secrets_v1;
mod sessions;
mod wire;
