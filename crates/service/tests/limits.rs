//! What a service does about callers who keep it waiting, send too much or ask for what is not there.
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::time::Duration;

use axum::{Router, body::Bytes, routing::post};
use iexec_service::{CancellationToken, Listen, Listener, Options, serve};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn any_port() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

/// An echo of at most 100 bytes.
async fn start(options: Options) -> (String, tokio_util::sync::DropGuard) {
    start_on(any_port(), options).await
}

async fn start_on(listen: Listen, options: Options) -> (String, tokio_util::sync::DropGuard) {
    let listener = Listener::bind(listen).await.unwrap();
    let (address, stop) = (listener.address().to_string(), CancellationToken::new());
    let router = Router::new().route("/echo", post(|body: Bytes| async { body }));
    tokio::spawn(serve(listener, router, Options { body: 100, ..options }, stop.clone()));
    (address, stop.drop_guard())
}

/// All that comes until the service closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn who_is_slow_with_a_request_is_cut_off_and_makes_room() {
    let options = Options { head_time: Duration::from_millis(200), ..Options::default() };
    let listen = Listen { connections: 2, ..any_port() };
    let (address, _stop) = start_on(listen, options).await;
    let mut slow = Vec::new();
    for half in ["", "GET /health HT"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // The third waits until one of these is cut off.
    let mut third = TcpStream::connect(&address).await.unwrap();
    third.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let answer = rest(third).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    for stream in slow {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test]
async fn a_caller_that_sends_too_much_gets_to_read_why() {
    let (address, _stop) = start(Options::default()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let size = 3_000_000;
    stream
        .write_all(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("length limit exceeded"), "{answer}");
}

#[tokio::test]
async fn what_no_handler_answers_is_refused_in_words_and_in_the_services_own_form() {
    use axum::response::IntoResponse as _;
    let own = Options {
        refuse: |problem| (problem.status(), format!("own: {}", problem.detail())).into_response(),
        ..Options::default()
    };
    for (options, form) in [(Options::default(), "application/problem+json"), (own, "own: ")] {
        let (address, _stop) = start(options).await;
        for (request, status, words) in [
            ("GET /nothing", "404", "there is nothing at /nothing"),
            ("DELETE /echo", "405", "/echo does not take DELETE"),
        ] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream
                .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let answer = rest(stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.contains(form) && answer.contains(words), "{answer}");
            assert_eq!(answer.contains("allow: POST"), status == "405", "{answer}");
        }
    }
}
