//! The exchange with the SMS: show the authorization, show the enclave's evidence, carry the sealed session back.

use std::time::Duration;

use iexec_chain::Wallet;
use iexec_protocol::{
    call::{
        CallError,
        sms::{Attest, OpenSession, SessionOffer},
    },
    cause::Cause,
    evidence::Evidence,
    session::SealedSession,
};
use iexec_service::{CancellationToken, Client};

use crate::failure::Failure;
use iexec_protocol::authorization::WorkerpoolAuthorization;

/// How long an SMS that cannot be reached is asked again.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Begins a session.
pub async fn open(
    client: &Client,
    sms: &str,
    authorization: &WorkerpoolAuthorization,
    wallet: &Wallet,
    stop: &CancellationToken,
) -> Result<SessionOffer, Failure> {
    let signature =
        wallet.sign_message(authorization.hash()).map_err(Failure::of(Cause::SessionInvalidAuthorization))?;
    let call = OpenSession { authorization: authorization.clone(), signature };
    client.send_retrying(sms, &call, PATIENCE, stop).await.map_err(|error| refusal(&error, Cause::SessionUnknownIssue))
}

/// Shows the evidence; the SMS answers with the session sealed to the evidence's key.
pub async fn attest(
    client: &Client,
    offer: &SessionOffer,
    evidence: Evidence,
    stop: &CancellationToken,
) -> Result<SealedSession, Failure> {
    let call = Attest { session_id: offer.session_id.clone(), evidence };
    let sent = client.send_retrying(&offer.secret_provisioning_url, &call, PATIENCE, stop).await;
    sent.map_err(|error| refusal(&error, Cause::SessionAttestationFailed))
}

/// The cause that a refusal names; `otherwise` for a refusal without one, and for silence that the SMS is away.
fn refusal(error: &CallError, otherwise: Cause) -> Failure {
    let cause = match error {
        CallError::Refused { message, .. } if !error.is_transient() => named(message).unwrap_or(otherwise),
        _ => Cause::SessionUnknownIssue,
    };
    Failure::new(cause, format!("the SMS: {error}"))
}

/// The cause whose name is in the text; the longest if one name is part of another. iExec's SMS leaves the common prefix away.
fn named(text: &str) -> Option<Cause> {
    let length = |cause: &Cause| {
        let name = cause.name();
        let short = name.strip_prefix("TEE_SESSION_GENERATION_").unwrap_or(name);
        [name, short].into_iter().filter(|name| has_word(text, name)).map(str::len).max()
    };
    Cause::ALL
        .iter()
        .copied()
        .filter_map(|cause| Some((length(&cause)?, cause)))
        .max_by_key(|(found, _)| *found)
        .map(|(_, cause)| cause)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> CallError {
        CallError::Refused { status, message: message.into() }
    }

    #[test]
    fn a_refusal_is_known_by_the_cause_that_it_names() {
        for (message, cause) in [
            ("TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED: measurement", Cause::SessionAttestationFailed),
            ("no: TEE_SESSION_GENERATION_UNKNOWN_ISSUE", Cause::SessionUnknownIssue),
            ("EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE", Cause::SessionTaskNotActive),
            (
                "TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY",
                Cause::SessionBeneficiaryKeyMissing,
            ),
            ("something else", Cause::SessionInvalidAuthorization),
        ] {
            assert_eq!(refusal(&refused(401, message), Cause::SessionInvalidAuthorization).cause, cause, "{message}");
        }
    }

    #[test]
    fn an_sms_that_is_away_is_not_a_refusal() {
        let away = CallError::Unreachable { url: "http://sms".into(), error: "Connection refused".into() };
        assert_eq!(refusal(&away, Cause::SessionAttestationFailed).cause, Cause::SessionUnknownIssue);
        let down = refused(503, "TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED");
        assert_eq!(refusal(&down, Cause::SessionAttestationFailed).cause, Cause::SessionUnknownIssue);
    }
}
