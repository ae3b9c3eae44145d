//! Whole requests as bytes, signed before anything is measured.

use std::{fmt::Write as _, sync::Arc};

use anyhow::Result;
use iexec_protocol::{
    Address,
    call::{Call, sms::SecretId},
    key::SigningKey,
};

use crate::service::Service;

/// Secrets that one wallet gets: no more than it may push at once.
const PER_OWNER: usize = 50;
/// Different secrets that are asked for.
const ASKED: u64 = 50_000;
/// As long as an RSA-2048 public key in PEM and base64, which is what most people push.
const VALUE_BYTES: usize = 600;

/// Owner and name of the nth secret that [`crate::fill`] stores.
pub(crate) fn stored(number: u64) -> SecretId {
    let owner = (number / 100 * 2_654_435_761) % (1 << 32);
    let mut bytes = [0; 20];
    bytes[12..].copy_from_slice(&owner.to_be_bytes());
    SecretId::Web2 { owner: Address::from(bytes), name: format!("secret-{number}") }
}

/// Questions whether a secret is there, for all of few or some of many, in no order.
pub(crate) fn checks(stored_secrets: u64, service: &Service) -> Result<Vec<Arc<[u8]>>> {
    let number = |at: u64| if stored_secrets <= ASKED { at } else { rand::random_range(0..stored_secrets) };
    let numbers = (0..stored_secrets.min(ASKED)).map(number);
    numbers.map(|number| Ok(request("HEAD", service, &stored(number), "", ""))).collect()
}

/// Secrets to keep, each under a name of its own.
pub(crate) fn pushes(count: usize, service: &Service) -> Result<Vec<Arc<[u8]>>> {
    let value = "x".repeat(VALUE_BYTES);
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let key = SigningKey::from_bytes(&rand::random())?;
        for number in 0..PER_OWNER.min(count - all.len()) {
            let id = SecretId::Web2 { owner: key.address(), name: format!("pushed-{number}") };
            let signature = key.sign_personal(id.challenge(&value))?;
            all.push(request("POST", service, &id, &format!("authorization: {signature}\r\n"), &value));
        }
    }
    Ok(all)
}

fn request(method: &str, service: &Service, id: &SecretId, headers: &str, body: &str) -> Arc<[u8]> {
    let (path, host, length) = (id.path(), service.address(), body.len());
    let length = if body.is_empty() { String::new() } else { format!("content-length: {length}\r\n") };
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{length}\r\n{body}").into_bytes().into()
}

/// A call of the protocol as it goes over the wire.
pub(crate) fn bytes(origin: &str, call: &impl Call) -> Result<Arc<[u8]>> {
    let (head, body) = call.request(origin)?.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let (host, length) = (head.uri.authority().map_or("", |host| host.as_str()), body.len());
    let mut request = format!("{} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n", head.method);
    for (name, value) in &head.headers {
        write!(request, "{name}: {}\r\n", value.to_str()?)?;
    }
    Ok([request.as_bytes(), b"\r\n", &body].concat().into())
}
