//! Attacks on iExec's API for secrets, whose signatures hold neither verb, kind, nonce, time nor audience.

use http::Method;
use iexec_protocol::call::sms::SecretId;

use crate::{
    common::{Service, client, config},
    request::{Raw, answer, key, owner, requester, web2},
};

fn signed(method: Method, id: &SecretId, value: &str) -> Raw {
    let signature = owner().sign_personal(id.challenge(value)).unwrap().to_string();
    Raw { method, path: id.path(), authorization: Some(signature), media_type: None, body: value.into() }
}

fn of(id: &SecretId, sent: &Raw) -> Raw {
    Raw { path: id.path(), ..sent.clone() }
}

#[tokio::test]
async fn a_signature_that_was_used_serves_no_other_kind_and_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let (sms, client) = (Service::start(config("http://127.0.0.1:1", &folder)).await, client());
    let (post, put) = (Method::POST, Method::PUT);
    let of_requester = signed(post.clone(), &requester("Key"), "one");
    let of_web2 = signed(post.clone(), &web2("Name"), "one");
    let mallory = SecretId::Web2 { owner: key(6).address(), name: "Name".into() };
    for (name, request, cause) in [
        ("a requester's secret", of_requester.clone(), "204"),
        ("as web2 secret", of(&web2("Key"), &of_requester), "409 Signature was used for another secret"),
        ("a web2 secret", of_web2.clone(), "204"),
        ("as requester's secret", of(&requester("Name"), &of_web2), "409 Signature was used for another secret"),
        ("the same again", of_web2.clone(), "409 Secret already exists"),
        ("of another owner", of(&mallory, &of_web2), "401 Invalid authorization"),
        ("of another name", of(&web2("Other"), &of_web2), "401 Invalid authorization"),
        ("of another value", Raw { body: b"two".to_vec(), ..of_web2.clone() }, "401 Invalid authorization"),
        ("rotated", signed(put.clone(), &web2("Name"), "two"), "204"),
        ("rotated back", signed(put.clone(), &web2("Name"), "one"), "409 Secret value was replaced before"),
        (
            "the replaced value as requester's",
            of(&requester("Name"), &of_web2),
            "409 Signature was used for another secret",
        ),
        (
            "a signature cut short",
            Raw { authorization: Some("0x1234".into()), ..of_web2.clone() },
            "401 Invalid authorization",
        ),
        ("no signature", Raw { authorization: None, ..of_web2.clone() }, "401 Invalid authorization"),
        ("a storage token", Raw { path: "/secrets/storage".into(), ..of_web2.clone() }, "404"),
        ("another value of the other kind", signed(post, &requester("Name"), "three"), "204"),
    ] {
        assert_eq!(answer(&client, &sms, &request).await, cause, "{name}");
    }
}
