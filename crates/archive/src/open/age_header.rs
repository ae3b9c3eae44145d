//! The header of an age v1 file (age-encryption.org/v1), as far as it can be read without a key: who the recipients are
//! by kind. Bounded, and checked whole before the library that decrypts gets to see it.

use crate::{MAX_AGE_HEADER, MAX_RECIPIENTS};

const INTRODUCTION: &str = "age-encryption.org/v1";
/// End of the type of a stanza that stands for nobody.
const GREASE: &str = "-grease";
/// Columns of a stanza's body; a shorter line ends it.
const COLUMNS: usize = 64;

/// The kinds of a header's stanzas, in order; `Err` says what is wrong, to be read after "the age header". `start` is the
/// beginning of the file, at least [`MAX_AGE_HEADER`] bytes of it if it has so many.
pub(super) fn recipients(start: &[u8]) -> Result<Vec<String>, &'static str> {
    let mut lines = Lines { rest: start, cut: start.len() >= MAX_AGE_HEADER };
    if lines.next()? != INTRODUCTION {
        return Err("is of another version, or none");
    }
    let mut kinds = Vec::new();
    loop {
        let line = lines.next()?;
        if let Some(mac) = line.strip_prefix("--- ") {
            return if mac.len() == 43 && is_base64(mac) { Ok(kinds) } else { Err("has a malformed seal") };
        }
        let arguments = line.strip_prefix("-> ").ok_or("has a line that is neither a recipient nor its end")?;
        let sound = |argument: &str| !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_graphic());
        if !arguments.split(' ').all(sound) {
            return Err("has a malformed recipient");
        }
        let kind = arguments.split(' ').next().unwrap_or_default();
        // Grease stands for nobody: writers put it in so that readers stay tolerant.
        if !kind.ends_with(GREASE) {
            kinds.push(kind.chars().take(80).collect());
        }
        if kinds.len() > MAX_RECIPIENTS {
            return Err("has more than 32 recipients");
        }
        loop {
            let body = lines.next()?;
            if body.len() > COLUMNS || !is_base64(body) {
                return Err("has a malformed recipient");
            }
            if body.len() < COLUMNS {
                break;
            }
        }
    }
}

struct Lines<'a> {
    rest: &'a [u8],
    /// There may be more than is at hand.
    cut: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, &'static str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or(if self.cut { "is longer than 64 KiB" } else { "has no end" })?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        std::str::from_utf8(line).map_err(|_| "is not text")
    }
}

/// Base64 without padding.
fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::recipients;

    const MAC: &str = "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

    #[test]
    fn the_kinds_of_recipients_are_read_in_order() {
        let long = "A".repeat(64);
        let header =
            format!("age-encryption.org/v1\n-> X25519 abc\nAAAA\n-> tag a b\n{long}\n\n-> x-grease\n\n{MAC}rest");
        assert_eq!(recipients(header.as_bytes()), Ok(vec!["X25519".to_owned(), "tag".to_owned()]));
    }

    #[test]
    fn a11_a_header_is_bounded_and_whole() {
        let many = format!("age-encryption.org/v1\n{}{MAC}", "-> X25519 abc\nAAAA\n".repeat(33));
        let long = format!("age-encryption.org/v1\n-> X25519 abc\n{}", "A".repeat(70_000));
        let head = "age-encryption.org/v1\n";
        for (text, fault) in [
            ("age-encryption.org/v2\n", "is of another version, or none"),
            ("", "has no end"),
            (head, "has no end"),
            (&format!("{head}-> X25519 abc\n"), "has no end"),
            (&format!("{head}-> \nAAAA\n{MAC}"), "has a malformed recipient"),
            (&format!("{head}-> X25519 abc\n{}\n{MAC}", "A".repeat(65)), "has a malformed recipient"),
            (&format!("{head}--- AAA\n"), "has a malformed seal"),
            (&format!("{head}hello\n"), "has a line that is neither a recipient nor its end"),
            (&many, "has more than 32 recipients"),
            (&long, "is longer than 64 KiB"),
        ] {
            assert_eq!(recipients(text.as_bytes()), Err(fault), "{text:.40}");
        }
    }
}
