//! A service with a certificate: who gets to talk to it, and what becomes of new files.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::{fs, path::Path, time::Duration};

use axum::{Router, routing::get};
use iexec_service::{CancellationToken, Listen, Listener, Metrics, Options, serve, tls::TlsFiles};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

type Made = CertifiedKey<KeyPair>;

fn made() -> Made {
    iexec_service::crypto::install();
    generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

/// Writes both files, the key readable by its owner alone.
fn write(folder: &Path, certificate: &str, key: &str) -> TlsFiles {
    let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    set_mode(&files.key, 0o600);
    files
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

struct Service {
    folder: TempDir,
    origin: String,
    metrics: Metrics,
    _stop: tokio_util::sync::DropGuard,
}

fn listen(tls: TlsFiles) -> Listen {
    Listen { tls: Some(tls), ..Listen::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0))) }
}

async fn start(made: &Made) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), &made.cert.pem(), &made.signing_key.serialize_pem());
    // One connection at a time: who keeps it keeps all others out.
    let listener = Listener::bind(Listen { connections: 1, ..listen(files) }).await.unwrap();
    let (origin, stop, metrics) = (listener.origin(), CancellationToken::new(), Metrics::default());
    let options = Options { metrics: metrics.clone(), head_time: Duration::from_millis(300), ..Options::default() };
    let router = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(serve(listener, router, options, stop.clone()));
    Service { folder, origin, metrics, _stop: stop.drop_guard() }
}

/// What a client gets that trusts this certificate alone; a new connection each time.
async fn ask(service: &Service, trusted: &Made) -> Result<String, reqwest::Error> {
    let root = reqwest::Certificate::from_pem(trusted.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    client.get(&service.origin).header("connection", "close").send().await?.text().await
}

/// Asks until the certificate is the service's.
async fn wait_for(service: &Service, trusted: &Made) {
    let asking = async { while ask(service, trusted).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap();
}

fn reloads(service: &Service, outcome: &str) -> bool {
    service.metrics.to_text().contains(&format!("tls_reloads_total{{outcome=\"{outcome}\"}}"))
}

fn hang_up() {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::HUP).unwrap();
}

#[tokio::test]
async fn who_trusts_the_certificate_is_answered_and_plain_http_is_not() {
    let (own, foreign) = (made(), made());
    let service = start(&own).await;
    assert!(service.origin.starts_with("https://127.0.0.1:"));
    assert_eq!(ask(&service, &own).await.unwrap(), "hello");
    assert!(ask(&service, &foreign).await.is_err());
    let mut plain = TcpStream::connect(service.origin.trim_start_matches("https://")).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got).await;
    assert!(!String::from_utf8_lossy(&got).contains("HTTP"), "an alert at most");
}

#[tokio::test]
async fn a_caller_that_says_nothing_in_the_handshake_is_cut_off_and_makes_room() {
    let own = made();
    let service = start(&own).await;
    let mut silent = TcpStream::connect(service.origin.trim_start_matches("https://")).await.unwrap();
    assert_eq!(ask(&service, &own).await.unwrap(), "hello", "after the silent one's time");
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn new_files_are_used_when_told_and_when_seen_and_bad_ones_are_not() {
    let (first, second, third) = (made(), made(), made());
    let service = start(&first).await;
    assert!(ask(&service, &first).await.is_ok());
    // The new certificate with the old key.
    let old_key = first.signing_key.serialize_pem();
    write(service.folder.path(), &second.cert.pem(), &old_key);
    hang_up();
    let refused = async {
        while !reloads(&service, "refused") {
            ask(&service, &first).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(ask(&service, &first).await.unwrap(), "hello", "the old pair stays");
    write(service.folder.path(), &second.cert.pem(), &second.signing_key.serialize_pem());
    hang_up();
    wait_for(&service, &second).await;
    assert!(reloads(&service, "used"));
    // Nobody tells it.
    write(service.folder.path(), &third.cert.pem(), &third.signing_key.serialize_pem());
    wait_for(&service, &third).await;
}

#[tokio::test]
async fn a_service_does_not_start_with_files_that_are_no_good() {
    let (own, other) = (made(), made());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let refusal = async |certificate: &str, key: &str, mode: u32| {
        let files = write(folder.path(), certificate, key);
        set_mode(&files.key, mode);
        Listener::bind(listen(files))
            .await
            .err()
            .map(|error| error.to_string().replace(folder.path().to_str().unwrap(), ""))
    };
    assert_eq!(refusal(&certificate, &key, 0o400).await, None);
    for (certificate, key, mode, words) in [
        (&certificate, &key, 0o640, "the key /key.pem has mode 0640: others may read it\nhint: chmod 600"),
        (
            &certificate,
            &other.signing_key.serialize_pem(),
            0o600,
            "the certificate /cert.pem cannot be used with the key /key.pem",
        ),
        (&String::new(), &key, 0o600, "/cert.pem holds no certificate"),
        (&key, &key, 0o600, "/cert.pem holds no certificate"),
        (&certificate, &certificate, 0o600, "/key.pem holds no private key"),
        (&"x".repeat(2 << 20), &key, 0o600, "/cert.pem has 2097152 bytes, at most 1048576 are read"),
    ] {
        let said = refusal(certificate, key, mode).await.unwrap();
        assert!(said.starts_with(words), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
    let nothing = TlsFiles { certificate: "/nothing.pem".into(), key: "/nothing.key".into() };
    let said = Listener::bind(listen(nothing)).await.unwrap_err().to_string();
    assert!(said.starts_with("cannot read /nothing.pem: "), "{said}");
}
