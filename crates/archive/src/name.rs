//! Names inside an archive (A12): what a path may look like. Not a path of any file system.

use crate::MAX_NAME_SIZE;

/// A name that no archive may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry name {name:?} {reason}")]
pub struct NameError {
    /// The name, cut at 80 characters.
    pub name: String,
    /// What is wrong with it, to be read after the name.
    pub reason: &'static str,
}

/// Checks a file's or folder's path: relative, `/` between parts, no `.`, `..`, empty part, control or backslash (A12).
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    match fault(name) {
        None => Ok(()),
        Some(reason) => Err(NameError { name: shorten(name), reason }),
    }
}

/// The first 80 characters of a name, for an error's line.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(80).collect()
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > MAX_NAME_SIZE {
        return Some("is longer than 1024 bytes");
    }
    if name.chars().any(char::is_control) {
        return Some("has a control character");
    }
    if name.contains('\\') {
        return Some("has a backslash");
    }
    if name.starts_with('/') {
        return Some("is an absolute path");
    }
    name.split('/').any(|part| matches!(part, "" | "." | "..")).then_some("has an empty, `.` or `..` part")
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn plain_relative_paths_are_names() {
        for name in ["a", "computed.json", "dir/ré sumé.txt", ".hidden", "a..b", "...", "a:b"] {
            assert!(check(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a12_what_could_leave_the_folder_or_break_a_line_is_no_name() {
        let long = "a".repeat(1025);
        for name in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\nb", "a\0", "a\u{85}b", "..\\a", &long] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
