//! `/tee`: challenges, sessions, evidence (spec SMS-30 to SMS-50).

mod properties;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use iexec_protocol::{
    authorization::WorkerpoolAuthorization,
    call::sms::{Data, SessionOffer},
    evidence::{Evidence, MAX_JSON, Tee},
    id::TaskId,
    session::SealedSession,
};
use iexec_service::{Json, clock, serve::Failed};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Context, RETRY_AFTER, Shared,
    audited::{Caller, Decided, audited, word},
    document::schema::{self, HashText},
    signature,
};
use crate::{
    store::Entry,
    tee::{self, Refusal},
};

/// Largest authorization read, in bytes.
const MAX_AUTHORIZATION: usize = 8 * 1024;

type Body = Result<Bytes, BytesRejection>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    let limited = |routes, bytes| OpenApiRouter::new().routes(routes).layer(DefaultBodyLimit::max(bytes));
    OpenApiRouter::new()
        .merge(properties::routes())
        .routes(routes!(challenge))
        .merge(limited(routes!(offer), MAX_AUTHORIZATION))
        .merge(limited(routes!(vouch), MAX_AUTHORIZATION))
        .merge(limited(routes!(release), MAX_JSON))
}

/// A refusal's body.
#[derive(serde::Serialize, ToSchema)]
pub(super) struct TeeRefusal {
    /// iExec's `TeeSessionGenerationError`.
    error: &'static str,
    /// The cause that a worker reports, and a sentence.
    detail: String,
}

/// Makes the task's challenge, or tells it again.
#[utoipa::path(
    post, path = "/tee/challenges/{task}", tag = "tee",
    params(("task" = HashText, Path, description = "The task's id; the deal's workerpool owner signs `keccak256(task)`")),
    responses((status = 200, description = "The challenge's address", body = String, content_type = "text/plain"), Refused),
    security(("v1" = [])),
)]
async fn challenge(
    State(sms): State<Shared>,
    caller: Caller,
    Path(task): Path<String>,
    headers: HeaderMap,
) -> Result<String, Refusal> {
    let outcome = try_challenge(&sms, &task, &headers).await;
    let outcome = audited(&sms, caller, "challenge", outcome, |entry| entry.with("task", word(&task))).await;
    count(&sms, "sms_challenges_total", "Requests for a challenge, by outcome.", &[], &outcome);
    outcome
}

async fn try_challenge(sms: &Context, task: &str, headers: &HeaderMap) -> Result<String, Refusal> {
    let task: TaskId = task.parse().map_err(malformed("parameter chainTaskId"))?;
    let signature = signature(headers).map_err(Refusal::Unsigned)?;
    let chain = sms.chain().await.map_err(Refusal::GetTask)?;
    let address = tee::challenge(&sms.store, chain, task, &signature).await?;
    tracing::info!(%task, challenge = %address, "challenge");
    Ok(address.to_string())
}

/// Begins a session: answers with the nonce that the enclave's evidence must hold.
#[utoipa::path(
    post, path = "/tee/sessions", tag = "tee",
    request_body(content = schema::Authorization, content_type = "application/json"),
    responses((status = 200, description = "The offer", body = schema::Offered), Refused),
    security(("v1" = [])),
)]
async fn offer(
    State(sms): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Data<SessionOffer>>, Refusal> {
    let outcome = try_offer(&sms, &headers, body).await;
    let outcome = audited(&sms, caller, "session", outcome, |entry| entry).await;
    count(&sms, "sms_sessions_offered_total", "Requests for a session, by outcome.", &[], &outcome);
    outcome.map(|data| Json(Data { data }))
}

async fn try_offer(sms: &Context, headers: &HeaderMap, body: Body) -> Result<SessionOffer, Refusal> {
    let authorization: WorkerpoolAuthorization = read("the WorkerpoolAuthorization", body)?;
    let signature = signature(headers).map_err(Refusal::Unsigned)?;
    let chain = sms.chain().await.map_err(Refusal::GetTask)?;
    let (task, worker) = (authorization.chain_task_id, authorization.worker_wallet);
    let offer =
        tee::offer(&sms.store, chain, &sms.trust.policy, &sms.origin, authorization, signature, clock::now()).await?;
    tracing::info!(%task, %worker, session = offer.session_id, "session offered");
    Ok(offer)
}

/// The TEE broker's signature on an authorization that the workerpool's owner signed for this SMS's challenge.
#[utoipa::path(
    post, path = "/v2/tee/authorizations", tag = "tee",
    request_body(content = schema::Authorization, content_type = "application/json"),
    responses((status = 200, description = "The authorization, signed by the broker", body = schema::Vouched), Refused),
)]
async fn vouch(
    State(sms): State<Shared>,
    caller: Caller,
    body: Body,
) -> Result<Json<Data<WorkerpoolAuthorization>>, Refusal> {
    let outcome = try_vouch(&sms, body).await;
    let outcome = audited(&sms, caller, "authorization", outcome, |entry| entry).await;
    count(&sms, "sms_authorizations_total", "Requests to the TEE broker, by outcome.", &[], &outcome);
    outcome.map(|data| Json(Data { data }))
}

async fn try_vouch(sms: &Context, body: Body) -> Result<WorkerpoolAuthorization, Refusal> {
    let authorization: WorkerpoolAuthorization = read("the WorkerpoolAuthorization", body)?;
    let chain = sms.chain().await.map_err(Refusal::GetTask)?;
    let (task, worker) = (authorization.chain_task_id, authorization.worker_wallet);
    let vouched = tee::vouch(&sms.store, chain, &sms.trust.policy, sms.broker.as_ref(), authorization).await?;
    tracing::info!(%task, %worker, "authorization vouched for");
    Ok(vouched)
}

