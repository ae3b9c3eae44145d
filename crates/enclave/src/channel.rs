//! The pipes to the worker: which frame may come when, and how a frame leaves.

use std::io::{Read, Write};

use iexec_protocol::{
    cause::Cause,
    evidence::Nonce,
    id::TaskId,
    session::{FromEnclave, SealedSession, ToEnclave, decode_frame, encode_frame, frame_length},
};

use crate::failure::{Failure, OrFail as _};

/// Frames in both directions.
pub(crate) struct Channel<R, W> {
    input: R,
    output: W,
}

impl<R: Read, W: Write> Channel<R, W> {
    pub(crate) fn new(input: R, output: W) -> Self {
        Self { input, output }
    }

    /// The first frame.
    pub(crate) fn begin(&mut self) -> Result<(TaskId, Nonce), Failure> {
        match self.read()? {
            ToEnclave::Begin { task, nonce } => Ok((task, nonce)),
            ToEnclave::Session(_) => Err(Failure::unprepared("a session came before the task was named")),
        }
    }

    /// The second frame.
    pub(crate) fn session(&mut self) -> Result<SealedSession, Failure> {
        match self.read()? {
            ToEnclave::Session(session) => Ok(session),
            ToEnclave::Begin { .. } => Err(Failure::unprepared("the task was named twice")),
        }
    }

    /// Sends a frame at once.
    pub(crate) fn send(&mut self, message: &FromEnclave) -> Result<(), Failure> {
        let frame = encode_frame(message).map_err(Failure::unprepared)?;
        let sent = self.output.write_all(&frame).and_then(|()| self.output.flush());
        sent.or_fail(Cause::TeePreparationFailed, "the worker does not listen")
    }

    fn read(&mut self) -> Result<ToEnclave, Failure> {
        let mut header = [0; 4];
        let gone = "the worker ended the conversation";
        self.input.read_exact(&mut header).or_fail(Cause::TeePreparationFailed, gone)?;
        let mut json = vec![0; frame_length(header).map_err(Failure::unprepared)?];
        self.input.read_exact(&mut json).or_fail(Cause::TeePreparationFailed, gone)?;
        decode_frame(&json).map_err(Failure::unprepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(input: &[u8]) -> Channel<&[u8], Vec<u8>> {
        Channel::new(input, Vec::new())
    }

    #[test]
    fn frames_come_in_their_order_or_not_at_all() {
        let begin = ToEnclave::Begin { task: TaskId::default(), nonce: Nonce([7; 32].into()) };
        let begin = encode_frame(&begin).unwrap();
        assert_eq!(channel(&begin).begin(), Ok((TaskId::default(), Nonce([7; 32].into()))));
        assert_eq!(channel(&begin).session().unwrap_err().message, "the task was named twice");
    }

    #[test]
    fn hostile_input_is_an_error_and_costs_no_memory() {
        for bytes in [&b""[..], b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x02{", b"\0\0\0\x02{}", b"\0\0\0\0"] {
            assert_eq!(channel(bytes).begin().unwrap_err().cause, Cause::TeePreparationFailed, "{bytes:?}");
        }
    }
}
