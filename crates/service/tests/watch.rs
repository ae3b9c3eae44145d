//! What a service tells those who watch it, and how it treats those who ask too often.
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, anyhow};
use axum::{Router, routing::get};
use http::Method;
use iexec_service::{CancellationToken, Check, Listen, Listener, Options, Problem, serve};
use reqwest::Response;
use serde_json::{Value, json};

struct Service {
    origin: String,
    client: reqwest::Client,
    _stop: tokio_util::sync::DropGuard,
}

async fn start(listen: Listen, options: Options) -> Service {
    iexec_service::crypto::install();
    let listener = Listener::bind(listen).await.unwrap();
    let (origin, stop) = (listener.origin(), CancellationToken::new());
    let failing = || async { Err::<(), _>(Problem::unavailable("no chain").retry_after(5).failed("chain")) };
    let router = Router::new().route("/things/{name}", get(|| async { "thing" })).route("/failing", get(failing));
    tokio::spawn(serve(listener, router, options, stop.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Service { origin, client, _stop: stop.drop_guard() }
}

impl Service {
    async fn ask(&self, method: &str, path: &str, forwarded: Option<&str>) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.origin));
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, None).await
    }
}

fn any_port() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn readiness_names_each_dependency_and_shows_no_more_than_the_reason() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let fine = Check::new("database", move || {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    });
    let chain = || Err(anyhow!("http://user:password@node refused")).context("the chain does not answer");
    let down = Check::new("chain", move || Box::pin(async move { chain() }));
    let service = start(any_port(), Options { checks: vec![fine.clone(), down], ..Options::default() }).await;
    for _ in 0..3 {
        let answer = service.get("/health/ready").await;
        assert_eq!(answer.status(), 503);
        let expected =
            json!({"status": "not ready", "checks": {"chain": "the chain does not answer", "database": "ok"}});
        assert_eq!(answer.json::<Value>().await.unwrap(), expected);
    }
    assert!(asked.load(Ordering::SeqCst) <= 2, "who asks often gets the last answer again");
    assert_eq!(service.get("/health/live").await.text().await.unwrap(), "ok");
    let metrics = service.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("dependency_ready{dependency=\"chain\"} 0\n"), "{metrics}");
    let ready = start(any_port(), Options { checks: vec![fine], ..Options::default() }).await;
    let answer = ready.get("/health/ready").await;
    assert_eq!(
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["status"].clone()),
        (200, json!("ready"))
    );
}

#[tokio::test]
async fn failures_of_a_dependency_are_counted_and_say_when_to_come_back() {
    let service = start(any_port(), Options::default()).await;
    let answer = service.get("/failing").await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    let metrics = service.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("dependency_failures_total{dependency=\"chain\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_dependency_that_never_answers_is_not_ready() {
    let hangs = Check::new("chain", || Box::pin(std::future::pending()));
    let service = start(any_port(), Options { checks: vec![hangs], ..Options::default() }).await;
    let answer = service.get("/health/ready").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<Value>().await.unwrap()["checks"]["chain"], "no answer within 2 s");
}

#[tokio::test]
async fn latency_is_told_by_route_and_nothing_that_a_caller_chooses_is_a_label() {
    let service = start(any_port(), Options::default()).await;
    for path in ["/things/secret-1", "/things/secret-2", "/nowhere/secret-3"] {
        service.get(path).await;
    }
    service.ask("FROBNICATE", "/things/secret-4", None).await;
    let answer = service.get("/metrics").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let metrics = answer.text().await.unwrap();
    for line in [
        "http_request_duration_seconds_count{route=\"/things/{name}\",method=\"GET\",status=\"2xx\"} 2",
        "http_request_duration_seconds_count{route=\"/things/{name}\",method=\"OTHER\",status=\"4xx\"} 1",
        "http_request_duration_seconds_count{route=\"none\",method=\"GET\",status=\"4xx\"} 1",
        "http_requests_total{status=\"4xx\"} 2",
        "http_connections 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains("secret") && !metrics.contains("FROB"), "{metrics}");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_watchers_are_let_in() {
    let service = start(Listen { rate: Some("1/m:2".parse().unwrap()), ..any_port() }, Options::default()).await;
    for status in [200, 200, 429, 429] {
        // Without a trusted proxy a forged header buys nothing.
        let answer = service.ask("GET", "/things/a", Some(&format!("192.0.2.{status}"))).await;
        assert_eq!(answer.status().as_u16(), status);
        let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(wait.is_some_and(|wait| (1..=61).contains(&wait)), status == 429, "{wait:?}");
        if status == 429 {
            let problem: Value = answer.json().await.unwrap();
            assert!(problem["detail"].as_str().unwrap().starts_with("too many requests; the next is welcome in "));
        }
    }
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        assert_eq!(service.get(path).await.status(), 200);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let listen = Listen {
        rate: Some("1/m:1".parse().unwrap()),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..any_port()
    };
    let service = start(listen, Options::default()).await;
    for (forwarded, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("192.0.2.3, 192.0.2.2", 429),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:1::2", 200),
    ] {
        assert_eq!(service.ask("GET", "/things/a", Some(forwarded)).await.status(), status, "{forwarded}");
    }
}
