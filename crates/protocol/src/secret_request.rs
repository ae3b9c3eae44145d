//! What an owner signs in the SMS's second API: one EIP-712 message for each thing that may be asked (spec SMS-70 to
//! SMS-79). Unlike iExec's challenges it names the verb, the kind, the version, this one SMS and the chain, is good for
//! minutes, and once.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, sol};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    Timestamp,
    call::sms::SecretId,
    key::{KeyError, Signature, SigningKey},
    secret::SecretKind,
};

/// How far ahead a deadline may be, in seconds.
pub const MAX_AHEAD: Timestamp = 600;
/// Longest audience, in bytes.
pub const MAX_AUDIENCE: usize = 255;
/// Longest header read, in bytes.
const MAX_HEADER: usize = 2048;

sol! {
    /// The one type that is signed.
    #[derive(Debug)]
    struct SecretRequest {
        string verb;
        string kind;
        address owner;
        string name;
        bytes32 valueHash;
        uint64 version;
        bytes32 nonce;
        uint64 deadline;
        string audience;
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Keep this value as this version.
    Put,
    /// Forget this version.
    Delete,
    /// Tell the names and versions.
    List,
}

impl Verb {
    /// As it is signed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// What is asked of which secrets: what the request's line and body say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is asked.
    pub verb: Verb,
    /// Which kind; `None` lists all kinds that a wallet can have.
    pub kind: Option<SecretKind>,
    /// The wallet or contract that the secrets belong to.
    pub owner: Address,
    /// Which of them; empty for a list.
    pub name: String,
    /// keccak256 of the value's UTF-8 bytes; zero where there is none.
    pub value_hash: B256,
}

impl Subject {
    /// Keep `value`.
    pub fn put(id: &SecretId, value: &str) -> Self {
        Self { value_hash: keccak256(value), ..Self::of(Verb::Put, id) }
    }

    /// Forget it.
    pub fn delete(id: &SecretId) -> Self {
        Self::of(Verb::Delete, id)
    }

    /// List the secrets of an owner, of one kind or of all that a wallet can have.
    pub fn list(owner: Address, kind: Option<SecretKind>) -> Self {
        Self { verb: Verb::List, kind, owner, name: String::new(), value_hash: B256::ZERO }
    }

    fn of(verb: Verb, id: &SecretId) -> Self {
        let (kind, owner, name) = (Some(id.kind()), id.owner(), id.name().to_owned());
        Self { verb, kind, owner, name, value_hash: B256::ZERO }
    }
}

/// What makes a request good once, for minutes, at one SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// PUT: the version that the value becomes, one above the last. DELETE: the version that is there. List: 0.
    pub version: u64,
    /// 32 random bytes.
    pub nonce: B256,
    /// Until when it is good, in Unix seconds; at most [`MAX_AHEAD`] from now.
    pub deadline: Timestamp,
    /// Origin of the SMS that it is for.
    pub audience: String,
}

impl Terms {
    /// The EIP-712 hash of these terms for this subject, on this chain.
    pub fn hash(&self, subject: &Subject, chain_id: u64) -> B256 {
        self.message(subject).eip712_signing_hash(&domain(chain_id))
    }

    /// Signs them.
    pub fn sign(self, subject: &Subject, chain_id: u64, key: &SigningKey) -> Result<RequestHeader, KeyError> {
        let signature = key.sign_hash(self.hash(subject, chain_id))?;
        Ok(RequestHeader { terms: self, signature })
    }

    /// The typed data as the JSON that `eth_signTypedData_v4` takes.
    pub fn to_typed_data(&self, subject: &Subject, chain_id: u64) -> Value {
        let field = |(name, kind): (&str, &str)| json!({"name": name, "type": kind});
        let domain = [("name", "string"), ("version", "string"), ("chainId", "uint256")].map(field);
        let message = [
            ("verb", "string"),
            ("kind", "string"),
            ("owner", "address"),
            ("name", "string"),
            ("valueHash", "bytes32"),
            ("version", "uint64"),
            ("nonce", "bytes32"),
            ("deadline", "uint64"),
            ("audience", "string"),
        ]
        .map(field);
        json!({
            "types": {"EIP712Domain": domain, "SecretRequest": message},
            "domain": {"name": "iExec SMS", "version": "2", "chainId": chain_id},
            "primaryType": "SecretRequest",
            "message": {
                "verb": subject.verb.name(),
                "kind": subject.kind.map_or("", SecretKind::name),
                "owner": subject.owner,
                "name": subject.name,
                "valueHash": subject.value_hash,
                "version": self.version,
                "nonce": self.nonce,
                "deadline": self.deadline,
                "audience": self.audience,
            },
        })
    }

