//! A worker's upload (rules S1 to S6): authorized by the chain, received to disk while it is hashed, looked at, kept.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt as _;
use iexec_protocol::{
    authorization::{AuthorizationError, Authorized},
    call::storage::{Stored, UploadHeader},
    cid::Cid,
    deal::Deal,
    id::{Sha256, TaskId},
};
use iexec_service::{Problem, clock};
use sha2::Digest as _;
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::{Storage, accept, results};

/// Longest silence of the sender.
const SILENCE: Duration = Duration::from_secs(30);

/// Stores the body as an archive of the task.
pub(crate) async fn store(
    storage: &Arc<Storage>,
    task: TaskId,
    headers: &HeaderMap,
    body: Body,
) -> Result<Stored, Problem> {
    let mut chunks = body.into_data_stream();
    let stored = try_store(storage, task, headers, &mut chunks).await;
    if let Err(problem) = &stored {
        let detail = problem.detail();
        match problem.status() {
            // Logged with its cause, where it was seen.
            StatusCode::INTERNAL_SERVER_ERROR => (),
            status if status.is_server_error() => tracing::warn!(%task, "upload refused: {detail}"),
            _ => tracing::info!(%task, "upload refused: {detail}"),
        }
    }
    stored
}

async fn try_store(
    storage: &Arc<Storage>,
    task: TaskId,
    headers: &HeaderMap,
    chunks: &mut BodyDataStream,
) -> Result<Stored, Problem> {
    let (authorized, deal) = authorize(storage, task, headers).await?;
    check_announced(headers, storage.max_archive)?;
    let received = receive(storage, chunks).await?;
    let (size, cid) = (received.size, Cid::new(received.digest));
    keep(storage, received, cid, accept::must_be_encrypted(&deal.params)).await?;
    if !results::add(&storage.store, authorized.task(), cid, size, clock::now()).await? {
        let most = results::MAX_ARCHIVES;
        return Err(Problem::conflict(format!("task {task} has {most} archives already, the most that are kept")));
    }
    tracing::info!(%task, %cid, size, worker = %authorized.authorization().worker_wallet, "stored");
    storage.metrics.counter("storage_stored_total", "Archives stored.", &[]).increment();
    storage.metrics.counter("storage_stored_bytes_total", "Bytes of archives stored.", &[]).add(size);
    Ok(Stored { location: format!("/ipfs/{cid}") })
}

async fn authorize(storage: &Storage, task: TaskId, headers: &HeaderMap) -> Result<(Authorized, Deal), Problem> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| Problem::unauthorized("the header `authorization` is missing"))?;
    let UploadHeader { authorization, signature } = UploadHeader::parse(text).map_err(Problem::unauthorized)?;
    if authorization.chain_task_id != task {
        let other = authorization.chain_task_id;
        return Err(Problem::forbidden(format!("the authorization is for task {other}, the upload for {task}")));
    }
    let on_chain = storage.chain.view_task(task).await.map_err(Problem::unavailable)?;
    let deal = storage.chain.view_deal(on_chain.deal).await.map_err(Problem::unavailable)?;
    let deal = deal.ok_or_else(|| Problem::not_found(format!("task {task} is not initialised on chain")))?;
    let broker = storage.chain.tee_broker().await.map_err(Problem::unavailable)?;
    let authorized =
        authorization.authorize_under(broker, &signature, &on_chain, &deal).map_err(|error| refusal(&error))?;
    if deal.has_callback() {
        return Err(Problem::conflict("the deal's result goes to its callback contract, not to a storage"));
    }
    Ok((authorized, deal))
}

fn refusal(error: &AuthorizationError) -> Problem {
    let status = match error {
        AuthorizationError::NotActive { .. } => StatusCode::CONFLICT,
        AuthorizationError::OtherTask { .. } => StatusCode::FORBIDDEN,
        AuthorizationError::Worker { .. } | AuthorizationError::Pool { .. } | AuthorizationError::Broker { .. } => {
            StatusCode::UNAUTHORIZED
        }
    };
    Problem::new(status, error)
}

fn check_announced(headers: &HeaderMap, most: u64) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) { Err(too_large(most)) } else { Ok(()) }
}

fn too_large(most: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("an archive may have at most {most} bytes here"))
}

/// A received file and what was counted on the way.
struct Received {
    file: NamedTempFile,
    size: u64,
    digest: Sha256,
}

/// Writes the body to a file, hashed as it comes, and to the disk itself at the end.
async fn receive(storage: &Storage, chunks: &mut BodyDataStream) -> Result<Received, Problem> {
    let file = storage.archives.receive()?;
    let mut out = BufWriter::with_capacity(256 * 1024, tokio::fs::File::from_std(file.reopen()?));
    let (mut size, mut hasher) = (0_u64, sha2::Sha256::new());
    while let Some(chunk) = next(chunks).await? {
        size = size.saturating_add(chunk.len() as u64);
        if size > storage.max_archive {
            return Err(too_large(storage.max_archive));
        }
        hasher.update(&chunk);
        out.write_all(&chunk).await.map_err(disk)?;
    }
    out.flush().await.map_err(disk)?;
    out.get_ref().sync_all().await.map_err(disk)?;
    let digest: [u8; 32] = hasher.finalize().into();
    Ok(Received { file, size, digest: Sha256(digest.into()) })
}

async fn next(chunks: &mut BodyDataStream) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(SILENCE, chunks.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(Problem::bad_request(format!("the upload broke off: {error}"))),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("nothing came for {} s; the upload was dropped", SILENCE.as_secs()),
        )),
    }
}

fn disk(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::StorageFull {
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "the storage's disk is full");
    }
    error.into()
}

async fn keep(storage: &Arc<Storage>, received: Received, cid: Cid, encrypted: bool) -> Result<(), Problem> {
    let storage = storage.clone();
    let work = move || {
        let file = received.file;
        let checked = accept::check(io::BufReader::new(file.reopen()?), encrypted);
        checked.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))?;
        storage.archives.keep(file, cid).map_err(disk)
    };
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?
}
