//! The beneficiary's keys: under a passphrase, named by folder and by file, replaced, of somebody else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod statement;

use std::{
    fs,
    process::{Command, Stdio},
};

use desk::{Desk, OWNER, TASK, age, chmod, rsa};
use iexec_archive::{Identity, Recipient};

fn id_of(key: &Identity) -> String {
    const_hex::encode_prefixed(key.recipient().unwrap().key_id())
}

#[test]
fn an_age_key_is_made_under_a_passphrase_exported_imported_and_opens_results() {
    let desk = Desk::new(&age());
    fs::write(desk.path("secret"), "correct horse\n").unwrap();
    let made = desk.result("generate-encryption-keypair --type age --force --passphrase-file secret --raw");
    assert_eq!(made.code, 0, "{}", made.err);
    let kept = fs::read_to_string(desk.key_path(&format!("{OWNER}_key"))).unwrap();
    assert!(kept.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let public = fs::read_to_string(desk.key_path(&format!("{OWNER}_key.pub"))).unwrap();
    desk.seal("mine.zip", &[Recipient::from_sms_value(&public).unwrap()]);
    let refused = desk.result("decrypt mine.zip --raw");
    assert_eq!((refused.code, refused.json()["error"]["name"].as_str()), (1, Some("PassphraseNeeded")));
    assert_eq!(desk.result("decrypt mine.zip --passphrase-file secret").code, 0);

    // Out without a passphrase, which `age` reads; out under another, and in again.
    assert_eq!(desk.result("export-key plain.txt --unencrypted --passphrase-file secret").code, 0);
    assert!(fs::read_to_string(desk.path("plain.txt")).unwrap().contains("\nAGE-SECRET-KEY-1"));
    fs::write(desk.path("other"), "battery staple\n").unwrap();
    assert_eq!(desk.result("export-key other.txt --new-passphrase-file other --passphrase-file secret").code, 0);
    assert_eq!(desk.result("import-key other.txt --force --passphrase-file secret").code, 1, "not its passphrase");
    assert_eq!(desk.result("import-key other.txt --force --passphrase-file other").code, 0);
    assert_eq!(desk.result("decrypt mine.zip --force --passphrase-file other").code, 0);
    assert_eq!(fs::read_to_string(desk.key_path(&format!("{OWNER}_key.1"))).unwrap(), kept);
}

#[test]
fn what_age_p_wrote_binary_or_armored_is_a_key_here() {
    let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/archive");
    let key = Identity::from_text(&fs::read_to_string(vectors.join("age-identity.txt")).unwrap(), None).unwrap();
    let desk = Desk::new(&key);
    fs::write(desk.path("secret"), "correct horse\n").unwrap();
    for name in ["age-identity-passphrase.age", "age-identity-passphrase.txt"] {
        fs::copy(vectors.join(name), desk.key_path("theirs")).unwrap();
        chmod(&desk.key_path("theirs"), 0o600);
        let words = format!("decrypt {TASK}.zip --force --beneficiary-key-file theirs --passphrase-file secret");
        let answer = desk.result(&words);
        assert_eq!(answer.code, 0, "{}", answer.err);
    }
}

#[test]
fn a_key_is_named_by_its_folder_by_its_name_there_or_by_a_path() {
    let key = rsa();
    let desk = Desk::new(&key);
    fs::create_dir(desk.path("safe")).unwrap();
    fs::rename(desk.key_path(&format!("{OWNER}_key")), desk.path("safe").join(format!("{OWNER}_key"))).unwrap();
    let absent = desk.result(&format!("decrypt {TASK}.zip"));
    assert!(absent.code == 1 && absent.err.contains("there is no private key /"), "{}", absent.err);
    for words in [
        "--beneficiary-keystoredir safe".to_owned(),
        format!("--beneficiary-keystoredir {}", desk.path("safe").display()),
        format!("--beneficiary-keystoredir safe --beneficiary-key-file {OWNER}_key"),
        format!("--beneficiary-key-file safe/{OWNER}_key"),
    ] {
        let answer = desk.result(&format!("decrypt {TASK}.zip --force {words}"));
        assert_eq!(answer.code, 0, "{words}: {}", answer.err);
    }
    let absent = desk
        .result(&format!("decrypt {TASK}.zip --force --beneficiary-keystoredir safe --beneficiary-key-file nobody"));
    assert!(absent.code == 1 && absent.err.contains("there is no file nobody in "), "{}", absent.err);
}

#[test]
fn a_key_that_does_not_fit_is_told_with_both_ids_before_it_is_used() {
    for (key, other) in [(rsa(), rsa()), (age(), age()), (rsa(), age())] {
        let desk = Desk::new(&key);
        desk.keep(&format!("{OWNER}_key"), &other);
        let older = age();
        desk.keep(&format!("{OWNER}_key.1"), &older);
        let answer = desk.result(&format!("decrypt {TASK}.zip"));
        assert_eq!(answer.code, 1);
        let told = format!(
            "error: {TASK}.zip: it is encrypted to the key of id {}; at hand are the keys of ids {}, {}\n",
            id_of(&key),
            id_of(&other),
            id_of(&older)
        );
        assert!(answer.err.contains(&told), "{}\n{told}", answer.err);
        assert!(answer.err.contains("hint: name the beneficiary's key with --beneficiary-key-file"), "{}", answer.err);
        assert_eq!(desk.new_names(), Vec::<String>::new());
    }
}

#[test]
fn inspect_shows_the_ids_of_the_keys_without_a_key() {
    let key = rsa();
    let desk = Desk::new(&key);
    fs::remove_dir_all(desk.path(".secrets")).unwrap();
    let words = format!("inspect {TASK}.zip");
    assert!(
        desk.result(&words).out.contains(&format!("for key          {}\n", id_of(&key))),
        "{}",
        desk.result(&words).out
    );
    assert_eq!(desk.result(&format!("{words} --raw")).json()["receipt"]["recipients"][0], id_of(&key));
}

#[test]
fn of_several_replaced_keys_each_opens_what_is_encrypted_to_it() {
    let keys = [rsa(), age(), rsa(), age()];
    let desk = Desk::new(&keys[0]);
    for (number, key) in keys.iter().enumerate() {
        let name = if number == 0 { format!("{OWNER}_key") } else { format!("{OWNER}_key.{number}") };
        desk.keep(&name, key);
        desk.seal(&format!("{number}.zip"), &[key.recipient().unwrap()]);
    }
    for number in 0..keys.len() {
        let answer = desk.result(&format!("decrypt {number}.zip --force"));
        assert_eq!(answer.code, 0, "{number}: {}", answer.err);
    }
}

#[test]
fn a_private_key_that_others_can_read_is_reported_with_the_remedy() {
    let desk = Desk::new(&age());
    for mode in [0o644, 0o640, 0o604, 0o666] {
        chmod(&desk.key_path(&format!("{OWNER}_key")), mode);
        let answer = desk.result(&format!("decrypt {TASK}.zip --force --quiet"));
        assert!(
            answer.err.contains(&format!("_key has mode {mode:04o}, which lets others at it: chmod 600 /")),
            "{}",
            answer.err
        );
    }
    chmod(&desk.key_path(&format!("{OWNER}_key")), 0o400);
    assert!(!desk.result(&format!("decrypt {TASK}.zip --force")).err.contains("chmod"));
}

/// The stock command reads our file; it asks for the passphrase on a terminal, which `vectors/archive/passphrase.py` is.
#[test]
fn age_reads_the_key_that_we_keep_under_a_passphrase() {
    if Command::new("age").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "`age` is not installed, and CI must run this");
        eprintln!("not run: `age` is not installed");
        return;
    }
    let key = age();
    let desk = Desk::new(&key);
    let text = key.to_encrypted_text(b"correct horse", &mut rand::rng()).unwrap();
    fs::write(desk.path("key.age"), text.as_bytes()).unwrap();
    let script = format!(
        "unzip -q {TASK}.zip iexec_out.zip.age; \"$0\" 'correct horse' age -d -i key.age -o theirs.zip iexec_out.zip.age; unzip -p theirs.zip my-result.txt"
    );
    let terminal = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/archive/passphrase.py");
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script, terminal]).current_dir(desk.path("")).stdin(Stdio::null());
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, world!", "{}", String::from_utf8_lossy(&output.stderr));
}
