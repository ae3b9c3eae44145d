//! What the app left: every file and folder of its output, and the digest of what it calls deterministic.
//!
//! Only regular files and folders; a link, pipe, socket or device ends the task. Nothing is followed out of the folder.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use iexec_archive::{MAX_FILES, MAX_NAME_SIZE};
use iexec_protocol::{
    B256,
    cause::Cause,
    result::{Computed, MAX_COMPUTED, digest},
};

use crate::{
    failure::{Failure, OrFail as _},
    file,
};

/// Longest name of one file or folder, in bytes.
const MAX_FILE_NAME: usize = 255;

/// The output folder's content, by path.
#[derive(Debug)]
pub(crate) struct Output {
    root: PathBuf,
    /// Paths from the root with `/` between parts, sorted.
    pub(crate) files: Vec<String>,
    /// Folders with nothing in them.
    pub(crate) empty_folders: Vec<String>,
}

impl Output {
    /// Lists the folder. The app must have ended: nothing may change any more.
    pub(crate) fn list(root: &Path) -> Result<Self, Failure> {
        let mut output = Self { root: root.to_owned(), files: Vec::new(), empty_folders: Vec::new() };
        output.list_folder("")?;
        output.files.sort_unstable();
        Ok(output)
    }

    /// Opens one of the files.
    pub(crate) fn open(&self, name: &str) -> io::Result<fs::File> {
        file::open(&self.root.join(name))
    }

    /// What the app says that it computed.
    pub(crate) fn computed(&self, callback: bool) -> Result<Computed, Failure> {
        let json = file::read(&self.root.join("computed.json"), MAX_COMPUTED);
        let json = json.or_fail(Cause::PostComputeComputedFileNotFound, "computed.json")?;
        Computed::parse(&json, callback).map_err(|error| Failure::new(Cause::PostComputeComputedFileNotFound, error))
    }

    /// The digest for the chain (iExec post-compute): a file's, a folder's direct files', or the callback's.
    pub(crate) fn digest(&self, computed: &Computed) -> Result<B256, Failure> {
        let cause = Cause::PostComputeResultDigestComputationFailed;
        let path = match computed {
            Computed::Callback(bytes) => return Ok(digest::callback(bytes)),
            Computed::Path(path) => self.inside(path)?,
        };
        let hash = |name: &str| self.open(name).and_then(file::sha256).or_fail(cause, format_args!("{name:?}"));
        if self.files.contains(&path) {
            return Ok(digest::file(hash(&path)?));
        }
        let prefix = if path.is_empty() { path } else { path + "/" };
        let direct = |name: &&String| name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        let digests = self.files.iter().filter(direct).map(|name| hash(name)).collect::<Result<Vec<_>, _>>()?;
        if digests.is_empty() {
            let message = "computed.json's deterministic-output-path names no file and no folder with files in it";
            return Err(Failure::new(cause, message));
        }
        Ok(digest::folder(&digests))
    }

    /// The path from the root of an absolute path below it, without `.`, `..` or doubled separators.
    fn inside(&self, path: &str) -> Result<String, Failure> {
        let shown: String = path.chars().take(80).collect();
        let outside = || {
            let message = format_args!("deterministic-output-path {shown:?} is not under {}", self.root.display());
            Failure::new(Cause::PostComputeResultDigestComputationFailed, message)
        };
        let relative = Path::new(path).strip_prefix(&self.root).map_err(|_| outside())?;
        let parts = relative.components().map(|part| match part {
            Component::Normal(part) => part.to_str().ok_or_else(outside),
            _ => Err(outside()),
        });
        Ok(parts.collect::<Result<Vec<_>, _>>()?.join("/"))
    }

    fn list_folder(&mut self, folder: &str) -> Result<(), Failure> {
        let cause = Cause::PostComputeOutFolderZipFailed;
        let entries = fs::read_dir(self.root.join(folder)).or_fail(cause, format_args!("{folder:?}"))?;
        let mut empty = true;
        for entry in entries {
            empty = false;
            let entry = entry.or_fail(cause, format_args!("{folder:?}"))?;
            let name = entry_name(folder, &entry.file_name())?;
            if self.files.len() + self.empty_folders.len() >= MAX_FILES {
                return Err(Failure::new(cause, format_args!("the output has more than {MAX_FILES} files")));
            }
            let kind = entry.file_type().or_fail(cause, format_args!("{name:?}"))?;
            if kind.is_dir() {
                self.list_folder(&name)?;
            } else if kind.is_file() {
                self.files.push(name);
            } else {
                let message = format_args!("{name:?} is neither a file nor a folder");
                return Err(Failure::new(cause, message));
            }
        }
        if empty && !folder.is_empty() {
            self.empty_folders.push(folder.to_owned());
        }
        Ok(())
    }
}

