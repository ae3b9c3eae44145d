//! The talk with an enclave over its container's pipes: frames with bounds and time limits, and its log.

use std::{io, time::Duration};

use iexec_protocol::{
    id::TaskId,
    session::{FrameError, FromEnclave, ToEnclave, decode_frame, encode_frame, frame_length},
};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// Time for the enclave to take a frame.
pub const SEND_TIME: Duration = Duration::from_secs(10);

/// Longest line of the enclave's log that is kept, and most bytes of one run.
const MAX_LINE: u64 = 2048;
const MAX_LOG: u64 = 256 * 1024;

/// Both directions.
pub struct Pipe {
    to: Box<dyn AsyncWrite + Send + Unpin>,
    from: Box<dyn AsyncRead + Send + Unpin>,
}

impl Pipe {
    /// Over a container's stdin and stdout.
    pub fn new(to: Box<dyn AsyncWrite + Send + Unpin>, from: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { to, from }
    }

    /// Sends one frame.
    pub async fn send(&mut self, message: &ToEnclave) -> Result<(), PipeFault> {
        let frame = encode_frame(message)?;
        let sent = async {
            self.to.write_all(&frame).await?;
            self.to.flush().await
        };
        match tokio::time::timeout(SEND_TIME, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(PipeFault::of(&error)),
            Err(_) => Err(PipeFault::Silent { seconds: SEND_TIME.as_secs() }),
        }
    }

    /// Receives one frame, whole, within this time.
    pub async fn receive(&mut self, within: Duration) -> Result<FromEnclave, PipeFault> {
        let received = async {
            let mut header = [0; 4];
            self.from.read_exact(&mut header).await.map_err(|error| PipeFault::of(&error))?;
            let mut body = vec![0; frame_length(header)?];
            self.from.read_exact(&mut body).await.map_err(|error| PipeFault::of(&error))?;
            Ok(decode_frame(&body)?)
        };
        let silent = PipeFault::Silent { seconds: within.as_secs() };
        tokio::time::timeout(within, received).await.unwrap_or(Err(silent))
    }
}

/// Copies an enclave's stderr into this worker's log until it ends; what is beyond the bounds is read and dropped, so
/// that the enclave never waits.
pub async fn log(stderr: Box<dyn AsyncRead + Send + Unpin>, task: TaskId) {
    let (mut reader, mut left) = (BufReader::new(stderr), MAX_LOG);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                let cut = left;
                left = left.saturating_sub(read as u64);
                if cut > 0 {
                    tracing::info!(%task, "enclave: {}", printable(&line));
                }
                if cut > 0 && left == 0 {
                    tracing::warn!(%task, "the enclave's log is longer than {MAX_LOG} bytes; the rest is dropped");
                }
            }
        }
    }
}

/// A line without what would move a terminal's cursor.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The talk broke.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PipeFault {
    /// The enclave ended.
    #[error("the enclave ended without a last word")]
    Closed,
    /// No frame in time.
    #[error("the enclave said nothing for {seconds} s")]
    Silent {
        /// How long was waited.
        seconds: u64,
    },
    /// Not a frame.
    #[error("the enclave sent {0}")]
    Frame(#[from] FrameError),
    /// The pipe broke.
    #[error("the enclave's pipe broke: {0}")]
    Broken(String),
}

impl PipeFault {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broken(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iexec_protocol::session::Stage;

    fn pipe(bytes: Vec<u8>) -> Pipe {
        Pipe::new(Box::new(tokio::io::sink()), Box::new(io::Cursor::new(bytes)))
    }

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn frames_arrive_one_by_one_and_then_the_end() {
        let frame = encode_frame(&FromEnclave::Stage { stage: Stage::App }).unwrap();
        let mut pipe = pipe([frame.clone(), frame].concat());
        for _ in 0..2 {
            assert!(matches!(pipe.receive(SOON).await, Ok(FromEnclave::Stage { stage: Stage::App })));
        }
        assert_eq!(pipe.receive(SOON).await.unwrap_err(), PipeFault::Closed);
    }

    #[tokio::test]
    async fn hostile_frames_are_refused_before_they_are_read() {
        let huge = u32::MAX.to_be_bytes().to_vec();
        assert!(matches!(pipe(huge).receive(SOON).await, Err(PipeFault::Frame(FrameError::TooLarge(_)))));
        let cut = [9_u32.to_be_bytes().as_slice(), b"{}"].concat();
        assert_eq!(pipe(cut).receive(SOON).await.unwrap_err(), PipeFault::Closed);
        let other = [2_u32.to_be_bytes().as_slice(), b"{}"].concat();
        assert!(matches!(pipe(other).receive(SOON).await, Err(PipeFault::Frame(FrameError::Json(_)))));
    }

    #[tokio::test]
    async fn an_enclave_that_says_nothing_is_not_waited_for_longer_than_told() {
        let (_open, from) = tokio::io::duplex(8);
        let mut pipe = Pipe::new(Box::new(tokio::io::sink()), Box::new(from));
        assert_eq!(pipe.receive(SOON).await.unwrap_err(), PipeFault::Silent { seconds: 0 });
    }

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        assert_eq!(printable(b"\x1b[2Jx\r\n"), "\u{fffd}[2Jx");
    }
}
