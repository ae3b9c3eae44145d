//! What a shell session cannot write down: arguments that are no text, an output that is full, a pipe for a file.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output},
};

fn iexec(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iexec"));
    command.current_dir(folder).env("HOME", folder).env_remove("IEXEC_CHAIN_FILE").env_remove("IEXEC_WALLET_PASSWORD");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_argument_that_is_no_text_is_an_error_of_the_user() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&[b"\xff".as_slice()][..], &[b"app", b"show", b"\xff"], &[b"app", b"show", b"\xff", b"--raw"]] {
        let output =
            iexec(folder.path()).args(arguments.iter().map(|bytes| OsStr::from_bytes(bytes))).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        iexec(folder.path()).args(["init", "--skip-wallet"]).stdout(File::create("/dev/full").unwrap()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("error: the answer cannot be written: No space left on device"));
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("deployed.json")).status().unwrap().success());
    let output = iexec(folder.path()).args(["app", "check-secret"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("deployed.json is not a regular file"), "{}", stderr(&output));
}

#[test]
fn an_empty_password_makes_no_wallet() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    let output = iexec(folder.path()).args(["wallet", "create", "--password-file", "empty"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: the password of the new wallet is empty; no wallet was written\n"));
    let output = iexec(folder.path()).args(["wallet", "create"]).env("IEXEC_WALLET_PASSWORD", "").output().unwrap();
    assert!(stderr(&output).starts_with("error: the wallet's password is needed"), "{}", stderr(&output));
    assert!(!folder.path().join(".ethereum").exists());
}
