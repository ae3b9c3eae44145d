//! Calls to the Secret Management Service (iExec SMS REST API), and the two steps of a session.

use alloy_primitives::{Address, B256};
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};

use super::{Call, CallError, bare, escaped, exists, json, success, success_json, text};
use crate::{
    authorization::WorkerpoolAuthorization,
    evidence::{Evidence, Nonce, base64_bytes},
    id::TaskId,
    key::Signature,
    secret::{SecretError, SecretKind, check_key, check_name, proxy_origin},
    session::SealedSession,
};

/// Which secret: each kind has its path, its owner and its challenge (see [`crate::secret`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretId {
    /// A wallet's own secret, such as a beneficiary's public key.
    Web2 {
        /// The wallet.
        owner: Address,
        /// Its name.
        name: String,
    },
    /// A dataset's key.
    Web3 {
        /// The dataset contract.
        asset: Address,
    },
    /// The app developer's secret.
    App {
        /// The app contract.
        app: Address,
    },
    /// A requester's secret.
    Requester {
        /// The wallet.
        requester: Address,
        /// Its key.
        key: String,
    },
    /// A worker's token for one result proxy. Only the second API knows it: [`crate::secret_request`].
    Storage {
        /// The worker's wallet.
        worker: Address,
        /// The proxy's origin, as [`crate::secret::proxy_origin`] writes it.
        proxy: String,
    },
}

impl SecretId {
    /// Path and query on the SMS: of iExec's API, or of the second one for what iExec's does not know.
    pub fn path(&self) -> String {
        match self {
            Self::Web2 { owner, name } => format!("/secrets/web2?ownerAddress={owner}&secretName={}", escaped(name)),
            Self::Web3 { asset } => format!("/secrets/web3?secretAddress={asset}"),
            Self::App { app } => format!("/apps/{app}/secrets"),
            Self::Requester { requester, key } => format!("/requesters/{requester}/secrets/{}", escaped(key)),
            Self::Storage { .. } => self.v2_path(),
        }
    }

    /// Path and query in the second API.
    pub fn v2_path(&self) -> String {
        let (kind, owner, name) = (self.kind(), self.owner(), self.name());
        let query = if name.is_empty() { String::new() } else { format!("?name={}", escaped(name)) };
        format!("/v2/secrets/{kind}/{owner}{query}")
    }

    /// Its kind.
    pub const fn kind(&self) -> SecretKind {
        match self {
            Self::Web2 { .. } => SecretKind::Web2,
            Self::Web3 { .. } => SecretKind::Web3,
            Self::App { .. } => SecretKind::App,
            Self::Requester { .. } => SecretKind::Requester,
            Self::Storage { .. } => SecretKind::Storage,
        }
    }

    /// The wallet or the contract that it belongs to.
    pub const fn owner(&self) -> Address {
        match self {
            Self::Web2 { owner: address, .. }
            | Self::Web3 { asset: address }
            | Self::App { app: address }
            | Self::Requester { requester: address, .. }
            | Self::Storage { worker: address, .. } => *address,
        }
    }

    /// Its name among the owner's secrets of its kind; empty where an owner has only one.
    pub fn name(&self) -> &str {
        match self {
            Self::Web2 { name, .. } | Self::Requester { key: name, .. } | Self::Storage { proxy: name, .. } => name,
            Self::Web3 { .. } | Self::App { .. } => "",
        }
    }

    /// The secret of these parts, with its name checked: `name` is empty for assets, an origin for storage tokens.
    pub fn new(kind: SecretKind, owner: Address, name: &str) -> Result<Self, SecretError> {
        let named = name.to_owned();
        match kind {
            SecretKind::Web2 => check_name(name).map(|()| Self::Web2 { owner, name: named }),
            SecretKind::Requester => check_key(name).map(|()| Self::Requester { requester: owner, key: named }),
            SecretKind::Storage if proxy_origin(name)? == name => Ok(Self::Storage { worker: owner, proxy: named }),
            SecretKind::Storage => Err(SecretError::Proxy),
            SecretKind::Web3 | SecretKind::App if !name.is_empty() => Err(SecretError::Nameless),
            SecretKind::Web3 => Ok(Self::Web3 { asset: owner }),
            SecretKind::App => Ok(Self::App { app: owner }),
        }
    }

    /// What its owner signs in iExec's API to set it to `value`. That API has no route for storage tokens; their
    /// challenge is of a form that fits no other kind.
    pub fn challenge(&self, value: &str) -> B256 {
        use crate::secret;
        match self {
            Self::Web2 { owner, name } => secret::web2_challenge(*owner, name, value),
            Self::Web3 { asset } => secret::web3_challenge(*asset, value),
            Self::App { app } => secret::app_challenge(*app, value),
            Self::Requester { requester, key } => secret::requester_challenge(*requester, key, value),
            Self::Storage { worker, proxy } => secret::web3_challenge(*worker, &format!("{proxy} {value}")),
        }
    }
}

