//! Which TEE this SMS believes in, and what iExec's workers ask of the programs around an app (spec SMS-92).

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use iexec_attestation::{References, Register, SgxIdentity};
use iexec_protocol::{
    evidence::Tee,
    session::{VERSION, paths::ENCLAVE},
};
use iexec_service::Json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Context, Shared, TeeRefusal};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(framework)).routes(routes!(properties_of_framework)).routes(routes!(properties))
}

/// The TEE that evidence is accepted of, in upper case; a simulation says so.
#[utoipa::path(
    get, path = "/tee/framework", tag = "tee",
    responses((status = 200, description = "Its name", body = String, content_type = "application/json"), NoTee),
)]
async fn framework(State(sms): State<Shared>) -> Result<Json<String>, NoTee> {
    accepted(&sms).map(|tee| Json(tee.name().to_uppercase()))
}

fn accepted(sms: &Context) -> Result<Tee, NoTee> {
    let none =
        || NoTee::of("SECURE_SESSION_NO_TEE_FRAMEWORK", "this SMS accepts evidence of no TEE: it was told of none");
    sms.trust.tees.first().copied().ok_or_else(none)
}

/// What iExec's workers ask of the programs before and after the app: here one enclave program has all three stages.
#[derive(serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TeeProperties {
    /// The TEE, in upper case.
    tee_framework: String,
    /// Version of the enclave program's sessions.
    tee_framework_version: &'static str,
    /// The stage before the app.
    pre_compute_properties: StageProperties,
    /// The stage after it.
    post_compute_properties: StageProperties,
}

/// A stage of the enclave program.
#[derive(Clone, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StageProperties {
    /// Empty: a stage has no image of its own. The worker mounts the enclave program into the app's image.
    image: &'static str,
    /// What evidence must show as the launch measurement: MRTD, SEV-SNP's measurement or MRENCLAVE, `0x` and hex digits;
    /// the simulated TEE's is the SHA-384 of the program's file. Empty if the policy does not name exactly one.
    fingerprint: String,
    /// The program's path.
    entrypoint: &'static str,
    /// 0: no limit of its own.
    heap_size_in_bytes: u64,
}

/// What iExec's workers ask of the stages around the app, in its older form.
#[utoipa::path(
    get, path = "/tee/properties/{framework}", tag = "tee",
    params(("framework" = String, Path, description = "The TEE, as `/tee/framework` tells it, in any case")),
    responses((status = 200, description = "The stages", body = TeeProperties), Properties),
)]
async fn properties_of_framework(
    State(sms): State<Shared>,
    Path(framework): Path<String>,
) -> Result<Json<TeeProperties>, NoTee> {
    stages(&sms, &framework, VERSION)
}

/// What iExec's workers ask of the stages around the app.
#[utoipa::path(
    get, path = "/tee/properties/{framework}/{version}", tag = "tee",
    params(
        ("framework" = String, Path, description = "The TEE, as `/tee/framework` tells it, in any case"),
        ("version" = String, Path, description = "Version of sessions, as an answer without it tells it"),
    ),
    responses((status = 200, description = "The stages", body = TeeProperties), Properties),
)]
async fn properties(
    State(sms): State<Shared>,
    Path((framework, version)): Path<(String, String)>,
) -> Result<Json<TeeProperties>, NoTee> {
    stages(&sms, &framework, &version)
}

fn stages(sms: &Context, framework: &str, version: &str) -> Result<Json<TeeProperties>, NoTee> {
    let tee = accepted(sms)?;
    let tee_framework = tee.name().to_uppercase();
    if !tee_framework.eq_ignore_ascii_case(framework) {
        let detail = format!("this SMS accepts {tee_framework}");
        return Err(NoTee { status: StatusCode::CONFLICT, ..NoTee::of("SECURE_SESSION_NO_TEE_FRAMEWORK", detail) });
    }
    if version != VERSION {
        return Err(NoTee::of("NO_SESSION_REQUEST", format!("this SMS makes sessions of version {VERSION}")));
    }
    let fingerprint = fingerprint(&sms.trust.policy.base().references, tee).unwrap_or_default();
    let stage = StageProperties { image: "", fingerprint, entrypoint: ENCLAVE, heap_size_in_bytes: 0 };
    Ok(Json(TeeProperties {
        tee_framework,
        tee_framework_version: VERSION,
        pre_compute_properties: stage.clone(),
        post_compute_properties: stage,
    }))
}

/// The one launch measurement that the policy names for this TEE.
fn fingerprint(references: &References, tee: Tee) -> Option<String> {
    let named: Vec<Option<String>> = match tee {
        Tee::Tdx => references.tdx.iter().map(|value| exact(&value.mrtd)).collect(),
        Tee::Snp => references.snp.iter().map(|value| exact(&value.measurement)).collect(),
        Tee::Sgx => references.sgx.iter().map(|value| mrenclave(&value.identity)).collect(),
        Tee::Simulated => references.simulated.iter().map(|value| Some(value.mrtd.to_string())).collect(),
    };
    let (first, others) = named.split_first()?;
    first.clone().filter(|_| others.iter().all(|other| other == first))
}

fn exact(register: &Register) -> Option<String> {
    match register {
        Register::Is(value) => Some(value.to_string()),
        Register::Any => None,
    }
}

fn mrenclave(identity: &SgxIdentity) -> Option<String> {
    match identity {
        SgxIdentity::Enclave(value) => Some(value.to_string()),
        SgxIdentity::Signer { .. } => None,
    }
}

/// Another TEE than is asked for, or none.
#[derive(Debug)]
struct NoTee {
    status: StatusCode,
    error: &'static str,
    detail: String,
}

impl NoTee {
    fn of(error: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, error, detail: detail.into() }
    }
}

impl IntoResponse for NoTee {
    fn into_response(self) -> Response {
        (self.status, Json(TeeRefusal { error: self.error, detail: self.detail })).into_response()
    }
}

/// Why there is no TEE of this name.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "a description of answers")]
enum Properties {
    #[response(status = 404, description = "No TEE is accepted, or not this version")]
    Absent(TeeRefusal),
    #[response(status = 409, description = "Another TEE is accepted")]
    Other(TeeRefusal),
}

impl utoipa::IntoResponses for NoTee {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
        let mut all = <Properties as utoipa::IntoResponses>::responses();
        all.retain(|status, _| status == "404");
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::SmsPolicy;

    #[test]
    fn a_fingerprint_is_told_if_the_policy_names_one() {
        let (a, b) = (format!("0x{}", "ab".repeat(48)), format!("0x{}", "cd".repeat(48)));
        let tdx = |mrtd: &str| {
            let name = mrtd.len() + mrtd.matches('c').count();
            format!(
                "[[reference.tdx]]\nname = \"{name}\"\nmrtd = \"{mrtd}\"\nrtmr0 = \"any\"\nrtmr1 = \"any\"\nrtmr2 = \"any\"\n"
            )
        };
        for (references, told) in
            [(tdx(&a), Some(a.clone())), (tdx(&a) + &tdx(&b), None), (tdx("any"), None), (String::new(), None)]
        {
            let text = format!("tees = []\n{references}");
            let policy = SmsPolicy::parse(&text).unwrap();
            assert_eq!(fingerprint(&policy.base().references, Tee::Tdx), told, "{text}");
        }
    }
}
