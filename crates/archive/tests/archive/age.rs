//! Archives for age recipients: ours opens with theirs, theirs with ours.
#![allow(clippy::disallowed_methods, reason = "the age command takes files")]

use crate::{list, receipt, rng, rsa2048, text, vector};
use iexec_archive::{
    AgeIdentity, AgeRecipient, Archive, Encryptor, Identity, KeyError, Layout, OpenError, PublicKey, Recipient,
    SealError, Sealed, tree_of_zip,
};
use std::io::{Cursor, Write};
use std::process::{Command, Stdio};

fn identity(file: &[u8]) -> Identity {
    Identity::from_text(text(file), None).unwrap()
}

fn recipient(file: &[u8]) -> Recipient {
    Recipient::from_sms_value(text(file)).unwrap()
}

fn seal(recipients: &[Recipient], files: &[(&str, &[u8])]) -> Result<(Vec<u8>, Sealed), SealError> {
    let mut writer = Encryptor::to_recipients(recipients, &mut rng(1), Cursor::new(Vec::new()))?;
    for (name, content) in files {
        writer.add_file(name, *content)?;
    }
    let mut kept = None;
    let out = writer.finish(|sealed| {
        kept = Some(sealed.clone());
        receipt(sealed)
    })?;
    Ok((out.into_inner(), kept.unwrap()))
}

