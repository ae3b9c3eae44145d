//! The OpenAPI document: generated from the routes, which cannot be served without being described. What is here is its
//! frame: schemas of parameters, signatures, and the answers that every route has.

pub(super) mod schema;

use axum::{Json, extract::State};
use utoipa::openapi::{
    self, Content, HttpMethod, LicenseBuilder, ObjectBuilder, Ref, RefOr,
    header::HeaderBuilder,
    info::InfoBuilder,
    path::{Operation, OperationBuilder},
    response::{Response, ResponseBuilder},
    schema::Type,
    security::{ApiKey, ApiKeyValue, SecurityScheme},
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Shared, secrets::Said, tee::TeeRefusal, v2::Problem};

/// The document before the routes are added.
pub(super) fn frame() -> openapi::OpenApi {
    let words = "Keeps secrets, and gives a session to an attested, authorized enclave. Rules: docs/spec/http.md.";
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new()
        .title("iExec Secret Management Service")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(words))
        .license(Some(license.build()));
    let mut document = openapi::OpenApi::new(info.build(), openapi::Paths::new());
    add_of_every_service(&mut document.paths);
    let components = document.components.get_or_insert_default();
    components.schemas.extend(schema::of_parameters());
    components.schemas.extend([
        (Said::name().into_owned(), Said::schema()),
        (Problem::name().into_owned(), Problem::schema()),
        (TeeRefusal::name().into_owned(), TeeRefusal::schema()),
    ]);
    add_signatures(components);
    document
}

/// The route that shows it.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(openapi_json))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")),
)]
async fn openapi_json(State(sms): State<Shared>) -> Json<openapi::OpenApi> {
    Json(sms.document.clone())
}

/// The routes that every service of the house has; `iexec-service` answers them.
fn add_of_every_service(paths: &mut openapi::Paths) {
    for (path, id, words, form) in [
        ("/health", "health", "The process runs", "text/plain"),
        ("/health/live", "live", "The process runs", "text/plain"),
        ("/health/ready", "ready", "Everything that it needs answers", "application/json"),
        ("/metrics", "metrics", "Prometheus' text format", "text/plain"),
        ("/version", "version", "The version", "text/plain"),
    ] {
        let kind = if form == "text/plain" { Type::String } else { Type::Object };
        let schema = || ObjectBuilder::new().schema_type(kind.clone()).build();
        let answer =
            |words| ResponseBuilder::new().description(words).content(form, Content::new(Some(schema()))).build();
        let operation = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(words))
            .tag("service")
            .response("200", answer(words));
        let operation = match id {
            "ready" => operation.response("503", answer("Something that it needs does not answer")),
            _ => operation,
        };
        paths.add_path_operation(path, vec![HttpMethod::Get], operation.build());
    }
}

/// How requests are signed.
fn add_signatures(components: &mut openapi::Components) {
    let header =
        |words: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", words)));
    components.add_security_scheme(
        "v1",
        header(
            "`0x` and 130 hex digits: the EIP-191 signature of iExec's challenge for this request (docs/spec/http.md)",
        ),
    );
    components.add_security_scheme(
        "v2",
        header("`iexec <base64url of the JSON {version, nonce, deadline, audience, signature}>`: the EIP-712 signature of a SecretRequest (docs/spec/http.md, SMS-71)"),
    );
}

/// Adds the answers that every route has before or beside its handler.
pub(super) fn complete(document: &mut openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head];
        for operation in operations.into_iter().flatten() {
            add_common(operation);
        }
    }
}

const COMMON: [(&str, &str); 5] = [
    ("400", "The request cannot be read"),
    ("408", "The request's body is late"),
    ("429", "Too many requests of this client"),
    ("500", "The service failed"),
    ("503", "Something that the service needs does not answer, or the service is too slow"),
];

fn add_common(operation: &mut Operation) {
    for (status, words) in COMMON {
        let fresh = || RefOr::T(ResponseBuilder::new().description(words).build());
        let response = operation.responses.responses.entry(status.to_owned()).or_insert_with(fresh);
        let RefOr::T(response) = response else { continue };
        let problem = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        response.content.entry("application/problem+json".to_owned()).or_insert(RefOr::T(problem));
        if matches!(status, "429" | "503") {
            add_retry_after(response);
        }
    }
}

fn add_retry_after(response: &mut Response) {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let header =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds after which it is worth another try"));
    response.headers.insert("Retry-After".to_owned(), RefOr::T(header.build()));
}
