//! Calls to the SMS's second API for secrets (spec SMS-70 to SMS-79): keep, delete, list. What is signed is in
//! [`crate::secret_request`].

use alloy_primitives::Address;
use http::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Call, CallError, bare, escaped, success, success_json, text};
use crate::{Timestamp, call::sms::SecretId, secret::SecretKind, secret_request::RequestHeader, session::SecretText};

/// `GET /v2`: what a client must know before it signs. An SMS without the second API answers 404.
#[derive(Clone, Copy, Debug)]
pub struct GetTerms;

/// What an SMS with the second API says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SmsTerms {
    /// Its public origin: the audience of every request to it.
    pub audience: String,
    /// The chain whose owners it knows: the domain's.
    pub chain_id: u64,
    /// How far ahead a deadline may be, in seconds.
    pub max_ahead: u64,
    /// Longest secret, in bytes of UTF-8.
    pub max_secret: usize,
    /// Most secrets of one owner.
    pub max_secrets: u64,
}

impl Call for GetTerms {
    type Reply = Option<SmsTerms>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::GET, base, "/v2", None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Option<SmsTerms>, CallError> {
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        success_json(response).map(Some)
    }
}

/// `PUT /v2/secrets/{kind}/{owner}?name=`: keep a value as the version that the header names.
pub struct PutSecret {
    /// Which.
    pub id: SecretId,
    /// Its value.
    pub value: SecretText,
    /// By its owner, over [`crate::secret_request::Subject::put`].
    pub header: RequestHeader,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept as this version.
    Kept(u64),
    /// The last version is this one, so that the next one is one above.
    Version(u64),
}

/// The answer to a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The version that it is now.
    pub version: u64,
}

impl Call for PutSecret {
    type Reply = Put;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        text(Method::PUT, base, &self.id.v2_path(), Some(self.header.to_string()), self.value.expose())
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Put, CallError> {
        match last_version(&response) {
            Some(version) => Ok(Put::Version(version)),
            None => success_json::<Kept>(response).map(|kept| Put::Kept(kept.version)),
        }
    }
}

/// `DELETE /v2/secrets/{kind}/{owner}?name=`: forget the version that the header names.
#[derive(Clone, Debug)]
pub struct DeleteSecret {
    /// Which.
    pub id: SecretId,
    /// By its owner, over [`crate::secret_request::Subject::delete`].
    pub header: RequestHeader,
}

impl Call for DeleteSecret {
    type Reply = ();

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::DELETE, base, &self.id.v2_path(), Some(self.header.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<(), CallError> {
        success(response).map(drop)
    }
}

/// `GET /v2/secrets/{owner}?kind=&after=`: names, versions and times of an owner's secrets; never a value.
#[derive(Clone, Debug)]
pub struct ListSecrets {
    /// Whose.
    pub owner: Address,
    /// Of one kind; `None` for all that a wallet can have.
    pub kind: Option<SecretKind>,
    /// The [`Listing::next`] of the page before; `None` for the first.
    pub after: Option<String>,
    /// By the owner, over [`crate::secret_request::Subject::list`].
    pub header: RequestHeader,
}

/// A page of an owner's secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// By kind and name.
    pub secrets: Vec<Listed>,
    /// Where the next page begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `web2`, `web3`, `app`, `requester` or `storage`.
    pub kind: String,
    /// Its name; empty for an asset's.
    pub name: String,
    /// Its version, from 1; a deletion counts as one.
    pub version: u64,
    /// When its first version came, in Unix seconds.
    pub created: Timestamp,
    /// When this version came.
    pub updated: Timestamp,
    /// Whether it was deleted: then nothing but this line is left of it.
    pub deleted: bool,
}

impl Call for ListSecrets {
    type Reply = Listing;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let kind = self.kind.map(|kind| format!("kind={kind}"));
        let after = self.after.as_ref().map(|after| format!("after={}", escaped(after)));
        let query = [kind, after].into_iter().flatten().collect::<Vec<_>>().join("&");
        let path = format!("/v2/secrets/{}?{query}", self.owner);
        bare(Method::GET, base, path.trim_end_matches('?'), Some(self.header.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Listing, CallError> {
        success_json(response)
    }
}

/// The last version, where a refusal is about the version.
fn last_version(response: &Response<Vec<u8>>) -> Option<u64> {
    if response.status() != StatusCode::CONFLICT {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(response.body()).ok()?;
    body["lastVersion"].as_u64()
}

/// A refusal's machine-readable cause, as `nonce-used`; `None` where the SMS gave none.
pub fn code(response: &Response<Vec<u8>>) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(response.body()).ok()?;
    body["code"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::refusal;

    fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
        Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_conflict_of_versions_is_told_from_any_other() {
        let conflict = answer(409, r#"{"code":"version","lastVersion":4,"detail":"no"}"#);
        assert_eq!(last_version(&conflict), Some(4));
        assert_eq!(code(&conflict).as_deref(), Some("version"));
        assert_eq!(last_version(&answer(409, r#"{"code":"nonce-used"}"#)), None);
        assert_eq!(last_version(&answer(401, r#"{"lastVersion":4}"#)), None);
        assert!(matches!(refusal(&conflict), CallError::Refused { status: 409, .. }));
    }

    #[test]
    fn an_sms_without_the_second_api_is_no_error() {
        assert_eq!(GetTerms.reply(answer(404, "")), Ok(None));
        assert!(GetTerms.reply(answer(503, "")).is_err());
    }
}
