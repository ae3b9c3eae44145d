//! Refusals that the router or an extractor made: they get words, and the body that the service's refusals have.

use axum::{
    http::{Method, StatusCode, header},
    response::Response,
};

use crate::Problem;

/// Longest text of an extractor that is passed on.
const MAX_TEXT: usize = 1024;

/// The answer as it is, or with words if it is a refusal without JSON.
pub(super) async fn given(answer: Response, method: &Method, path: &str, refuse: fn(Problem) -> Response) -> Response {
    let status = answer.status();
    let form = answer.headers().get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok()).unwrap_or_default();
    if !(status.is_client_error() || status.is_server_error()) || form.contains("json") {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    // A text that is longer, or breaks off, is as good as none.
    let said = axum::body::to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let detail = if said.trim().is_empty() { words(status, method, path) } else { said.into_owned() };
    let mut worded = refuse(Problem::new(status, detail));
    for described in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        head.headers.remove(described);
    }
    worded.headers_mut().extend(head.headers);
    worded.extensions_mut().extend(head.extensions);
    worded
}

fn words(status: StatusCode, method: &Method, path: &str) -> String {
    let path: String = path.chars().take(80).collect();
    match status {
        StatusCode::NOT_FOUND => format!("there is nothing at {path}"),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not take {method}"),
        _ => status.canonical_reason().unwrap_or("refused").to_owned(),
    }
}
