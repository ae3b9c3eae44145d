//! `iexec result decrypt` on archives made by openssl (vectors/archive) and on archives with a receipt.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod statement;

use std::{
    fs,
    io::Cursor,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use iexec_archive::{Encryptor, PrivateKey};
use iexec_protocol::{id::Sha256, receipt::Statement};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/archive")
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

fn iexec(folder: &Path, args: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_iexec"))
        .args(args)
        .current_dir(folder)
        .env("HOME", "/nobody")
        .env_remove("IEXEC_CHAIN_FILE")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn decrypt(folder: &Path, archive: &Path, key: &Path, more: &[&str]) -> Answer {
    // A clone's files are for everybody to read, which a private key must not be.
    let safe = tempfile::tempdir().unwrap();
    let private = safe.path().join("key");
    fs::copy(key, &private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    let (archive, key) = (archive.to_str().unwrap(), private.to_str().unwrap());
    iexec(folder, &[&["result", "decrypt", archive, "--beneficiary-key-file", key], more].concat())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn archives_of_every_layout_are_decrypted() {
    for (archive, key) in [
        ("a-aes128-rsa2048.zip", "rsa2048.pem"),
        ("a-aes256-rsa4096.zip", "rsa4096.pem"),
        ("b-rsa2048.zip", "rsa2048.pem"),
        ("c-rsa2048.zip", "rsa2048-pkcs1.pem"),
        ("c-rsa4096.zip", "rsa4096.pem"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let answer = decrypt(folder.path(), &vectors().join(archive), &vectors().join(key), &[]);
        assert_eq!(answer.code, 0, "{archive}: {}", answer.err);
        let (found, expected) = (fs::read(folder.path().join("results.zip")), fs::read(vectors().join("results.zip")));
        assert_eq!(found.unwrap(), expected.unwrap(), "{archive}");
        assert!(answer.out.trim_end().ends_with("/results.zip"));
        assert!(answer.err.contains("no receipt"), "{}", answer.err);
    }
}

#[test]
fn a_wrong_key_is_one_clear_error_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let answer =
        decrypt(folder.path(), &vectors().join("c-rsa2048.zip"), &vectors().join("other2048.pem"), &["--quiet"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.starts_with("error: ") && answer.err.contains("does not open with this key"), "{}", answer.err);
    assert!(answer.err.lines().nth(1).unwrap().starts_with("hint: "), "{}", answer.err);
    assert_eq!(answer.err.lines().count(), 2);
    assert!(is_empty(folder.path()));
}

#[test]
fn hostile_archives_end_in_exit_1_and_leave_nothing() {
    for entry in fs::read_dir(vectors().join("hostile")).unwrap() {
        let archive = entry.unwrap().path();
        let folder = tempfile::tempdir().unwrap();
        let answer = decrypt(folder.path(), &archive, &vectors().join("rsa2048.pem"), &["--raw"]);
        assert_eq!(answer.code, 1, "{}: {}", archive.display(), answer.err);
        assert!(answer.out.is_empty() && answer.err.starts_with("{\"ok\":false,\"command\":\"iexec result decrypt\""));
        assert!(is_empty(folder.path()), "{}", archive.display());
    }
}

#[test]
fn a_plain_archive_and_an_unusable_key_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let plain = decrypt(folder.path(), &vectors().join("plain.zip"), &vectors().join("rsa2048.pem"), &[]);
    assert_eq!((plain.code, plain.err.contains("is not encrypted")), (1, true), "{}", plain.err);
    for (key, words) in [("rsa2048-passphrase.pem", "passphrase"), ("rsa2048.pub.pem", "found \"PUBLIC KEY\"")] {
        let answer = decrypt(folder.path(), &vectors().join("c-rsa2048.zip"), &vectors().join(key), &[]);
        assert_eq!((answer.code, answer.err.contains(words)), (1, true), "{}", answer.err);
    }
}

#[test]
fn an_existing_file_is_replaced_only_with_force() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, key) = (vectors().join("c-rsa2048.zip"), vectors().join("rsa2048.pem"));
    fs::write(folder.path().join("mine.zip"), "mine").unwrap();
    assert_eq!(decrypt(folder.path(), &archive, &key, &["--output", "mine.zip"]).code, 1);
    assert_eq!(fs::read(folder.path().join("mine.zip")).unwrap(), b"mine");
    assert_eq!(decrypt(folder.path(), &archive, &key, &["-o", "mine.zip", "--force"]).code, 0);
    assert_ne!(fs::read(folder.path().join("mine.zip")).unwrap(), b"mine");
}

/// An archive whose receipt states what `change` makes of the truth.
fn with_receipt(change: impl Fn(&mut Statement)) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate(2048).unwrap();
    let mut sealing = Encryptor::new(&key.public_key().unwrap(), &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
    sealing.add_file("my-result.txt", &b"Hello, world!"[..]).unwrap();
    let archive = sealing.finish(|sealed| {
        let mut statement = statement::statement(sealed);
        change(&mut statement);
        statement::sign(&statement)
    });
    let (archive_path, key_path) = (folder.path().join("archive.zip"), folder.path().join("key.pem"));
    fs::write(&archive_path, archive.unwrap().into_inner()).unwrap();
    fs::write(&key_path, key.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    (folder, archive_path, key_path)
}

#[test]
fn a_receipt_that_holds_is_told_and_a_simulated_tee_loudly() {
    let (folder, archive, key) = with_receipt(|_| ());
    let answer = decrypt(folder.path(), &archive, &key, &[]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    for words in [
        "verified: the receipt is signed by the key 0x",
        "verified: the archive's 2 entries",
        "verified: the decrypted files",
        "warning: SIMULATED TEE",
    ] {
        assert!(answer.err.contains(words), "{words}: {}", answer.err);
    }
    let raw = decrypt(folder.path(), &archive, &key, &["--raw", "--force"]);
    assert!(raw.out.contains("\"simulated\":true") && raw.err.is_empty(), "{}{}", raw.out, raw.err);
}

#[test]
fn a_receipt_that_states_something_else_keeps_the_result_from_being_written() {
    let cases: [fn(&mut Statement); 3] = [
        |statement| statement.tree = Sha256::of("another tree"),
        |statement| statement.entries[0].sha256 = Sha256::of("another key"),
        |statement| drop(statement.entries.pop()),
    ];
    for change in cases {
        let (folder, archive, key) = with_receipt(change);
        let answer = decrypt(folder.path(), &archive, &key, &["--raw"]);
        assert_eq!(answer.code, 1);
        assert!(answer.err.contains("\"name\":\"InvalidReceipt\""), "{}", answer.err);
        assert!(!folder.path().join("results.zip").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }
}

#[cfg(unix)]
#[test]
fn a_private_key_is_for_its_owner_only_and_the_pair_is_the_sdks() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = r#"{"privateKey":"0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407"}"#;
    fs::write(folder.path().join("wallet.json"), wallet).unwrap();
    assert_eq!(iexec(folder.path(), &["result", "generate-encryption-keypair"]).code, 0);
    let name = "0x7bd4783FDCAD405A28052a0d1f11236A741da593_key";
    let path = folder.path().join(".secrets/beneficiary").join(name);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (private, public) =
        (fs::read_to_string(&path).unwrap(), fs::read_to_string(path.with_file_name(format!("{name}.pub"))).unwrap());
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n") && private.ends_with("-----END PRIVATE KEY-----\n"));
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n") && public.len() == 800);
}
