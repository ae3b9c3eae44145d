//! The market's two answers: `{"ok": true, …}` and `{"ok": false, "error": …}`, always `application/json`.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use iexec_chain::ChainError;
use iexec_service::{Json, Problem};
use serde_json::{Map, Value, json};

/// A handler's result.
pub(crate) type Answer = Result<Yes, Refusal>;

/// A success; its members stand beside `"ok": true`.
#[derive(Debug)]
pub(crate) struct Yes(pub Value);

impl IntoResponse for Yes {
    fn into_response(self) -> Response {
        let mut body = Map::from_iter([("ok".to_owned(), Value::Bool(true))]);
        if let Value::Object(members) = self.0 {
            body.extend(members);
        }
        Json(body).into_response()
    }
}

/// A refusal, in the API's form.
#[derive(Debug)]
pub(crate) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status: StatusCode = self.0.status();
        (status, Json(json!({"ok": false, "error": self.0.detail()}))).into_response()
    }
}

/// The chain did not answer: the caller may try again.
pub(crate) fn chain_down(error: ChainError) -> Problem {
    tracing::warn!("{error}");
    Problem::unavailable(error)
}
