//! Hostile callers of every service: each gets a refusal in words, at once, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "hostile/signed.rs"]
mod signed;
#[path = "hostile/table.rs"]
mod table;
#[path = "hostile/wire.rs"]
mod wire;

use std::{
    fs,
    io::Write as _,
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use iexec_chain::devnet::CHAIN_ID;
use iexec_e2e::{network::Network, user::User, workspace};

use table::{Body, Row};
use wire::Answer;

/// Those with a process of their own.
const PROCESSES: [&str; 5] = ["sms", "storage", "market", "scheduler", "worker"];
const SERVICES: [&str; 6] = ["sms", "storage", "market", "scheduler", "worker", "faucet"];
/// Stands for a secret in requests; it may be in no log.
const SECRET: &str = "a-secret-that-no-log-may-hold";

#[test]
fn hostile_callers_get_refusals_in_words_and_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let (_, task) = user.start_task("").unwrap();
    user.wait_status(&task, "COMPLETED", Duration::from_mins(1)).unwrap();
    let before = PROCESSES.map(|service| (network.pid(service).unwrap(), memory(&network, service)));

    thread::scope(|scope| {
        // The slow ones take their time while everything else goes on.
        for service in SERVICES {
            scope.spawn(|| slow_heads_are_cut_off(port(&network, service)));
        }
        scope.spawn(|| a_slow_body_is_408(port(&network, "sms")));
        every_row_is_refused_in_words(&network);
        signed::refusals(&network, &task);
        for service in SERVICES {
            what_is_no_http_is_answered_briefly(port(&network, service));
            a_body_that_breaks_off_harms_nobody(port(&network, service));
        }
        ranges_are_bounded(port(&network, "storage"), &location(port(&network, "storage"), &task));
    });
    for service in SERVICES {
        a_flood_is_answered(port(&network, service));
    }

    for (service, (pid, memory_before)) in PROCESSES.into_iter().zip(before) {
        assert_eq!(network.pid(service).unwrap(), pid, "the {service} was started again");
        let grown = memory(&network, service).saturating_sub(memory_before);
        assert!(grown < 48 * 1024, "the {service} has grown by {grown} KiB");
        let metrics = get(port(&network, service), "/metrics").body;
        assert!(!metrics.contains("status=\"5xx\""), "{service}: {metrics}");
        let log = fs::read_to_string(network.data.join(format!("logs/{service}.log"))).unwrap();
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{service}: {log}");
        assert!(!log.contains(SECRET), "{service}: {log}");
    }
    // And work goes on.
    let (_, task) = user.start_task("").unwrap();
    user.wait_status(&task, "COMPLETED", Duration::from_mins(1)).unwrap();
    network.stop().unwrap();
}

fn port(network: &Network, service: &str) -> u16 {
    network.port(service).unwrap()
}

fn get(port: u16, path: &str) -> Answer {
    wire::send(port, &format!("GET {path}"), "", b"").unwrap()
}

fn every_row_is_refused_in_words(network: &Network) {
    let faults: Vec<String> = table::TABLE.iter().filter_map(|row| fault(network, row)).collect();
    assert!(faults.is_empty(), "{} requests were not refused as they should:\n{}", faults.len(), faults.join("\n"));
}

fn fault(network: &Network, row: &Row) -> Option<String> {
    let task = format!("0x{}", "5".repeat(64));
    let filled = |text: &str| {
        let filled = text.replace("{T}", &task).replace("{C}", &CHAIN_ID.to_string());
        filled.replace("{A}", "0x00000000000000000000000000000000000000aa")
    };
    let body = match row.body {
        Body::Text("x") => SECRET.as_bytes().to_vec(),
        Body::Text(text) => filled(text).into_bytes(),
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::Many(byte, count) => vec![byte; count],
    };
    let answer = match wire::send(port(network, row.service), &filled(row.line), row.headers, &body) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{} {}: {error:#}", row.service, row.line)),
    };
    let in_words = answer.head.contains("json") && answer.words().contains(row.words);
    let right = answer.status == row.status && in_words;
    (!right).then(|| format!("{} {} ({} …): {answer:?}", row.service, row.line, row.words))
}

