//! A disk that is full, or a limit on the size of files: `iexec result` leaves nothing half-done, and says what is wrong.
//! The disk is a tmpfs of a few pages in a mount namespace of its own, which root may make, and others where the kernel lets
//! them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod statement;

use std::process::Command;

use desk::{Answer, Desk, OWNER, TASK, age, rsa};
use iexec_archive::Encryptor;
use rand::RngCore as _;

const TOO_LONG: usize = 3 << 20;

/// A desk with an archive of 3 MiB, `long.zip`.
fn desk() -> Desk {
    let key = rsa();
    let desk = Desk::new(&key);
    let out = std::fs::File::create(desk.path("long.zip")).unwrap();
    let mut sealing = Encryptor::to_recipients(&[key.recipient().unwrap()], &mut rand::rng(), out).unwrap();
    let mut noise = vec![0; TOO_LONG];
    rand::rng().fill_bytes(&mut noise);
    sealing.add_file("my-result.bin", noise.as_slice()).unwrap();
    sealing.finish(|sealed| statement::sign(&statement::statement(sealed))).unwrap();
    desk
}

/// Runs a script with `$iexec`, in a mount namespace where `disk` is a tmpfs of this size; yields what is left there, too.
fn on_disk(desk: &Desk, size: &str, script: &str) -> Option<(Answer, String)> {
    std::fs::create_dir_all(desk.path("disk")).unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "bash", "-c", script]).current_dir(desk.path(""));
        command.env("iexec", env!("CARGO_BIN_EXE_iexec")).env("HOME", "/nobody");
        command.env_remove("IEXEC_CHAIN_FILE").env_remove("IEXEC_KEY_PASSPHRASE");
        command
    };
    let mount = format!("mount -t tmpfs -o size={size} tmpfs disk");
    if !unshare(&mount).status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a small disk");
        eprintln!("not run: no mount namespace here; run as root");
        return None;
    }
    let script = format!("{mount}; {script}; code=$?; find disk -mindepth 1 | sort > left; exit $code");
    let answer = Answer::of(unshare(&script).output().unwrap());
    let left = std::fs::read_to_string(desk.path("left")).unwrap();
    std::fs::remove_file(desk.path("left")).unwrap();
    Some((answer, left))
}

#[test]
fn a_full_disk_leaves_nothing_of_a_decrypted_result() {
    let desk = desk();
    for words in ["--output disk/results.zip", "--extract disk/mine"] {
        let script = format!("\"$iexec\" result decrypt long.zip {words}");
        let Some((answer, left)) = on_disk(&desk, "1m", &script) else { return };
        assert_eq!((answer.code, left.as_str()), (2, ""), "{words}: {}", answer.err);
        assert!(answer.err.contains("No space left on device"), "{}", answer.err);
        assert!(answer.err.contains("hint: check the disk's free space"), "{}", answer.err);
        // What was there is still there.
        let script = format!("echo mine > disk/results.zip; \"$iexec\" result decrypt long.zip {words} --force");
        let Some((_, left)) = on_disk(&desk, "1m", &script) else { return };
        assert_eq!(left, "disk/results.zip\n", "{words}");
        let script = format!("\"$iexec\" result decrypt {TASK}.zip {words}");
        assert_eq!(on_disk(&desk, "1m", &script).unwrap().0.code, 0, "what fits is written");
    }
}

#[test]
fn a_full_disk_leaves_no_half_of_a_key_pair() {
    let desk = desk();
    let keys = [format!("disk/keys/{OWNER}_key\n"), format!("disk/keys/{OWNER}_key.pub\n")].concat();
    // 4 KiB a page: the first file may fit where the second does not.
    for pages in 0..4 {
        for kind in ["age", "rsa"] {
            let script = format!(
                "mkdir disk/keys; head -c {} /dev/zero > disk/full; \"$iexec\" result generate-encryption-keypair --type {kind} --beneficiary-keystoredir disk/keys",
                (16 - pages) * 4096
            );
            let Some((answer, left)) = on_disk(&desk, "64k", &script) else { return };
            if answer.code == 0 {
                assert_eq!(left, format!("disk/full\ndisk/keys\n{keys}"), "{pages} pages");
            } else {
                assert_eq!(
                    (answer.code, left.as_str()),
                    (2, "disk/full\ndisk/keys\n"),
                    "{pages} pages: {}",
                    answer.err
                );
                assert!(answer.err.contains("hint: check the disk's free space"), "{}", answer.err);
            }
            assert_eq!(answer.code == 0, pages >= 2, "{pages} pages: {}", answer.err);
        }
    }
}

#[test]
fn a_full_disk_leaves_the_key_pair_that_was_there() {
    let desk = Desk::new(&age());
    let script = format!(
        "mkdir disk/keys; cp .secrets/beneficiary/{OWNER}_key disk/keys; cp disk/keys/{OWNER}_key before; head -c 65536 /dev/zero > disk/full; \
         \"$iexec\" result generate-encryption-keypair --type age --force --beneficiary-keystoredir disk/keys; code=$?; cmp before disk/keys/{OWNER}_key || code=9; (exit $code)"
    );
    let Some((answer, left)) = on_disk(&desk, "64k", &script) else { return };
    assert_eq!((answer.code, left), (2, format!("disk/full\ndisk/keys\ndisk/keys/{OWNER}_key\n")), "{}", answer.err);
}

#[test]
fn a_limit_on_the_size_of_files_leaves_nothing_either() {
    let desk = desk();
    for words in ["decrypt long.zip --output results.zip", "decrypt long.zip --extract mine"] {
        let mut command = Command::new("bash");
        let script = format!("ulimit -f 1024; exec \"$0\" result {words}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_iexec")]).current_dir(desk.path("")).env("HOME", "/nobody");
        let answer = Answer::of(command.env_remove("IEXEC_CHAIN_FILE").output().unwrap());
        assert_eq!(answer.code, 2, "{words}: {}", answer.err);
        assert!(answer.err.contains("File too large"), "{}", answer.err);
        assert_eq!(desk.new_names(), Vec::<String>::new());
    }
}
