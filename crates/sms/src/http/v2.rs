//! The second API for secrets: `/v2` (spec SMS-70 to SMS-79). Keep, replace, delete, list; every request signed for this one
//! SMS, for minutes, once. Nothing reads a value back here either.

mod asked;
mod refusal;

use axum::{
    Json,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
};
use iexec_protocol::{
    Address,
    call::secrets::{Kept, Listed, Listing, SmsTerms},
    secret::{MAX_SECRET, SecretKind},
    secret_request::{MAX_AHEAD, RequestHeader, Subject},
};
use iexec_service::clock;
use utoipa_axum::{router::OpenApiRouter, routes};

use asked::{Asked, At, Named, Of, Pages};
pub(super) use refusal::Problem;
use refusal::Refusal;

use super::{
    Context, Shared, address,
    audited::{Caller, audited, word},
    authorization,
    document::schema::{self, SecretValue},
    fault::Fault,
    owner::speaker,
    value::{Body, value},
};
use crate::{
    secret::{Signed, check_signer},
    store::{Deleted, Entry, Fence, Put},
};

/// Secrets on one page of a list.
const PAGE: u32 = 500;

/// The routes. A body is read up to the size of a secret and no further.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(v2_terms))
        .routes(routes!(v2_list))
        .routes(routes!(v2_put, v2_delete))
        .layer(DefaultBodyLimit::max(MAX_SECRET))
}

/// What a client must know before it signs a request.
#[utoipa::path(
    get, path = "/v2", tag = "secrets, second API",
    responses((status = 200, description = "Audience, chain and limits", body = schema::Terms)),
)]
async fn v2_terms(State(sms): State<Shared>) -> Json<SmsTerms> {
    Json(SmsTerms {
        audience: sms.origin.clone(),
        chain_id: sms.chain_id,
        max_ahead: MAX_AHEAD,
        max_secret: MAX_SECRET,
        max_secrets: sms.max_secrets,
    })
}

/// Keep a value as the next version of a secret.
///
/// The signed `version` is the one that it becomes: 1 for a secret that was never there, else one above the last, where a
/// deletion counts as a version.
#[utoipa::path(
    put, path = "/v2/secrets/{kind}/{owner}", tag = "secrets, second API",
    params(At, Named),
    request_body(content = SecretValue, content_type = "text/plain"),
    responses((status = 200, description = "Kept", body = schema::Kept), Refused),
    security(("v2" = [])),
)]
async fn v2_put(
    State(sms): State<Shared>,
    caller: Caller,
    Path(at): Path<At>,
    named: Asked<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Kept>, Refusal> {
    let outcome = try_put(&sms, &at, named, &headers, body).await;
    let outcome = audited(&sms, caller, "put", outcome, |entry| about(entry, &at)).await;
    count(&sms, "put", &at.kind, &outcome);
    outcome.map(|version| Json(Kept { version }))
}

async fn try_put(sms: &Context, at: &At, named: Asked<Named>, headers: &HeaderMap, body: Body) -> Result<u64, Refusal> {
    let (header, id) = (signed(headers)?, asked::secret(at, named)?);
    media_type(headers)?;
    header.terms.check(clock::now(), &sms.origin)?;
    let before = header.terms.version.checked_sub(1).ok_or(Refusal::FirstVersion)?;
    let value = value(body)?;
    let signed = Signed::request(&id, &value, &header, sms.chain_id).ok_or_else(Fault::nobody)?;
    let speaker = admit(sms, id.kind(), id.owner(), signed.signer()).await?;
    let approved = signed.approve(speaker)?;
    match sms.store.put_secret(approved, fence(&header, speaker, before)).await? {
        Put::Kept(version) => Ok(version),
        Put::Version(last) => Err(Refusal::Version { last, asked: header.terms.version }),
        Put::Full => Err(Refusal::Full { most: sms.max_secrets }),
        Put::NonceUsed => Err(Refusal::NonceUsed),
    }
}

/// Delete a secret. Its versions go on: what is put there next is one above the deletion.
#[utoipa::path(
    delete, path = "/v2/secrets/{kind}/{owner}", tag = "secrets, second API",
    params(At, Named),
    responses((status = 204, description = "Deleted"), Refused),
    security(("v2" = [])),
)]
async fn v2_delete(
    State(sms): State<Shared>,
    caller: Caller,
    Path(at): Path<At>,
    named: Asked<Named>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let outcome = try_delete(&sms, &at, named, &headers).await;
    let outcome = audited(&sms, caller, "delete", outcome, |entry| about(entry, &at)).await;
    count(&sms, "delete", &at.kind, &outcome);
    outcome.map(|()| StatusCode::NO_CONTENT)
}

