//! `iexec result` on a terminal: questions without an echo, a moving bar, Ctrl-C.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod pty;
mod statement;

use std::{
    fs,
    io::{BufWriter, Read},
    process::{Command, Stdio},
};

use desk::{Answer, Desk, OWNER, TASK, age, rsa};
use iexec_archive::{Encryptor, Identity};
use pty::Pty;
use rand::RngCore as _;

const PASSPHRASE: &str = "correct horse";
/// Long enough that a bar is seen.
const LONG: u64 = 384 << 20;

/// A desk whose key is under the passphrase.
fn locked(key: &Identity) -> Desk {
    let desk = Desk::new(key);
    let text = key.to_encrypted_text(PASSPHRASE.as_bytes(), &mut rand::rng()).unwrap();
    fs::write(desk.key_path(&format!("{OWNER}_key")), text.as_bytes()).unwrap();
    desk
}

/// A desk with an archive of 64 MiB that do not compress, `long.zip`.
fn with_long_archive() -> Desk {
    let key = rsa();
    let desk = Desk::new(&key);
    let out = BufWriter::new(fs::File::create(desk.path("long.zip")).unwrap());
    let mut sealing = Encryptor::to_recipients(&[key.recipient().unwrap()], &mut rand::rng(), out).unwrap();
    let mut noise = vec![0; 1 << 20];
    rand::rng().fill_bytes(&mut noise);
    sealing.add_file("my-result.bin", Again { noise, at: 0 }.take(LONG)).unwrap();
    sealing.finish(|sealed| statement::sign(&statement::statement(sealed))).unwrap().into_inner().unwrap();
    desk
}

/// The same bytes again and again: too far apart to be deflated.
struct Again {
    noise: Vec<u8>,
    at: usize,
}

impl Read for Again {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = (&self.noise[self.at..]).read(buffer)?;
        self.at = (self.at + count) % self.noise.len();
        Ok(count)
    }
}

#[test]
fn a_passphrase_is_asked_for_without_an_echo_while_stdin_is_the_archive() {
    for key in [rsa(), age()] {
        let desk = locked(&key);
        let mut shell = Command::new("sh");
        let script = format!("exec \"$0\" result decrypt - < {TASK}.zip");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_iexec")]).current_dir(desk.path("")).env("HOME", "/nobody");
        shell.env_remove("IEXEC_CHAIN_FILE").env_remove("IEXEC_KEY_PASSPHRASE");
        let mut pty = Pty::run(&shell);
        pty.wait_for(&format!("{OWNER}_key: "));
        assert!(!pty.echoes());
        // Backspace takes a character back.
        pty.write("correct horsf\x7fe\r");
        assert_eq!(pty.end(), (Some(0), true), "{}", pty.screen);
        assert!(!pty.screen.contains("horse") && !pty.screen.contains("horsf"), "{}", pty.screen);
        assert_eq!(desk.new_names(), ["results.zip"]);
    }
}

