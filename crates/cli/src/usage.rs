//! Errors of the command line itself, in the form of every other error: one line and a hint, exit 1.

use std::{io::Write as _, process::ExitCode};

use clap::{ArgMatches, CommandFactory as _, error::ErrorKind};

use crate::{command::Cli, failure::Failure, screen::Screen};

/// `iexec result decrypt`, aliases resolved.
pub(crate) fn name_of(matches: &ArgMatches) -> String {
    let (mut name, mut at) = ("iexec".to_owned(), matches);
    while let Some((sub, below)) = at.subcommand() {
        name.push(' ');
        name.push_str(sub);
        at = below;
    }
    name
}

/// Help and version on stdout, exit 0; anything else is an error of the user.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = write!(anstream::stdout(), "{}", error.render().ansi());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(anstream::stderr(), "{}", error.render().ansi());
            ExitCode::from(1)
        }
        _ => {
            let args: Vec<String> = std::env::args().skip(1).collect();
            let name = named_by(&args);
            let raw = args.iter().any(|arg| arg == "--raw");
            Screen::new(raw, false).refuse(&name, &failure_of(&error.render().to_string(), &name))
        }
    }
}

/// Clap's words before its first empty line are the error; its `tip:` lines are the hint.
fn failure_of(rendered: &str, name: &str) -> Failure {
    let error = rendered.split("\n\n").next().unwrap_or(rendered);
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let tips: Vec<_> = rendered.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let hint = if tips.is_empty() { format!("`{name} --help` shows how it is used") } else { tips.join("; ") };
    Failure::user("UsageError", error).hint(hint)
}

/// The deepest command that the arguments name.
fn named_by(args: &[String]) -> String {
    let (mut name, mut at) = ("iexec".to_owned(), Cli::command());
    for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
        let Some(below) = at.find_subcommand(arg).cloned() else { break };
        name = format!("{name} {}", below.get_name());
        at = below;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn check(command: &clap::Command, name: &str) {
            assert!(command.get_about().is_some(), "{name} says nothing");
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.contains("iexec "), "{name} shows no example");
            for below in command.get_subcommands() {
                check(below, &format!("{name} {}", below.get_name()));
            }
        }
        check(&Cli::command(), "iexec");
    }

    #[test]
    fn a_usage_error_becomes_one_line_and_a_hint() {
        let error = Cli::command().try_get_matches_from(["iexec", "task", "show"]).unwrap_err();
        let failure = failure_of(&error.render().to_string(), "iexec task show");
        assert!(
            failure.message.starts_with("the following required arguments were not provided:"),
            "{}",
            failure.message
        );
        assert_eq!(failure.hint.as_deref(), Some("`iexec task show --help` shows how it is used"));
    }

    #[test]
    fn the_name_of_a_command_ignores_options_and_resolves_aliases() {
        let args = ["--raw", "result", "push-secret", "--chain", "x"].map(str::to_owned);
        assert_eq!(named_by(&args), "iexec result push-encryption-key");
    }
}
