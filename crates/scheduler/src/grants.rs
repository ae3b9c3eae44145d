//! What workers call: ask for a task, report on it. Every request is signed by the worker's wallet (spec T9 to T13).

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use iexec_protocol::{
    Address, Timestamp,
    authorization::{TaskRef, WorkerpoolAuthorization},
    call::{
        scheduler::{AskGrant, Grant, Progress, Report, Verdict, WorkerHeader},
        sms::AskBroker,
    },
    cause::Cause,
    id::TaskId,
    task::{Action, ChainStatus, Event, Task},
};
use iexec_service::{Json, Problem};

use crate::{
    Scheduler,
    history::{Entry, Modifier},
    store::Row,
};

/// How long a request for a task waits for one before the answer is «none».
const WAIT: Duration = Duration::from_secs(2);

/// How often a waiting request looks again unasked: pauses after failures end without anybody saying so.
const AGAIN: Duration = Duration::from_millis(250);

/// A worker that holds a task and asks for one, silent for so many seconds, has been restarted and gets the same again.
const FORGOTTEN_AFTER: u64 = 10;

const MAX_BODY: usize = 4 * 1024;
const MAX_STATUS: usize = 48;
const MAX_MESSAGE: usize = 500;

pub(crate) fn router() -> Router<Arc<Scheduler>> {
    Router::new()
        .route(AskGrant::PATH, post(ask))
        .route("/v1/grants/{task}/report", post(report))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn ask(State(scheduler): State<Arc<Scheduler>>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let worker = authenticate(&scheduler, &headers, AskGrant::PATH, &body)?;
    let begun = tokio::time::Instant::now();
    loop {
        let ready = scheduler.ready.notified();
        tokio::pin!(ready);
        ready.as_mut().enable();
        if let Some((row, challenge)) = grant(&scheduler, worker).await? {
            let grant = signed(&scheduler, &row, worker, challenge).await?;
            return Ok(Json(grant).into_response());
        }
        let again = (tokio::time::Instant::now() + AGAIN).min(begun + WAIT);
        tokio::select! {
            () = ready => (),
            () = tokio::time::sleep_until(again) => (),
            () = scheduler.stop.cancelled() => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
        if begun.elapsed() >= WAIT {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

/// Grants a task to a worker: one that it holds already, or the most urgent.
async fn grant(scheduler: &Scheduler, worker: Address) -> Result<Option<(Row, Address)>, Problem> {
    let now = time(scheduler).await?;
    let _granting = scheduler.granting.lock().await;
    let held = scheduler.store.held_by(worker).await?;
    let again = held_again(&held, now, scheduler.capacity);
    let candidates = match again {
        Some(row) => vec![row.id],
        None if held.len() >= scheduler.capacity => Vec::new(),
        None => scheduler.store.grantable(now).await?.into_iter().map(|row| row.id).collect(),
    };
    for id in candidates {
        let stepped = scheduler.apply(id, &Event::Asked { worker }, None).await?;
        if let Some((row, Some(Action::Grant { challenge, .. }))) = stepped {
            return Ok(Some((row, challenge)));
        }
    }
    Ok(None)
}

/// The task that a worker is given again: the one it has been silent about for longest, if it holds all it may or seems
/// to have forgotten it.
fn held_again(held: &[Row], now: Timestamp, capacity: usize) -> Option<&Row> {
    let heard = |row: &Row| if let Task::Granted { heard, .. } = row.task { heard } else { now };
    let silent = held.iter().min_by_key(|row| heard(row))?;
    let forgotten = now.saturating_sub(heard(silent)) >= FORGOTTEN_AFTER;
    (held.len() >= capacity || forgotten).then_some(silent)
}

/// A worker whose grant cannot be signed now asks again, and is given the same task.
async fn signed(scheduler: &Scheduler, row: &Row, worker: Address, challenge: Address) -> Result<Grant, Problem> {
    let task = TaskRef { id: row.id, deal: row.deal, index: row.index };
    let key = scheduler.chain.wallet().key();
    let own =
        WorkerpoolAuthorization::sign(&task, worker, challenge, key).context("the authorization cannot be signed")?;
    let authorization = if challenge.is_zero() { own } else { vouched(scheduler, own).await? };
    scheduler.metrics.counter("grants_total", "Tasks granted to workers, repetitions included.", &[]).increment();
    let sms_url = scheduler.sms_url.clone().filter(|_| row.tag.is_tee()).unwrap_or_default();
    Ok(Grant { authorization, sms_url, storage_url: scheduler.storage_url.clone() })
}

/// Where the hub has a TEE broker, its signature is the one that counts on chain (spec T17): the pool's SMS gives it.
async fn vouched(scheduler: &Scheduler, own: WorkerpoolAuthorization) -> Result<WorkerpoolAuthorization, Problem> {
    let Some(broker) = scheduler.chain.chain().tee_broker().await.map_err(Problem::unavailable)? else {
        return Ok(own);
    };
    let sms = scheduler.sms_url.as_deref().context("the hub has a TEE broker and no SMS is configured")?;
    let asked = scheduler.client.send(sms, &AskBroker { authorization: own.clone() }).await;
    let vouched = asked.map_err(|error| {
        tracing::warn!("the TEE broker signs nothing for task {}: {error}", own.chain_task_id);
        Problem::unavailable(format!("the TEE broker's signature: {error}"))
    })?;
    let same = WorkerpoolAuthorization { signature: own.signature.clone(), ..vouched.clone() } == own;
    if same && vouched.signature.value.signer_of_personal(own.hash()) == Some(broker) {
        return Ok(vouched);
    }
    tracing::error!("the SMS answers with something else than the signature of the hub's TEE broker {broker}");
    Err(Problem::unavailable(format!("the SMS is not the hub's TEE broker {broker}")))
}

async fn report(
    State(scheduler): State<Arc<Scheduler>>,
    Path(task): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Verdict>, Problem> {
    let task: TaskId = task.parse().map_err(Problem::bad_request)?;
    let worker = authenticate(&scheduler, &headers, &Report::path(task), &body)?;
    let progress: Progress = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the report of task {task}: {error}")))?;
    time(&scheduler).await?;
    let Some(row) = scheduler.store.task(task).await? else {
        return Err(Problem::not_found(format!("this workerpool has no task {task}")));
    };
    let go_on = match progress {
        Progress::Working { status } => working(&scheduler, &row, worker, &status).await?,
        Progress::Done => done(&scheduler, &row, worker).await?,
        Progress::GaveUp { cause, message } => gave_up(&scheduler, &row, worker, cause, &message).await?,
    };
    Ok(Json(Verdict { go_on }))
}

async fn working(scheduler: &Scheduler, row: &Row, worker: Address, status: &str) -> Result<bool, Problem> {
    if status.is_empty() || status.len() > MAX_STATUS || !status.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return Err(Problem::bad_request(format!(
            "status must be 1 to {MAX_STATUS} capital letters and underscores, as COMPUTING"
        )));
    }
    let mut holds = heard(scheduler, row.id, worker).await?;
    // Given up as lost, not yet given to another: what it computed meanwhile is not thrown away.
    if !holds && matches!(row.task, Task::Ready { .. }) && scheduler.store.was_held_by(row.id, worker).await? {
        let _granting = scheduler.granting.lock().await;
        if scheduler.store.held_by(worker).await?.len() < scheduler.capacity {
            scheduler.apply(row.id, &Event::Asked { worker }, None).await?;
            holds = heard(scheduler, row.id, worker).await?;
        }
    }
    if holds {
        scheduler.store.note(row.id, &Entry::of_worker(worker, status, Modifier::Worker)).await?;
    }
    Ok(holds)
}

/// Believed only when the chain says so.
async fn done(scheduler: &Scheduler, row: &Row, worker: Address) -> Result<bool, Problem> {
    let status = status(scheduler, row.id).await?;
    if row.task.holder() == Some(worker) && status == ChainStatus::Completed {
        let told = Entry::of_worker(worker, "CONTRIBUTE_AND_FINALIZE_DONE", Modifier::Worker);
        scheduler.store.note(row.id, &told).await?;
    }
    scheduler.apply(row.id, &Event::Observed(status), None).await?;
    heard(scheduler, row.id, worker).await
}

/// The chain is asked first: who gives up may not know that its result was mined.
async fn gave_up(
    scheduler: &Scheduler,
    row: &Row,
    worker: Address,
    cause: Cause,
    message: &str,
) -> Result<bool, Problem> {
    let status = status(scheduler, row.id).await?;
    scheduler.apply(row.id, &Event::Observed(status), None).await?;
    let message: String = message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
    let message = Some(message.trim()).filter(|message| !message.is_empty());
    scheduler.apply(row.id, &Event::GaveUp { worker, cause }, message).await?;
    Ok(false)
}

async fn status(scheduler: &Scheduler, task: TaskId) -> Result<ChainStatus, Problem> {
    Ok(scheduler.chain.chain().view_task(task).await.map_err(Problem::unavailable)?.status)
}

/// Whether the worker holds the task; if so, it was heard of now.
async fn heard(scheduler: &Scheduler, task: TaskId, worker: Address) -> Result<bool, Problem> {
    let stepped = scheduler.apply(task, &Event::Heard { worker }, None).await?;
    Ok(stepped.is_some_and(|(row, _)| row.task.holder() == Some(worker)))
}

fn authenticate(scheduler: &Scheduler, headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Address, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| Problem::unauthorized("the Authorization header is missing"))?;
    let worker =
        WorkerHeader::verify(header, iexec_service::clock::now(), path, body).map_err(Problem::unauthorized)?;
    if scheduler.workers.is_empty() || scheduler.workers.contains(&worker) {
        return Ok(worker);
    }
    Err(Problem::forbidden(format!("the worker {worker} is not on this pool's list of workers")))
}

/// The chain's time; a scheduler that has just started is given a moment to reach its chain.
async fn time(scheduler: &Scheduler) -> Result<Timestamp, Problem> {
    let begun = tokio::time::Instant::now();
    while scheduler.clock.now().is_none() && begun.elapsed() < WAIT {
        tokio::time::sleep(AGAIN).await;
    }
    scheduler.clock.now().ok_or_else(|| Problem::unavailable("the chain has not been reached yet"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iexec_protocol::{B256, id::DealId, tag::Tag, task::Deadlines};

    fn held(number: u8, heard: Timestamp) -> Row {
        let worker = Address::repeat_byte(3);
        Row {
            id: TaskId(B256::repeat_byte(number)),
            deal: DealId::default(),
            index: 0,
            tag: Tag::NONE,
            deadlines: Deadlines { contribution: 700, claim: 1000 },
            task: Task::Granted { challenge: Address::ZERO, attempts: 1, worker, heard },
            version: 0,
        }
    }

    fn again(held: &[Row], capacity: usize) -> Option<u8> {
        held_again(held, 100, capacity).map(|row| row.id.0[0])
    }

    #[test]
    fn a_worker_that_holds_all_it_may_is_given_one_of_these_again() {
        assert_eq!(again(&[], 1), None);
        assert_eq!(again(&[held(1, 100)], 1), Some(1));
        assert_eq!(again(&[held(1, 100), held(2, 99)], 2), Some(2));
    }

    #[test]
    fn a_worker_with_room_left_is_given_again_only_what_it_is_silent_about() {
        assert_eq!(again(&[held(1, 95)], 2), None);
        assert_eq!(again(&[held(1, 90)], 2), Some(1));
    }
}
