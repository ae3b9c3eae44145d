//! Refusals in the audit log: each is on disk before it is answered (spec SMS-62).

use super::Context;
use crate::store::{Entry, Event, StoreError};

/// A refusal that may be told to the audit log.
pub(super) trait Decided: From<StoreError> {
    /// Its cause. `None` if nothing was decided, as of malformed requests, of turns and of our own troubles; and for what
    /// the store tells the log itself.
    fn verdict(&self) -> Option<&'static str>;
}

/// The outcome, after the log was told if it is a refusal; if the log cannot be told, that is what the caller hears.
pub(super) async fn audited<T, R: Decided>(
    sms: &Context,
    request: &'static str,
    outcome: Result<T, R>,
    about: impl FnOnce(Entry) -> Entry,
) -> Result<T, R> {
    if let Err(refusal) = &outcome
        && let Some(cause) = refusal.verdict()
    {
        let entry = about(Entry::new(Event::Refused).with("request", request).with("cause", cause));
        sms.store.audit(entry).await?;
    }
    outcome
}
