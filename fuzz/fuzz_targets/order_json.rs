//! An order and deal parameters, as a market or the chain gives them.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Unverified, WorkerpoolOrder},
    params::{DealParams, MAX_PARAMS},
    tag::Tag,
};

fuzz_target!(|text: &str| {
    order::<AppOrder>(text);
    order::<DatasetOrder>(text);
    order::<WorkerpoolOrder>(text);
    order::<RequestOrder>(text);
    if let Ok(params) = DealParams::parse(text) {
        let written = params.to_text().expect("what was read is written");
        let again = DealParams::parse(&written);
        assert!(again.is_ok_and(|again| known(again) == known(params)) || written.len() > MAX_PARAMS, "{written}");
    }
    let _ = text.parse::<Tag>();
});

/// Without what the requester wrote besides, where a long number may lose a digit.
fn known(params: DealParams) -> DealParams {
    DealParams { other: BTreeMap::new(), ..params }
}

fn order<T: Order + PartialEq>(text: &str) {
    if let Ok(read) = serde_json::from_str::<Unverified<T>>(text) {
        let written = serde_json::to_string(&read.order).expect("what was read is written");
        assert!(serde_json::from_str::<T>(&written).is_ok_and(|again| again == read.order), "{written}");
    }
}
