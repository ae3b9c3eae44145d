//! Attacks on a wallet's secrets by the second API.

use std::sync::Arc;

use http::Method;
use iexec_protocol::{Address, B256, call::sms::SecretId, key::Signature, secret::SecretKind};
use iexec_service::{Client, clock};
use iexec_sms::OwnerLimits;
use tempfile::TempDir;

use crate::{
    common::{Service, client, config},
    request::{Ask, Raw, answer, key, owner, requester, web2},
};

/// Nobody listens there: none of these may ask the chain.
const NO_CHAIN: &str = "http://127.0.0.1:1";

struct Stage {
    sms: Service,
    client: Client,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { sms: Service::start(config(NO_CHAIN, &folder)).await, client: client(), folder }
    }

    async fn answer(&self, request: &Raw) -> String {
        answer(&self.client, &self.sms, request).await
    }

    /// Sends what must succeed.
    async fn done(&self, ask: Ask) -> Raw {
        let sent = ask.sent();
        let answer = self.answer(&sent).await;
        assert!(answer.starts_with("20"), "{answer}");
        sent
    }

    fn put(&self, id: &SecretId, value: &str, version: u64) -> Ask {
        Ask::put(&self.sms, id, value, version)
    }

    async fn refuses(&self, cases: Vec<(&str, Raw, &str)>) {
        for (name, request, cause) in cases {
            assert_eq!(self.answer(&request).await, cause, "{name}");
        }
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_owners_changes_nothing() {
    let stage = Stage::set().await;
    let (sms, put) = (&stage.sms, stage.put(&web2("n"), "v", 1));
    let zero = Signature::from_bytes(&[0; 65]).unwrap();
    let mallory = key(6).address();
    let eip191 = key(5).sign_personal(put.terms.hash(&put.subject, put.chain_id)).unwrap();
    let v1 = owner().sign_personal(web2("n").challenge("v")).unwrap().to_string();
    let list = Ask::list(sms, owner().address(), None);
    stage
        .refuses(vec![
            ("put signed by another key", put.clone().with(|ask| ask.key = 6).sent(), "401 signer"),
            (
                "delete signed by another key",
                Ask::delete(sms, &web2("n"), 1).with(|ask| ask.key = 6).sent(),
                "401 signer",
            ),
            ("list signed by another key", list.clone().with(|ask| ask.key = 6).sent(), "401 signer"),
            ("a signature of zeros", put.rewritten(|header| header.signature = zero), "401 unsigned"),
            ("a personal signature of the same hash", put.rewritten(|header| header.signature = eip191), "401 signer"),
            ("a signature of iExec's API", put.tampered(|sent| sent.authorization = Some(v1)), "401 unsigned"),
            (
                "another owner's path",
                put.tampered(|sent| {
                    sent.path = sent.path.replace(&owner().address().to_string(), &mallory.to_string());
                }),
                "401 signer",
            ),
            ("another owner's list", list.tampered(|sent| sent.path = format!("/v2/secrets/{mallory}")), "401 signer"),
            ("another name", put.tampered(|sent| sent.path = web2("m").v2_path()), "401 signer"),
            ("another value", put.tampered(|sent| sent.body = b"w".to_vec()), "401 signer"),
            ("a line break behind the value", put.tampered(|sent| sent.body = b"v\n".to_vec()), "401 signer"),
        ])
        .await;
    assert!(!stage.client.send(&sms.origin, &iexec_protocol::call::sms::SecretExists(web2("n"))).await.unwrap());
}

#[tokio::test]
async fn a_signature_for_one_kind_or_verb_serves_no_other() {
    let stage = Stage::set().await;
    let (sms, proxy) = (&stage.sms, "https://proxy.example");
    let address = owner().address();
    let (of_web2, of_requester) = (stage.put(&web2("n"), "v", 1), stage.put(&requester("n"), "v", 1));
    let of_proxy = stage.put(&web2(proxy), "v", 1);
    let storage = SecretId::Storage { worker: address, proxy: proxy.into() };
    let (app, dataset) = (SecretId::App { app: address }, SecretId::Web3 { asset: address });
    let of_app = stage.put(&app, "v", 1);
    let delete = Ask::delete(sms, &web2("n"), 1);
    let (all, one) = (Ask::list(sms, address, None), Ask::list(sms, address, Some(SecretKind::Web2)));
    let as_method = |ask: &Ask, method, path: String| ask.tampered(|sent| (sent.method, sent.path) = (method, path));
    stage
        .refuses(vec![
            ("web2 as requester", of_web2.tampered(|sent| sent.path = requester("n").v2_path()), "401 signer"),
            ("requester as web2", of_requester.tampered(|sent| sent.path = web2("n").v2_path()), "401 signer"),
            ("web2 as storage token", of_proxy.tampered(|sent| sent.path = storage.v2_path()), "401 signer"),
            (
                "a nameless kind for a named one",
                of_app.tampered(|sent| sent.path = web2("").v2_path()),
                "400 malformed",
            ),
            ("app as dataset asks the chain first", of_app.tampered(|sent| sent.path = dataset.v2_path()), "503 chain"),
            ("put as delete", as_method(&of_web2, Method::DELETE, web2("n").v2_path()), "401 signer"),
            ("put as list", as_method(&of_web2, Method::GET, all.path.clone()), "401 signer"),
            ("delete as put", as_method(&delete, Method::PUT, web2("n").v2_path()), "400 malformed"),
            (
                "delete as put of a value",
                delete.tampered(|sent| (sent.method, sent.body) = (Method::PUT, b"v".to_vec())),
                "401 signer",
            ),
            ("list as delete", as_method(&all, Method::DELETE, web2("n").v2_path()), "401 signer"),
            ("list of all as list of a kind", all.tampered(|sent| sent.path.clone_from(&one.path)), "401 signer"),
            ("list of a kind as list of all", one.tampered(|sent| sent.path.clone_from(&all.path)), "401 signer"),
            ("delete in iExec's API", as_method(&delete, Method::DELETE, web2("n").path()), "405"),
            ("put in iExec's API", as_method(&of_web2, Method::PUT, web2("n").path()), "401 Invalid authorization"),
            ("post in the second", as_method(&of_web2, Method::POST, web2("n").v2_path()), "405"),
        ])
        .await;
}

#[tokio::test]
async fn a_signature_for_another_sms_chain_or_time_counts_for_nothing() {
    let stage = Stage::set().await;
    let put = stage.put(&web2("n"), "v", 1);
    let now = clock::now();
    let audience = |text: String| put.clone().with(|ask| ask.terms.audience = text).sent();
    let deadline = |time| put.clone().with(|ask| ask.terms.deadline = time).sent();
    let origin = stage.sms.origin.clone();
    stage
        .refuses(vec![
            ("another SMS", audience("https://sms.example".into()), "401 audience"),
            ("no SMS", audience(String::new()), "401 audience"),
            ("its origin with a slash", audience(format!("{origin}/")), "401 audience"),
            ("its origin by TLS", audience(origin.replace("http:", "https:")), "401 audience"),
            (
                "another SMS, rewritten",
                put.clone()
                    .with(|ask| ask.terms.audience = "https://sms.example".into())
                    .rewritten(|header| header.terms.audience = origin),
                "401 signer",
            ),
            ("chain 1", put.clone().with(|ask| ask.chain_id = 1).sent(), "401 signer"),
            ("chain 0", put.clone().with(|ask| ask.chain_id = 0).sent(), "401 signer"),
            ("expired", deadline(now - 1), "401 expired"),
            ("the year 1970", deadline(0), "401 expired"),
            ("eleven minutes ahead", deadline(now + 660), "401 deadline"),
            ("for ever", deadline(u64::MAX), "401 deadline"),
            (
                "expired, rewritten",
                put.clone()
                    .with(|ask| ask.terms.deadline = now - 1)
                    .rewritten(|header| header.terms.deadline = now + 60),
                "401 signer",
            ),
            ("another nonce, rewritten", put.rewritten(|header| header.terms.nonce = B256::ZERO), "401 signer"),
            ("another version, rewritten", put.rewritten(|header| header.terms.version = 2), "401 signer"),
        ])
        .await;
}

#[tokio::test]
async fn a_request_counts_once_whatever_became_of_it() {
    let mut stage = Stage::set().await;
    let id = web2("n");
    let first = stage.done(stage.put(&id, "one", 1)).await;
    let early = stage.put(&id, "early", 9).sent();
    let list = stage.done(Ask::list(&stage.sms, owner().address(), None)).await;
    assert_eq!(stage.answer(&early).await, "409 version");
    let second = stage.done(stage.put(&id, "two", 2)).await;
    let delete = stage.done(Ask::delete(&stage.sms, &id, 2)).await;
    let fourth = stage.put(&id, "four", 4);
    let shared = fourth.clone().with(|ask| ask.terms.nonce = stage.put(&id, "", 1).terms.nonce);
    stage.done(shared.clone()).await;
    let cases = |stage: &Stage| {
        vec![
            ("the first again", first.clone(), "409 nonce-used"),
            ("the second again", second.clone(), "409 nonce-used"),
            ("the delete again", delete.clone(), "409 nonce-used"),
            ("the list again", list.clone(), "409 nonce-used"),
            ("a refused one again", early.clone(), "409 nonce-used"),
            (
                "another request with a used nonce",
                stage.put(&id, "five", 5).with(|ask| ask.terms.nonce = shared.terms.nonce).sent(),
                "409 nonce-used",
            ),
        ]
    };
    let before = cases(&stage);
    stage.refuses(before.clone()).await;
    // The same origin, as behind a fixed public URL: its memory is on disk.
    let origin = stage.sms.origin.clone();
    let Stage { sms, folder, client } = stage;
    sms.end().await;
    let again = iexec_sms::Config { public_url: Some(origin), ..config(NO_CHAIN, &folder) };
    stage = Stage { sms: Service::start(again).await, client, folder };
    stage.refuses(before).await;
}

#[tokio::test]
async fn what_arrives_late_or_for_another_version_replaces_nothing() {
    let stage = Stage::set().await;
    let (id, sms) = (web2("n"), &stage.sms);
    stage.done(stage.put(&id, "one", 1)).await;
    let (older, newer) = (stage.put(&id, "older", 2), stage.put(&id, "newer", 2));
    let late_delete = Ask::delete(sms, &id, 1);
    stage.done(newer).await;
    stage
        .refuses(vec![
            ("an older request after a newer one", older.sent(), "409 version"),
            ("a delete of the version before", late_delete.sent(), "409 version"),
            ("created again", stage.put(&id, "x", 1).sent(), "409 version"),
            ("the same version", stage.put(&id, "x", 2).sent(), "409 version"),
            ("a version left out", stage.put(&id, "x", 4).sent(), "409 version"),
            ("version 0", stage.put(&id, "x", 0).sent(), "400 malformed"),
            ("the last version that there can be", stage.put(&id, "x", u64::MAX).sent(), "409 version"),
            ("a delete of what is not there", Ask::delete(sms, &web2("m"), 1).sent(), "404 absent"),
            ("a delete of version 0", Ask::delete(sms, &id, 0).sent(), "409 version"),
        ])
        .await;
}

#[tokio::test]
async fn deleting_and_creating_brings_no_older_version_back() {
    let stage = Stage::set().await;
    let (id, sms) = (web2("n"), &stage.sms);
    stage.done(stage.put(&id, "one", 1)).await;
    stage.done(Ask::delete(sms, &id, 1)).await;
    let v1 = |method, value: &str| {
        let signature = owner().sign_personal(id.challenge(value)).unwrap().to_string();
        Raw { method, path: id.path(), authorization: Some(signature), media_type: None, body: value.into() }
    };
    stage
        .refuses(vec![
            ("version 1 again", stage.put(&id, "one", 1).sent(), "409 version"),
            ("the deletion's version", stage.put(&id, "one", 2).sent(), "409 version"),
            ("deleted again", Ask::delete(sms, &id, 2).sent(), "404 absent"),
            ("its value by iExec's POST", v1(Method::POST, "one"), "409 Secret value was replaced before"),
            ("its value by iExec's PUT", v1(Method::PUT, "one"), "404 Secret not found"),
        ])
        .await;
    stage.done(stage.put(&id, "three", 3)).await;
    stage
        .refuses(vec![
            ("the deleted value by iExec's PUT", v1(Method::PUT, "one"), "409 Secret value was replaced before"),
            ("another value by iExec's POST", v1(Method::POST, "two"), "409 Secret already exists"),
        ])
        .await;
}

#[tokio::test]
async fn what_is_oversized_or_malformed_is_refused_by_its_name() {
    let stage = Stage::set().await;
    let put = stage.put(&web2("n"), "v", 1);
    let path = |path: String| put.tampered(|sent| sent.path = path);
    let header = |text: &str| put.tampered(|sent| sent.authorization = Some(text.to_owned()));
    let address = owner().address();
    let set = |name: &'static str, value: serde_json::Value| put.json(|json| json[name] = value);
    let large = |bytes| stage.put(&web2("n"), &"x".repeat(bytes), 1).sent();
    let wrong_checksum = Address::repeat_byte(0xab).to_string().replace("aB", "Ab");
    stage
        .refuses(vec![
            ("4097 bytes", large(4097), "413 too-large"),
            ("60 KiB", large(60 * 1024), "413 too-large"),
            ("two-byte letters, 4098 bytes", stage.put(&web2("n"), &"é".repeat(2049), 1).sent(), "413 too-large"),
            ("nothing", stage.put(&web2("n"), "", 1).sent(), "400 malformed"),
            ("no UTF-8", put.tampered(|sent| sent.body = vec![0xff, 0xfe]), "400 malformed"),
            ("JSON", put.tampered(|sent| sent.media_type = Some("application/json")), "415 media-type"),
            ("no header", put.tampered(|sent| sent.authorization = None), "401 unsigned"),
            ("an empty header", header(""), "401 unsigned"),
            ("another scheme", header("Bearer abc"), "401 unsigned"),
            ("no base64", header("iexec ???"), "401 unsigned"),
            ("a long header", header(&format!("iexec {}", "A".repeat(8000))), "401 unsigned"),
            ("a list", header("iexec W10"), "401 unsigned"),
            ("a negative version", set("version", (-1).into()), "401 unsigned"),
            ("a version in quotes", set("version", "1".into()), "401 unsigned"),
            ("half a version", set("version", 0.5.into()), "401 unsigned"),
            ("a nonce of 31 bytes", set("nonce", format!("0x{}", "00".repeat(31)).into()), "401 unsigned"),
            ("a nonce of 33 bytes", set("nonce", format!("0x{}", "00".repeat(33)).into()), "401 unsigned"),
            ("a deadline in words", set("deadline", "soon".into()), "401 unsigned"),
            ("an audience of a number", set("audience", 1.into()), "401 unsigned"),
            ("an audience of 256 bytes", set("audience", "a".repeat(256).into()), "401 unsigned"),
            ("a signature of 64 bytes", set("signature", format!("0x{}", "11".repeat(64)).into()), "401 unsigned"),
            ("a signature that is none", set("signature", serde_json::Value::Null), "401 unsigned"),
            ("a field more", set("verb", "put".into()), "401 unsigned"),
            ("an unknown kind", path(format!("/v2/secrets/web4/{address}?name=n")), "400 malformed"),
            ("no address", path("/v2/secrets/web2/me?name=n".into()), "400 malformed"),
            ("a wrong checksum", path(format!("/v2/secrets/web2/{wrong_checksum}?name=n")), "400 malformed"),
            ("no name", path(format!("/v2/secrets/web2/{address}")), "400 malformed"),
            ("a name of 256 bytes", path(web2(&"n".repeat(256)).v2_path()), "400 malformed"),
            ("two names", path(format!("/v2/secrets/web2/{address}?name=n&name=m")), "400 malformed"),
            ("a requester's key with a space", path(requester("a b").v2_path()), "400 malformed"),
            ("an app's name", path(format!("/v2/secrets/app/{address}?name=n")), "400 malformed"),
            (
                "a proxy with a path",
                path(format!("/v2/secrets/storage/{address}?name=https%3A%2F%2Fa%2Fb")),
                "400 malformed",
            ),
            (
                "a proxy in capitals",
                path(format!("/v2/secrets/storage/{address}?name=https%3A%2F%2FA")),
                "400 malformed",
            ),
            ("a proxy by FTP", path(format!("/v2/secrets/storage/{address}?name=ftp%3A%2F%2Fa")), "400 malformed"),
        ])
        .await;
}

#[tokio::test]
async fn of_many_at_once_exactly_one_wins() {
    let stage = Arc::new(Stage::set().await);
    let id = web2("raced");
    stage.done(stage.put(&id, "one", 1)).await;
    let race = async |requests: Vec<Raw>| {
        let sending = requests.into_iter().map(|request| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.answer(&request).await })
        });
        let mut answers = Vec::new();
        for sent in sending.collect::<Vec<_>>() {
            answers.push(sent.await.unwrap());
        }
        answers.sort_unstable();
        answers
    };
    let of_one_version = (0..16).map(|number| stage.put(&id, &format!("v{number}"), 2).sent()).collect();
    let mut expected = vec!["200"];
    expected.extend(["409 version"; 15]);
    assert_eq!(race(of_one_version).await, expected, "sixteen values for one version");
    let same = stage.put(&id, "same", 3).sent();
    expected.truncate(1);
    expected.extend(["409 nonce-used"; 15]);
    assert_eq!(race(vec![same; 16]).await, expected, "one request sixteen times");
    let both = vec![stage.put(&id, "kept", 4).sent(), Ask::delete(&stage.sms, &id, 3).sent()];
    let answers = race(both).await;
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("20")).count(), 1, "a put and a delete: {answers:?}");
    let lists = Ask::list(&stage.sms, owner().address(), None).sent();
    assert_eq!(race(vec![lists; 4]).await, ["200", "409 nonce-used", "409 nonce-used", "409 nonce-used"]);
}

