//! Signed requests of the second API, and what an attacker makes of them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use iexec_chain::devnet;
use iexec_protocol::{
    Address, B256,
    call::sms::SecretId,
    key::SigningKey,
    secret::SecretKind,
    secret_request::{RequestHeader, Subject, Terms, Verb},
};
use iexec_service::{Client, clock};

use crate::common::Service;

pub use crate::common::Raw;

pub fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

/// The wallet that is attacked.
pub fn owner() -> SigningKey {
    key(5)
}

pub fn web2(name: &str) -> SecretId {
    SecretId::Web2 { owner: owner().address(), name: name.into() }
}

pub fn requester(name: &str) -> SecretId {
    SecretId::Requester { requester: owner().address(), key: name.into() }
}

/// Status and cause of an answer, as `409 nonce-used`; the status alone if it is a success.
pub async fn answer(client: &Client, sms: &Service, request: &Raw) -> String {
    let answer = client.send(&sms.origin, request).await.unwrap();
    let status = answer.status().as_u16();
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if status == 503 || status == 429 {
        assert!(answer.headers().contains_key("retry-after"), "{status} without Retry-After");
    }
    match body["code"].as_str().or_else(|| body["error"][0].as_str()) {
        Some(code) if status >= 400 => format!("{status} {code}"),
        _ => status.to_string(),
    }
}

/// A request to be: what is signed.
#[derive(Clone)]
pub struct Ask {
    pub subject: Subject,
    pub path: String,
    pub value: Option<String>,
    pub terms: Terms,
    pub chain_id: u64,
    pub key: u8,
}

impl Ask {
    pub fn put(sms: &Service, id: &SecretId, value: &str, version: u64) -> Self {
        Self::of(sms, Subject::put(id, value), id.v2_path(), Some(value), version)
    }

    pub fn delete(sms: &Service, id: &SecretId, version: u64) -> Self {
        Self::of(sms, Subject::delete(id), id.v2_path(), None, version)
    }

    pub fn list(sms: &Service, owner: Address, kind: Option<SecretKind>) -> Self {
        let query = kind.map_or_else(String::new, |kind| format!("?kind={kind}"));
        Self::of(sms, Subject::list(owner, kind), format!("/v2/secrets/{owner}{query}"), None, 0)
    }

    fn of(sms: &Service, subject: Subject, path: String, value: Option<&str>, version: u64) -> Self {
        let nonce = B256::from(rand::random::<[u8; 32]>());
        let terms = Terms { version, nonce, deadline: clock::now() + 300, audience: sms.origin.clone() };
        Self { subject, path, value: value.map(str::to_owned), terms, chain_id: devnet::CHAIN_ID, key: 5 }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn header(&self) -> RequestHeader {
        self.terms.clone().sign(&self.subject, self.chain_id, &key(self.key)).unwrap()
    }

    pub fn sent(&self) -> Raw {
        let method = match self.subject.verb {
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
            Verb::List => Method::GET,
        };
        let body = self.value.clone().unwrap_or_default().into_bytes();
        let authorization = Some(self.header().to_string());
        Raw { method, path: self.path.clone(), authorization, media_type: Some("text/plain"), body }
    }

    /// Signed, then changed on the way.
    pub fn tampered(&self, change: impl FnOnce(&mut Raw)) -> Raw {
        let mut sent = self.sent();
        change(&mut sent);
        sent
    }

    /// Signed, then the header's terms rewritten.
    pub fn rewritten(&self, change: impl FnOnce(&mut RequestHeader)) -> Raw {
        let mut header = self.header();
        change(&mut header);
        self.tampered(|sent| sent.authorization = Some(header.to_string()))
    }

    /// Signed, then the header's JSON rewritten.
    pub fn json(&self, change: impl FnOnce(&mut serde_json::Value)) -> Raw {
        let text = self.header().to_string();
        let mut json = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&text["iexec ".len()..]).unwrap()).unwrap();
        change(&mut json);
        let text = format!("iexec {}", URL_SAFE_NO_PAD.encode(json.to_string()));
        self.tampered(|sent| sent.authorization = Some(text))
    }
}