/// Shows evidence for a session, once; answers with the session sealed to the evidence's key.
#[utoipa::path(
    post, path = "/tee/sessions/{id}/evidence", tag = "tee",
    params(("id" = String, Path, description = "The session's id")),
    request_body(content = schema::Evidence, content_type = "application/json"),
    responses((status = 200, description = "The sealed session", body = schema::Sealed), Refused),
)]
async fn release(
    State(sms): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Data<SealedSession>>, Refusal> {
    let evidence: Evidence = read("the evidence", body)?;
    let outcome = try_release(&sms, &id, &evidence).await;
    let judged = outcome.as_ref().map_or_else(Refusal::judged, |_| Some(("accepted", "")));
    if let Some((verdict, check)) = judged {
        let help = "Decisions about evidence, by TEE, verdict and the check that failed.";
        let labels = [("tee", evidence.tee.name()), ("verdict", verdict), ("check", check)];
        sms.metrics.counter("sms_attestations_total", help, &labels).increment();
    }
    let check = judged.map_or("", |(_, check)| check);
    let about = |entry: Entry| entry.with("session", word(&id)).with("tee", evidence.tee).with("check", check);
    let outcome = audited(&sms, caller, "evidence", outcome, about).await;
    let (name, help) = ("sms_sessions_released_total", "Evidence shown for a session, by TEE and outcome.");
    count(&sms, name, help, &[("tee", evidence.tee.name())], &outcome);
    outcome.map(|data| Json(Data { data }))
}

async fn try_release(sms: &Context, id: &str, evidence: &Evidence) -> Result<SealedSession, Refusal> {
    let chain = sms.chain().await.map_err(Refusal::GetTask)?;
    let sealed = tee::release(&sms.store, chain, &sms.trust, id, evidence, clock::now()).await?;
    let tee = evidence.tee;
    if tee == Tee::Simulated {
        tracing::warn!(session = id, %tee, "session released to a SIMULATED enclave: no hardware vouches for it");
    } else {
        tracing::info!(session = id, %tee, "session released");
    }
    Ok(sealed)
}

fn read<T: DeserializeOwned>(what: &str, body: Body) -> Result<T, Refusal> {
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::Oversized(format!("{what}: the body is too large")),
        _ => Refusal::Malformed(error.body_text()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::Malformed(format!("{what}: {}", fault(&error))))
}

/// What is wrong and where, without what was sent: it may be a secret that came to the wrong place.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_field_alone = text.starts_with("missing field") || text.starts_with("duplicate field");
    if !error.is_data() || names_a_field_alone {
        return text;
    }
    format!("a value that its field cannot have, at line {} column {}", error.line(), error.column())
}

fn malformed<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Refusal {
    move |error| Refusal::Malformed(format!("{what}: {error}"))
}

/// Counts an outcome; a refusal is logged here, once.
fn count<T>(
    sms: &Context,
    name: &'static str,
    help: &'static str,
    labels: &[(&str, &str)],
    outcome: &Result<T, Refusal>,
) {
    let (result, cause) = match outcome {
        Ok(_) => ("ok", ""),
        Err(refusal) => {
            match refusal {
                Refusal::Internal(error) => tracing::error!("{error:#}"),
                refusal => tracing::info!(cause = %refusal.cause(), "refused: {refusal}"),
            }
            ("refused", refusal.name())
        }
    };
    let labels = [labels, &[("outcome", result), ("cause", cause)]].concat();
    sms.metrics.counter(name, help, &labels).increment();
}

impl Decided for Refusal {
    fn verdict(&self) -> Option<&'static str> {
        match self.status() {
            400 | 413 | 429 | 500.. => None,
            _ => Some(self.name()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let said = TeeRefusal { error: self.name(), detail: format!("{}: {self}", self.cause()) };
        let mut response = (status, axum::Json(said)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        match self {
            Self::GetTask(_) | Self::GetDeal(_) => drop(response.extensions_mut().insert(Failed("chain"))),
            Self::Collateral(_) => drop(response.extensions_mut().insert(Failed("collateral"))),
            Self::Unavailable => drop(response.extensions_mut().insert(Failed("database"))),
            _ => (),
        }
        response
    }
}

/// Why there is no challenge or session.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum Refused {
    #[response(status = 400, description = "Malformed")]
    Malformed(TeeRefusal),
    #[response(status = 401, description = "A signature is missing, malformed, or of somebody else")]
    Unsigned(TeeRefusal),
    #[response(status = 403, description = "The evidence is refused, or the challenge is not this SMS's")]
    Forbidden(TeeRefusal),
    #[response(status = 404, description = "No such session")]
    Absent(TeeRefusal),
    #[response(status = 409, description = "The task is not ACTIVE, or the session was released before")]
    State(TeeRefusal),
    #[response(status = 410, description = "The session expired")]
    Expired(TeeRefusal),
    #[response(status = 413, description = "Too large")]
    TooLarge(TeeRefusal),
    #[response(status = 422, description = "The deal cannot be served: tag, parameters, a missing key")]
    Unserved(TeeRefusal),
    #[response(status = 429, description = "Too many requests of this client")]
    Limited(TeeRefusal),
    #[response(status = 500, description = "The service failed")]
    Internal(TeeRefusal),
    #[response(status = 503, description = "The chain or the database does not answer")]
    Unavailable(TeeRefusal),
}
