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
            let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
            let name = named_by(&args);
            let raw = args.iter().any(|arg| arg == "--raw");
            Screen::new(raw, false).refuse(&name, &failure_of(&error.render().to_string(), &name))
        }
    }
}

/// Words of the standard library's number parsers, and what they mean to a person.
const NUMBERS: [(&str, &str); 4] = [
    ("invalid digit found in string", "expected a whole number, 0 or more"),
    ("cannot parse integer from empty string", "expected a whole number, 0 or more"),
    ("number too large to fit in target type", "the number is too large"),
    ("invalid UTF-8 was detected in one or more arguments", "an argument is not UTF-8 text"),
];

/// Clap's words before its first empty line are the error; its `tip:` lines are the hint.
fn failure_of(rendered: &str, name: &str) -> Failure {
    let help = format!("`{name} --help` shows how it is used");
    let error = rendered.split("\n\n").next().unwrap_or(rendered);
    let error = error.strip_prefix("error: ").unwrap_or(error);
    if let Some(number) = negative_number(error) {
        let message = format!("{number} is below 0, and no argument of `{name}` may be");
        return Failure::user("UsageError", message).hint(help);
    }
    let plain = NUMBERS.iter().fold(error.to_owned(), |text, (words, meaning)| text.replace(words, meaning));
    let tips: Vec<_> = rendered.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    Failure::user("UsageError", plain).hint(if tips.is_empty() { help } else { tips.join("; ") })
}

/// The number that clap took for an option.
fn negative_number(error: &str) -> Option<&str> {
    let argument = error.strip_prefix("unexpected argument '")?.split('\'').next()?;
    argument.strip_prefix('-')?.starts_with(|first: char| first.is_ascii_digit()).then_some(argument)
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
    fn numbers_that_are_none_are_told_in_plain_words() {
        let failure = |args: &[&str]| {
            let error = Cli::command().try_get_matches_from(args).unwrap_err();
            failure_of(&error.render().to_string(), "iexec app run").message
        };
        assert_eq!(
            failure(&["iexec", "app", "run", "--category", "x"]),
            "invalid value 'x' for '--category <ID>': expected a whole number, 0 or more"
        );
        assert_eq!(
            failure(&["iexec", "app", "run", "--trust", "99999999999999999999"]),
            "invalid value '99999999999999999999' for '--trust <INTEGER>': the number is too large"
        );
        assert_eq!(
            failure(&["iexec", "app", "run", "--category", "-1"]),
            "-1 is below 0, and no argument of `iexec app run` may be"
        );
    }

    #[test]
    fn the_name_of_a_command_ignores_options_and_resolves_aliases() {
        let args = ["--raw", "result", "push-secret", "--chain", "x"].map(str::to_owned);
        assert_eq!(named_by(&args), "iexec result push-encryption-key");
    }
}
