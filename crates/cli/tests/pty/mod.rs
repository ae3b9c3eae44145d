//! A pseudo-terminal with a command on it: its keyboard, its screen, and whether it echoes.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

pub(crate) struct Pty {
    terminal: File,
    child: Child,
    /// Everything that came.
    pub(crate) screen: String,
}

impl Pty {
    /// Runs a command with this as its controlling terminal, on all three of its ends.
    pub(crate) fn run(command: &Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let end = || OwnedFd::from(OpenOptions::new().read(true).write(true).open(&path).unwrap());
        // util-linux: makes its stdin the controlling terminal, then becomes the command.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = session.spawn().unwrap();
        // The command's ends are its own now: when it goes, this one sees the end.
        drop(session);
        Self { terminal: File::from(terminal), child, screen: String::new() }
    }

    /// Waits for these words; it fails when the command ends without them.
    pub(crate) fn wait_for(&mut self, words: &str) {
        self.wait_until(words, |screen| screen.contains(words));
    }

    /// Waits until the screen is as wished; `what` says how.
    pub(crate) fn wait_until(&mut self, what: &str, seen: impl Fn(&str) -> bool) {
        while !seen(&self.screen) {
            assert!(self.read_more(), "the command ended without {what:?}: {}", self.screen);
        }
    }

    /// Types.
    pub(crate) fn write(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Sends the command a signal, as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end; yields the exit code, and whether the terminal echoes then.
    pub(crate) fn end(&mut self) -> (Option<i32>, bool) {
        while self.read_more() {}
        (self.child.wait().unwrap().code(), self.echoes())
    }

    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // Linux says EIO when the last other end is closed.
        let count = self.terminal.read(&mut bytes).unwrap_or(0);
        self.screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}
