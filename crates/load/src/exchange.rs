//! Requests over kept connections, one after the other on each: bytes out, bytes in, time between.
//!
//! It knows of HTTP/1.1 what the SMS answers: a status, a length, a body. That keeps the client cheap.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Longest answer.
const MOST: usize = 256 * 1024;

/// What is asked, and how.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    /// Whole requests.
    pub(crate) requests: &'a [Arc<[u8]>],
    /// Whether each may be sent once only.
    pub(crate) once: bool,
    /// Whether the answers are of use.
    pub(crate) keep: bool,
    pub(crate) connections: usize,
    pub(crate) expected: u16,
    pub(crate) time: Duration,
}

/// What came of it.
pub(crate) struct Measured {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// Of each exchange, in order of length.
    pub(crate) latencies: Vec<Duration>,
    /// Processor time of the service.
    pub(crate) cpu: Duration,
    /// Processor time of a database beside it.
    pub(crate) database_cpu: Duration,
    /// Which request was answered with what body, if they were to be kept.
    pub(crate) answers: Vec<(usize, Vec<u8>)>,
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵²")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `percent` of the exchanges do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Opens the connections, then asks on all of them until the time is over or nothing is left to ask.
pub(crate) async fn run(address: SocketAddr, load: &Load<'_>) -> Result<Measured> {
    let mut streams = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let stream = TcpStream::connect(address).await.context("a connection")?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let source = Arc::new(Source {
        requests: load.requests.to_vec(),
        once: load.once,
        keep: load.keep,
        next: AtomicUsize::new(0),
        until: Instant::now() + load.time,
        expected: load.expected,
    });
    let begun = Instant::now();
    let mut asking: JoinSet<Result<Asked>> =
        streams.into_iter().map(|stream| ask(stream, Arc::clone(&source))).collect();
    let (mut latencies, mut answers) = (Vec::new(), Vec::new());
    while let Some(done) = asking.join_next().await {
        let done = done??;
        latencies.extend(done.latencies);
        answers.extend(done.answers);
    }
    let elapsed = begun.elapsed();
    ensure!(!latencies.is_empty(), "nothing was answered");
    latencies.sort_unstable();
    Ok(Measured { elapsed, latencies, cpu: Duration::ZERO, database_cpu: Duration::ZERO, answers })
}

/// What one connection was told.
#[derive(Default)]
struct Asked {
    latencies: Vec<Duration>,
    answers: Vec<(usize, Vec<u8>)>,
}

struct Source {
    requests: Vec<Arc<[u8]>>,
    once: bool,
    keep: bool,
    next: AtomicUsize,
    until: Instant,
    expected: u16,
}

impl Source {
    fn next(&self) -> Option<(usize, Arc<[u8]>)> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= self.until || (self.once && at >= self.requests.len()) {
            return None;
        }
        let at = at % self.requests.len();
        self.requests.get(at).map(|request| (at, Arc::clone(request)))
    }
}

async fn ask(mut stream: TcpStream, source: Arc<Source>) -> Result<Asked> {
    let (mut asked, mut buffer) = (Asked::default(), Vec::with_capacity(4096));
    while let Some((number, request)) = source.next() {
        let begun = Instant::now();
        stream.write_all(&request).await?;
        buffer.clear();
        let bodyless = request.starts_with(b"HEAD ");
        let (status, body) = answer(&mut stream, &mut buffer, bodyless).await?;
        asked.latencies.push(begun.elapsed());
        if status != source.expected {
            bail!("expected {}, got: {}", source.expected, String::from_utf8_lossy(&buffer));
        }
        if source.keep {
            asked.answers.push((number, buffer[body..].to_vec()));
        }
    }
    Ok(asked)
}

/// Reads one whole answer; yields its status, and where its body begins.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>, bodyless: bool) -> Result<(u16, usize)> {
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the service closed the connection");
        ensure!(buffer.len() < MOST, "an answer of more than {MOST} bytes");
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let (status, length) = parse(&buffer[..head])?;
        if bodyless || buffer.len() >= head + 4 + length {
            return Ok((status, head + 4));
        }
    }
}

/// Status and length of the body.
fn parse(head: &[u8]) -> Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).context("an answer without a status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.unwrap_or_default()))
}