async fn try_delete(sms: &Context, at: &At, named: Asked<Named>, headers: &HeaderMap) -> Result<(), Refusal> {
    let (header, id) = (signed(headers)?, asked::secret(at, named)?);
    header.terms.check(clock::now(), &sms.origin)?;
    let signer = header.signer(&Subject::delete(&id), sms.chain_id).ok_or_else(Fault::nobody)?;
    let speaker = admit(sms, id.kind(), id.owner(), signer).await?;
    check_signer(signer, speaker)?;
    let fence = fence(&header, speaker, header.terms.version);
    match sms.store.delete_secret(&id, fence).await? {
        Deleted::Gone(_) => Ok(()),
        Deleted::Absent => Err(Refusal::Absent),
        Deleted::Version(last) => Err(Refusal::Version { last, asked: header.terms.version }),
        Deleted::NonceUsed => Err(Refusal::NonceUsed),
    }
}

/// Names, versions and times of an owner's secrets, deleted ones among them; never a value.
#[utoipa::path(
    get, path = "/v2/secrets/{owner}", tag = "secrets, second API",
    params(Of, Pages),
    responses((status = 200, description = "A page of them", body = schema::Listing), Refused),
    security(("v2" = [])),
)]
async fn v2_list(
    State(sms): State<Shared>,
    caller: Caller,
    Path(of): Path<Of>,
    pages: Asked<Pages>,
    headers: HeaderMap,
) -> Result<Json<Listing>, Refusal> {
    let outcome = try_list(&sms, &of, pages, &headers).await;
    let outcome = audited(&sms, caller, "list", outcome, |entry| entry.with("owner", word(&of.owner))).await;
    count(&sms, "list", "", &outcome);
    outcome.map(Json)
}

async fn try_list(sms: &Context, of: &Of, pages: Asked<Pages>, headers: &HeaderMap) -> Result<Listing, Refusal> {
    let header = signed(headers)?;
    let (owner, kind, after) = asked::page(of, pages)?;
    header.terms.check(clock::now(), &sms.origin)?;
    let signer = header.signer(&Subject::list(owner, kind), sms.chain_id).ok_or_else(Fault::nobody)?;
    let speaker = admit(sms, kind.unwrap_or(SecretKind::Web2), owner, signer).await?;
    check_signer(signer, speaker)?;
    if !sms.store.use_nonce(speaker, header.terms.nonce, header.terms.deadline).await? {
        return Err(Refusal::NonceUsed);
    }
    let after = after.as_deref().map(|after| after.split_once(' ').unwrap_or((after, "")));
    let page = sms.store.list_secrets(owner, after, PAGE).await?;
    let full = u32::try_from(page.len()).is_ok_and(|length| length == PAGE);
    let last = page.last().filter(|_| full);
    let next = last.map(|last| format!("{} {}", last.kind, last.name));
    let wanted = page.into_iter().filter(|found| kind.is_none_or(|kind| kind.name() == found.kind));
    Ok(Listing { secrets: wanted.map(listed).collect(), next })
}

