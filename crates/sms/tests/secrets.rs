//! The secrets API over HTTP, against a real store and a real chain: statuses, owners, bounds, known answers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{Network, Raw, Service, client, config, key, refused, set};
use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address,
    call::sms::{SecretExists, SecretId, SetSecret},
    key::SigningKey,
    session::SecretText,
};

/// Nobody listens there: what needs no chain must not notice.
const NO_CHAIN: &str = "http://127.0.0.1:1";

fn owner() -> SigningKey {
    SigningKey::from_hex("0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407").unwrap()
}

fn web2(name: &str) -> SecretId {
    SecretId::Web2 { owner: owner().address(), name: name.into() }
}

#[tokio::test]
async fn the_sdks_own_signature_keeps_a_beneficiary_key_while_the_chain_is_down() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let id = web2("iexec-result-encryption-public-key");
    let sdk = "0xb7636d443228e16fd1d2a6d850770beb2e8ee20baa31fdd7dc99213ac4ceda6a780b42b72a2d060c4886dcb172193374d4d859ced3372318454661a45c749bd81c";
    let push =
        SetSecret { id: id.clone(), value: SecretText::new("hello"), signature: sdk.parse().unwrap(), update: false };
    assert!(!client.send(&sms.origin, &SecretExists(id.clone())).await.unwrap());
    client.send(&sms.origin, &push).await.unwrap();
    assert!(client.send(&sms.origin, &SecretExists(id)).await.unwrap());
    let (status, words) = refused(client.send(&sms.origin, &push).await);
    assert_eq!((status, words.as_str()), (409, "a secret is kept there already, and it is not replaced"));
}

#[tokio::test]
async fn statuses_and_bodies_are_iexecs() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let path = web2("n").path();
    let signed = |value: &str| Some(owner().sign_personal(web2("n").challenge(value)).unwrap().to_string());
    let raw = |method, authorization, body: &[u8]| Raw {
        authorization,
        body: body.to_vec(),
        ..Raw::new(method, path.clone())
    };
    let large = "x".repeat(4097);
    for (case, status, error) in [
        (raw(Method::HEAD, None, b""), 404, ""),
        (raw(Method::PUT, signed("v"), b"v"), 404, "Secret not found"),
        (raw(Method::POST, None, b"v"), 401, "Invalid authorization"),
        (raw(Method::POST, Some("0x12".into()), b"v"), 401, "Invalid authorization"),
        (raw(Method::POST, signed("other"), b"v"), 401, "Invalid authorization"),
        (raw(Method::POST, signed(""), b""), 400, "Malformed request"),
        (raw(Method::POST, signed("v"), b"\xff\xfe"), 400, "Malformed request"),
        (raw(Method::POST, signed(&large), large.as_bytes()), 413, "Secret size should not exceed 4 Kb"),
        (raw(Method::POST, signed("v"), b"v"), 204, ""),
        (raw(Method::HEAD, None, b""), 204, ""),
        (raw(Method::POST, signed("v"), b"v"), 409, "Secret already exists"),
        (raw(Method::PUT, signed("v"), b"v"), 204, ""),
        (raw(Method::PUT, signed("w"), b"w"), 204, ""),
        (raw(Method::PUT, signed("v"), b"v"), 409, "Secret value was replaced before"),
        (raw(Method::PUT, signed("w"), b"w"), 204, ""),
        (raw(Method::DELETE, signed("w"), b""), 405, ""),
        (raw(Method::GET, None, b""), 405, ""),
    ] {
        let answer = client.send(&sms.origin, &case).await.unwrap();
        let line = format!("{} with {} bytes", case.method, case.body.len());
        assert_eq!(answer.status().as_u16(), status, "{line}: {}", String::from_utf8_lossy(answer.body()));
        let said = serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap_or_default();
        assert_eq!(said["error"][0].as_str().unwrap_or_default(), error, "{line}");
    }
}

