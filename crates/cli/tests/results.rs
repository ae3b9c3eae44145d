//! `iexec result` on archives with a receipt: decrypted, unpacked, verified and inspected, with keys of both kinds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod statement;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use desk::{Answer, Desk, OWNER, TASK, age, chmod, rsa};
use iexec_archive::{Recipient, write_plain};
use iexec_protocol::{B256, id::TaskId};
use serde_json::Value;

const OTHER_TASK: TaskId = TaskId(B256::with_last_byte(9));

#[test]
fn a_result_is_decrypted_and_unpacked_with_keys_of_both_kinds() {
    for (key, layout) in [(rsa(), "C"), (age(), "age")] {
        let desk = Desk::new(&key);
        let answer = desk.result(&format!("decrypt {TASK}.zip --raw"));
        assert_eq!(answer.code, 0, "{}", answer.err);
        assert_eq!(answer.json()["layout"], layout);
        assert_eq!(answer.json()["receipt"]["task"], TASK.to_string());
        assert!(desk.path("results.zip").is_file());

        let answer = desk.result(&format!("decrypt {TASK}.zip --extract mine"));
        assert_eq!(answer.code, 0, "{}", answer.err);
        assert_eq!(fs::read(desk.path("mine/my-result.txt")).unwrap(), b"Hello, world!");
        assert_eq!(fs::read(desk.path("mine/sub/empty")).unwrap(), b"");
        assert!(desk.path("mine/void").is_dir());
        assert_eq!(desk.new_names(), ["mine", "results.zip"]);
    }
}

#[test]
fn each_fact_is_told_as_verified_or_as_not_verifiable_with_the_reason() {
    let desk = Desk::new(&rsa());
    let answer = desk.result(&format!("decrypt {TASK}.zip"));
    for line in [
        "verified: the receipt is signed by the key 0x",
        &format!("verified: the receipt is that of task {TASK}"),
        "not verifiable: that the key is the enclave's: there is no chain.json here",
        "not verifiable: that the machine was a TEE: it was simulated",
        "verified: the archive's 2 entries are those of the receipt, byte for byte",
        "verified: the decrypted files are those that the enclave signed",
    ] {
        assert!(answer.err.lines().any(|found| found.starts_with(line)), "{line}: {}", answer.err);
    }
    let unknown = fs::rename(desk.path(&format!("{TASK}.zip")), desk.path("mine.zip"));
    unknown.unwrap();
    let json = desk.result("verify mine.zip --raw --insecure-simulated-tee").json();
    assert_eq!(json["notVerifiable"].as_array().unwrap().len(), 3, "{json}");
    let json = desk.result(&format!("verify mine.zip --raw --insecure-simulated-tee --task {TASK}")).json();
    assert_eq!(json["notVerifiable"].as_array().unwrap().len(), 2, "{json}");
}

#[test]
fn what_cannot_be_verified_is_exit_1_where_the_user_wants_it_so() {
    let desk = Desk::new(&rsa());
    for words in ["decrypt", "verify"] {
        let answer = desk.result(&format!("{words} {TASK}.zip --require-verified --raw"));
        assert_eq!((answer.code, &answer.json()["error"]["name"]), (1, &Value::from("NotVerified")));
    }
    assert!(!desk.path("results.zip").exists());
}

#[test]
fn a_receipt_of_another_task_is_refused_before_a_key_is_used() {
    let desk = Desk::new(&rsa());
    fs::rename(desk.path(&format!("{TASK}.zip")), desk.path(&format!("{OTHER_TASK}.zip"))).unwrap();
    fs::remove_dir_all(desk.path(".secrets")).unwrap();
    for words in [format!("decrypt {OTHER_TASK}.zip --raw"), format!("verify {OTHER_TASK}.zip --raw")] {
        let answer = desk.result(&words);
        assert_eq!(
            (answer.code, &answer.json()["error"]["name"]),
            (1, &Value::from("InvalidReceipt")),
            "{}",
            answer.err
        );
    }
    assert_eq!(desk.result(&format!("verify {OTHER_TASK}.zip --task {TASK} --raw")).code, 0);
}

#[test]
fn a_changed_archive_is_refused_without_and_with_the_key() {
    let desk = Desk::new(&age());
    let path = desk.path(&format!("{TASK}.zip"));
    let sound = fs::read(&path).unwrap();
    for at in [40, sound.len() / 3, sound.len() - 30] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        for words in ["verify", "decrypt", "decrypt --extract mine"] {
            let answer = desk.result(&format!("{words} {TASK}.zip --raw"));
            assert_eq!(answer.code, 1, "{words}, byte {at}: {}", answer.out);
        }
    }
    assert_eq!(desk.new_names(), Vec::<String>::new());
}

