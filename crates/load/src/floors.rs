//! What the machine can do at best: no service that checks a signature or keeps a promise on disk is faster.

use std::{
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use iexec_attestation::{
    Collateral, DcapCollateral, DcapPolicy, Policy, References, Register, TcbStatus, TdxReference, TrustAnchors,
    appraise,
};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Tee},
    id::Sha256,
    key::SigningKey,
};

use crate::report;

const TIME: Duration = Duration::from_secs(2);

/// Measures and prints each.
pub(crate) fn print() -> Result<()> {
    report::floor("secp256k1 signers recovered, one thread", recoveries()?);
    report::floor("TDX quotes verified (`iexec-attestation`), one thread", verifications()?);
    report::floor("4 KiB appended and synced (fdatasync), one after the other", syncs()?);
    Ok(())
}

fn recoveries() -> Result<f64> {
    let (key, hash) = (SigningKey::from_bytes(&rand::random())?, B256::repeat_byte(7));
    let signature = key.sign_personal(hash)?;
    per_second(|| black_box(signature).signer_of_personal(hash).map(drop).context("no signer"))
}

/// A recorded quote in its time, under Intel's root (vectors/attestation/README.md).
fn verifications() -> Result<f64> {
    let quote = include_bytes!("../../../vectors/attestation/dcap/tdx_quote").to_vec();
    let collateral = include_bytes!("../../../vectors/attestation/dcap/tdx_quote_collateral.json");
    let collateral = Collateral::Dcap(DcapCollateral::from_json(collateral)?);
    let reference = TdxReference { name: "any TD".to_owned(), mrtd: Register::Any, rtmr: [Register::Any; 3] };
    let policy = Policy {
        tees: vec![Tee::Tdx],
        references: References { tdx: vec![reference], ..References::default() },
        dcap: DcapPolicy { statuses: vec![TcbStatus::UpToDate], ..Policy::nothing().dcap },
        ..Policy::nothing()
    };
    let (signer, image, certificates) = (Address::ZERO, Sha256::default(), Vec::new());
    let evidence = Evidence { tee: Tee::Tdx, key: B256::ZERO, signer, image, quote, certificates };
    let anchors = TrustAnchors::hardware();
    per_second(|| Ok(black_box(appraise(&evidence, &collateral, &anchors, &policy, 1_751_000_000)).map(drop)?))
}

fn syncs() -> Result<f64> {
    let mut file = tempfile::tempfile_in("target")?;
    per_second(|| {
        file.write_all(&[0; 4096])?;
        Ok(file.sync_data()?)
    })
}

/// How often in a second.
pub(crate) fn per_second(mut once: impl FnMut() -> Result<()>) -> Result<f64> {
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < TIME {
        once()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
