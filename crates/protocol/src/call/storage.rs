//! Calls to the result storage: a worker's upload, and the login of SDKs up to 8.24 (iExec result proxy).
//! The archive's bytes are streamed beside these types.

use alloy_primitives::Address;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{Call, CallError, bare, success, success_json, text};
use crate::{authorization::WorkerpoolAuthorization, id::TaskId, key::Signature, typed_data::LoginHeader};

/// The header of an upload: the workerpool's word and the worker's signature of the same hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadHeader {
    /// The workerpool's word.
    pub authorization: WorkerpoolAuthorization,
    /// By the worker.
    pub signature: Signature,
}

impl UploadHeader {
    /// `iexec <base64url of the JSON>`.
    pub fn to_text(&self) -> Result<String, CallError> {
        let json = serde_json::to_vec(self).map_err(|error| CallError::Request(error.to_string()))?;
        Ok(format!("iexec {}", URL_SAFE_NO_PAD.encode(json)))
    }

    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, UploadHeaderError> {
        let base64 = text.trim().strip_prefix("iexec ").filter(|rest| rest.len() <= 4096).ok_or(UploadHeaderError)?;
        let json = URL_SAFE_NO_PAD.decode(base64).map_err(|_| UploadHeaderError)?;
        serde_json::from_slice(&json).map_err(|_| UploadHeaderError)
    }
}

/// Not of its form.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the authorization must be `iexec <base64url of {{authorization, signature}}>`")]
pub struct UploadHeaderError;

/// Path of an upload: `PUT /v1/results/{task}`, the archive's bytes as body.
pub fn upload_path(task: TaskId) -> String {
    format!("/v1/results/{task}")
}

/// The answer to an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// `/ipfs/<cid>`.
    pub location: String,
}

/// Reads the answer to an upload.
pub fn read_stored(response: Response<Vec<u8>>) -> Result<Stored, CallError> {
    success_json(response)
}

/// `GET /results/challenge`: typed data to log in with.
#[derive(Clone, Copy, Debug)]
pub struct GetLoginChallenge {
    /// Chain.
    pub chain_id: u64,
    /// Who logs in.
    pub address: Address,
}

impl Call for GetLoginChallenge {
    type Reply = Value;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let path = format!("/results/challenge?chainId={}&address={}", self.chain_id, self.address);
        bare(Method::GET, base, &path, None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Value, CallError> {
        success_json(response)
    }
}

/// `POST /results/login`: trade the answered challenge for a token.
#[derive(Clone, Debug)]
pub struct Login {
    /// Chain.
    pub chain_id: u64,
    /// The answered challenge.
    pub header: LoginHeader,
}

impl Call for Login {
    type Reply = String;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let path = format!("/results/login?chainId={}", self.chain_id);
        text(Method::POST, base, &path, None, &self.header.to_string())
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<String, CallError> {
        String::from_utf8(success(response)?).map_err(|error| CallError::Malformed(error.to_string()))
    }
}

/// `GET /version`: is it there?
#[derive(Clone, Copy, Debug)]
pub struct GetVersion;

impl Call for GetVersion {
    type Reply = String;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::GET, base, "/version", None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<String, CallError> {
        String::from_utf8(success(response)?).map_err(|error| CallError::Malformed(error.to_string()))
    }
}
