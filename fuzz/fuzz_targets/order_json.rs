//! An order and deal parameters, as a market or the chain gives them.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    order::{RequestOrder, Unverified, WorkerpoolOrder},
    params::DealParams,
    tag::Tag,
};

fuzz_target!(|text: &str| {
    let _ = serde_json::from_str::<Unverified<RequestOrder>>(text);
    let _ = serde_json::from_str::<Unverified<WorkerpoolOrder>>(text);
    let _ = DealParams::parse(text);
    let _ = text.parse::<Tag>();
});
