//! A request's body, given a time to come whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::StatusCode,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::Problem;

/// Whether a body was late; known when its request was answered.
pub(super) struct Lateness(Option<(Duration, Arc<AtomicBool>)>);

impl Lateness {
    /// The refusal of a late body, whatever the handler made of its breaking off.
    pub(super) fn problem(&self) -> Option<Problem> {
        let (within, _) = self.0.as_ref().filter(|(_, late)| late.load(Ordering::Relaxed))?;
        let words = format!("the body did not come within {} s", within.as_secs());
        Some(Problem::new(StatusCode::REQUEST_TIMEOUT, words))
    }
}

/// The request with a body that breaks off `within` from now.
pub(super) fn bound(request: Request, within: Option<Duration>) -> (Request, Lateness) {
    // Most requests have no body: they need no clock.
    let within = within.filter(|_| !request.body().is_end_stream());
    let Some(within) = within else { return (request, Lateness(None)) };
    let (deadline, late) = (Instant::now() + within, Arc::new(AtomicBool::new(false)));
    let mark = late.clone();
    let bounded = request.map(|body| {
        Body::from_stream(stream::unfold((body.into_data_stream(), mark), move |(mut chunks, late)| async move {
            if let Ok(chunk) = tokio::time::timeout_at(deadline, chunks.next()).await {
                return chunk.map(|chunk| (chunk, (chunks, late)));
            }
            late.store(true, Ordering::Relaxed);
            Some((Err(axum::Error::new("the body is late")), (chunks, late)))
        }))
    });
    (bounded, Lateness(Some((within, late))))
}
