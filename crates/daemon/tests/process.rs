//! A service as a process: how it ends when it is told to, once and twice, and what it says while its chain is down.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// An SMS without a chain: what is asked of it here needs none.
struct Sms {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
    _data: TempDir,
}

impl Drop for Sms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sms {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_iexecd"))
            .args(["sms", "--listen", "127.0.0.1:0", "--rpc", "http://127.0.0.1:1", "--chain-id", "31337"])
            .args(["--hub", "0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f", "--data"])
            .arg(data.path().join("sms"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut sms = Self { child, log, address: String::new(), _data: data };
        let line = sms.wait_for("listening on http://");
        sms.address.push_str(line.rsplit_once("http://").unwrap().1.trim());
        sms
    }

    /// The next line of its log that holds these words.
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ends before «{words}»");
            if line.contains(words) {
                return line;
            }
        }
    }

    fn tell(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// A request that is under way: the handler asked for its body (`100 Continue`) and waits for it.
    fn request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = "/secrets/web2?ownerAddress=0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f&secretName=a";
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }
}

#[test]
fn a_request_under_way_is_answered_and_the_service_ends_with_status_0() {
    let mut sms = Sms::start();
    let mut stream = sms.request();
    sms.tell(Signal::SIGTERM);
    sms.wait_for("stopping");
    stream.write_all(b"value").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(sms.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(&sms.address).is_err(), "nobody else is taken");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut sms = Sms::start();
    let mut stream = sms.request();
    sms.tell(Signal::SIGINT);
    sms.wait_for("stopping");
    sms.tell(Signal::SIGTERM);
    assert_eq!(sms.child.wait().unwrap().code(), Some(1));
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "the request is cut off");
}

#[test]
fn without_its_chain_it_is_alive_and_not_ready_and_says_so() {
    let sms = Sms::start();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&sms.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health/live").starts_with("HTTP/1.1 200 "));
    let ready = get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let checks = r#"{"checks":{"chain":"the chain does not answer","database":"ok"},"status":"not ready"}"#;
    assert!(ready.ends_with(checks), "{ready}");
}
