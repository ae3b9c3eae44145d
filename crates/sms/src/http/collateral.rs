//! `POST /v2/collateral`: what a platform's vendor says of it, for those who check a receipt's evidence (spec SMS-90). Nobody
//! has to believe it: it is signed by the vendor.

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::StatusCode,
};
use iexec_attestation::{Collateral, needs};
use iexec_protocol::{
    call::sms::PlatformCollateral,
    evidence::{Evidence, MAX_JSON},
};
use iexec_service::{Json, Problem, caller::ClientAddress, clock};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{RETRY_AFTER, Shared, document::schema, v2};
use crate::collateral::CollateralError;

/// The route.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(v2_collateral)).layer(DefaultBodyLimit::max(MAX_JSON))
}

/// What the vendor of the evidence's platform says of it. Any evidence may be asked about; nothing of it is decided here.
#[utoipa::path(
    post, path = "/v2/collateral", tag = "tee",
    request_body(content = schema::Evidence, content_type = "application/json"),
    responses((status = 200, description = "The collateral", body = schema::Collateral), Refused),
)]
async fn v2_collateral(
    State(sms): State<Shared>,
    client: Option<Extension<ClientAddress>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<PlatformCollateral>, Problem> {
    if let Some(Extension(client)) = client {
        sms.asking
            .admit(&client.network(), std::time::Instant::now())
            .map_err(|limited| Problem::new(StatusCode::TOO_MANY_REQUESTS, limited).retry_after(limited.seconds()))?;
    }
    let evidence = read(body)?;
    let id = needs(&evidence).map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let revocations = sms.trust.policy.base().snp.require_revocation_list;
    let found = sms.trust.collateral.find(&id, revocations, clock::now()).await;
    found.map(|collateral| Json(told(&collateral))).map_err(|error| match error {
        CollateralError::Absent { .. } => Problem::not_found(error),
        CollateralError::Unavailable { .. } => {
            Problem::unavailable(error).retry_after(RETRY_AFTER).failed("collateral")
        }
    })
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Evidence, Problem> {
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("evidence has at most {MAX_JSON} bytes"))
        }
        _ => Problem::bad_request(error.body_text()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("the evidence: {error}")))
}

fn told(collateral: &Collateral) -> PlatformCollateral {
    match collateral {
        Collateral::Dcap(dcap) => {
            PlatformCollateral::Dcap { collateral: serde_json::from_slice(&dcap.to_json()).unwrap_or_default() }
        }
        Collateral::Snp(snp) => {
            let (vcek, revocations) = snp.to_parts();
            PlatformCollateral::Snp { vcek, revocations }
        }
    }
}

/// Why there is no collateral.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum Refused {
    #[response(status = 400, content_type = "application/problem+json", description = "Malformed")]
    Malformed(v2::Problem),
    #[response(
        status = 404,
        content_type = "application/problem+json",
        description = "The vendor knows no such platform"
    )]
    Absent(v2::Problem),
    #[response(status = 413, content_type = "application/problem+json", description = "Too large")]
    TooLarge(v2::Problem),
    #[response(status = 422, content_type = "application/problem+json", description = "The quote is malformed")]
    Quote(v2::Problem),
    #[response(
        status = 429,
        content_type = "application/problem+json",
        description = "Too many requests of this client"
    )]
    Limited(v2::Problem),
    #[response(status = 500, content_type = "application/problem+json", description = "The service failed")]
    Internal(v2::Problem),
    #[response(status = 503, content_type = "application/problem+json", description = "It cannot be had now")]
    Unavailable(v2::Problem),
}