#[test]
fn inspect_needs_no_key_and_shows_recipients_and_the_receipt() {
    let desk = Desk::new(&age());
    desk.seal("two.zip", &[age().recipient().unwrap(), age().recipient().unwrap()]);
    fs::remove_dir_all(desk.path(".secrets")).unwrap();
    let json = desk.result("inspect two.zip --raw").json();
    assert_eq!(json["layout"], "age");
    assert_eq!(json["recipients"].as_array().unwrap().len(), 2);
    assert_eq!(json["receipt"]["task"], TASK.to_string());
    assert_eq!(json["entries"][0]["name"], "iexec_out.zip.age");
    assert_eq!(json["entries"][0]["modified"], "1980-01-01 00:00:00");
    let text = desk.result("inspect two.zip").out;
    assert!(text.contains("layout           age (age-encryption.org/v1)") && text.contains("TEE"), "{text}");
}

#[test]
fn an_archive_comes_from_a_pipe_or_from_a_file_as_stdin() {
    let desk = Desk::new(&rsa());
    let bytes = fs::read(desk.path(&format!("{TASK}.zip"))).unwrap();
    let mut child = desk.command(&["decrypt", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let answer = Answer::of(child.wait_with_output().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(!answer.err.contains("keeping"), "{}", answer.err);
    assert!(answer.err.contains("verified: the archive's 2 entries are those of the receipt"), "{}", answer.err);

    // Without a receipt an archive has no one form: it is read from its end.
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/archive");
    fs::write(desk.path("key.pem"), fs::read(vectors.join("rsa2048.pem")).unwrap()).unwrap();
    chmod(&desk.path("key.pem"), 0o600);
    let words = ["decrypt", "-", "--beneficiary-key-file", "key.pem", "--output", "other.zip"];
    let mut child = desk.command(&words).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(vectors.join("c-rsa2048.zip")).unwrap()).unwrap();
    let answer = Answer::of(child.wait_with_output().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains("keeping what comes from the pipe, still encrypted"), "{}", answer.err);
    assert_eq!(fs::read(desk.path("other.zip")).unwrap(), fs::read(vectors.join("results.zip")).unwrap());

    let file = fs::File::open(desk.path(&format!("{TASK}.zip"))).unwrap();
    let answer = Answer::of(desk.command(&["decrypt", "-", "--force"]).stdin(file).output().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(!answer.err.contains("pipe"), "{}", answer.err);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let desk = Desk::new(&rsa());
    let mut child = desk.command(&["decrypt", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut said = [0; 24];
    // It listens for Ctrl-C before it says that it reads.
    child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    stdin.write_all(&[0; 1000]).unwrap();
    let interrupt = || Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt().success());
    // The second one ends a command that waits for more.
    while interrupt().success() && stdin.write_all(b"x").is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(desk.new_names(), Vec::<String>::new());
}

#[test]
fn a_folder_with_something_in_it_and_more_than_the_limit_are_refused() {
    let desk = Desk::new(&rsa());
    fs::create_dir(desk.path("mine")).unwrap();
    fs::write(desk.path("mine/x"), "mine").unwrap();
    let answer = desk.result(&format!("decrypt {TASK}.zip --extract mine --raw"));
    assert_eq!((answer.code, &answer.json()["error"]["name"]), (1, &Value::from("FileExists")));
    let answer = desk.result(&format!("decrypt {TASK}.zip --extract new --max-size 12 --raw"));
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("more than 12 bytes"), "{}", answer.err);
    assert_eq!(desk.new_names(), ["mine"]);
    assert_eq!(desk.result(&format!("decrypt {TASK}.zip --extract new --max-size 13")).code, 0);
}

#[test]
fn names_that_would_collide_elsewhere_are_not_unpacked() {
    let desk = Desk::new(&rsa());
    let files: [(&str, &[u8]); 3] = [("computed.json", b"{}"), ("a", b"1"), ("A", b"2")];
    fs::write(desk.path("plain.zip"), write_plain(files, Vec::new()).unwrap().0).unwrap();
    let answer = desk.result("decrypt plain.zip --extract mine --raw");
    assert!(answer.code == 1 && answer.err.contains("differs from another only in case"), "{}", answer.err);
    assert_eq!(desk.new_names(), Vec::<String>::new());
    // A plain archive is unpacked without a key.
    fs::remove_dir_all(desk.path(".secrets")).unwrap();
    fs::write(desk.path("plain.zip"), write_plain([files[0], files[1]], Vec::new()).unwrap().0).unwrap();
    assert_eq!(desk.result("decrypt plain.zip --extract mine").code, 0);
    assert_eq!(fs::read(desk.path("mine/a")).unwrap(), b"1");
}

#[test]
fn keys_that_were_replaced_open_older_results_and_keys_that_others_read_are_reported() {
    let old = rsa();
    let desk = Desk::new(&old);
    desk.keep(&format!("{OWNER}_key"), &age());
    assert_eq!(desk.result(&format!("decrypt {TASK}.zip --raw")).code, 1);
    desk.keep(&format!("{OWNER}_key.3"), &rsa());
    desk.keep(&format!("{OWNER}_key.2"), &old);
    chmod(&desk.key_path(&format!("{OWNER}_key.2")), 0o644);
    let answer = desk.result(&format!("decrypt {TASK}.zip"));
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains("_key.2 has mode 0644, which lets others at it: chmod 600 /"), "{}", answer.err);
    assert!(!answer.err.contains("_key.3 has mode"), "{}", answer.err);
}

#[test]
fn a_private_key_under_a_passphrase_opens_results_and_openssl_reads_it() {
    let desk = Desk::new(&rsa());
    fs::write(desk.path("secret"), "correct horse\nsecond line").unwrap();
    fs::write(desk.path("wrong"), "battery staple\n").unwrap();
    let generated = desk.result("generate-encryption-keypair --force --passphrase-file secret --raw");
    assert_eq!(generated.code, 0, "{}", generated.err);
    let key_path = desk.key_path(&format!("{OWNER}_key"));
    assert!(fs::read_to_string(&key_path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-noout", "-passin", "pass:correct horse", "-in"]).arg(&key_path);
    assert!(openssl.status().unwrap().success());

    let public = fs::read_to_string(desk.key_path(&format!("{OWNER}_key.pub"))).unwrap();
    desk.seal("mine.zip", &[Recipient::from_sms_value(&public).unwrap()]);
    let name = |answer: Answer| (answer.code, answer.json()["error"]["name"].as_str().map(str::to_owned));
    assert_eq!(name(desk.result("decrypt mine.zip --raw")), (1, Some("PassphraseNeeded".into())));
    assert_eq!(
        name(desk.result("decrypt mine.zip --raw --passphrase-file wrong")),
        (1, Some("InvalidEncryptionKey".into()))
    );
    assert_eq!(desk.result("decrypt mine.zip --passphrase-file secret").code, 0);
    let mut by_variable = desk.command(&["decrypt", "mine.zip", "--force"]);
    assert!(by_variable.env("IEXEC_KEY_PASSPHRASE", "correct horse").status().unwrap().success());
}

#[test]
fn a_key_leaves_and_comes_back_in_each_form() {
    let key = rsa();
    let desk = Desk::new(&key);
    fs::write(desk.path("secret"), "correct horse").unwrap();
    let kept = fs::read(desk.key_path(&format!("{OWNER}_key"))).unwrap();
    assert_eq!(desk.result("export-key copy.pem").code, 0);
    assert_eq!(fs::read(desk.path("copy.pem")).unwrap(), kept);
    assert_eq!(desk.result("export-key copy.pem --raw").code, 1, "a file is not replaced without --force");
    assert_eq!(desk.result("export-key under.pem --new-passphrase-file secret").code, 0);
    let under = fs::read_to_string(desk.path("under.pem")).unwrap();
    assert!(under.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));

    assert_eq!(desk.result("import-key under.pem --passphrase-file secret --raw").code, 1, "a key is there");
    let answer = desk.result("import-key under.pem --passphrase-file secret --force");
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(fs::read(desk.key_path(&format!("{OWNER}_key.1"))).unwrap(), kept, "nothing is lost");
    assert_eq!(fs::read_to_string(desk.key_path(&format!("{OWNER}_key"))).unwrap(), under);
    assert_eq!(desk.result("export-key plain.pem --unencrypted --passphrase-file secret").code, 0);
    assert_eq!(fs::read(desk.path("plain.pem")).unwrap(), kept);
    let public = fs::read_to_string(desk.key_path(&format!("{OWNER}_key.pub"))).unwrap();
    assert_eq!(Recipient::from_sms_value(&public).unwrap(), key.recipient().unwrap());
}
