//! Names that are safe to unpack on any file system (A31, A32): what Windows would take for a device or a stream, and
//! names that are one on a file system that ignores case or Unicode composition.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// What is wrong with a path on Windows, to be read after the name.
pub(super) fn fault(path: &str) -> Option<&'static str> {
    path.split('/').find_map(|part| {
        let stem = part.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
        if is_device(&stem) {
            Some("is a device's name on Windows")
        } else if part.ends_with(['.', ' ']) {
            Some("has a part that ends in a dot or a blank")
        } else if part.contains(['<', '>', ':', '"', '|', '?', '*']) {
            Some("has a character that Windows does not allow in a name")
        } else {
            None
        }
    })
}

fn is_device(stem: &str) -> bool {
    let port = |prefix: &str| {
        let number = stem.strip_prefix(prefix).map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(number.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    };
    matches!(stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") || port("COM") || port("LPT")
}

/// The paths seen so far, each under the form that all its spellings share. 40 bytes a path, whatever its length.
#[derive(Default)]
pub(super) struct Spellings(HashMap<[u8; 16], [u8; 16]>);

impl Spellings {
    /// Whether this path, or a folder above it, is there in another spelling.
    pub(super) fn collide(&mut self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.into_iter().any(|end| {
            let part = &path[..end];
            let exact = short_digest(part);
            *self.0.entry(short_digest(&folded(part))).or_insert(exact) != exact
        })
    }
}

/// The path without case and composition. Upper, then lower case: what differs in neither way only is the same.
fn folded(path: &str) -> String {
    path.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

fn short_digest(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(text)[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::{Spellings, fault};

    #[test]
    fn a31_names_that_windows_reads_as_something_else_are_faults() {
        for name in ["CON", "nul.txt", "a/Com1", "lpt9.tar.gz", "com¹", "aux .x", "a.", "a /b", "a:b", "a?", "conin$"]
        {
            assert!(fault(name).is_some(), "{name:?}");
        }
        for name in ["console", "com", "com10", "a.b", ".hidden", "nul1", "results/my-result.txt", "é"] {
            assert_eq!(fault(name), None, "{name:?}");
        }
    }

    #[test]
    fn a32_spellings_of_one_name_collide() {
        for (one, other) in [
            ("a", "A"),
            ("é", "e\u{301}"),
            ("É", "e\u{301}"),
            ("straße", "STRASSE"),
            ("K", "\u{212a}"),
            ("a/x", "A/y"),
            ("A", "a/b"),
            ("σ", "ς"),
        ] {
            let mut seen = Spellings::default();
            assert!(!seen.collide(one));
            assert!(seen.collide(other), "{one:?} {other:?}");
        }
        let mut seen = Spellings::default();
        assert!(!["a", "a/b", "a/c", "b", "e", "é"].into_iter().any(|path| seen.collide(path)));
    }
}
