//! Quotes to verify without a service: each of a platform and a PKI of its own, or all of one platform.
//!
//! The difference is what a verifier remembers of the vendor's signatures (docs/spec/attestation.md ATT-14).

use std::{hint::black_box, rc::Rc};

use anyhow::Result;
use iexec_attestation::{
    Collateral, DcapCollateral, DcapPolicy, Expected, Policy, References, SimulatedReference, TcbStatus, TrustAnchors,
    verify,
};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Nonce, Tee, image_event, report_data},
    id::{Sha256, TaskId},
};
use iexec_simulated_tee::{
    Platform, Td, measured,
    pki::{Pki, Terms},
};

/// When they are verified.
const NOW: u64 = 1_790_000_000;
/// The enclave's ephemeral key.
const KEY: [u8; 32] = [9; 32];

/// A quote and all that it is verified with.
pub(crate) struct Question {
    evidence: Evidence,
    expected: Expected,
    vendor: Rc<Vendor>,
}

/// Whose signatures lead to the root.
struct Vendor {
    platform: Platform,
    collateral: Collateral,
    anchors: TrustAnchors,
    policy: Policy,
}

impl Question {
    /// As many, of as many vendors.
    pub(crate) fn of_strangers(count: u64) -> Result<Vec<Self>> {
        (0..count).map(|number| Ok(Self::of(&Vendor::new(number)?.into(), number))).collect()
    }

    /// As many, of one platform.
    pub(crate) fn of_one(count: u64) -> Result<Vec<Self>> {
        let vendor = Vendor::new(u64::MAX)?.into();
        Ok((0..count).map(|number| Self::of(&vendor, number)).collect())
    }

    fn of(vendor: &Rc<Vendor>, number: u64) -> Self {
        let (task, nonce, image) = (TaskId::default(), Nonce(B256::from(bytes(number))), Sha256::default());
        let signer = Address::ZERO;
        let data = report_data(&KEY, signer, task, nonce, image);
        let quote = vendor.platform.quote(&Td::new(measured(b"load"), data).extend(3, &image_event(image)));
        let key = B256::from(KEY);
        let evidence = Evidence { tee: Tee::Simulated, key, signer, image, quote, certificates: Vec::new() };
        Self { evidence, expected: Expected { task, nonce, image }, vendor: vendor.clone() }
    }

    /// Verifies it.
    pub(crate) fn answer(&self) -> Result<()> {
        let Vendor { collateral, anchors, policy, .. } = &*self.vendor;
        Ok(black_box(verify(&self.evidence, &self.expected, collateral, anchors, policy, NOW)).map(drop)?)
    }
}

impl Vendor {
    fn new(number: u64) -> Result<Self> {
        let pki = Pki::from_secret(&bytes(number))?;
        let collateral = serde_json::to_vec(&pki.collateral(&Terms::sound(NOW, NOW + 60))?)?;
        let simulated = vec![SimulatedReference { name: "load".into(), mrtd: measured(b"load").into() }];
        let policy = Policy {
            tees: vec![Tee::Simulated],
            references: References { simulated, ..References::default() },
            dcap: DcapPolicy { statuses: vec![TcbStatus::UpToDate], ..Policy::nothing().dcap },
            ..Policy::nothing()
        };
        Ok(Self {
            platform: pki.platform()?,
            collateral: Collateral::Dcap(DcapCollateral::from_json(&collateral)?),
            anchors: TrustAnchors::hardware().insecure_with_simulated(pki.root_der().to_vec())?,
            policy,
        })
    }
}

/// A number that no other has.
fn bytes(number: u64) -> [u8; 32] {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}
