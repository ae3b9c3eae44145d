//! A question on the terminal itself, answered without an echo: stdin may be an archive. Ctrl-C ends the question at once,
//! and the terminal is as before, whatever the answer.

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// There is nobody to ask.
    NoTerminal,
    /// Ctrl-C.
    Interrupted,
}

#[cfg(unix)]
pub(crate) use self::unix::ask_hidden;

/// Asks on the console.
#[cfg(not(unix))]
pub(crate) fn ask_hidden(question: &str) -> Result<zeroize::Zeroizing<String>, Unanswered> {
    rpassword::prompt_password(question).map(zeroize::Zeroizing::new).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Unanswered::Interrupted,
        _ => Unanswered::NoTerminal,
    })
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::{File, OpenOptions},
        io::{Read, Write as _},
    };

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
    use zeroize::Zeroizing;

    use super::Unanswered;

    /// Longest answer, bytes.
    const LONGEST: usize = 4096;

    /// Asks on the controlling terminal.
    pub(crate) fn ask_hidden(question: &str) -> Result<Zeroizing<String>, Unanswered> {
        let none = |_| Unanswered::NoTerminal;
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(none)?;
        let silent = Silent::new(&terminal)?;
        (&terminal).write_all(question.as_bytes()).map_err(none)?;
        let answer = read_line(&terminal);
        drop(silent);
        // The Enter was not echoed.
        (&terminal).write_all(b"\n").map_err(none)?;
        answer
    }

    /// A terminal that shows nothing, and hands out each key; as it was again when dropped.
    struct Silent<'a> {
        terminal: &'a File,
        before: Termios,
    }

    impl<'a> Silent<'a> {
        fn new(terminal: &'a File) -> Result<Self, Unanswered> {
            let none = |_| Unanswered::NoTerminal;
            let before = tcgetattr(terminal).map_err(none)?;
            let mut silent = before.clone();
            silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
            silent.special_codes[SpecialCodeIndex::VMIN] = 1;
            silent.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(terminal, OptionalActions::Now, &silent).map_err(none)?;
            Ok(Self { terminal, before })
        }
    }

    impl Drop for Silent<'_> {
        fn drop(&mut self) {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        }
    }

    /// The keys up to Enter, with the line's usual corrections.
    pub(super) fn read_line(mut keys: impl Read) -> Result<Zeroizing<String>, Unanswered> {
        // Room for all of it: a buffer that grew would leave copies behind.
        let mut line = Zeroizing::new(String::with_capacity(LONGEST));
        let mut bytes = Zeroizing::new(Vec::with_capacity(4));
        loop {
            let mut key = [0];
            keys.read_exact(&mut key).map_err(|_| Unanswered::NoTerminal)?;
            match key[0] {
                b'\n' | b'\r' => return Ok(line),
                // Ctrl-C; and Ctrl-D, where there is nothing to end.
                3 => return Err(Unanswered::Interrupted),
                4 if line.is_empty() => return Err(Unanswered::NoTerminal),
                // Backspace, Delete, Ctrl-U.
                8 | 127 => drop(line.pop()),
                21 => line.clear(),
                0..=31 => {}
                byte => {
                    bytes.push(byte);
                    match std::str::from_utf8(&bytes) {
                        Ok(text) if line.len() + text.len() <= LONGEST => line.push_str(text),
                        // More bytes of the same character follow.
                        Err(error) if error.error_len().is_none() => continue,
                        _ => {}
                    }
                    bytes.clear();
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_answer_is_what_is_left_after_its_corrections() {
            let line = |keys: &[u8]| read_line(keys).map(|line| line.as_str().to_owned());
            assert_eq!(line(b"correct horse\n").as_deref(), Ok("correct horse"));
            assert_eq!(line("pä\x7fé\rx".as_bytes()).as_deref(), Ok("pé"));
            assert_eq!(line(b"wrong\x15\x1bright\x08\x08ht\n").as_deref(), Ok("right"));
            assert_eq!(line(b"a\xffb\n").as_deref(), Ok("ab"));
            assert_eq!(line(b"\n").as_deref(), Ok(""));
            assert_eq!(line(b"secret\x03"), Err(Unanswered::Interrupted));
            for gone in [&b"\x04"[..], b"", b"secret"] {
                assert_eq!(line(gone), Err(Unanswered::NoTerminal));
            }
            assert_eq!(line(&[b"x".repeat(5000), b"\n".to_vec()].concat()).map(|line| line.len()), Ok(LONGEST));
        }
    }
}
