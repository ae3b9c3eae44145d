//! End-to-end tests of the built binaries on a local chain