    fn message(&self, subject: &Subject) -> SecretRequest {
        SecretRequest {
            verb: subject.verb.name().to_owned(),
            kind: subject.kind.map_or("", SecretKind::name).to_owned(),
            owner: subject.owner,
            name: subject.name.clone(),
            valueHash: subject.value_hash,
            version: self.version,
            nonce: self.nonce,
            deadline: self.deadline,
            audience: self.audience.clone(),
        }
    }

    /// Whether they are good at `now` at the SMS with this origin.
    pub fn check(&self, now: Timestamp, origin: &str) -> Result<(), TermsError> {
        if self.audience != origin {
            return Err(TermsError::Audience { expected: origin.to_owned(), found: self.audience.clone() });
        }
        if self.deadline <= now {
            return Err(TermsError::Expired { ago: now - self.deadline });
        }
        let ahead = self.deadline - now;
        if ahead > MAX_AHEAD { Err(TermsError::Far { ahead }) } else { Ok(()) }
    }
}

fn domain(chain_id: u64) -> Eip712Domain {
    Eip712Domain {
        name: Some("iExec SMS".into()),
        version: Some("2".into()),
        chain_id: Some(U256::from(chain_id)),
        verifying_contract: None,
        salt: None,
    }
}

/// The header `Authorization` of a request: `iexec <base64url of the JSON {version, nonce, deadline, audience, signature}>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// What was signed beside the subject.
    pub terms: Terms,
    /// Over [`Terms::hash`].
    pub signature: Signature,
}

/// The header's JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    version: u64,
    nonce: B256,
    deadline: Timestamp,
    audience: String,
    signature: Signature,
}

impl RequestHeader {
    /// Who signed these terms for this subject; `None` when nobody can have.
    pub fn signer(&self, subject: &Subject, chain_id: u64) -> Option<Address> {
        self.signature.signer_of_hash(self.terms.hash(subject, chain_id))
    }
}

impl fmt::Display for RequestHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Terms { version, nonce, deadline, audience } = self.terms.clone();
        let fields = Fields { version, nonce, deadline, audience, signature: self.signature };
        let json = serde_json::to_vec(&fields).map_err(|_| fmt::Error)?;
        write!(f, "iexec {}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for RequestHeader {
    type Err = RequestHeaderError;

    fn from_str(text: &str) -> Result<Self, RequestHeaderError> {
        let base64 = text.trim().strip_prefix("iexec ").filter(|rest| rest.len() <= MAX_HEADER);
        let json = URL_SAFE_NO_PAD.decode(base64.ok_or(RequestHeaderError::Form)?);
        let json = json.map_err(|_| RequestHeaderError::Form)?;
        let fields: Fields =
            serde_json::from_slice(&json).map_err(|error| RequestHeaderError::Json(error.to_string()))?;
        if fields.audience.len() > MAX_AUDIENCE {
            return Err(RequestHeaderError::Audience);
        }
        let Fields { version, nonce, deadline, audience, signature } = fields;
        Ok(Self { terms: Terms { version, nonce, deadline, audience }, signature })
    }
}

/// Not of its form.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestHeaderError {
    /// No header of ours.
    #[error("must be `iexec <base64url of {{version, nonce, deadline, audience, signature}}>`")]
    Form,
    /// Not the fields that it must have.
    #[error("its JSON: {0}")]
    Json(String),
    /// Too long.
    #[error("its audience must have at most {MAX_AUDIENCE} bytes")]
    Audience,
}

/// Terms that are not good here and now.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TermsError {
    /// Another SMS's.
    #[error("the request is signed for {found}, this SMS is {expected}")]
    Audience {
        /// This SMS.
        expected: String,
        /// What was signed.
        found: String,
    },
    /// Too late.
    #[error("the request was good until {ago} s ago; sign another")]
    Expired {
        /// Seconds.
        ago: u64,
    },
    /// Good for too long.
    #[error("the request's deadline is {ahead} s ahead; at most {MAX_AHEAD} s are allowed")]
    Far {
        /// Seconds.
        ahead: u64,
    },
}

#[cfg(test)]
mod tests;
