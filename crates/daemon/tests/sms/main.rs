//! `iexecd sms` as a process, before a real chain: what it never shows, and what it never loses.
#![cfg(unix)]
#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "a test fails by panicking; modules of one binary")]

mod clock;
#[path = "../../../sms/tests/common/mod.rs"]
mod common;
mod explain;
mod faults;
mod load;
mod mute;
mod process;
mod proxy;
mod replicas;
#[path = "../../../sms/tests/attacks/request.rs"]
mod request;
mod search;
#[path = "../../../cli/tests/statement/mod.rs"]
mod statement;
mod store;
