//! Tests of the whole product: a local network of the built binaries, driven by commands as a user types them.
//!
//! This library holds what the tests and `cargo xtask demo` share: the local network and the runner of tutorial pages.

pub mod network;
pub mod page;
pub mod sdk;
pub mod shell;
pub mod user;
pub mod workspace;
