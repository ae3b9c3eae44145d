//! What is measured: archives of noise with a receipt, and the keys that open them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use iexec_archive::{Encryptor, EntryDigest, Recipient, Sealed};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Nonce, Tee},
    id::{DealId, Sha256, TaskId},
    key::SigningKey,
    receipt::{Entry, Inputs, Statement},
};

/// Bytes that do not shrink, as results that are worth measuring: encrypted zeros.
pub(super) fn noise(size: u64) -> Result<Noise> {
    let script =
        format!("head -c {size} /dev/zero | openssl enc -aes-256-ctr -K {} -iv {}", "42".repeat(32), "00".repeat(16));
    let mut maker = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn()?;
    let bytes = maker.stdout.take().context("openssl has no output")?;
    Ok(Noise { maker, bytes, size })
}

/// Bytes on their way.
pub(super) struct Noise {
    maker: Child,
    bytes: ChildStdout,
    size: u64,
}

impl Noise {
    pub(super) fn file(mut self, path: &Path) -> Result<()> {
        let copied = io::copy(&mut self.bytes, &mut File::create(path)?)?;
        ensure!(copied == self.size && self.maker.wait()?.success(), "no bytes to measure with");
        Ok(())
    }
}

/// A file that its owner alone reads, as the command wants private keys.
pub(super) fn secret(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, PermissionsExt::from_mode(0o600))?)
}

/// Seals noise with a receipt, as the enclave does.
pub(super) fn seal(folder: &Path, name: &str, recipient: &Recipient, size: u64) -> Result<()> {
    let out = BufWriter::with_capacity(256 * 1024, File::create(folder.join(name))?);
    let mut sealing = Encryptor::to_recipients(std::slice::from_ref(recipient), &mut rand::rng(), out)?;
    let mut content = noise(size)?;
    let file = sealing.add_file("noise", &mut content.bytes)?;
    ensure!(file.size == size && content.maker.wait()?.success(), "no bytes to measure with");
    let [challenge, enclave] = [SigningKey::from_bytes(&[7; 32])?, SigningKey::from_bytes(&[8; 32])?];
    let mut refused = None;
    let sealed = sealing.finish(|sealed| {
        let receipt = statement(sealed, enclave.address()).sign(&challenge, &enclave);
        receipt.map_err(|error| refused = Some(error)).unwrap_or_default()
    });
    if let Some(error) = refused {
        return Err(error.into());
    }
    Ok(sealed?.flush()?)
}

fn statement(sealed: &Sealed, signer: Address) -> Statement {
    let image = Sha256::of("image");
    let entry =
        |entry: &EntryDigest| Entry { name: entry.name.clone(), size: entry.size, sha256: Sha256(entry.sha256.into()) };
    Statement {
        task: TaskId(B256::ZERO),
        deal: DealId(B256::ZERO),
        worker: Address::ZERO,
        tee: Tee::Simulated,
        inputs: Inputs { image, command: Vec::new(), dataset: None, files: Vec::new() },
        evidence: Evidence {
            tee: Tee::Simulated,
            key: B256::ZERO,
            signer,
            image,
            quote: Vec::new(),
            certificates: Vec::new(),
        },
        nonce: Nonce(B256::ZERO),
        result_digest: B256::ZERO,
        tree: Sha256(sealed.tree.0.into()),
        recipients: sealed.recipients.iter().map(|id| Sha256((*id).into())).collect(),
        entries: sealed.entries.iter().map(entry).collect(),
    }
}
