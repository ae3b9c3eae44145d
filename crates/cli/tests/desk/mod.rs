//! A desk: a folder with a wallet, that wallet's key pair and an archive encrypted to it; and the command on it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use iexec_archive::{AgeIdentity, Encryptor, Identity, PrivateKey, Recipient};
use iexec_protocol::{B256, id::TaskId};
use serde_json::Value;

use crate::statement;

pub(crate) const TASK: TaskId = TaskId(B256::with_last_byte(1));
pub(crate) const OWNER: &str = "0x7bd4783FDCAD405A28052a0d1f11236A741da593";
const WALLET: &str = r#"{"privateKey":"0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407"}"#;

/// A folder with a wallet, that wallet's key pair, and an archive encrypted to it.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(key: &Identity) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(desk.path("wallet.json"), WALLET).unwrap();
        desk.keep(&format!("{OWNER}_key"), key);
        desk.seal(&format!("{TASK}.zip"), &[key.recipient().unwrap()]);
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn key_path(&self, name: &str) -> PathBuf {
        self.path(".secrets/beneficiary").join(name)
    }

    pub(crate) fn keep(&self, name: &str, key: &Identity) {
        let text = key.to_text().unwrap();
        fs::create_dir_all(self.path(".secrets/beneficiary")).unwrap();
        fs::write(self.key_path(name), text.as_bytes()).unwrap();
        chmod(&self.key_path(name), 0o600);
    }

    pub(crate) fn seal(&self, name: &str, recipients: &[Recipient]) {
        let out = Cursor::new(Vec::new());
        let mut sealing = Encryptor::to_recipients(recipients, &mut rand::rng(), out).unwrap();
        sealing.add_file("my-result.txt", &b"Hello, world!"[..]).unwrap();
        sealing.add_file("sub/empty", &b""[..]).unwrap();
        sealing.add_directory("void").unwrap();
        let archive = sealing.finish(|sealed| statement::sign(&statement::statement(sealed))).unwrap();
        fs::write(self.path(name), archive.into_inner()).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iexec"));
        command.arg("result").args(args).current_dir(self.folder.path()).env("HOME", "/nobody");
        command.env_remove("IEXEC_CHAIN_FILE").env_remove("IEXEC_KEY_PASSPHRASE").stdin(Stdio::null());
        command
    }

    pub(crate) fn result(&self, words: &str) -> Answer {
        Answer::of(self.command(&words.split(' ').collect::<Vec<_>>()).output().unwrap())
    }

    /// Names in the folder beside the wallet, the keys and archives.
    pub(crate) fn new_names(&self) -> Vec<String> {
        let is_given = |path: &Path| path.extension().is_some_and(|end| end == "zip") && !path.ends_with("results.zip");
        let paths = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let names = paths.filter(|path| !is_given(path)).map(|path| path.file_name().unwrap().to_owned());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| !["wallet.json", ".secrets"].contains(&name.as_str()));
        names.sort();
        names
    }
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        let text = if self.code == 0 { &self.out } else { &self.err };
        serde_json::from_str(text).unwrap()
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn rsa() -> Identity {
    PrivateKey::generate(2048).unwrap().into()
}

pub(crate) fn age() -> Identity {
    AgeIdentity::generate().into()
}
