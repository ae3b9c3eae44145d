//! What the user sees: the answer on stdout, everything else on stderr; one line of JSON with `--raw`.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    checksum::checksummed,
    failure::{Blame, Failure},
    terminal::{Unanswered, ask_hidden},
};

/// Where a command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    raw: bool,
    quiet: bool,
}

/// A command's answer: the JSON object for scripts, the text for people.
#[derive(Debug)]
pub(crate) struct Answer {
    json: String,
    text: String,
    yes: bool,
}

impl Answer {
    /// Yes. `fields` must serialize to a JSON object; its keys follow `"ok":true`.
    pub(crate) fn new(fields: &impl Serialize, text: impl Into<String>) -> Result<Self, Failure> {
        let json = serde_json::to_string(fields).map_err(|error| Failure::ours("InternalError", error.to_string()))?;
        Ok(Self { json: checksummed(&json), text: checksummed(&text.into()), yes: true })
    }

    /// The question was answered with this; exit 1 when it is no.
    pub(crate) fn says(self, yes: bool) -> Self {
        Self { yes, ..self }
    }
}

impl Screen {
    pub(crate) const fn new(raw: bool, quiet: bool) -> Self {
        Self { raw, quiet }
    }

    /// Whether the answer is for a program: nothing is asked then.
    pub(crate) const fn is_raw(self) -> bool {
        self.raw
    }

    /// Whether a moving progress line is welcome.
    pub(crate) fn is_lively(self) -> bool {
        !self.raw && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Whether progress is shown at all.
    pub(crate) const fn is_talkative(self) -> bool {
        !self.raw && !self.quiet
    }

    /// Says how it goes.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if self.is_talkative() {
            line(anstream::stderr(), text.as_ref());
        }
    }

    /// Says what the user should know even with `--quiet`.
    pub(crate) fn warn(self, text: impl AsRef<str>) {
        if !self.raw {
            line(anstream::stderr(), &format!("warning: {}", text.as_ref()));
        }
    }

    /// Prints the answer; its exit code tells yes from no.
    pub(crate) fn show(self, answer: &Answer) -> ExitCode {
        let rest = answer.json.strip_prefix('{').unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        let written = if self.raw {
            writeln!(std::io::stdout(), "{{\"ok\":true{comma}{rest}")
        } else if answer.text.is_empty() {
            Ok(())
        } else {
            writeln!(anstream::stdout(), "{}", answer.text.trim_end())
        };
        match written {
            // A reader that went away (`iexec … | head -1`) is no failure of the command.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                complain(&format!("error: the answer cannot be written: {error}\nhint: check where stdout goes"));
                Blame::Us.into()
            }
            _ => ExitCode::from(u8::from(!answer.yes)),
        }
    }

    /// Prints the failure; its exit code tells whose fault it is.
    pub(crate) fn refuse(self, command: &str, failure: &Failure) -> ExitCode {
        if self.raw {
            line(std::io::stderr(), &raw_failure(command, failure));
        } else {
            line(anstream::stderr(), &format!("error: {}", one_line(&failure.message)));
            let help = || format!("`{command} --help` shows how it is used");
            line(anstream::stderr(), &format!("hint: {}", one_line(&failure.hint.clone().unwrap_or_else(help))));
        }
        failure.blame.into()
    }

    /// Asks before something is replaced or paid. `--raw` never asks.
    pub(crate) fn confirm(self, question: &str, force: bool) -> Result<(), Failure> {
        if force {
            return Ok(());
        }
        let would_ask = || Failure::user("ConfirmationNeeded", format!("this needs a confirmation: {question}"));
        if self.raw || !std::io::stdin().is_terminal() {
            return Err(would_ask().hint("confirm with --force"));
        }
        prompt(&format!("{question} [y/N] "));
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::ours("TerminalError", error.to_string()))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::user("Declined", "nothing was done, as you wished").hint("answer y, or use --force")),
        }
    }

    /// Asks for a wallet's password on the terminal, without an echo.
    pub(crate) fn password(self, question: &str) -> Result<Zeroizing<String>, Failure> {
        let elsewhere = "--password-file, or in the environment variable IEXEC_WALLET_PASSWORD";
        let asked = self.hidden(question, "the wallet's password", elsewhere);
        asked.map_err(|failure| {
            if failure.name == "SecretNeeded" { Failure { name: "PasswordNeeded", ..failure } } else { failure }
        })
    }

    /// Asks for `what` on the terminal, without an echo; `elsewhere` is how it is given without one.
    pub(crate) fn hidden(self, question: &str, what: &str, elsewhere: &str) -> Result<Zeroizing<String>, Failure> {
        if self.raw || !std::io::stdin().is_terminal() {
            let why = if self.raw { "--raw never asks" } else { "there is no terminal to ask on" };
            return Err(Failure::user("SecretNeeded", format!("{what} is needed, and {why}"))
                .hint(format!("give it with {elsewhere}")));
        }
        ask_hidden(question).map_err(|unanswered| match unanswered {
            Unanswered::Interrupted => Failure::interrupted(),
            Unanswered::NoTerminal => Failure::user("SecretNeeded", format!("{what} is needed, and nobody answers"))
                .hint(format!("give it with {elsewhere}")),
        })
    }
}

fn raw_failure(command: &str, failure: &Failure) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        name: &'a str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    let error = Error { name: failure.name, message: one_line(&failure.message), hint: failure.hint.as_deref() };
    let error = serde_json::to_string(&error).unwrap_or_default();
    let fact = |(key, value): (&String, &Value)| format!(",{}:{value}", Value::from(key.as_str()));
    let facts: Vec<_> = failure.facts.iter().map(fact).collect();
    let facts = checksummed(&facts.concat());
    format!("{{\"ok\":false,\"command\":{},\"error\":{error}{facts}}}", Value::from(command))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn prompt(question: &str) {
    let mut stderr = anstream::stderr();
    // A closed terminal shows itself when the answer is read.
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
}

fn line(mut out: impl std::io::Write, text: &str) {
    // Where nobody can be told anything, the exit code still tells.
    let _ = writeln!(out, "{text}");
}

/// Says what is wrong with us, whatever the options are.
pub(crate) fn complain(text: &str) {
    line(anstream::stderr(), text);
}

/// Aligned `name  value` lines.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_raw_failure_names_command_error_and_facts_in_one_line() {
        let failure = Failure::user("X", "a\nb").hint("do").fact("deals", json!([]));
        let json: Value = serde_json::from_str(&raw_failure("iexec app run", &failure)).unwrap();
        let expected = json!({"ok": false, "command": "iexec app run", "deals": [], "error": {"name": "X", "message": "a b", "hint": "do"}});
        assert_eq!(json, expected);
    }
}
