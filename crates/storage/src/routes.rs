//! Paths and methods of the storage, and what each reads from a request.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use iexec_protocol::{call::storage::Stored, cid::Cid, id::TaskId};
use iexec_service::{Json, Problem};
use serde_json::{Value, json};

use crate::{Storage, gateway, login, results, upload};

type Shared = State<Arc<Storage>>;

/// The whole API.
pub(crate) fn router(storage: Arc<Storage>) -> Router {
    Router::new()
        .route("/v1/results/{task}", put(store).get(archives).head(exists))
        .route("/v1/results/{task}/ipfshash", get(newest))
        .route("/results/{task}/ipfshash", get(newest))
        .route("/ipfs/{cid}", get(download).head(download))
        .route("/results/challenge", get(challenge))
        .route("/results/login", post(log_in))
        .with_state(storage)
}

async fn store(
    State(storage): Shared,
    Path(task): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Stored>), Problem> {
    let stored = upload::store(&storage, read_task(&task)?, &headers, body).await?;
    Ok((StatusCode::CREATED, Json(stored)))
}

async fn archives(State(storage): Shared, Path(task): Path<String>) -> Result<Json<Value>, Problem> {
    let task = read_task(&task)?;
    let cids = known(&storage, task).await?;
    let locations: Vec<_> = cids.iter().map(|cid| format!("/ipfs/{cid}")).collect();
    Ok(Json(json!({"task": task, "cids": cids, "locations": locations})))
}

async fn exists(State(storage): Shared, Path(task): Path<String>) -> Result<StatusCode, Problem> {
    known(&storage, read_task(&task)?).await.map(|_| StatusCode::NO_CONTENT)
}

async fn newest(State(storage): Shared, Path(task): Path<String>) -> Result<String, Problem> {
    Ok(known(&storage, read_task(&task)?).await?.pop().unwrap_or_default())
}

/// The task's archives: at least one.
async fn known(storage: &Storage, task: TaskId) -> Result<Vec<String>, Problem> {
    let cids = results::of(&storage.store, task).await?;
    if cids.is_empty() { Err(Problem::not_found(format!("task {task} has no archive here"))) } else { Ok(cids) }
}

async fn download(
    State(storage): Shared,
    Path(cid): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cid: Cid = cid.parse().map_err(Problem::bad_request)?;
    let answer = gateway::send(&storage, cid, &method, &headers).await?;
    storage.metrics.counter("storage_downloads_total", "Downloads begun.", &[]).increment();
    Ok(answer.into_response())
}

async fn challenge(State(storage): Shared, RawQuery(query): RawQuery) -> Result<Json<Value>, Problem> {
    login::challenge(&storage, query.as_deref()).await.map(Json)
}

async fn log_in(State(storage): Shared, RawQuery(query): RawQuery, body: Bytes) -> Result<String, Problem> {
    login::token(&storage, query.as_deref(), &body).await
}

fn read_task(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(Problem::bad_request)
}
