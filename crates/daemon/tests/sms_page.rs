//! The commands of docs/operators/sms.md, run as they stand there, beside a running SMS.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

const PAGE: &str = include_str!("../../../docs/operators/sms.md");

/// An SMS on `sms-data` in this folder, without a chain; its address, and its log, which must stay open.
fn sms(folder: &Path, key: &[&str]) -> (Child, String, impl Sized) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iexecd"))
        .args(["sms", "--listen", "127.0.0.1:0", "--rpc", "http://127.0.0.1:1", "--chain-id", "31337"])
        .args(["--hub", "0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f", "--data", "sms-data"])
        .args(key)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("listening on http://")).unwrap();
    let address = line.rsplit_once("http://").unwrap().1.trim().to_owned();
    (child, address, log)
}

fn shell(folder: &Path, script: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_iexecd")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-euc", script]).current_dir(folder).env("PATH", path).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{told}");
    told
}

#[test]
fn the_commands_of_the_operators_page_do_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, address, _log) = sms(folder.path(), &[]);
    let mut stream = TcpStream::connect(&address).unwrap();
    let path = "/secrets/web2?ownerAddress=0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f&secretName=a";
    write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\nv").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let blocks = PAGE.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let told: Vec<String> = blocks.map(|block| shell(folder.path(), block)).collect();
    assert_eq!(told.len(), 6, "blocks of the page");
    assert!(told[0].contains("data key 3 is active; 0 values sealed anew; destroyed: 1"), "{}", told[0]);
    assert!(told[1].contains("the data keys are wrapped under file-") && told[1].contains("is dropped"), "{}", told[1]);
    assert!(told[2].contains("kept: 0 secrets") && told[2].contains("restored: 0 secrets"), "{}", told[2]);
    assert!(told[3].contains(" refused cause=unsigned kind=web2"), "{}", told[3]);
    assert!(told[5].contains(" are in audit-1.jsonl and no more in the log"), "{}", told[5]);
    assert!(shell(folder.path(), "iexecd sms audit show --data sms-data").contains(" audit.pruned entries="));
    assert!(shell(folder.path(), "iexecd sms audit show --data restored").contains(" restored kek=file-"));
    // The old key opens nothing any more; the new one does.
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = shell(folder.path(), "! iexecd sms keys rotate --data sms-data");
    assert!(refused.contains("but the store's data keys are wrapped under"), "{refused}");
    let (mut child, _, _log) = sms(folder.path(), &["--master-key-file", "next.key"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
