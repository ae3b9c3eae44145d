//! Carries what the enclave made: the archive to the storage, the contribution to the chain. Both are checked here
//! first, since an enclave's mistake costs less on this side.

use std::{fs::File, io, path::Path, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use iexec_chain::{ChainError, ChainWriter, writer::ContributionCall};
use iexec_protocol::{
    Address, B256,
    authorization::WorkerpoolAuthorization,
    call::{
        CallError,
        scheduler::Grant,
        storage::{UploadHeader, read_stored, upload_path},
    },
    cause::Cause,
    cid::Cid,
    id::Sha256,
    result::{ResultLink, SignedContribution},
    session::{ArchiveFile, Finished},
    task::ChainStatus,
};
use iexec_service::Client;
use sha2::Digest as _;

use crate::{
    facts::{Facts, patiently},
    failure::Failure,
};

/// Checks what the enclave says it made against the grant, the deal and the archive's bytes.
pub fn check(finished: &Finished, grant: &Grant, facts: &Facts, archive: &Path) -> Result<(), Failure> {
    let signed = &finished.contribution;
    let authorization = &grant.authorization;
    let forged = |text: String| Failure::new(Cause::EnclaveSignatureNotFound, text);
    if signed.contribution.task != authorization.chain_task_id
        || signed.contribution.worker != authorization.worker_wallet
    {
        return Err(forged(format!("the enclave contributed to task {}", signed.contribution.task)));
    }
    if !signed.is_signed_by(authorization.enclave_challenge) {
        return Err(forged(format!(
            "the contribution is not signed by the challenge {}",
            authorization.enclave_challenge
        )));
    }
    match (&finished.archive, facts.deal.has_callback()) {
        (None, true) => Ok(()),
        (Some(stated), false) => check_archive(stated, facts.params.encrypts(), archive),
        (Some(_), true) => Err(forged("the result goes to a callback, yet the enclave wrote an archive".into())),
        (None, false) => Err(Failure::new(Cause::PostComputeResultFileNotFound, "the enclave wrote no archive")),
    }
}

fn check_archive(stated: &ArchiveFile, encrypts: bool, path: &Path) -> Result<(), Failure> {
    if encrypts && !stated.encrypted {
        let text = "the deal asks for encryption, the enclave says that its archive is not encrypted";
        return Err(Failure::new(Cause::PostComputeEncryptionFailed, text));
    }
    let (size, sha256) = measure(path).map_err(Failure::of(Cause::PostComputeResultFileNotFound))?;
    if (size, sha256) == (stated.size, stated.sha256) {
        return Ok(());
    }
    let text = format!(
        "the archive has {size} bytes with SHA-256 {sha256}, the enclave stated {} bytes with {}",
        stated.size, stated.sha256
    );
    Err(Failure::new(Cause::PostComputeResultFileNotFound, text))
}

fn measure(path: &Path) -> io::Result<(u64, Sha256)> {
    let (mut file, mut hash) = (File::open(path)?, sha2::Sha256::new());
    let size = io::copy(&mut file, &mut hash)?;
    Ok((size, Sha256(<[u8; 32]>::from(hash.finalize()).into())))
}

/// Stores the archive; the same bytes may be stored again. The location must be that of these very bytes.
pub async fn upload(
    client: &Client,
    grant: &Grant,
    writer: &ChainWriter,
    archive: &ArchiveFile,
    path: &Path,
) -> Result<ResultLink, CallError> {
    let sign = writer.wallet().sign_message(grant.authorization.hash());
    let signature = sign.map_err(|error| CallError::Request(error.to_string()))?;
    let header = UploadHeader { authorization: grant.authorization.clone(), signature }.to_text()?;
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(header).map_err(|error| CallError::Request(error.to_string()))?;
    headers.insert(header::AUTHORIZATION, value);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let url = format!("{}{}", grant.storage_url.trim_end_matches('/'), upload_path(grant.authorization.chain_task_id));
    let stored = read_stored(client.upload_file(Method::PUT, &url, headers, path).await?)?;
    let cid = Cid::new(archive.sha256);
    if stored.location != format!("/ipfs/{cid}") {
        let text =
            format!("the storage put the archive at {:?}, where its bytes are /ipfs/{cid}", short(&stored.location));
        return Err(CallError::Malformed(text));
    }
    Ok(ResultLink::Ipfs(cid))
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// What became of a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// This call saw it mined.
    Mined(B256),
    /// It was mined before.
    Before,
}

/// Contributes, once: before every attempt the chain is asked whether the task is over.
pub async fn contribute(
    writer: &ChainWriter,
    authorization: &WorkerpoolAuthorization,
    contribution: &SignedContribution,
    link: &ResultLink,
) -> Result<Sent, Failure> {
    let mut pauses = 0..ATTEMPTS;
    loop {
        if let Some(ended) = ended(writer, authorization).await? {
            return ended;
        }
        let call = ContributionCall::new(contribution, authorization, link);
        let error = match writer.contribute_and_finalize(call).await {
            Ok(receipt) => return Ok(Sent::Mined(receipt.transaction)),
            Err(error) => error,
        };
        tracing::warn!(task = %authorization.chain_task_id, "the contribution: {error}");
        let again = error.is_transient() || matches!(error, ChainError::Failed { .. });
        if pauses.next().is_none() || !again {
            return ended(writer, authorization).await?.unwrap_or_else(|| Err(refused(&error)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How often, and how long apart, a contribution is tried while the chain is away.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(2);

fn refused(error: &ChainError) -> Failure {
    let cause = if error.is_transient() { Cause::ChainUnreachable } else { Cause::AbortedByWorker };
    Failure::new(cause, format!("the contribution was not taken: {error}"))
}

/// Whether the task is over on chain: by this worker's contribution, or without it.
async fn ended(
    writer: &ChainWriter,
    authorization: &WorkerpoolAuthorization,
) -> Result<Option<Result<Sent, Failure>>, Failure> {
    let task = authorization.chain_task_id;
    if contributed(writer, authorization, writer.address()).await? {
        return Ok(Some(Ok(Sent::Before)));
    }
    let status = patiently(|| writer.chain().view_task(task)).await?.status;
    Ok((status != ChainStatus::Active).then(|| {
        let text = format!("the task must be ACTIVE on chain, it is {}", status.name(false));
        Err(Failure::new(Cause::TaskNotActive, text))
    }))
}

/// Whether this worker's contribution to the task was mined.
pub async fn contributed(
    writer: &ChainWriter,
    authorization: &WorkerpoolAuthorization,
    worker: Address,
) -> Result<bool, Failure> {
    let ask = || writer.chain().view_contribution(authorization.chain_task_id, worker);
    Ok(patiently(ask).await?.status != 0)
}
