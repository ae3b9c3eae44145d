//! HTTP by hand: what no decent client would send.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Longest wait for a byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// What a refusal says, wherever the service's form has it.
    pub(crate) fn words(&self) -> String {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        [&json["detail"], &json["error"]]
            .into_iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(" ")
            .replace('\\', "")
    }
}

/// A connection.
pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("no connection")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a whole request and reads the answer.
pub(crate) fn send(port: u16, line: &str, headers: &str, body: &[u8]) -> Result<Answer> {
    let lines = headers.lines().flat_map(|line| [line, "\r\n"]).collect::<String>();
    let head =
        format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n", body.len());
    raw(port, &[head.as_bytes(), body].concat())
}

/// Sends these bytes, reads until the service closes.
pub(crate) fn raw(port: u16, bytes: &[u8]) -> Result<Answer> {
    let mut stream = connect(port)?;
    // A service that has seen enough may close while we still send.
    let _ = stream.write_all(bytes);
    read(stream)
}

/// Reads an answer until the service closes.
pub(crate) fn read(mut stream: TcpStream) -> Result<Answer> {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(error) if text.is_empty() => Err(error).context("no answer"),
        _ => parse(&String::from_utf8_lossy(&text)),
    }
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no whole head: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).with_context(|| head.to_owned())?;
    Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}
