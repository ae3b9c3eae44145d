//! `/tee`: challenges, sessions, evidence, and which TEE this SMS believes in (spec SMS-30 to SMS-50).

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use iexec_protocol::{
    authorization::WorkerpoolAuthorization,
    call::sms::{Data, SessionOffer},
    evidence::{Evidence, MAX_QUOTE, Tee},
    id::TaskId,
    session::SealedSession,
};
use iexec_service::{Json, clock};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Context, Shared, signature};
use crate::tee::{self, Refusal};

/// Largest authorization read, in bytes.
const MAX_AUTHORIZATION: usize = 8 * 1024;
/// Largest evidence read: its quote in base64, and what is around it.
const MAX_EVIDENCE: usize = MAX_QUOTE / 3 * 4 + 4 * 1024;

type Body = Result<Bytes, BytesRejection>;

/// The routes.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/tee/framework", get(framework))
        .route("/tee/challenges/{task}", post(challenge))
        .route("/tee/sessions", post(offer).layer(DefaultBodyLimit::max(MAX_AUTHORIZATION)))
        .route("/tee/sessions/{id}/evidence", post(release).layer(DefaultBodyLimit::max(MAX_EVIDENCE)))
}

/// The TEE that evidence is accepted of, upper case as iExec's; a simulation says so. 404 as long as there is none.
async fn framework(State(sms): State<Shared>) -> Response {
    if let Some(tee) = sms.trust.tees.first() {
        return Json(tee.name().to_uppercase()).into_response();
    }
    let detail = "this SMS accepts evidence of no TEE: it was started without --insecure-simulated-tee";
    let body = json!({ "error": "SECURE_SESSION_NO_TEE_FRAMEWORK", "detail": detail });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn challenge(State(sms): State<Shared>, Path(task): Path<String>, headers: HeaderMap) -> Result<String, Refusal> {
    let outcome = try_challenge(&sms, &task, &headers).await;
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

async fn offer(State(sms): State<Shared>, headers: HeaderMap, body: Body) -> Result<Json<Data<SessionOffer>>, Refusal> {
    let outcome = try_offer(&sms, &headers, body).await;
    count(&sms, "sms_sessions_offered_total", "Requests for a session, by outcome.", &[], &outcome);
    outcome.map(|data| Json(Data { data }))
}

async fn try_offer(sms: &Context, headers: &HeaderMap, body: Body) -> Result<SessionOffer, Refusal> {
    let authorization: WorkerpoolAuthorization = read("the WorkerpoolAuthorization", body)?;
    let signature = signature(headers).map_err(Refusal::Unsigned)?;
    let chain = sms.chain().await.map_err(Refusal::GetTask)?;
    let (task, worker) = (authorization.chain_task_id, authorization.worker_wallet);
    let offer = tee::offer(&sms.store, chain, &sms.origin, authorization, signature, clock::now()).await?;
    tracing::info!(%task, %worker, session = offer.session_id, "session offered");
    Ok(offer)
}

async fn release(
    State(sms): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Data<SealedSession>>, Refusal> {
    let evidence: Evidence = read("the evidence", body)?;
    let outcome = try_release(&sms, &id, &evidence).await;
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
    serde_json::from_slice(&bytes).map_err(malformed(what))
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({ "error": self.name(), "detail": format!("{}: {self}", self.cause()) }).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
