//! `iexec completions`: a shell's completion script.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::{command::Cli, failure::Failure, screen::Answer};

/// Print a shell's completion script
#[derive(Args)]
#[command(
    after_help = "Examples:\n  iexec completions bash > ~/.local/share/bash-completion/completions/iexec\n  iexec completions zsh > ~/.zfunc/_iexec"
)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "iexec", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        Answer::new(&json!({ "script": script }), script)
    }
}
