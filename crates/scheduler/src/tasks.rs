//! What anyone may ask about a task: the API of iExec's core that the SDK's `task debug` reads.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    routing::get,
};
use iexec_protocol::{
    Address,
    cause::Cause,
    id::{TaskId, parse_address},
    task::Task,
};
use iexec_service::{Json, Problem, clock, login};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Scheduler, history,
    store::{Line, Row, TaskReport},
};

/// The login challenges' EIP-712 domain, as iExec's core has it.
const LOGIN: &str = "iExec Core";

pub(crate) fn router() -> Router<Arc<Scheduler>> {
    Router::new()
        .route("/tasks/{task}", get(show))
        .route("/tasks/logs/challenge", get(challenge))
        .route("/tasks/{task}/logs", get(logs))
}

async fn show(State(scheduler): State<Arc<Scheduler>>, Path(task): Path<String>) -> Result<Json<Value>, Problem> {
    let row = find(&scheduler, &task).await?;
    let report = scheduler.store.report(row.id).await?;
    Ok(Json(shown(&row, &report)))
}

async fn find(scheduler: &Scheduler, task: &str) -> Result<Row, Problem> {
    let id: TaskId = task.parse().map_err(Problem::bad_request)?;
    let found = scheduler.store.task(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("this workerpool has no task {id}")))
}

/// iExec's task model, with the cause, its remedy and the words beside it.
fn shown(row: &Row, report: &TaskReport) -> Value {
    let own: Vec<_> = report.lines.iter().filter(|line| line.worker.is_none()).collect();
    let current = own.last().map_or_else(|| history::status(&row.task), |line| line.status.as_str());
    let cause = row.task.cause();
    json!({
        "chainTaskId": row.id,
        "chainDealId": row.deal,
        "taskIndex": row.index,
        "tag": row.tag,
        "currentStatus": current,
        "dateStatusList": own.iter().map(|line| status_change(line)).collect::<Vec<_>>(),
        "replicates": replicates(row, &report.lines),
        "contributionDeadline": row.deadlines.contribution,
        "finalDeadline": row.deadlines.claim,
        "state": row.task.name(),
        "cause": cause,
        "remedy": cause.map(Cause::remedy),
        "message": report.message,
    })
}

fn replicates(row: &Row, lines: &[Line]) -> Vec<Value> {
    let mut by_worker: BTreeMap<Address, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        by_worker.entry(line.worker.unwrap_or_default()).or_default().push(line);
    }
    // Lines of the task itself have no worker.
    by_worker.remove(&Address::ZERO);
    let replicate = |(worker, lines): (Address, Vec<&Line>)| {
        let finished = lines.last().is_some_and(|line| line.status == "COMPLETED");
        json!({
            "chainTaskId": row.id,
            "walletAddress": worker,
            "appExitCode": finished.then_some(0),
            "currentStatus": lines.last().map(|line| line.status.as_str()),
            "statusUpdateList": lines.into_iter().map(status_change).collect::<Vec<_>>(),
        })
    };
    by_worker.into_iter().map(replicate).collect()
}

fn status_change(line: &Line) -> Value {
    let mut change = json!({"status": line.status, "date": line.date, "modifier": line.modifier});
    if let Some(cause) = &line.cause {
        let remedy = cause.parse::<Cause>().ok().map(Cause::remedy);
        change["details"] = json!({"cause": cause, "remedy": remedy, "errorMessage": line.message});
    }
    change
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChallengeQuery {
    chain_id: Option<u64>,
    address: String,
}

async fn challenge(
    State(scheduler): State<Arc<Scheduler>>,
    query: Result<Query<ChallengeQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let chain_id = scheduler.chain.chain().chain_id();
    if let Some(asked) = query.chain_id.filter(|asked| *asked != chain_id) {
        return Err(Problem::bad_request(format!("chainId is {asked}, this pool is on chain {chain_id}")));
    }
    let address = parse_address(&query.address).map_err(|error| Problem::bad_request(format!("address: {error}")))?;
    let challenge = login::challenge(scheduler.store.logins(), LOGIN, chain_id, address, clock::now()).await?;
    Ok(Json(challenge.to_typed_data()))
}

async fn logs(
    State(scheduler): State<Arc<Scheduler>>,
    Path(task): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let row = find(&scheduler, &task).await?;
    let caller = login::authorize(scheduler.store.logins(), &headers, clock::now()).await?;
    if scheduler.store.requester(row.deal).await? != Some(caller) {
        return Err(Problem::forbidden(format!("the logs of task {} are for its requester alone", row.id)));
    }
    Ok(Json(json!({ "computeLogsList": [], "message": no_logs(&row) })))
}

/// Reports carry no output of the app: in an enclave it is part of the encrypted result, and nowhere else.
fn no_logs(row: &Row) -> &'static str {
    match (row.tag.is_tee(), &row.task) {
        (true, Task::Completed) => "the app's output is stdout.txt and stderr.txt in the encrypted result",
        (true, _) => "the app runs in an enclave: its output leaves it with the encrypted result only",
        (false, _) => "this pool's workers report no output; a finished task has it in its result",
    }
}
