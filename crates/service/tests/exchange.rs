//! Client and server against each other, on loopback.
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::StatusCode,
    routing::{get, post},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method, Response};
use iexec_protocol::call::{Call, CallError};
use iexec_service::{CancellationToken, Client, Json, Listener, Options, Problem, serve};
use serde_json::{Value, json};

/// `POST path` with this body.
struct Post(&'static str, Vec<u8>);

impl Call for Post {
    type Reply = (u16, String);

    fn request(&self, base: &str) -> Result<http::Request<Vec<u8>>, CallError> {
        Ok(http::Request::post(format!("{base}{}", self.0)).body(self.1.clone()).unwrap())
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<(u16, String), CallError> {
        let status = response.status();
        if status.is_server_error() {
            return Err(iexec_protocol::call::refusal(&response));
        }
        Ok((status.as_u16(), String::from_utf8(response.into_body()).unwrap()))
    }
}

async fn start(router: Router, options: Options) -> (String, tokio_util::sync::DropGuard) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (origin, stop) = (listener.origin(), CancellationToken::new());
    tokio::spawn(serve(listener, router, options, stop.clone()));
    (origin, stop.drop_guard())
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error_with_a_hint() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Listener::bind(listener.address().into()).await.unwrap_err().to_string();
    let address = listener.address();
    assert_eq!(
        error,
        format!(
            "cannot listen on {address}: the port is in use\nhint: stop the process that holds it, or choose another port"
        )
    );
}

#[tokio::test]
async fn a_panic_a_slow_answer_and_a_bad_body_are_problems_and_nothing_leaks() {
    #[allow(clippy::panic)]
    async fn panics() -> &'static str {
        panic!("secret")
    }
    let echo = |Json(body): Json<Value>| async move { Ok::<_, Problem>(body["x"].to_string()) };
    let router = Router::new()
        .route("/panic", post(panics))
        .route("/slow", post(std::future::pending::<&'static str>))
        .route("/echo", post(echo));
    let options = Options { body: 100, time: Duration::from_millis(300), ..Options::default() };
    let (origin, _stop) = start(router, options).await;
    let client = Client::new().unwrap();
    let send = |path, body: &str| {
        let (client, origin, call) = (client.clone(), origin.clone(), Post(path, body.as_bytes().to_vec()));
        async move { client.send(&origin, &call).await }
    };
    let refused = |status, message: &str| Err(CallError::Refused { status, message: message.into() });
    assert_eq!(send("/panic", "").await, refused(500, "the service failed; its log says why"));
    assert_eq!(send("/slow", "").await, refused(503, "no answer within 0 s"));
    assert_eq!(send("/echo", r#"{"x":1}"#).await, Ok((200, "1".into())));
    assert_eq!(send("/echo", &" ".repeat(101)).await.unwrap().0, 413);
    let (status, text) = send("/echo", "{").await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &problem["title"], &problem["status"]), (400, &json!("Bad Request"), &json!(400)));
    assert!(problem["detail"].as_str().unwrap().starts_with("the JSON body: "));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_bound() {
    let endless = || async {
        let zeros = futures_util::stream::repeat(Bytes::from_static(&[0; 8192]));
        axum::body::Body::from_stream(zeros.map(Ok::<_, std::io::Error>))
    };
    let (origin, _stop) = start(Router::new().route("/", post(endless)), Options::default()).await;
    let error = Client::new().unwrap().send(&origin, &Post("/", vec![])).await.unwrap_err();
    assert!(matches!(error, CallError::Malformed(_)), "{error}");
}

#[tokio::test]
async fn a_call_is_retried_while_the_failure_may_pass_and_not_after() {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let third_time = move || async move {
        if count.fetch_add(1, Ordering::SeqCst) < 2 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND }
    };
    let (origin, _stop) = start(Router::new().route("/", post(third_time)), Options::default()).await;
    let client = Client::new().unwrap();
    let stop = CancellationToken::new();
    let answer = client.send_retrying(&origin, &Post("/", vec![]), Duration::from_secs(20), &stop).await;
    assert_eq!((answer.unwrap().0, seen.load(Ordering::SeqCst)), (404, 3));
    stop.cancel();
    let nobody = client.send_retrying("http://127.0.0.1:1", &Post("/", vec![]), Duration::from_mins(10), &stop).await;
    assert!(matches!(nobody.unwrap_err(), CallError::Unreachable { .. }));
}

#[tokio::test]
async fn files_stream_up_and_ranges_stream_down() {
    let upload = |request: Request| async move {
        let length = request.headers()["content-length"].to_str().unwrap().to_owned();
        let sum: u64 = request
            .into_body()
            .into_data_stream()
            .map(|chunk| chunk.unwrap().len() as u64)
            .fold(0, |a, b| async move { a + b })
            .await;
        format!("{length} {sum}")
    };
    let range = |headers: HeaderMap| async move {
        (StatusCode::PARTIAL_CONTENT, headers["range"].to_str().unwrap().to_owned())
    };
    let router = Router::new().route("/up", axum::routing::put(upload)).route("/down", get(range));
    let (origin, _stop) = start(router, Options { body: 10, ..Options::default() }).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3_000_000]).unwrap();
    let client = Client::new().unwrap();
    let answer = client.upload_file(Method::PUT, &format!("{origin}/up"), HeaderMap::new(), file.path()).await.unwrap();
    assert_eq!(answer.body(), b"3000000 3000000");
    let download = client.download(&format!("{origin}/down"), Some(5..8)).await.unwrap();
    let bytes: Vec<u8> = download
        .stream
        .try_fold(vec![], |mut all, chunk| async move {
            all.extend(chunk);
            Ok(all)
        })
        .await
        .unwrap();
    assert_eq!(bytes, b"bytes=5-7");
    let missing = client.download(&format!("{origin}/none"), None).await.err().unwrap();
    assert_eq!(missing.status(), Some(404));
}

#[tokio::test]
async fn a_stopped_service_ends_its_open_requests_first() {
    let (entered, mut enters) = tokio::sync::mpsc::channel(1);
    let (finish, mut finished) = tokio::sync::watch::channel(false);
    let wait = move || async move {
        entered.send(()).await.unwrap();
        finished.wait_for(|done| *done).await.unwrap();
        "done"
    };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (origin, stop) = (listener.origin(), CancellationToken::new());
    let server = tokio::spawn(serve(listener, Router::new().route("/", post(wait)), Options::default(), stop.clone()));
    let call = tokio::spawn(async move { Client::new().unwrap().send(&origin, &Post("/", vec![])).await });
    enters.recv().await.unwrap();
    stop.cancel();
    finish.send(true).unwrap();
    assert_eq!(call.await.unwrap(), Ok((200, "done".into())));
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn metrics_and_version_are_served_and_browsers_may_call_where_asked() {
    let (origin, _stop) = start(Router::new(), Options { cors: true, ..Options::default() }).await;
    let get = |path: &'static str| {
        let url = format!("{origin}{path}");
        async move {
            reqwest::Client::builder()
                .no_proxy()
                .build()
                .unwrap()
                .get(url)
                .header("origin", "http://x")
                .send()
                .await
                .unwrap()
        }
    };
    let version = get("/version").await;
    assert_eq!(version.headers()["access-control-allow-origin"], "*");
    assert_eq!(version.text().await.unwrap(), env!("CARGO_PKG_VERSION"));
    let metrics = get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("http_requests_total{status=\"2xx\"} 1\n"), "{metrics}");
}
