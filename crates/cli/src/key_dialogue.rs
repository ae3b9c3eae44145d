//! What a plugin of age says to the user, and asks: "touch the key", a PIN.

use std::sync::Arc;

use iexec_archive::{Identity, PluginDialogue};
use zeroize::Zeroizing;

use crate::{screen::Screen, terminal::ask_hidden};

/// The user, on the terminal; with `--raw` nobody is asked.
pub(crate) struct Terminal(Screen);

impl Terminal {
    /// Lets a key's plugin speak here, where the key has one.
    pub(crate) fn listen(key: Identity, screen: Screen) -> Identity {
        match key {
            Identity::Plugin(key) => Identity::Plugin(key.with_dialogue(Arc::new(Self(screen)))),
            other => other,
        }
    }
}

impl PluginDialogue for Terminal {
    fn say(&self, message: &str) {
        self.0.note(printable(message));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let (message, yes, no) = (printable(message), printable(yes), printable(no.unwrap_or("cancel")));
        let answer = self.answer(&format!("{message}\n{yes} (y) or {no} (n)? "))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(true),
            "n" | "no" => Some(false),
            _ => None,
        }
    }

    fn ask(&self, message: &str) -> Option<String> {
        self.answer(&format!("{}: ", printable(message))).map(|answer| answer.to_string())
    }

    fn ask_secret(&self, message: &str) -> Option<Zeroizing<String>> {
        self.answer(&format!("{}: ", printable(message)))
    }
}

impl Terminal {
    fn answer(&self, question: &str) -> Option<Zeroizing<String>> {
        if self.0.is_raw() { None } else { ask_hidden(question).ok() }
    }
}

/// A program's words without what would move the terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}
