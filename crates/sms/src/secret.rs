//! Who may set a secret: its owner, who signed the value. The proof is [`Approved`]; the store asks for it.

use iexec_protocol::{
    Address,
    call::sms::SecretId,
    key::Signature,
    secret_request::{RequestHeader, Subject},
    session::SecretText,
};
use thiserror::Error;

/// A secret that its owner asked to keep.
pub(crate) struct Approved<'a> {
    id: &'a SecretId,
    value: &'a SecretText,
}

impl Approved<'_> {
    pub(crate) fn id(&self) -> &SecretId {
        self.id
    }

    pub(crate) fn value(&self) -> &SecretText {
        self.value
    }
}

/// Checks that `owner` signed this value for this secret (EIP-191 over the challenge; spec SMS-11).
pub(crate) fn approve<'a>(
    id: &'a SecretId,
    value: &'a SecretText,
    signature: &Signature,
    owner: Address,
) -> Result<Approved<'a>, Refused> {
    let found = signature.signer_of_personal(id.challenge(value.expose()));
    if found == Some(owner) { Ok(Approved { id, value }) } else { Err(Refused { owner, found }) }
}

/// Checks that `speaker` signed this value for this secret under these terms (EIP-712; spec SMS-72).
pub(crate) fn approve_request<'a>(
    id: &'a SecretId,
    value: &'a SecretText,
    header: &RequestHeader,
    chain_id: u64,
    speaker: Address,
) -> Result<Approved<'a>, Refused> {
    check_request(&Subject::put(id, value.expose()), header, chain_id, speaker)?;
    Ok(Approved { id, value })
}

/// Checks that `speaker` signed this request.
pub(crate) fn check_request(
    subject: &Subject,
    header: &RequestHeader,
    chain_id: u64,
    speaker: Address,
) -> Result<(), Refused> {
    let found = header.signer(subject, chain_id);
    if found == Some(speaker) { Ok(()) } else { Err(Refused { owner: speaker, found }) }
}

/// Somebody else signed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "header Authorization must be the signature of the owner {owner} over exactly this request, but it is of {}",
    found.map_or_else(|| "nobody".to_owned(), |found| found.to_string())
)]
pub(crate) struct Refused {
    /// Who must sign.
    pub(crate) owner: Address,
    /// Who did.
    pub(crate) found: Option<Address>,
}