#[test]
fn a_file_made_by_age_opens_for_both_its_recipients() {
    let mut archive = Archive::open(Cursor::new(vector!("age-receipt.zip"))).unwrap();
    assert_eq!(archive.layout(), Layout::Age);
    let expected = list(archive.receipt().unwrap()).unwrap();
    for key in [vector!("age-identity.txt"), vector!("age-recovery-identity.txt")] {
        let mut out = Vec::new();
        archive.decrypt_verified(&[rsa2048().into(), identity(key)], &expected, &mut out).unwrap();
        assert_eq!(out, vector!("results.zip"));
    }
    let other = archive.decrypt_verified(&[identity(vector!("age-other-identity.txt"))], &expected, &mut Vec::new());
    assert!(matches!(other, Err(OpenError::Decrypt)));
    let rsa = archive.decrypt_with(&[rsa2048().into()], &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(rsa, r#"archive: it is encrypted to age "X25519", age "X25519"; the key at hand is RSA-2048"#);
}

#[test]
fn what_is_sealed_to_several_opens_for_each() {
    let recipients = [recipient(vector!("age-recipient.txt")), recipient(vector!("age-recovery-recipient.txt"))];
    let long = vec![7; 300_000];
    let (bytes, sealed) = seal(&recipients, &[("a/b", &long), ("c", b"")]).unwrap();
    assert_eq!(sealed.recipients, recipients.each_ref().map(Recipient::key_id));
    let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.inspect().unwrap().recipients.len(), 2);
    for key in [vector!("age-identity.txt"), vector!("age-recovery-identity.txt")] {
        let mut out = Vec::new();
        archive.decrypt_verified(&[identity(key)], &sealed.entries, &mut out).unwrap();
        assert_eq!(tree_of_zip(Cursor::new(out)).unwrap(), sealed.tree);
    }
}

/// The stock command, where the machine has one: `apt-get install age`.
#[test]
fn the_age_command_opens_what_we_seal() {
    let (bytes, sealed) = seal(&[recipient(vector!("age-recipient.txt"))], &[("hello", b"Hello, world!")]).unwrap();
    let size = usize::try_from(sealed.entries[0].size).unwrap();
    let at = bytes.windows(21).position(|window| window == b"age-encryption.org/v1").unwrap();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/archive/age-identity.txt");
    let spawned = Command::new("age").args(["-d", "-i", key]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut age) = spawned else {
        assert!(std::env::var_os("CI").is_none(), "`age` is not installed, and CI must run this");
        eprintln!("not run: `age` is not installed");
        return;
    };
    age.stdin.take().unwrap().write_all(&bytes[at..at + size]).unwrap();
    let out = age.wait_with_output().unwrap();
    assert!(out.status.success());
    assert_eq!(tree_of_zip(Cursor::new(out.stdout)).unwrap(), sealed.tree);
}

#[test]
fn a18_each_bit_of_an_age_archive_counts() {
    let (bytes, sealed) = seal(&[recipient(vector!("age-recipient.txt"))], &[("hello", b"Hello, world!")]).unwrap();
    let key = [identity(vector!("age-identity.txt"))];
    let opens = |bytes: &[u8]| {
        Archive::open(Cursor::new(bytes))
            .and_then(|mut archive| archive.decrypt_verified(&key, &sealed.entries, &mut Vec::new()))
    };
    assert!(opens(&bytes).is_ok());
    let mut altered = bytes.clone();
    for at in 0..bytes.len() {
        altered[at] ^= 1 << (at % 8);
        assert!(opens(&altered).is_err(), "byte {at}");
        altered[at] = bytes[at];
    }
}

#[test]
fn a3_recipients_that_cannot_share_an_archive_are_refused() {
    let age = recipient(vector!("age-recipient.txt"));
    let rsa = Recipient::from(rsa2048().public_key().unwrap());
    let refused = |recipients: &[Recipient]| seal(recipients, &[]).unwrap_err().to_string();
    assert_eq!(refused(&[]), "archive: there is no recipient");
    for mixed in [[rsa.clone(), age.clone()], [age.clone(), rsa.clone()], [rsa.clone(), rsa.clone()]] {
        assert_eq!(refused(&mixed), "archive: an RSA key is an archive's only recipient");
    }
    assert_eq!(refused(&vec![age.clone(); 33]), "archive: there are more than 32 recipients");
    let (bytes, _) = seal(&vec![age; 32], &[]).unwrap();
    let facts = Archive::open(Cursor::new(bytes)).unwrap().inspect().unwrap();
    assert_eq!(facts.recipients.len(), 32);
    assert_eq!(seal(&[rsa], &[]).unwrap().1.entries.len(), 2);
}

/// Hardware keys' recipients, one of them post-quantum: we only seal, the `age` command and a plugin open.
#[test]
fn a3_recipients_of_hardware_keys_are_written_and_post_quantum_ones_kept_apart() {
    let kinds = |recipients: &[Recipient]| -> Result<Vec<String>, SealError> {
        let (bytes, _) = seal(recipients, &[("a", b"x")])?;
        let facts = Archive::open(Cursor::new(bytes)).unwrap().inspect().unwrap();
        Ok(facts.recipients.iter().map(ToString::to_string).collect())
    };
    let x25519 = recipient(vector!("age-recipient.txt"));
    let tag = recipient(vector!("age-tag-recipient.txt"));
    let tagpq = recipient(vector!("age-tagpq-recipient.txt"));
    assert_eq!(kinds(&[tag, x25519.clone()]).unwrap(), [r#"age "p256tag""#, r#"age "X25519""#]);
    assert_eq!(kinds(&vec![tagpq.clone(); 32]).unwrap(), vec![r#"age "mlkem768p256tag""#; 32]);
    let mixed = kinds(&[tagpq, x25519]).unwrap_err().to_string();
    assert_eq!(mixed, "archive: key: post-quantum recipients go with their like only");
}

#[test]
fn a5_the_text_of_a_key_decides() {
    let age = text(vector!("age-recipient.txt")).trim();
    let key: AgeRecipient = age.parse().unwrap();
    assert_eq!(Recipient::from_sms_value(age).unwrap(), Recipient::Age(key));
    let encoded = "YWdl".to_owned() + &base64_of(&age[3..]);
    assert_eq!(Recipient::from_sms_value(&encoded).unwrap().to_sms_value(), age);
    let rsa = Recipient::from_sms_value(text(vector!("rsa2048.pub.pem"))).unwrap();
    assert_eq!(rsa, Recipient::Rsa(PublicKey::from_pem(text(vector!("rsa2048.pub.pem"))).unwrap()));
    assert_eq!(Recipient::from_sms_value(&rsa.to_sms_value()).unwrap(), rsa);
    let upper = age.to_uppercase();
    for text in
        ["age1", "age1xyz", &age[..age.len() - 1], &format!("{age}q"), "age1yubikey1q", "age1pq1q", &upper, "AGE"]
    {
        assert!(Recipient::from_sms_value(text).is_err(), "{text}");
    }
    assert!(format!("age1{}", "q".repeat(5000)).parse::<AgeRecipient>().is_err());
}

#[test]
fn a5_several_keys_of_age_are_one_a_line() {
    let (one, two) = (recipient(vector!("age-recipient.txt")), recipient(vector!("age-recovery-recipient.txt")));
    let (tag, tagpq) = (recipient(vector!("age-tag-recipient.txt")), recipient(vector!("age-tagpq-recipient.txt")));
    let rsa = Recipient::from(rsa2048().public_key().unwrap());
    for list in [vec![one.clone()], vec![one.clone(), two.clone(), tag], vec![rsa.clone()], vec![tagpq.clone(); 2]] {
        let value = Recipient::list_to_sms_value(&list).unwrap();
        assert_eq!(Recipient::list_from_sms_value(&value).unwrap(), list);
        assert_eq!(Recipient::list_from_sms_value(&format!("\n {value}\r\n\n")).unwrap(), list);
    }
    let several = Recipient::list_to_sms_value(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(Recipient::list_from_sms_value(&base64_of(&several)).unwrap(), [one.clone(), two]);
    for (list, told) in [
        (vec![], "there is none"),
        (vec![one.clone(); 33], "there are more than 32"),
        (vec![one.clone(), rsa], "an RSA key is an archive's only recipient"),
        (vec![one.clone(), tagpq.clone()], "post-quantum recipients go with their like only"),
        (vec![tagpq; 3], "they are longer than 4096 bytes"),
    ] {
        let refused = Recipient::list_to_sms_value(&list).unwrap_err().to_string();
        assert_eq!(refused, format!("key: the recipients: {told}"));
    }
    for text in ["", "\n", "age1", &format!("{one}\nage1x"), &format!("{one}\nnothing"), &"x".repeat(4097)] {
        assert!(Recipient::list_from_sms_value(text).is_err(), "{text:?}");
    }
}

fn base64_of(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[((word >> (18 - 6 * at)) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[test]
fn a_key_file_is_read_and_written_as_age_keygen_does() {
    let key = AgeIdentity::from_text(text(vector!("age-identity.txt"))).unwrap();
    assert_eq!(key.recipient().to_string(), text(vector!("age-recipient.txt")).trim());
    assert_eq!(AgeIdentity::from_text(&key.to_text()).unwrap().recipient(), key.recipient());
    let made = AgeIdentity::generate();
    assert_ne!(made.recipient(), key.recipient());
    assert_eq!(format!("{made:?}"), "AgeIdentity(..)");
    let twice = key.to_text().repeat(2);
    for (text, told) in [
        ("# nothing\n", "key: there is no AGE-SECRET-KEY-1… line"),
        (twice.as_str(), "key: there is more than one line that is not a comment"),
        (&"#".repeat(20_000), "key: an age key file has at most 16384 bytes"),
    ] {
        assert_eq!(AgeIdentity::from_text(text).unwrap_err().to_string(), told);
    }
    assert!(matches!(AgeIdentity::from_text("AGE-SECRET-KEY-1QQ"), Err(KeyError::Age(_))));
}

/// `age -p` asks on a terminal, so this file was made once, by `age-keygen | age -p -a` (vectors/archive/make-age.sh).
#[test]
fn a25_an_age_key_under_a_passphrase_is_read_armored_or_not() {
    let key = AgeIdentity::from_text(text(vector!("age-identity.txt"))).unwrap();
    for file in [vector!("age-identity-passphrase.age"), vector!("age-identity-passphrase.txt")] {
        assert!(Identity::is_encrypted(file));
        let found = Identity::from_file(file, Some(b"correct horse")).unwrap();
        assert_eq!(found.recipient().unwrap(), Recipient::Age(key.recipient()));
        assert_eq!(Identity::from_file(file, None).unwrap_err(), KeyError::Passphrase);
        assert_eq!(Identity::from_file(file, Some(b"battery staple")).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(Identity::from_file(file, Some(b"\xff")).unwrap_err(), KeyError::WrongPassphrase);
    }
    let ours = key.to_encrypted_text(b"correct horse").unwrap();
    assert!(ours.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let found = Identity::from_file(ours.as_bytes(), Some(b"correct horse")).unwrap();
    assert_eq!(found.recipient().unwrap(), Recipient::Age(key.recipient()));
}

#[test]
fn a25_a_damaged_a_costly_or_another_age_file_is_no_key() {
    let sound = vector!("age-identity-passphrase.age");
    for at in [0, 30, sound.len() / 2, sound.len() - 1] {
        let mut changed = sound.to_vec();
        changed[at] ^= 1;
        assert!(Identity::from_file(&changed, Some(b"correct horse")).is_err(), "byte {at}");
        assert!(Identity::from_file(&sound[..at], Some(b"correct horse")).is_err(), "cut at {at}");
    }
    // The cost is refused before it is paid: 2^30 would take 1 TiB.
    let header = sound.windows(4).position(|word| word == b" 18\n").unwrap();
    let costly = [&sound[..header], b" 30\n", &sound[header + 4..]].concat();
    let refused = Identity::from_file(&costly, Some(b"correct horse")).unwrap_err().to_string();
    assert!(refused.contains("a cost beyond the limit"), "{refused}");
    let to_a_key = vector!("results.zip.age");
    let refused = Identity::from_file(to_a_key, Some(b"x")).unwrap_err().to_string();
    assert_eq!(refused, "key: the private key is encrypted with age to a key, not to a passphrase");
    assert!(
        Identity::from_file(&[&b"age-encryption.org/v1\n"[..], &b"x".repeat(20_000)].concat(), Some(b"x")).is_err()
    );
    assert!(matches!(Identity::from_file(b"\xff\xfe", None), Err(KeyError::Pem(_))));
}

#[test]
fn a3_recipients_that_only_a_program_or_a_later_library_knows_are_refused_by_name() {
    for (kind, told) in [
        ("age1yubikey", "use the key's tag recipient, age1tag1… or age1tagpq1…"),
        ("age1pq", "a post-quantum recipient that can be used is age1tagpq1…"),
    ] {
        let refused = Recipient::from_sms_value(&format!("{kind}1qwp64qvp00l9")).unwrap_err().to_string();
        assert!(refused.ends_with(told), "{refused}");
    }
}