fn listed(secret: crate::store::Listed) -> Listed {
    let crate::store::Listed { kind, name, version, created, updated, deleted } = secret;
    Listed { kind, name, version, created, updated, deleted }
}

/// What is told of a refusal before it is known which secret it is about.
fn about(entry: Entry, at: &At) -> Entry {
    entry.with("kind", word(&at.kind)).with("owner", word(&at.owner))
}

/// The header, before anything else is looked at.
fn signed(headers: &HeaderMap) -> Result<RequestHeader, Fault> {
    let text = authorization(headers).map_err(|cause| Fault::Unsigned(cause.to_owned()))?;
    text.parse().map_err(|error: iexec_protocol::secret_request::RequestHeaderError| Fault::Unsigned(error.to_string()))
}

/// A value is text; a body that says that it is something else was not meant as one.
fn media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given = String::from_utf8_lossy(given.as_bytes()).to_ascii_lowercase();
    match given.split(';').next().map(str::trim) {
        Some("text/plain" | "application/octet-stream") => Ok(()),
        _ => Err(Refusal::MediaType),
    }
}

/// Whose signature counts, after `signer` took its turn.
async fn admit(sms: &Context, kind: SecretKind, owner: Address, signer: Address) -> Result<Address, Fault> {
    sms.limits.admit(kind, owner, signer)?;
    Ok(speaker(sms, kind, owner).await?)
}

fn fence(header: &RequestHeader, signer: Address, version: u64) -> Fence {
    Fence { signer, nonce: header.terms.nonce, deadline: header.terms.deadline, version }
}

fn count<T>(sms: &Context, verb: &'static str, kind: &str, outcome: &Result<T, Refusal>) {
    let kind = kind.parse().map_or("", SecretKind::name);
    let words = outcome.as_ref().err().map_or("ok", Refusal::code);
    tracing::info!(verb, kind, outcome = words, "secret request");
    let labels = [("verb", verb), ("kind", kind), ("outcome", words)];
    let help = "Requests of the second API for secrets, by verb, kind and outcome.";
    sms.metrics.counter("sms_secret_requests_total", help, &labels).increment();
}

/// Why nothing was done.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum Refused {
    #[response(
        status = 400,
        content_type = "application/problem+json",
        description = "`malformed`: a parameter or the body"
    )]
    Malformed(Problem),
    #[response(
        status = 401,
        content_type = "application/problem+json",
        description = "`unsigned`: no signature of this form; `signer`: not the owner's over exactly this request; `audience`, `expired`, `deadline`: signed for another SMS, too long ago, or for too far ahead"
    )]
    Unsigned(Problem),
    #[response(
        status = 403,
        content_type = "application/problem+json",
        description = "`quota`: the owner has as many secrets as one owner may have"
    )]
    Full(Problem),
    #[response(
        status = 404,
        content_type = "application/problem+json",
        description = "`absent`: no such secret; `unregistered`: no such app or dataset on chain"
    )]
    Absent(Problem),
    #[response(
        status = 409,
        content_type = "application/problem+json",
        description = "`version`: not the next version (`lastVersion` is the last); `nonce-used`: the request came before"
    )]
    Conflict(Problem),
    #[response(
        status = 413,
        content_type = "application/problem+json",
        description = "`too-large`: the secret has more than 4096 bytes"
    )]
    TooLarge(Problem),
    #[response(
        status = 415,
        content_type = "application/problem+json",
        description = "`media-type`: the body is not text"
    )]
    MediaType(Problem),
    #[response(
        status = 429,
        content_type = "application/problem+json",
        description = "`rate`: too many requests of this owner or client"
    )]
    Limited(Problem),
    #[response(status = 500, content_type = "application/problem+json", description = "`internal`: the service failed")]
    Internal(Problem),
    #[response(
        status = 503,
        content_type = "application/problem+json",
        description = "`chain`, `store`: the chain or the database does not answer"
    )]
    Unavailable(Problem),
}
