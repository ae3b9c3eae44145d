//! Refusals in the audit log (spec SMS-62): each is told to it before it is answered.

use std::{convert::Infallible, net::IpAddr, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use iexec_service::{CancellationToken, caller::ClientAddress};

use super::{Context, Shared};
use crate::store::{Entry, Event, Refused, Source, StoreError};

/// How often the log is told of refusals that were counted.
const EVERY: Duration = Duration::from_mins(1);
/// Longest word of a path that is told, in bytes: a session's id, which is longer than an address and than a task's.
const MAX_WORD: usize = 80;

/// A refusal that may be told to the audit log.
pub(super) trait Decided: From<StoreError> {
    /// Its cause. `None` if nothing was decided, as of malformed requests, of turns and of our own troubles; and for what
    /// the store tells the log itself.
    fn verdict(&self) -> Option<&'static str>;
}

/// The network that a request comes from, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Caller(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().map(ClientAddress::network)))
    }
}

/// The outcome, after the log was told if it is a refusal; if the log cannot be told, that is what the caller hears.
pub(super) async fn audited<T, R: Decided>(
    sms: &Context,
    Caller(network): Caller,
    request: &'static str,
    outcome: Result<T, R>,
    about: impl FnOnce(Entry) -> Entry,
) -> Result<T, R> {
    if let Err(refusal) = &outcome
        && let Some(cause) = refusal.verdict()
    {
        let refused = Refused { source: Source::Client(network), request, cause };
        sms.store.refused(refused, about(Entry::new(Event::Refused))).await?;
    }
    outcome
}

/// A word of a path, of which a caller may make anything.
pub(super) fn word(text: &str) -> &str {
    let end = (0..=MAX_WORD.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// Tells the log every minute how many refusals were counted alone, until `stop`.
pub(crate) async fn tell(context: Shared, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    let help = "Refusals that the audit log has as a count alone.";
    let counted = context.metrics.counter("sms_refusals_counted_total", help, &[]);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => (),
        }
        match context.store.tell_refusals().await {
            Ok(all) => counted.add(all),
            Err(error) => tracing::warn!("refusals that were counted are not in the audit log yet: {error}"),
        }
    }
}