fn entry_name(folder: &str, name: &std::ffi::OsStr) -> Result<String, Failure> {
    let text = name.to_str().ok_or_else(|| {
        let message = format_args!("{:?} is not a UTF-8 name", name.to_string_lossy());
        Failure::new(Cause::PostComputeOutFolderZipFailed, message)
    })?;
    let path = if folder.is_empty() { text.to_owned() } else { format!("{folder}/{text}") };
    if text.len() > MAX_FILE_NAME || path.len() > MAX_NAME_SIZE {
        let shown: String = text.chars().take(40).collect();
        let message = format_args!(
            "{shown:?}…: a name has at most {MAX_FILE_NAME} bytes and a path in the output at most {MAX_NAME_SIZE}"
        );
        return Err(Failure::new(Cause::PostComputeTooLongResultFileName, message));
    }
    Ok(path)
}

/// What the archive's writer says of a file that cannot be read.
pub(crate) fn unreadable(name: &str, error: &io::Error) -> Failure {
    let hint =
        if error.kind() == ErrorKind::PermissionDenied { " (the app took its own right to read it)" } else { "" };
    Failure::new(Cause::PostComputeOutFolderZipFailed, format_args!("{name:?}: {error}{hint}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use iexec_protocol::id::Sha256;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn of(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(dir)
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().to_owned()
        }

        fn digest(&self, path: &str) -> Result<String, Cause> {
            let output = Output::list(self.0.path()).unwrap();
            let digest = output.digest(&Computed::Path(path.to_owned()));
            digest.map(|digest| digest.to_string()).map_err(|failure| failure.cause)
        }

        fn refused(&self) -> Failure {
            Output::list(self.0.path()).unwrap_err()
        }
    }

    #[test]
    fn a_folders_digest_equals_iexecs_known_answers() {
        let folder =
            Folder::of(&[("r/result2.txt", "Another result"), ("r/result1.txt", "A result"), ("r/sub/x", "no")]);
        let known = "0xcc77508549295dd5de5876a2f4f00d4c3c27a547c6403450e43ab4de191bf1bc";
        assert_eq!(folder.digest(&folder.path("r")), Ok(known.to_owned()));
        assert_eq!(folder.digest(&folder.path("./r//")), Ok(known.to_owned()));
        // An empty file counts, as in iExec's Java post-compute.
        let folder = Folder::of(&[("a.txt", "a"), ("b.txt", "b"), ("empty.txt", "")]);
        let known = "0x6398eb4d4219251dbe5a8c3a1e9ca51d852eb1fb59b172de784a9fafd21dad58";
        assert_eq!(folder.digest(&folder.path("")), Ok(known.to_owned()));
    }

    #[test]
    fn a_files_digest_is_its_sha256_even_if_empty() {
        let folder = Folder::of(&[("a/r.txt", "A result"), ("empty", "")]);
        assert_eq!(folder.digest(&folder.path("a/r.txt")), Ok(Sha256::of("A result").to_string()));
        assert_eq!(folder.digest(&folder.path("empty")), Ok(Sha256::of("").to_string()));
    }

    #[test]
    fn a_path_that_leaves_the_output_or_names_nothing_has_no_digest() {
        let folder = Folder::of(&[("a", "x")]);
        fs::create_dir(folder.path("void")).unwrap();
        let sneaky = folder.path("../a");
        let sibling = folder.path("").trim_end_matches('/').to_owned() + "2/a";
        for path in ["/etc/hostname", "a", "", "..", &sneaky, &sibling, &folder.path("void"), &folder.path("none")] {
            assert_eq!(folder.digest(path), Err(Cause::PostComputeResultDigestComputationFailed), "{path}");
        }
    }

    #[test]
    fn links_and_pipes_end_the_task() {
        let folder = Folder::of(&[("a/b", "x")]);
        symlink("/etc/shadow", folder.path("a/link")).unwrap();
        assert_eq!(folder.refused().cause, Cause::PostComputeOutFolderZipFailed);
        assert_eq!(folder.refused().message, "\"a/link\" is neither a file nor a folder");
        fs::remove_file(folder.path("a/link")).unwrap();
        nix::unistd::mkfifo(Path::new(&folder.path("pipe")), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(folder.refused().cause, Cause::PostComputeOutFolderZipFailed);
    }

    #[test]
    fn paths_are_bounded_and_utf_8() {
        use std::os::unix::ffi::OsStrExt as _;
        let long = ["x".repeat(250), "x".repeat(250), "x".repeat(250), "x".repeat(250), "y".repeat(40)].join("/");
        assert_eq!(Folder::of(&[(&long, "")]).refused().cause, Cause::PostComputeTooLongResultFileName);
        let folder = Folder::of(&[]);
        fs::write(folder.0.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        assert_eq!(folder.refused().cause, Cause::PostComputeOutFolderZipFailed);
    }

    #[test]
    fn computed_json_must_be_there_and_be_a_file() {
        let cause = |folder: &Folder| Output::list(folder.0.path()).unwrap().computed(false).map_err(|e| e.cause);
        let folder = Folder::of(&[]);
        assert_eq!(cause(&folder), Err(Cause::PostComputeComputedFileNotFound));
        fs::write(folder.path("computed.json"), r#"{"deterministic-output-path":"/x"}"#).unwrap();
        assert_eq!(cause(&folder), Ok(Computed::Path("/x".into())));
        fs::write(folder.path("computed.json"), " ".repeat(MAX_COMPUTED + 1)).unwrap();
        assert_eq!(cause(&folder), Err(Cause::PostComputeComputedFileNotFound));
    }
}
