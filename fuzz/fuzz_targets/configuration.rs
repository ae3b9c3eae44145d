//! A user's own files: wallets and chain.json.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_chain::{keystore, network::ChainFile};

fuzz_target!(|text: &str| {
    let _ = text.parse::<ChainFile>();
    let _ = keystore::address(text);
});
