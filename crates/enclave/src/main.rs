//! `iexec-enclave run`: the container's entrypoint. Frames on stdin and stdout, log lines on stderr.

use std::{io, process::ExitCode};

use iexec_enclave::{Exit, Layout};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let exit = match words.as_slice() {
        [word] if word == "run" => iexec_enclave::run(&Layout::container(), io::stdin().lock(), io::stdout().lock()),
        _ => {
            iexec_enclave::log(
                "usage: iexec-enclave run\nhint: the worker starts this program inside an app's container",
            );
            Exit::Mute
        }
    };
    ExitCode::from(exit)
}
