//! Archives for hardware keys, `age1tag1…` and `age1tagpq1…`, open with the stock `age` command and with ours, through a
//! plugin: `age-plugin-testkey`, which stands in for the hardware.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use iexec_archive::{AgeIdentity, Encryptor, Recipient};
use iexec_e2e::workspace;

const PLUGIN: &str = env!("CARGO_BIN_EXE_age-plugin-testkey");
const OWNER: &str = "0x7bd4783FDCAD405A28052a0d1f11236A741da593";

/// Runs a script with the plugin and our command in its path.
fn bash(folder: &Path, script: &str) -> Output {
    let programs = [Path::new(PLUGIN).parent().unwrap().to_owned(), workspace::programs()];
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("PATH", path).env("HOME", folder);
    command.env_remove("IEXEC_CHAIN_FILE").output().unwrap()
}

fn ok(folder: &Path, script: &str) -> String {
    let output = bash(folder, script);
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has_age() -> bool {
    let found = Command::new("age").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "`age` is not installed, and CI must run this");
    if !found {
        eprintln!("not run: `age` is not installed");
    }
    found
}

/// `archive.zip` in the folder, encrypted to these.
fn seal(folder: &Path, recipients: &[Recipient]) {
    let out = fs::File::create(folder.join("archive.zip")).unwrap();
    let mut sealing = Encryptor::to_recipients(recipients, &mut rand::rng(), out).unwrap();
    sealing.add_file("my-result.txt", &b"Hello, world!\n"[..]).unwrap();
    sealing.finish(|_| b"a receipt that nobody reads here".to_vec()).unwrap();
    // Without the receipt, which no enclave signed.
    ok(folder, "unzip -q archive.zip iexec_out.zip.age; rm archive.zip; zip -q0X archive.zip iexec_out.zip.age");
}

fn recipient_of(folder: &Path, file: &str) -> Recipient {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    Recipient::from_sms_value(text.lines().next().unwrap().trim_start_matches("# public key: ")).unwrap()
}

#[test]
fn an_archive_for_a_hardware_key_opens_with_age_and_with_our_command_through_its_plugin() {
    for kind in ["tag", "tagpq"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        ok(
            folder,
            &format!("age-plugin-testkey {kind} > key.txt; age-plugin-testkey {kind} > other.txt; chmod 600 *.txt"),
        );
        let mut recipients = vec![recipient_of(folder, "other.txt"), recipient_of(folder, "key.txt")];
        if kind == "tag" {
            recipients.push(AgeIdentity::generate().recipient().into());
        }
        seal(folder, &recipients);
        if has_age() {
            let open = "age -d -i key.txt iexec_out.zip.age > theirs.zip; unzip -p theirs.zip my-result.txt";
            assert_eq!(ok(folder, open), "Hello, world!\n", "{kind}");
        }
        ok(folder, "iexec result decrypt archive.zip --beneficiary-key-file key.txt --extract ours");
        assert_eq!(fs::read_to_string(folder.join("ours/my-result.txt")).unwrap(), "Hello, world!\n");
        // What the plugin says is shown; a key that is none of the recipients opens nothing.
        ok(folder, &format!("age-plugin-testkey {kind} > third.txt; chmod 600 third.txt"));
        let refused = bash(folder, "iexec result decrypt archive.zip --beneficiary-key-file third.txt --extract mine");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("testkey: no touch needed") && told.contains("does not open with this key"), "{told}");
        assert!(!folder.join("mine").exists());
    }
}

#[test]
fn a_hardware_key_becomes_the_wallets_and_its_absence_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, "age-plugin-testkey tag > key.txt; chmod 600 key.txt");
    let wallet = r#"{"privateKey":"0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407"}"#;
    fs::write(folder.join("wallet.json"), wallet).unwrap();
    ok(folder, "iexec result import-key key.txt");
    let public = fs::read_to_string(folder.join(format!(".secrets/beneficiary/{OWNER}_key.pub"))).unwrap();
    assert_eq!(public.trim(), recipient_of(folder, "key.txt").to_string());
    seal(folder, &[recipient_of(folder, "key.txt")]);
    ok(folder, "iexec result decrypt archive.zip --extract ours");
    let program = workspace::program("iexec");
    let refused =
        bash(folder, &format!("PATH=/nowhere {} result decrypt archive.zip --extract mine", program.display()));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("the program age-plugin-testkey, which is not in the PATH"), "{told}");
    assert!(told.contains("hint: install that plugin"), "{told}");
}
