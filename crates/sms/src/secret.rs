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

/// A value for a secret and who signed it. Whether that counts is still to be asked; the signature need not be again.
pub(crate) struct Signed<'a> {
    id: &'a SecretId,
    value: &'a SecretText,
    signer: Address,
}

impl<'a> Signed<'a> {
    /// Of a signature over the challenge (EIP-191, v1; spec SMS-11); `None` if no key can have made it.
    pub(crate) fn challenge(id: &'a SecretId, value: &'a SecretText, signature: &Signature) -> Option<Self> {
        let signer = signature.signer_of_personal(id.challenge(value.expose()))?;
        Some(Self { id, value, signer })
    }

    /// Of a signature over these terms (EIP-712, v2; spec SMS-72); `None` if no key can have made it.
    pub(crate) fn request(
        id: &'a SecretId,
        value: &'a SecretText,
        header: &RequestHeader,
        chain_id: u64,
    ) -> Option<Self> {
        let signer = header.signer(&Subject::put(id, value.expose()), chain_id)?;
        Some(Self { id, value, signer })
    }

    pub(crate) fn signer(&self) -> Address {
        self.signer
    }

    /// Checks that `owner` is who signed.
    pub(crate) fn approve(self, owner: Address) -> Result<Approved<'a>, Refused> {
        check_signer(self.signer, owner)?;
        Ok(Approved { id: self.id, value: self.value })
    }
}

/// Checks that `owner` signed a request without a value.
pub(crate) fn check_signer(signer: Address, owner: Address) -> Result<(), Refused> {
    if signer == owner { Ok(()) } else { Err(Refused { owner, found: signer }) }
}

/// Somebody else signed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "header Authorization must be the signature of the owner {owner} over exactly this request, but it is of {found}"
)]
pub(crate) struct Refused {
    /// Who must sign.
    pub(crate) owner: Address,
    /// Who did.
    pub(crate) found: Address,
}
