//! `iexec`: the command of requesters, beneficiaries and developers. One file per noun; here only the way in and out.
//!
//! stdout is the answer; everything else goes to stderr. Exit 0: yes; 1: the answer is no, or the user erred; 2: we broke.

mod account;
mod app;
mod asset;
mod category;
mod chain_options;
mod checksum;
mod command;
mod completions;
mod dataset;
mod dataset_key;
mod deal;
mod download;
mod encryption_key;
mod failure;
mod files;
mod fill;
mod image;
mod info;
mod init;
mod key_dialogue;
mod key_file;
mod key_folder;
mod key_pair;
mod market;
mod offer;
mod offers;
mod order;
mod order_end;
mod order_template;
mod orderbook;
mod preflight;
mod progress;
mod project;
mod remote;
mod result;
mod run;
mod screen;
mod secret;
mod selection;
mod storage;
mod task;
mod task_view;
mod terminal;
mod usage;
mod wallet;
mod wallet_options;
mod workerpool;

use std::{panic, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};

fn main() -> ExitCode {
    // What a panic says may hold a secret: its place is enough to find it.
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        screen::complain(&format!(
            "error: this command broke at {place}\nhint: report it with the command that you gave"
        ));
    }));
    outlive_file_limits();
    panic::catch_unwind(run).unwrap_or_else(|_| failure::Blame::Us.into())
}

/// A file that grows beyond the limit of `ulimit -f` is an error of that write, not the end of the program: what is
/// half-written is cleaned away then.
fn outlive_file_limits() {
    #[cfg(unix)]
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _context = runtime.enter();
        let beyond = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // The program no longer dies of it from here on; where that fails, it does as before.
        let _ = tokio::signal::unix::signal(beyond);
    }
}

fn run() -> ExitCode {
    let matches = match command::Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::refuse(&error),
    };
    let name = usage::name_of(&matches);
    let cli = match command::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    let screen = screen::Screen::new(cli.output.raw, cli.output.quiet);
    match cli.command.run(screen) {
        Ok(answer) => screen.show(&answer),
        Err(failure) => screen.refuse(&name, &failure),
    }
}
