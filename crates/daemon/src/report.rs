//! What went wrong, for people: one line with its causes, then a hint; exit 1.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, error::ErrorKind};

use crate::Cli;

/// Says why a service or network ended.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let (message, hint) = words(&causes);
    say(&message, &hint);
    ExitCode::FAILURE
}

/// Help and version on stdout, exit 0; anything else that is wrong with the flags like every other error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody may be reading.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::FAILURE
        }
        _ => {
            let role = std::env::args_os().nth(1).map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
            let (message, hint) = usage_words(&error.render().to_string(), &role);
            say(&message, &hint);
            ExitCode::FAILURE
        }
    }
}

/// Tells something on stderr. That nobody reads it is no reason to end.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn say(message: &str, hint: &str) {
    note(&format!("error: {message}"));
    if !hint.is_empty() {
        note(&format!("hint: {hint}"));
    }
}

/// The causes in one line, and their hints in another: each cause may end in `hint: …`.
fn words(causes: &[String]) -> (String, String) {
    let (mut messages, mut hints) = (Vec::<String>::new(), Vec::new());
    for cause in causes {
        let (message, hint) = hinted(cause);
        let message = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        // Some causes are told by the one before them already.
        if !messages.last().is_some_and(|last| last.ends_with(&message)) {
            messages.push(message);
        }
        hints.extend(hint.map(str::trim).filter(|hint| !hints.contains(hint)));
    }
    (messages.join(": "), hints.join("; "))
}

/// A message and its hint.
pub(crate) fn hinted(text: &str) -> (&str, Option<&str>) {
    let cut = ["\nhint: ", "; hint: "].into_iter().find_map(|mark| text.split_once(mark));
    cut.map_or((text, None), |(message, hint)| (message, Some(hint)))
}

/// Clap's words before its first empty line are the error; `role` is the first argument, whatever it is.
fn usage_words(rendered: &str, role: &str) -> (String, String) {
    let error = rendered.split("\n\n").next().unwrap_or(rendered);
    let lines: Vec<_> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let message = lines
        .join(" ")
        .trim_start_matches("error: ")
        .replace("invalid digit found in string", "expected a whole number");
    let tips: Vec<_> = rendered.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let known = Cli::command().find_subcommand(role).is_some();
    let help = if known {
        format!("`iexecd {role} --help` shows its flags")
    } else {
        "`iexecd --help` shows its roles".into()
    };
    (message, if tips.is_empty() { help } else { tips.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_one_line_and_hints_come_last() {
        let causes =
            ["the program x cannot be read\nhint: build it", "No such file", "No such file"].map(str::to_owned);
        assert_eq!(words(&causes), ("the program x cannot be read: No such file".to_owned(), "build it".to_owned()));
        let causes = ["nothing found; hint: run setup".to_owned()];
        assert_eq!(words(&causes), ("nothing found".to_owned(), "run setup".to_owned()));
    }

    #[test]
    fn a_cause_that_the_one_before_it_tells_is_not_told_twice() {
        let causes = ["the wallet w: wrong password", "wrong password"].map(str::to_owned);
        assert_eq!(words(&causes).0, "the wallet w: wrong password");
    }

    #[test]
    fn missing_flags_are_named_in_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  --hub <HUB>\n\nUsage: iexecd sms --hub <HUB>\n\nFor more information, try '--help'.\n";
        let (message, hint) = usage_words(rendered, "sms");
        assert_eq!(message, "the following required arguments were not provided: --hub <HUB>");
        assert_eq!(hint, "`iexecd sms --help` shows its flags");
    }
}