/// `HEAD`: is it there?
#[derive(Clone, Debug)]
pub struct SecretExists(pub SecretId);

impl Call for SecretExists {
    type Reply = bool;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::HEAD, base, &self.0.path(), None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<bool, CallError> {
        exists(&response)
    }
}

/// `POST` (or `PUT`, web2 only): keep it.
pub struct SetSecret {
    /// Which.
    pub id: SecretId,
    /// Its value.
    pub value: crate::session::SecretText,
    /// By its owner, over [`SecretId::challenge`].
    pub signature: Signature,
    /// Replace an existing one.
    pub update: bool,
}

impl Call for SetSecret {
    type Reply = ();

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let method = if self.update { Method::PUT } else { Method::POST };
        text(method, base, &self.id.path(), Some(self.signature.to_string()), self.value.expose())
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<(), CallError> {
        success(response).map(drop)
    }
}

/// `POST /tee/challenges/{task}`: the address whose key the task's enclave will sign with.
#[derive(Clone, Debug)]
pub struct GetChallenge {
    /// The task.
    pub task: TaskId,
    /// By the workerpool's owner, over [`crate::authorization::challenge_request_hash`].
    pub signature: Signature,
}

impl Call for GetChallenge {
    type Reply = Address;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::POST, base, &format!("/tee/challenges/{}", self.task), Some(self.signature.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Address, CallError> {
        let body = success(response)?;
        let text = String::from_utf8_lossy(&body);
        crate::id::parse_address(text.trim()).map_err(|error| CallError::Malformed(error.to_string()))
    }
}

/// `POST /tee/sessions`: begin a session. The SMS answers with a nonce that the enclave's evidence must hold.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// The workerpool's word.
    pub authorization: WorkerpoolAuthorization,
    /// By the worker, over the same hash.
    pub signature: Signature,
}

/// iExec's `ApiResponseBody`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data<T> {
    /// The value.
    pub data: T,
}

/// A session that waits for evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionOffer {
    /// Its id.
    pub session_id: String,
    /// Origin to send the evidence to.
    pub secret_provisioning_url: String,
    /// What the evidence must hold.
    pub nonce: Nonce,
}

impl Call for OpenSession {
    type Reply = SessionOffer;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, "/tee/sessions", Some(self.signature.to_string()), &self.authorization)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<SessionOffer, CallError> {
        success_json::<Data<SessionOffer>>(response).map(|body| body.data)
    }
}

/// `POST /tee/sessions/{id}/evidence`: show evidence, receive the session sealed to the evidence's key.
#[derive(Clone, Debug)]
pub struct Attest {
    /// The session.
    pub session_id: String,
    /// The evidence.
    pub evidence: Evidence,
}

impl Call for Attest {
    type Reply = SealedSession;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, &format!("/tee/sessions/{}/evidence", self.session_id), None, &self.evidence)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<SealedSession, CallError> {
        success_json::<Data<SealedSession>>(response).map(|body| body.data)
    }
}

/// `POST /v2/tee/authorizations`: the TEE broker's signature on what the workerpool's owner signed.
#[derive(Clone, Debug)]
pub struct AskBroker {
    /// By the workerpool's owner.
    pub authorization: WorkerpoolAuthorization,
}

impl Call for AskBroker {
    type Reply = WorkerpoolAuthorization;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, "/v2/tee/authorizations", None, &self.authorization)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<WorkerpoolAuthorization, CallError> {
        success_json::<Data<WorkerpoolAuthorization>>(response).map(|body| body.data)
    }
}

/// `POST /v2/collateral`: what the vendor says of the evidence's platform.
#[derive(Clone, Debug)]
pub struct GetCollateral {
    /// The evidence.
    pub evidence: Evidence,
}

/// What the vendor says of a platform: signed by the vendor, so that nobody has to believe who passes it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PlatformCollateral {
    /// For SGX, TDX and the simulation.
    Dcap {
        /// A `QuoteCollateralV3`: texts, and bytes in hex.
        collateral: serde_json::Value,
    },
    /// For SEV-SNP.
    Snp {
        /// The VCEK's certificate, DER; base64, empty if the evidence brings it.
        #[serde(with = "base64_bytes")]
        vcek: Vec<u8>,
        /// AMD's revocation list, DER; base64, empty if it was not asked for.
        #[serde(with = "base64_bytes")]
        revocations: Vec<u8>,
    },
}

impl Call for GetCollateral {
    type Reply = PlatformCollateral;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        json(Method::POST, base, "/v2/collateral", None, &self.evidence)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<PlatformCollateral, CallError> {
        success_json(response)
    }
}
