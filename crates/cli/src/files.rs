//! Files of a project folder: read with a bound, written whole or not at all.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

use crate::{checksum::checksummed, failure::Failure};

/// Largest project file read, in bytes.
pub(crate) const MAX_PROJECT_FILE: usize = 1024 * 1024;

/// Who may read a file, and whether it may replace one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Mode 0600 instead of what the umask leaves of 0666.
    pub(crate) secret: bool,
    /// Replace an existing file.
    pub(crate) replace: bool,
}

/// The working folder.
pub(crate) fn working_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::ours("FileError", format!("the working folder: {error}")))
}

/// The text of a file of at most `limit` bytes; `None` when there is none.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<Option<String>, Failure> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure("cannot be read", path, &error)),
    };
    let mut text = String::new();
    let read = file.take(limit as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| failure("cannot be read", path, &error))?;
    if text.len() > limit {
        return Err(Failure::invalid(format!("{}: more than {limit} bytes", path.display()))
            .hint("is it the file that you mean?"));
    }
    Ok(Some(text))
}

/// The JSON of a project file; `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    refuse_device(path)?;
    let Some(text) = read_text(path, MAX_PROJECT_FILE)? else { return Ok(None) };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    parse_json(&text)
        .map(Some)
        .map_err(|error| Failure::invalid(format!("{name}: {error}")).hint(format!("correct {name} at that place")))
}

/// Reading from a pipe would wait for ever.
fn refuse_device(path: &Path) -> Result<(), Failure> {
    let odd = path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
    if odd {
        return Err(Failure::user("FileError", format!("{} is not a regular file", path.display()))
            .hint("move it away, and put a file in its place"));
    }
    Ok(())
}

/// A JSON object; errors name the value's path, what is expected there, line and column.
fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // A byte order mark may be ignored (RFC 8259, section 8.1).
    let text = text.trim_start_matches('\u{feff}');
    let first = text.trim_start().chars().next();
    if first.is_some_and(|first| first != '{' && "[\"-0123456789tfn".contains(first)) {
        return Err("expected a JSON object, `{ … }`".into());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, cause) = (error.path().to_string(), plain(&error.inner().to_string()));
        // Of malformed JSON the place is all that is known; an unknown key is named by the cause.
        if error.inner().is_data() && path != "." && !cause.starts_with("unknown field") {
            return format!("{path}: {cause}");
        }
        cause
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// The hex decoder's words, and what they mean to a person.
const HEX: [(&str, &str); 3] = [
    ("odd number of digits", "malformed hex: an odd number of digits"),
    ("invalid string length", "malformed hex: too few or too many digits"),
    ("invalid character", "malformed hex: an invalid character"),
];

/// The parser's words, without the names of our types.
pub(crate) fn plain(error: &str) -> String {
    if let Some((words, meaning)) = HEX.iter().find(|(words, _)| error.starts_with(words)) {
        return error.replacen(words, meaning, 1);
    }
    let words: Vec<&str> = error.split(' ').collect();
    match words.iter().position(|word| *word == "struct") {
        Some(at) if at + 1 < words.len() => {
            [&words[..at], &["a", "JSON", "object"], &words[at + 2..]].concat().join(" ")
        }
        _ => error.to_owned(),
    }
}

/// Writes JSON with two spaces and no newline at the end, as the SDK does.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::ours("InternalError", error.to_string()))?;
    write(path, checksummed(&text).as_bytes(), Keep { secret: false, replace: true })
}

/// Writes a file: a temporary one beside it, flushed to the disk, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8], keep: Keep) -> Result<(), Failure> {
    finish(prepare(path, bytes, keep.secret)?, path, keep.replace)
}

/// A temporary file beside `path` with these bytes on the disk.
pub(crate) fn prepare(path: &Path, bytes: &[u8], secret: bool) -> Result<NamedTempFile, Failure> {
    let mut file = temporary(path, secret)?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(|error| failure("cannot be written", path, &error))?;
    Ok(file)
}