#[tokio::test]
async fn a_malformed_parameter_is_named() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let good = "0x7bd4783FDCAD405A28052a0d1f11236A741da593";
    for (path, words) in [
        ("/secrets/web2?secretName=n".to_owned(), "parameter ownerAddress is missing"),
        (format!("/secrets/web2?ownerAddress={good}"), "parameter secretName is missing"),
        (
            format!("/secrets/web2?ownerAddress={good}&secretName="),
            "parameter secretName must have 1 to 255 bytes, it has 0",
        ),
        ("/secrets/web2?ownerAddress=0x12&secretName=n".to_owned(), "parameter ownerAddress: an address must be 0x"),
        (
            "/secrets/web2?ownerAddress=0x7Bd4783FDCAD405A28052a0d1f11236A741da593&secretName=n".to_owned(),
            "parameter ownerAddress: address 0x7Bd4783FDCAD405A28052a0d1f11236A741da593 fails its checksum",
        ),
        ("/secrets/web3?secretAddress=garbage".to_owned(), "parameter secretAddress: an address must be 0x"),
        ("/apps/0xzz/secrets".to_owned(), "parameter appAddress: an address must be 0x"),
        ("/requesters/me/secrets/k".to_owned(), "parameter requesterAddress: an address must be 0x"),
        (
            format!("/requesters/{good}/secrets/a%20b"),
            "Secret key should contain at most 64 characters from [0-9A-Za-z-_]",
        ),
    ] {
        let raw = Raw { body: b"v".to_vec(), ..Raw::new(Method::POST, path.clone()) };
        let answer = client.send(&sms.origin, &raw).await.unwrap();
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(answer.status().as_u16(), 400, "{path}: {body}");
        assert!(body.contains(words), "{path}: {body}");
        if !path.contains("web2") {
            let head = client.send(&sms.origin, &Raw::new(Method::HEAD, path.clone())).await.unwrap();
            assert_eq!(head.status().as_u16(), 400, "HEAD {path}");
        }
    }
}

#[tokio::test]
async fn a_requesters_secret_that_is_too_large_gets_iexecs_400() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let id = SecretId::Requester { requester: owner().address(), key: "k".into() };
    let large = set(&id, &"x".repeat(4097), &owner(), false);
    assert_eq!(refused(client.send(&sms.origin, &large).await).0, 400);
    let fits = set(&id, &"x".repeat(4096), &owner(), false);
    client.send(&sms.origin, &fits).await.unwrap();
    assert_eq!(refused(client.send(&sms.origin, &fits).await).0, 409);
}

#[tokio::test]
async fn an_assets_secret_is_503_without_a_chain_and_never_401() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let asset = Address::repeat_byte(9);
    for id in [SecretId::Web3 { asset }, SecretId::App { app: asset }] {
        let (status, words) = refused(client.send(&sms.origin, &set(&id, "v", &owner(), false)).await);
        assert_eq!(status, 503);
        assert!(
            words.starts_with("the chain does not answer: cannot reach the chain at http://127.0.0.1:1"),
            "{words}"
        );
        let large = set(&id, &"x".repeat(5000), &owner(), false);
        assert_eq!(refused(client.send(&sms.origin, &large).await).0, 413);
    }
}

#[tokio::test]
async fn an_assets_secret_is_its_owners_on_chain() {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sms = Service::start(config(&network.anvil.url(), &folder)).await;
    let (app, asset) = (network.app().await, network.dataset().await);
    let (app_owner, dataset_owner) = (key(DevAccount::Requester(0)), key(DevAccount::Requester(1)));
    for (id, right, wrong) in
        [(SecretId::App { app }, &app_owner, &dataset_owner), (SecretId::Web3 { asset }, &dataset_owner, &app_owner)]
    {
        let (status, words) = refused(network.set(&sms, &id, "v", wrong).await);
        assert_eq!(status, 401);
        assert!(
            words.contains(&right.address().to_string()) && words.contains(&wrong.address().to_string()),
            "{words}"
        );
        network.set(&sms, &id, "v", right).await.unwrap();
        assert_eq!(refused(network.set(&sms, &id, "w", right).await).0, 409);
        assert!(network.client.send(&sms.origin, &SecretExists(id)).await.unwrap());
    }
    for id in [SecretId::App { app: asset }, SecretId::Web3 { asset: app_owner.address() }] {
        let (status, words) = refused(network.set(&sms, &id, "v", &app_owner).await);
        assert_eq!(status, 404);
        assert!(words.contains("registered on this chain"), "{words}");
    }
}

#[tokio::test]
async fn any_web_page_may_ask() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    let answer = client.send(&sms.origin, &Raw::new(Method::HEAD, web2("n").path())).await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_restart_keeps_what_was_acknowledged() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    client.send(&sms.origin, &set(&web2("n"), "v", &owner(), false)).await.unwrap();
    sms.end().await;
    let sms = Service::start(config(NO_CHAIN, &folder)).await;
    assert!(client.send(&sms.origin, &SecretExists(web2("n"))).await.unwrap());
}
