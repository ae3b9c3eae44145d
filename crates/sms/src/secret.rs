//! Who may set a secret: its owner, who signed the value. The proof is [`Approved`]; the store asks for it.

use iexec_protocol::{
    Address,
    call::sms::SecretId,
    key::Signature,
    secret::{SecretError, check_key, check_value},
    session::SecretText,
};
use thiserror::Error;

/// Longest name of a web2 secret, in bytes.
const MAX_NAME: usize = 255;

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

/// A secret's owner as far as it is known without asking the chain: the wallet itself (spec SMS-11).
pub(crate) fn wallet_owner(id: &SecretId) -> Option<Address> {
    match id {
        SecretId::Web2 { owner, .. } => Some(*owner),
        SecretId::Requester { requester, .. } => Some(*requester),
        SecretId::Storage { worker, .. } => Some(*worker),
        SecretId::Web3 { .. } | SecretId::App { .. } => None,
    }
}

/// Checks the name that a secret is kept under (spec SMS-10).
pub(crate) fn check_id(id: &SecretId) -> Result<(), Refused> {
    match id {
        SecretId::Web2 { name, .. } if name.is_empty() || name.len() > MAX_NAME => Err(Refused::Name(name.len())),
        SecretId::Requester { key, .. } => Ok(check_key(key)?),
        _ => Ok(()),
    }
}

/// Checks a value's size; a secret of nothing is a mistake.
pub(crate) fn check_size(value: &SecretText) -> Result<(), Refused> {
    if value.expose().is_empty() { Err(Refused::Empty) } else { Ok(check_value(value.expose())?) }
}

/// Checks that `owner` signed this value for this secret (EIP-191 over the challenge; spec SMS-11).
pub(crate) fn approve<'a>(
    id: &'a SecretId,
    value: &'a SecretText,
    signature: &Signature,
    owner: Address,
) -> Result<Approved<'a>, Refused> {
    let found = signature.signer_of_personal(id.challenge(value.expose()));
    if found == Some(owner) { Ok(Approved { id, value }) } else { Err(Refused::Signer { owner, found }) }
}

/// Why a secret is not kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A key or value out of its bounds.
    #[error(transparent)]
    Bounds(#[from] SecretError),
    /// A web2 name out of its bounds.
    #[error("parameter secretName must have 1 to {MAX_NAME} bytes, it has {0}")]
    Name(usize),
    /// Nothing to keep.
    #[error("the body is empty: it must be the secret")]
    Empty,
    /// Somebody else signed.
    #[error(
        "header Authorization must be the signature of the owner {owner} over this secret and value, but it is of {}",
        found.map_or_else(|| "nobody".to_owned(), |found| found.to_string())
    )]
    Signer {
        /// Who must sign.
        owner: Address,
        /// Who did.
        found: Option<Address>,
    },
}
