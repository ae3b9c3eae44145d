//! One shell for a whole page: variables and the working folder last from command to command.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

const MARK: &str = "@@exit";

/// A running `bash`; standard error is mixed into its output, as on a terminal.
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Lines, without the newline.
    pub lines: Vec<String>,
    /// Exit status.
    pub status: i32,
}

impl Output {
    /// The lines as one text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

impl Shell {
    /// Starts a shell in `folder` with `programs` first on its path and these variables set.
    pub fn start(folder: &Path, programs: &Path, variables: &[(String, String)]) -> Result<Self> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .args(["--norc", "-c", "exec 2>&1; while IFS= read -r line; do eval \"$line\"; done"])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            .envs(variables.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bash")?;
        let stdin = child.stdin.take().context("bash has no input")?;
        let stdout = child.stdout.take().context("bash has no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, stdin, lines })
    }

    /// Runs one command (a single line) and hands each line to `seen` as it comes.
    pub fn run(&mut self, command: &str, limit: Duration, mut seen: impl FnMut(&str)) -> Result<Output> {
        let quoted = command.replace('\'', r"'\''");
        writeln!(self.stdin, "eval '{quoted}' </dev/null; printf '\\n{MARK} %d\\n' $?").context("the shell ended")?;
        let mut lines: Vec<String> = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(limit) else {
                bail!("`{command}` printed nothing for {} s; so far: {}", limit.as_secs(), lines.join("\n"));
            };
            if let Some(status) = line.strip_prefix(MARK) {
                // The mark brings its own empty line.
                if lines.last().is_some_and(String::is_empty) {
                    lines.pop();
                }
                return Ok(Output { lines, status: status.trim().parse().context("the shell's mark is broken")? });
            }
            seen(&line);
            lines.push(line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The shell may be gone already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
