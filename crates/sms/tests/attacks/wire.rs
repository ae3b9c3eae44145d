//! Requests that two readers may read in two ways: none reaches more than its one reader.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use iexec_chain::devnet::DevAccount;

use crate::scene::{Scene, challenge_request};

/// Asks the connection to end: if an answer to it comes, it was read where it begins.
const LAST: &str = "GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// The statuses of all answers to these bytes and [`LAST`], until the SMS closes.
async fn statuses(origin: &str, bytes: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).await.unwrap();
    // It may close while we still send.
    let _ = stream.write_all(format!("{bytes}{LAST}").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}

#[tokio::test]
async fn a_request_is_never_two_and_its_headers_are_not_read_twice() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let sound = challenge_request(errand.task.id, DevAccount::Scheduler);
    let (path, signature) = (&sound.path, sound.authorization.clone().unwrap());
    let other = challenge_request(errand.task.id, DevAccount::Requester(0)).authorization.unwrap();
    let empty = "content-length: 0\r\n\r\n";
    let to = |path: &str| format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {signature}\r\n");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n");
    let hidden = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = hidden.len();
    let (signed, session) = (to(path), to("/tee/sessions"));
    let chunked = "transfer-encoding: chunked\r\n";
    let mut wrong = Vec::new();
    for (name, bytes, expected) in [
        ("a sound one", format!("{signed}{empty}"), vec![200, 200]),
        ("two lengths", format!("{signed}content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"), vec![400]),
        ("a list of two lengths", format!("{signed}content-length: 0, {length}\r\n\r\n{hidden}"), vec![400]),
        ("a negative length", format!("{signed}content-length: -1\r\n\r\n"), vec![400]),
        ("a length with a sign", format!("{signed}content-length: +{length}\r\n\r\n{hidden}"), vec![400]),
        (
            "a length and chunks",
            format!("{signed}content-length: {length}\r\n{chunked}\r\n0\r\n\r\n{hidden}"),
            vec![200],
        ),
        (
            "chunks and a length",
            format!("{signed}{chunked}content-length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
            vec![200],
        ),
        ("a coding that is unknown", format!("{signed}transfer-encoding: xchunked\r\n\r\n{hidden}"), vec![400]),
        (
            "a coding after chunks",
            format!("{signed}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
            vec![400],
        ),
        ("a chunk's size that is none", format!("{session}{chunked}\r\n-1\r\n\r\n"), vec![400]),
        ("a chunk's size of 70 bits", format!("{session}{chunked}\r\nfffffffffffffffff1\r\n\r\n"), vec![400]),
        ("a space before a colon", format!("{head}authorization : {signature}\r\n{empty}"), vec![400]),
        ("a folded header", format!("{head}x: y\r\n authorization: {signature}\r\n{empty}"), vec![400]),
        ("a header of a zero byte", format!("{signed}x: \0\r\n{empty}"), vec![400]),
        ("two signatures, the owner's first", format!("{signed}authorization: {other}\r\n{empty}"), vec![401, 200]),
        (
            "two signatures, the owner's last",
            format!("{head}authorization: {other}\r\nauthorization: {signature}\r\n{empty}"),
            vec![401, 200],
        ),
        ("two equal signatures", format!("{signed}authorization: {signature}\r\n{empty}"), vec![401, 200]),
        (
            "a method in another header",
            format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {signature}\r\nx-http-method-override: POST\r\n\r\n"
            ),
            vec![405, 200],
        ),
        ("a path in another header", format!("{}x-original-url: {path}\r\n{empty}", to("/tee")), vec![404, 200]),
        ("dots in the path", format!("{}{empty}", to(&format!("/metrics/..{path}"))), vec![404, 200]),
        ("two slashes", format!("{}{empty}", to(&format!("/{path}"))), vec![404, 200]),
        ("a space in the path", format!("{}{empty}", to(&format!("{path} /x"))), vec![400]),
        ("a tab in the path", format!("{}{empty}", to(&format!("{path}\t/x"))), vec![400]),
        ("a header of 1 MiB", format!("{signed}x: {}\r\n{empty}", "y".repeat(1 << 20)), vec![431]),
        ("1,000 headers", format!("{signed}{}{empty}", "x: y\r\n".repeat(1000)), vec![431]),
        ("the second version's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), vec![]),
        ("a tunnel", "CONNECT sms:443 HTTP/1.1\r\nhost: sms\r\n\r\n".to_owned(), vec![404, 200]),
    ] {
        let found = statuses(&scene.sms.origin, &bytes).await;
        if found != expected {
            wrong.push(format!("{name}: expected {expected:?}, got {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.opens(&errand).await;
}