#[tokio::test]
async fn an_owner_has_so_many_secrets_and_so_many_turns() {
    let folder = tempfile::tempdir().unwrap();
    let limits = OwnerLimits { secrets: 2, rate: None };
    let sms = Service::start(iexec_sms::Config { limits, ..config(NO_CHAIN, &folder) }).await;
    let stage = Stage { sms, client: client(), folder };
    stage.done(stage.put(&web2("a"), "v", 1)).await;
    stage.done(stage.put(&requester("b"), "v", 1)).await;
    let third = web2("c");
    let by_v1 = owner().sign_personal(third.challenge("v")).unwrap().to_string();
    let by_v1 = Raw {
        method: Method::POST,
        path: third.path(),
        authorization: Some(by_v1),
        media_type: None,
        body: b"v".to_vec(),
    };
    stage
        .refuses(vec![
            ("a third secret", stage.put(&third, "v", 1).sent(), "403 quota"),
            ("a third secret by iExec's API", by_v1, "403 Too many secrets"),
        ])
        .await;
    stage.done(stage.put(&web2("a"), "w", 2)).await;
    stage.done(Ask::delete(&stage.sms, &web2("a"), 2)).await;
    stage.done(stage.put(&third, "v", 1)).await;

    let folder = tempfile::tempdir().unwrap();
    let limits = OwnerLimits { secrets: 10, rate: Some("1/m:2".parse().unwrap()) };
    let sms = Service::start(iexec_sms::Config { limits, ..config(NO_CHAIN, &folder) }).await;
    let stage = Stage { sms, client: client(), folder };
    let forged = || stage.put(&web2("a"), "v", 1).with(|ask| ask.key = 6).sent();
    stage
        .refuses(vec![
            ("forged", forged(), "401 signer"),
            ("forged", forged(), "401 signer"),
            ("forged", forged(), "401 signer"),
        ])
        .await;
    stage.done(stage.put(&web2("a"), "v", 1)).await;
    stage.done(stage.put(&web2("a"), "w", 2)).await;
    stage.refuses(vec![("a third turn", stage.put(&web2("a"), "x", 3).sent(), "429 rate")]).await;
    let other = SecretId::Web2 { owner: key(6).address(), name: "a".into() };
    stage.done(stage.put(&other, "v", 1).with(|ask| ask.key = 6)).await;
}
