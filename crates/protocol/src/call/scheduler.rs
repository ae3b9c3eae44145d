//! Calls to the scheduler: a worker's, signed by its wallet; and those of the SDK's `task debug`.

use alloy_primitives::{Address, B256, keccak256};
use http::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{Call, CallError, bare, json, success_json};
use crate::{
    Timestamp,
    authorization::WorkerpoolAuthorization,
    cause::Cause,
    id::TaskId,
    key::{KeyError, Signature, SigningKey},
};

/// How far a worker's clock may be off, in seconds.
pub const CLOCK_SKEW: u64 = 60;

/// `<seconds>_<signature>_<address>`: a worker's signature of one request (EIP-191).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHeader {
    time: Timestamp,
    signature: Signature,
    worker: Address,
}

impl WorkerHeader {
    /// Signs the request to `path` with this body.
    pub fn sign(worker: &SigningKey, time: Timestamp, path: &str, body: &[u8]) -> Result<Self, KeyError> {
        let signature = worker.sign_personal(Self::hash(time, path, body))?;
        Ok(Self { time, signature, worker: worker.address() })
    }

    /// Reads the header and checks it; yields the worker.
    pub fn verify(text: &str, now: Timestamp, path: &str, body: &[u8]) -> Result<Address, WorkerHeaderError> {
        let [time, signature, worker] = text.split('_').collect::<Vec<_>>()[..] else {
            return Err(WorkerHeaderError::Malformed);
        };
        let time: Timestamp = time.parse().map_err(|_| WorkerHeaderError::Malformed)?;
        let signature: Signature = signature.parse().map_err(|_| WorkerHeaderError::Malformed)?;
        let worker: Address = worker.parse().map_err(|_| WorkerHeaderError::Malformed)?;
        if time.abs_diff(now) > CLOCK_SKEW {
            return Err(WorkerHeaderError::Time { signed: time, now });
        }
        match signature.signer_of_personal(Self::hash(time, path, body)) {
            Some(signer) if signer == worker => Ok(worker),
            _ => Err(WorkerHeaderError::Signature(worker)),
        }
    }

    fn hash(time: Timestamp, path: &str, body: &[u8]) -> B256 {
        let (path, body) = (keccak256(path), keccak256(body));
        keccak256(
            [b"iexec worker request v1".as_slice(), path.as_slice(), body.as_slice(), &time.to_be_bytes()].concat(),
        )
    }
}

impl std::fmt::Display for WorkerHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}_{}", self.time, self.signature, self.worker)
    }
}

/// A worker's request that is not believed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WorkerHeaderError {
    /// Not of its form.
    #[error("the authorization must be <seconds>_<signature>_<worker address>")]
    Malformed,
    /// Too old, or from the future.
    #[error("the request was signed at {signed}, it is {now} here; clocks may differ by {CLOCK_SKEW} s")]
    Time {
        /// When it was signed.
        signed: Timestamp,
        /// The scheduler's time.
        now: Timestamp,
    },
    /// Another key signed.
    #[error("the request is not signed by {0}")]
    Signature(Address),
}

/// `POST /v1/grants`: a worker asks for a task. Repeating it while it holds one yields the same one.
#[derive(Clone, Debug)]
pub struct AskGrant {
    /// Of path `/v1/grants` and an empty body.
    pub header: WorkerHeader,
}

/// A task granted to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// For SMS, storage and hub.
    pub authorization: WorkerpoolAuthorization,
    /// The pool's SMS; empty for a deal without TEE.
    pub sms_url: String,
    /// The pool's storage.
    pub storage_url: String,
}

impl AskGrant {
    /// Its path.
    pub const PATH: &'static str = "/v1/grants";
}

impl Call for AskGrant {
    type Reply = Option<Grant>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::POST, base, Self::PATH, Some(self.header.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Option<Grant>, CallError> {
        if response.status() == StatusCode::NO_CONTENT { Ok(None) } else { success_json(response).map(Some) }
    }
}

/// `POST /v1/grants/{task}/report`: how it stands with a granted task.
#[derive(Clone, Debug)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// How it stands.
    pub progress: Progress,
    /// Of path and body.
    pub header: WorkerHeader,
}

/// How it stands with a granted task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    /// The worker works on it.
    Working {
        /// iExec's replicate status, as `STARTED`, `COMPUTING`, `CONTRIBUTE_AND_FINALIZE_ONGOING`.
        status: String,
    },
    /// `contributeAndFinalize` was mined.
    Done,
    /// Given up.
    GaveUp {
        /// Why.
        cause: Cause,
        /// In a sentence without secrets.
        message: String,
    },
}

/// Whether the worker shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// False: the task is no longer this worker's.
    pub go_on: bool,
}

impl Report {
    /// The path for a task.
    pub fn path(task: TaskId) -> String {
        format!("/v1/grants/{task}/report")
    }

    /// The body, whose bytes are signed.
    pub fn body(progress: &Progress) -> Result<Vec<u8>, CallError> {
        serde_json::to_vec(progress).map_err(|error| CallError::Request(error.to_string()))
    }
}

impl Call for Report {
    type Reply = Verdict;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, &Self::path(self.task), Some(self.header.to_string()), &self.progress)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Verdict, CallError> {
        success_json(response)
    }
}

/// `GET /tasks/{task}`: what the scheduler knows (the SDK's `task debug`).
#[derive(Clone, Copy, Debug)]
pub struct GetTask(pub TaskId);

impl Call for GetTask {
    type Reply = Value;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::GET, base, &format!("/tasks/{}", self.0), None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Value, CallError> {
        success_json(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_request_is_believed_only_as_it_was_signed() {
        let key = SigningKey::from_bytes(&[4; 32]).unwrap();
        let header = WorkerHeader::sign(&key, 1000, "/v1/grants", b"body").unwrap().to_string();
        assert_eq!(WorkerHeader::verify(&header, 1060, "/v1/grants", b"body"), Ok(key.address()));
        assert!(matches!(
            WorkerHeader::verify(&header, 1061, "/v1/grants", b"body"),
            Err(WorkerHeaderError::Time { .. })
        ));
        assert!(matches!(
            WorkerHeader::verify(&header, 1000, "/v1/other", b"body"),
            Err(WorkerHeaderError::Signature(_))
        ));
        assert!(matches!(
            WorkerHeader::verify(&header, 1000, "/v1/grants", b"bodz"),
            Err(WorkerHeaderError::Signature(_))
        ));
        assert_eq!(WorkerHeader::verify("x", 1000, "/", b""), Err(WorkerHeaderError::Malformed));
    }
}
