//! Evidence and collateral from anybody: nothing panics, what is needed is found before what is decided, the explanation
//! agrees with the decision, and nothing that the fuzzer makes is ever believed.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_attestation::{
    Collateral, DcapCollateral, Policy, Register, SnpCollateral, SnpReference, TdxReference, TrustAnchors, VlekProviders,
    appraise, explain, needs,
};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Tee},
    id::Sha256,
};

// First byte: which TEE. Then the length of the quote (2 bytes), the quote, and collateral: JSON, or a table of certificates.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(evidence) = serde_json::from_slice::<Evidence>(bytes) {
        let _ = needs(&evidence);
    }
    let [tee, low, high, rest @ ..] = bytes else { return };
    let tee = [Tee::Sgx, Tee::Tdx, Tee::Snp, Tee::Simulated][usize::from(tee % 4)];
    let (quote, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
    let (certificates, collateral) = match tee {
        Tee::Snp => (rest, SnpCollateral::new(None, None).map(Collateral::Snp)),
        _ => ([].as_slice(), DcapCollateral::from_json(rest).map(Collateral::Dcap)),
    };
    let evidence = Evidence {
        tee,
        key: B256::ZERO,
        signer: Address::ZERO,
        image: Sha256::default(),
        quote: quote.to_vec(),
        certificates: certificates.to_vec(),
    };
    let _ = needs(&evidence);
    let (anchors, policy, now) = (TrustAnchors::hardware(), policy(), 1_751_000_000);
    let collateral = collateral.ok();
    let explanation = explain(&evidence, None, collateral.as_ref(), &anchors, &policy, now);
    let Some(collateral) = collateral else { return };
    let refused = appraise(&evidence, &collateral, &anchors, &policy, now).err();
    // The policy has no status and no floor: not even a real quote passes.
    let refused = refused.expect("nothing is believed");
    assert_eq!(explanation.refusal().map(|(check, _)| check), Some(refused.check()));
});

/// Any program on any TEE, and no platform that is good enough.
fn policy() -> Policy {
    let mut policy = Policy::nothing();
    policy.tees = vec![Tee::Sgx, Tee::Tdx, Tee::Snp, Tee::Simulated];
    let any = Register::Any;
    policy.references.tdx.push(TdxReference { name: "any".to_owned(), mrtd: any, rtmr: [any; 3] });
    policy.references.snp.push(SnpReference {
        name: "any".to_owned(),
        measurement: any,
        id_key_digest: None,
        author_key_digest: None,
        minimum_svn: 0,
    });
    policy.snp.vlek_providers = VlekProviders::Any;
    policy
}
