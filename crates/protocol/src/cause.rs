//! Why an execution failed: iExec's cause names, stable on every wire (`ReplicateStatusCause`), each with a remedy.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $remedy:literal;)*) => {
        /// A cause of failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            /// Every cause, in the order of a task's life.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// What its reader can do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

causes! {
    /// The chain could not be read or written.
    ChainUnreachable = "CHAIN_UNREACHABLE", "the pool retries; nothing to do";
    /// The task is not ACTIVE on chain.
    TaskNotActive = "TASK_NOT_ACTIVE", "look at `iexec task show`; it may be finished or past its deadline";
    /// The deal's parameters do not parse or contradict each other.
    TaskDescriptionInvalid = "TASK_DESCRIPTION_INVALID", "correct the deal parameters (`--params`, `--args`) and run again";
    /// The app's image cannot be had.
    AppImageDownloadFailed = "APP_IMAGE_DOWNLOAD_FAILED", "check the app's multiaddr: the image must be reachable by the worker";
    /// The image is not the one whose checksum is on chain.
    AppImageChecksumMismatch = "APP_IMAGE_BAD_CHECKSUM", "the app owner must deploy the app with the digest of the image that is served";
    /// An input file cannot be had.
    InputFilesDownloadFailed = "INPUT_FILES_DOWNLOAD_FAILED", "check the `--input-files` URLs: each must be a direct, public link";
    /// The dataset cannot be had.
    DatasetFileDownloadFailed = "DATASET_FILE_DOWNLOAD_FAILED", "the dataset owner must make the encrypted file reachable";
    /// The dataset is not the one whose checksum is on chain.
    DatasetFileBadChecksum = "DATASET_FILE_BAD_CHECKSUM", "the dataset owner must serve the file that was deployed";
    /// The SMS does not accept the worker's authorization.
    SessionInvalidAuthorization = "TEE_SESSION_GENERATION_INVALID_AUTHORIZATION", "the workerpool's scheduler must sign the authorization";
    /// The authorization's signature is not the workerpool owner's.
    SessionInvalidSignature = "TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE", "the workerpool's scheduler must sign the authorization";
    /// The SMS found the task not ACTIVE.
    SessionTaskNotActive = "TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE", "look at `iexec task show`";
    /// The SMS cannot read the task.
    SessionGetTaskFailed = "TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_TASK_FAILED", "the SMS must reach the chain";
    /// The SMS cannot read the deal.
    SessionGetDealFailed = "TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_DEAL_FAILED", "the SMS must reach the chain";
    /// The deal's tag asks for no known TEE.
    SessionNoMatchOnchainType = "TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_NO_MATCH_ONCHAIN_TYPE", "run with `--tag tee`";
    /// The authorization names another challenge than the SMS's own.
    SessionChallengeMismatch = "TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE", "the scheduler must ask this SMS for the challenge";
    /// The dataset's key is not in the SMS.
    SessionDatasetSecretMissing = "TEE_SESSION_GENERATION_PRE_COMPUTE_GET_DATASET_SECRET_FAILED", "the dataset owner must push the key: `iexec dataset push-secret`";
    /// The beneficiary's public key is not in the SMS.
    SessionBeneficiaryKeyMissing = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY", "the beneficiary must push a key: `iexec result push-encryption-key`";
    /// The worker has no token for the result proxy that the deal names.
    SessionStorageTokensFailed = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED", "the worker must push a token for that proxy: `iexec secret push storage`; or leave `iexec_result_storage_proxy` away";
    /// The enclave's evidence was refused.
    SessionAttestationFailed = "TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED", "the worker must run the enclave and image that the SMS trusts";
    /// The SMS cannot be reached or failed.
    SessionUnknownIssue = "TEE_SESSION_GENERATION_UNKNOWN_ISSUE", "the pool's SMS must be reachable; the task is tried again";
    /// The session did not reach the enclave, or did not open.
    TeePreparationFailed = "TEE_PREPARATION_FAILED", "a fault of the worker; the task is tried again";
    /// The session names no task.
    PreComputeTaskIdMissing = "PRE_COMPUTE_TASK_ID_MISSING", "a fault of the SMS";
    /// The session does not say whether there is a dataset.
    PreComputeIsDatasetRequiredMissing = "PRE_COMPUTE_IS_DATASET_REQUIRED_MISSING", "a fault of the SMS";
    /// The session names no checksum for the dataset.
    PreComputeDatasetChecksumMissing = "PRE_COMPUTE_DATASET_CHECKSUM_MISSING", "the dataset owner must deploy the dataset with its checksum";
    /// The session names no file name for the dataset.
    PreComputeDatasetFilenameMissing = "PRE_COMPUTE_DATASET_FILENAME_MISSING", "a fault of the SMS";
    /// The session does not say how many input files there are.
    PreComputeInputFilesNumberMissing = "PRE_COMPUTE_INPUT_FILES_NUMBER_MISSING", "a fault of the SMS";
    /// The session counts more input files than it names.
    PreComputeInputFileUrlMissing = "PRE_COMPUTE_AT_LEAST_ONE_INPUT_FILE_URL_MISSING", "a fault of the SMS";
    /// Anything else before the app.
    PreComputeFailedUnknownIssue = "PRE_COMPUTE_FAILED_UNKNOWN_ISSUE", "a fault of the enclave; report it";
    /// The dataset's key is not of its form.
    PreComputeDatasetKeyMissing = "PRE_COMPUTE_DATASET_KEY_MISSING", "the dataset owner must push the key: `iexec dataset push-secret`";
    /// The enclave was not given the dataset.
    PreComputeDatasetDownloadFailed = "PRE_COMPUTE_DATASET_DOWNLOAD_FAILED", "the dataset owner must make the encrypted file reachable";
    /// The dataset is not the one whose checksum is on chain.
    PreComputeInvalidDatasetChecksum = "PRE_COMPUTE_INVALID_DATASET_CHECKSUM", "the dataset owner must serve the file that was deployed";
    /// The dataset does not decrypt under its key.
    PreComputeDatasetDecryptionFailed = "PRE_COMPUTE_DATASET_DECRYPTION_FAILED", "the dataset owner must push the key that the file was encrypted with";
    /// The decrypted dataset cannot be written.
    PreComputeSavingPlainDatasetFailed = "PRE_COMPUTE_SAVING_PLAIN_DATASET_FAILED", "the dataset may exceed the pool's memory limit";
    /// The enclave was not given an input file.
    PreComputeInputFileDownloadFailed = "PRE_COMPUTE_INPUT_FILE_DOWNLOAD_FAILED", "check the `--input-files` URLs";
    /// The app cannot be started.
    AppNotFoundLocally = "APP_NOT_FOUND_LOCALLY", "the image's entrypoint must exist in the image";
    /// The app ended with an error.
    AppComputeFailed = "APP_COMPUTE_FAILED", "run the image by hand with the same arguments and inputs; what it prints stays in the enclave";
    /// The app ran longer than its category allows.
    AppComputeTimeout = "APP_COMPUTE_TIMEOUT", "run in a longer category: `--category`";
    /// The session names no task for the result.
    PostComputeTaskIdMissing = "POST_COMPUTE_TASK_ID_MISSING", "a fault of the SMS";
    /// The session names no worker.
    PostComputeWorkerAddressMissing = "POST_COMPUTE_WORKER_ADDRESS_MISSING", "a fault of the SMS";
    /// The challenge key is missing or malformed.
    PostComputeChallengeKeyMissing = "POST_COMPUTE_TEE_CHALLENGE_PRIVATE_KEY_MISSING", "a fault of the SMS";
    /// Signing failed.
    PostComputeInvalidTeeSignature = "POST_COMPUTE_INVALID_TEE_SIGNATURE", "a fault of the SMS: its challenge key does not sign";
    /// Encryption is asked for and no key is there, or it is unclear whether it is asked for.
    PostComputeEncryptionPublicKeyMissing = "POST_COMPUTE_ENCRYPTION_PUBLIC_KEY_MISSING", "the beneficiary must push a key: `iexec result push-encryption-key`";
    /// The beneficiary's key does not parse.
    PostComputeMalformedEncryptionPublicKey = "POST_COMPUTE_MALFORMED_ENCRYPTION_PUBLIC_KEY", "push a key that `iexec result generate-encryption-keypair` made";
    /// Encryption failed.
    PostComputeEncryptionFailed = "POST_COMPUTE_ENCRYPTION_FAILED", "a fault of the enclave or a full disk of the worker";
    /// `computed.json` is missing or malformed.
    PostComputeComputedFileNotFound = "POST_COMPUTE_COMPUTED_FILE_NOT_FOUND", "the app must write $IEXEC_OUT/computed.json";
    /// The deterministic output cannot be hashed.
    PostComputeResultDigestComputationFailed = "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED", "computed.json's deterministic-output-path must be a file or folder under $IEXEC_OUT";
    /// The output cannot be zipped.
    PostComputeOutFolderZipFailed = "POST_COMPUTE_OUT_FOLDER_ZIP_FAILED", "the app's output may hold unreadable files";
    /// A file name is too long.
    PostComputeTooLongResultFileName = "POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME", "file names in $IEXEC_OUT are at most 255 bytes";
    /// The archive is not where it was written.
    PostComputeResultFileNotFound = "POST_COMPUTE_RESULT_FILE_NOT_FOUND", "a fault of the worker";
    /// The archive cannot be stored.
    PostComputeIpfsUploadFailed = "POST_COMPUTE_IPFS_UPLOAD_FAILED", "the pool's storage must accept the archive";
    /// Anything else in the enclave.
    PostComputeFailedUnknownIssue = "POST_COMPUTE_FAILED_UNKNOWN_ISSUE", "a fault of the enclave; report it";
    /// The enclave ran longer than allowed.
    PostComputeTimeout = "POST_COMPUTE_TIMEOUT", "run in a longer category: `--category`";
    /// A deal of trust other than one cannot be finalised in one transaction.
    TrustNotOne = "TRUST_NOT_1", "run with `--trust 1` or none";
    /// Somebody contributed already.
    TaskAlreadyContributed = "TASK_ALREADY_CONTRIBUTED", "nothing to do";
    /// The contribution's signature does not hold.
    EnclaveSignatureNotFound = "ENCLAVE_SIGNATURE_NOT_FOUND", "a fault of the enclave";
    /// No worker contributed in time.
    ContributionTimeout = "CONTRIBUTION_TIMEOUT", "claim the deal: `iexec deal claim`";
    /// The deal names no framework that this pool has.
    TeeNotSupported = "TEE_NOT_SUPPORTED", "run it with `--tag tee`, or choose a workerpool that offers the tag";
    /// The worker gave the task up.
    AbortedByWorker = "ABORTED_BY_WORKER", "the task is tried again";
    /// Not known.
    Unknown = "UNKNOWN", "look at the worker's log";
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No cause of that name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown cause {0:?}")]
pub struct UnknownCause(String);

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        let known = Self::ALL.iter().copied().find(|cause| cause.name() == text);
        known.ok_or_else(|| UnknownCause(text.chars().take(80).collect()))
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_reads_back_from_its_name() {
        for cause in Cause::ALL {
            assert_eq!(cause.name().parse(), Ok(*cause));
        }
    }
}
