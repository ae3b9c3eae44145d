//! What the machine can do at best: no service that checks a signature or keeps a promise on disk is faster.

use std::{
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use iexec_protocol::{B256, key::SigningKey};

use crate::{quotes::Question, report};

const TIME: Duration = Duration::from_secs(2);
/// Quotes verified.
const QUOTES: u64 = 1000;

/// Measures and prints each.
pub(crate) fn print() -> Result<()> {
    report::floor("secp256k1 signers recovered, one thread", recoveries()?);
    let strangers = verifications(&Question::of_strangers(QUOTES)?)?;
    report::floor(
        "TDX quotes verified (`iexec-attestation`), each of another platform and vendor, one thread",
        strangers,
    );
    let of_one = verifications(&Question::of_one(QUOTES)?)?;
    report::floor("TDX quotes verified, all of one platform, one thread", of_one);
    report::floor("4 KiB appended and synced (fdatasync), one after the other", syncs()?);
    Ok(())
}

fn recoveries() -> Result<f64> {
    let (key, hash) = (SigningKey::from_bytes(&rand::random())?, B256::repeat_byte(7));
    let signature = key.sign_personal(hash)?;
    per_second(|| black_box(signature).signer_of_personal(hash).map(drop).context("no signer"))
}

/// Each once: how many in a second.
fn verifications(questions: &[Question]) -> Result<f64> {
    let begun = Instant::now();
    questions.iter().try_for_each(Question::answer)?;
    Ok(f64::from(u32::try_from(questions.len())?) / begun.elapsed().as_secs_f64())
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