#[test]
fn a_wrong_passphrase_is_one_error_with_a_hint() {
    for key in [rsa(), age()] {
        let desk = locked(&key);
        let mut pty = Pty::run(&desk.command(&["decrypt", &format!("{TASK}.zip")]));
        pty.wait_for("Passphrase of ");
        pty.write("battery staple\r");
        assert_eq!(pty.end(), (Some(1), true), "{}", pty.screen);
        assert!(pty.screen.contains("the passphrase does not open the private key"), "{}", pty.screen);
        assert!(pty.screen.contains("hint: try again"), "{}", pty.screen);
        assert_eq!(desk.new_names(), Vec::<String>::new());
    }
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_must_be_the_same() {
    let desk = Desk::new(&rsa());
    fs::remove_dir_all(desk.path(".secrets")).unwrap();
    let generate = desk.command(&["generate-encryption-keypair", "--type", "age", "--passphrase"]);
    let mut pty = Pty::run(&generate);
    pty.wait_for("Choose a passphrase for the private key: ");
    pty.write("one\r");
    pty.wait_for("The same passphrase again: ");
    pty.write("two\r");
    assert_eq!(pty.end(), (Some(1), true));
    assert!(pty.screen.contains("the two passphrases differ; no key was written"), "{}", pty.screen);
    assert!(!desk.path(".secrets").exists());

    let mut pty = Pty::run(&generate);
    pty.wait_for("Choose a passphrase for the private key: ");
    pty.write("one\r");
    pty.wait_for("The same passphrase again: ");
    pty.write("one\r");
    assert_eq!(pty.end(), (Some(0), true), "{}", pty.screen);
    let key = fs::read(desk.key_path(&format!("{OWNER}_key"))).unwrap();
    assert!(Identity::from_file(&key, Some(b"one")).is_ok());
}

#[test]
fn ctrl_c_at_a_question_ends_it_and_leaves_nothing() {
    let desk = locked(&rsa());
    let before = fs::read(desk.key_path(&format!("{OWNER}_key"))).unwrap();
    for words in [
        &["decrypt", &format!("{TASK}.zip")][..],
        &["decrypt", &format!("{TASK}.zip"), "--extract", "mine"],
        &["export-key", "copy.pem", "--unencrypted"],
        &["generate-encryption-keypair", "--force", "--passphrase"],
        &["generate-encryption-keypair", "--beneficiary-keystoredir", "other", "--passphrase"],
    ] {
        let mut pty = Pty::run(&desk.command(words));
        pty.wait_until("a question", |screen| screen.contains("assphrase") && screen.ends_with(": "));
        pty.write("half of it\x03");
        assert_eq!(pty.end(), (Some(130), true), "{words:?}: {}", pty.screen);
        assert!(pty.screen.contains("error: stopped; nothing was written"), "{}", pty.screen);
        assert_eq!(desk.new_names(), Vec::<String>::new(), "{words:?}");
    }
    assert_eq!(fs::read(desk.key_path(&format!("{OWNER}_key"))).unwrap(), before);
}

#[test]
fn a_bar_with_rate_and_time_left_is_on_a_terminal_and_nowhere_else() {
    let desk = with_long_archive();
    let decrypt = ["decrypt", "long.zip", "--force"];
    let mut pty = Pty::run(&desk.command(&decrypt));
    assert_eq!(pty.end(), (Some(0), true), "{}", pty.screen);
    let bars: Vec<&str> = pty.screen.split('\r').filter(|line| line.contains(" left")).collect();
    assert!(!bars.is_empty() && bars.iter().all(|bar| bar.contains("B/s") && bar.contains("/384.")), "{}", pty.screen);

    let piped = Answer::of(desk.command(&decrypt).output().unwrap());
    assert_eq!(piped.code, 0, "{}", piped.err);
    assert!(!piped.err.contains("iB/s") && !piped.err.contains('\r') && !piped.err.contains('\x1b'), "{}", piped.err);
    // Only stderr counts: the answer goes elsewhere, the bar stays.
    let mut pty = Pty::run(&desk.command(&[&decrypt[..], &["--quiet"]].concat()));
    assert_eq!(pty.end().0, Some(0));
    assert!(!pty.screen.contains("iB/s"), "{}", pty.screen);
}

#[test]
fn ctrl_c_while_a_result_is_decrypted_leaves_nothing() {
    let desk = with_long_archive();
    for words in [&["decrypt", "long.zip"][..], &["decrypt", "long.zip", "--extract", "mine"]] {
        let mut pty = Pty::run(&desk.command(words));
        pty.wait_for(" left");
        // Held while Ctrl-C is typed, so that it cannot have been done before.
        pty.signal("STOP");
        assert!(desk.new_names().iter().any(|name| name.starts_with(".iexec-")), "it was writing: {}", pty.screen);
        pty.write("\x03");
        pty.signal("CONT");
        assert_eq!(pty.end(), (Some(130), true), "{}", pty.screen);
        assert!(pty.screen.contains("stopped; nothing was written"), "{}", pty.screen);
        assert_eq!(desk.new_names(), Vec::<String>::new());
    }
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let desk = locked(&age());
    let mut command = Command::new("setsid");
    let inner = desk.command(&["decrypt", &format!("{TASK}.zip")]);
    command.arg("--wait").arg(inner.get_program()).args(inner.get_args()).current_dir(desk.path(""));
    let answer = Answer::of(command.env("HOME", "/nobody").stdin(Stdio::null()).output().unwrap());
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.contains("there is no terminal to ask on") && answer.err.contains("--passphrase-file"),
        "{}",
        answer.err
    );
}
