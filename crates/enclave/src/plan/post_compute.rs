//! What happens to the output: who signs, and whether it leaves encrypted, plain, or only as callback bytes.

use iexec_archive::Recipient;
use iexec_protocol::{
    Address,
    cause::Cause,
    id::{TaskId, parse_address},
    key::SigningKey,
    params::Encryption,
    session::Service,
};

use super::{Variables, require_task};
use crate::failure::{Failure, OrFail as _};

/// The third stage.
pub(crate) struct PostCompute {
    pub(crate) worker: Address,
    pub(crate) challenge_key: SigningKey,
    pub(crate) delivery: Delivery,
}

/// How the result leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Encrypted to the beneficiary, and to whoever else its key names: an RSA key alone, or keys of age.
    Encrypted(Vec<Recipient>),
    /// Readable by anybody: the deal says so.
    Plain,
    /// Bytes on chain and no archive.
    Callback,
}

impl PostCompute {
    pub(super) fn parse(service: Option<&Service>, task: TaskId) -> Result<Self, Failure> {
        let missing = || Failure::new(Cause::PostComputeTaskIdMissing, "the session has no service \"post-compute\"");
        let variables = Variables::of(service.ok_or_else(missing)?);
        require_task(&variables, task, Cause::PostComputeTaskIdMissing)?;
        let worker = variables.require("SIGN_WORKER_ADDRESS", Cause::PostComputeWorkerAddressMissing)?;
        let key = variables.require("SIGN_TEE_CHALLENGE_PRIVATE_KEY", Cause::PostComputeChallengeKeyMissing)?;
        Ok(Self {
            worker: parse_address(worker).or_fail(Cause::PostComputeWorkerAddressMissing, "SIGN_WORKER_ADDRESS")?,
            challenge_key: SigningKey::from_hex(key).or_fail(Cause::PostComputeChallengeKeyMissing, "challenge key")?,
            delivery: Delivery::parse(&variables)?,
        })
    }
}

impl Delivery {
    /// Anything unclear about encryption ends here, before there is a plaintext (`POST_COMPUTE_ENCRYPTION_PUBLIC_KEY_MISSING`
    /// is iExec's only name for "cannot tell to whom").
    fn parse(variables: &Variables<'_>) -> Result<Self, Failure> {
        let unclear = Cause::PostComputeEncryptionPublicKeyMissing;
        let Encryption(encrypted) = Encryption::from_text(variables.require("RESULT_ENCRYPTION", unclear)?)
            .or_fail(unclear, "RESULT_ENCRYPTION")?;
        let callback = match variables.find("RESULT_STORAGE_CALLBACK") {
            None => false,
            Some(_) => variables.flag("RESULT_STORAGE_CALLBACK", Cause::TaskDescriptionInvalid)?,
        };
        match (encrypted, callback) {
            (true, true) => {
                let message = "a result for a callback contract is public: it cannot be encrypted";
                Err(Failure::new(Cause::TaskDescriptionInvalid, message))
            }
            (true, false) => {
                let key = variables.require("RESULT_ENCRYPTION_PUBLIC_KEY", unclear)?;
                let keys = Recipient::list_from_sms_value(key);
                keys.map(Self::Encrypted)
                    .or_fail(Cause::PostComputeMalformedEncryptionPublicKey, "the beneficiary's key")
            }
            (false, true) => Ok(Self::Callback),
            (false, false) => Ok(Self::Plain),
        }
    }
}