fn what_is_no_http_is_answered_briefly(port: u16) {
    let huge = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(2000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let requests: [(&[u8], &[u16]); 9] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400]),
        (b"GET\r\n\r\n", &[400]),
        (b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", &[400]),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", &[400]),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n", &[400]),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", &[400]),
        (huge.as_bytes(), &[431]),
        (many.as_bytes(), &[431]),
        (long.as_bytes(), &[414, 431]),
    ];
    for (request, expected) in requests {
        let answer = wire::raw(port, request).unwrap();
        assert!(
            expected.contains(&answer.status),
            "{}: {answer:?}",
            String::from_utf8_lossy(&request[..request.len().min(80)])
        );
    }
    // Two lengths at once are how requests are smuggled past a proxy: the connection ends with this request.
    let both = b"POST /none HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = wire::raw(port, both).unwrap();
    assert!(answer.status >= 400 && !answer.body.contains("200 OK"), "{answer:?}");
}

fn a_body_that_breaks_off_harms_nobody(port: u16) {
    let bodies = [
        "content-length: 1000\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\nffff\r\nhalf",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
    ];
    let lines = [
        "POST /tee/sessions",
        "POST /v1/grants",
        "PUT /v1/results/0x5",
        "POST /apporders?chainId=65535",
        "POST /faucet",
    ];
    for (line, body) in lines.iter().flat_map(|line| bodies.map(|body| (line, body))) {
        let mut stream = wire::connect(port).unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: x\r\n{body}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // An answer to half a request is allowed, and none is, too.
        if let Ok(answer) = wire::read(stream) {
            assert!((400..500).contains(&answer.status), "{line} {body}: {answer:?}");
        }
    }
    assert_eq!(get(port, "/health").body, "ok");
}

/// Callers with half a request each: they are cut off, and the others get through meanwhile.
fn slow_heads_are_cut_off(port: u16) {
    let begun = Instant::now();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = wire::connect(port).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
            stream
        })
        .collect();
    assert_eq!(get(port, "/health").body, "ok");
    for stream in slow {
        assert!(wire::read(stream).is_err(), "half a request was answered");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "cut off after {:?} only", begun.elapsed());
}

fn a_slow_body_is_408(sms: u16) {
    let mut stream = wire::connect(sms).unwrap();
    stream
        .write_all(b"POST /tee/sessions HTTP/1.1\r\nhost: x\r\nauthorization: x\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    let answer = wire::read(stream).unwrap();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(answer.words().contains("the body did not come within 10 s"), "{answer:?}");
}

fn location(storage: u16, task: &str) -> String {
    format!("/ipfs/{}", get(storage, &format!("/v1/results/{task}/ipfshash")).body)
}

fn ranges_are_bounded(storage: u16, path: &str) {
    let whole = get(storage, path);
    let size = whole.body.len();
    assert_eq!(whole.status, 200);
    for (range, status) in [
        ("bytes=0-0".to_owned(), 206),
        ("bytes=99999999-".to_owned(), 416),
        ("bytes=-0".to_owned(), 416),
        ("bytes=18446744073709551615-18446744073709551616".to_owned(), 416),
        ("bytes=5-2".to_owned(), 200),
        ("bytes=--1".to_owned(), 200),
        (format!("bytes={}0-", "0-,".repeat(2000)), 200),
        ("seconds=1-2".to_owned(), 200),
    ] {
        let answer = wire::send(storage, &format!("GET {path}"), &format!("range: {range}"), b"").unwrap();
        assert_eq!(answer.status, status, "{range}");
        assert!(status != 200 || answer.body.len() == size, "{range}: {} of {size} bytes", answer.body.len());
    }
}

/// 400 requests by 20 callers at once.
fn a_flood_is_answered(port: u16) {
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(get(port, "/health").body, "ok");
                }
            });
        }
    });
}

/// Resident memory in KiB.
fn memory(network: &Network, service: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", network.pid(service).unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