/// An empty temporary file beside `path`; it is gone when dropped.
pub(crate) fn temporary(path: &Path, secret: bool) -> Result<NamedTempFile, Failure> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".iexec-").suffix(".tmp");
    #[cfg(unix)]
    let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(if secret { 0o600 } else { 0o666 }));
    #[cfg(not(unix))]
    let _ = secret;
    // Of the error only its kind: its text names the temporary file, which means nothing to anyone.
    builder.tempfile_in(folder).map_err(|error| failure("cannot be written", path, &error.kind().into()))
}

/// Gives a temporary file its name.
pub(crate) fn finish(file: NamedTempFile, path: &Path, replace: bool) -> Result<(), Failure> {
    file.as_file().sync_all().map_err(|error| failure("cannot be written", path, &error))?;
    let named = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    match named {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failure("cannot be written", path, &error.error)),
    }
}

/// Refuses early what would be refused at the end.
pub(crate) fn refuse_existing(path: &Path, replace: bool) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::user("FileError", format!("{} is a folder", path.display())).hint("name a file in it"));
    }
    if !replace && path.exists() { Err(exists(path)) } else { Ok(()) }
}

/// The same for a file that the user named: its folder must be there, too.
pub(crate) fn check_target(path: &Path, replace: bool) -> Result<(), Failure> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(Failure::user("FileError", format!("there is no folder {}", folder.display()))
            .hint("make it, or name another file"));
    }
    refuse_existing(path, replace)
}

fn exists(path: &Path) -> Failure {
    Failure::user("FileExists", format!("{} exists already", path.display())).hint("replace it with --force")
}

/// Makes a folder that only its owner may enter.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| failure("cannot be made", path, &error))
}

/// A failed operation on a file.
pub(crate) fn failure(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{} {what}: {error}", path.display());
    let user =
        |hint: Option<&str>| Failure { hint: hint.map(str::to_owned), ..Failure::user("FileError", message.clone()) };
    match error.kind() {
        ErrorKind::PermissionDenied => user(Some("check who owns the file and its folder")),
        ErrorKind::IsADirectory => user(Some("it is a folder: name a file")),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => user(Some("a file is where a folder should be")),
        ErrorKind::InvalidData => user(Some("a text file is expected, in UTF-8")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            Failure::ours("FileError", message).hint("check the disk's free space, and whether it can be written")
        }
        ErrorKind::FileTooLarge => {
            Failure::ours("FileError", message).hint("check the limit on the size of files: `ulimit -f`")
        }
        ErrorKind::Interrupted | ErrorKind::OutOfMemory | ErrorKind::TimedOut => Failure::ours("FileError", message),
        _ => user(None),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_never_replaced_without_leave() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"one", Keep { secret: false, replace: false }).unwrap();
        let refused = write(&path, b"two", Keep { secret: false, replace: false }).unwrap_err();
        assert_eq!(refused.name, "FileExists");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written stays");
    }

    #[test]
    fn only_an_object_is_a_project_file_and_its_errors_name_the_values_path() {
        type Numbers = std::collections::BTreeMap<String, Vec<u8>>;
        let error = |text: &str| parse_json::<Numbers>(text).unwrap_err();
        assert_eq!(parse_json::<Numbers>("\u{feff}{\"a\": [1]}").unwrap()["a"], [1]);
        assert_eq!(error("[]"), "expected a JSON object, `{ … }`");
        assert_eq!(error("null"), "expected a JSON object, `{ … }`");
        assert_eq!(error("{\"a\": [1, \"x\"]}"), "a[1]: invalid type: string \"x\", expected u8 at line 1 column 13");
        assert_eq!(error("{\"a\": [}"), "expected value at line 1 column 8");
        assert_eq!(error("{} {}"), "trailing characters at line 1 column 4");
        assert_eq!(plain("odd number of digits at line 1"), "malformed hex: an odd number of digits at line 1");
        assert_eq!(
            plain("invalid type: null, expected struct Description at line 1"),
            "invalid type: null, expected a JSON object at line 1"
        );
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_written_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"secret", Keep { secret: true, replace: false }).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
