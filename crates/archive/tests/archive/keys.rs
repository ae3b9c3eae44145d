//! Keys: the forms that iExec, OpenSSL and Node write are taken, anything else is refused by name.

use crate::{private_key, text, vector};
use iexec_archive::{KeyError, PrivateKey, PublicKey, TreeHash};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn a5_pem_and_its_base64_are_the_same_key() {
    let pem = text(vector!("rsa4096.pub.pem"));
    let key = PublicKey::from_pem(pem).unwrap();
    assert_eq!(key.bits(), 4096);
    assert_eq!(key.to_pem(), pem);
    // The length that the SDK pushes for an RSA-4096 key.
    assert_eq!(key.to_sms_value().len(), 1068);
    assert_eq!(PublicKey::from_sms_value(&key.to_sms_value()).unwrap(), key);
    assert_eq!(PublicKey::from_sms_value(pem).unwrap(), key);
}

/// `openssl pkey -pubin -in rsa2048.pub.pem -outform DER | sha256sum`
#[test]
fn a5_the_key_id_is_the_sha256_of_the_spki() {
    let key = PublicKey::from_pem(text(vector!("rsa2048.pub.pem"))).unwrap();
    assert_eq!(
        TreeHash(key.key_id()).to_string(),
        "0x6782ed32641bea0a438d24af9194b564eada2f5bd94337cfa0f4cdc0bff6df61"
    );
    assert_eq!(private_key(vector!("rsa2048.pem")).public_key().unwrap(), key);
}

#[test]
fn a4_a_generated_key_is_written_as_openssl_and_node_write_it() {
    let key = PrivateKey::generate(2048).unwrap();
    let pem = key.to_pkcs8_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    assert_eq!(PrivateKey::from_pem(&pem).unwrap().public_key().unwrap(), key.public_key().unwrap());
    assert_eq!(PrivateKey::generate(1024).unwrap_err(), KeyError::Bits(1024));
}

#[test]
fn a4_other_keys_are_refused_by_what_they_are() {
    let public = text(vector!("rsa2048.pub.pem"));
    let private = text(vector!("rsa2048.pem"));
    assert!(matches!(PublicKey::from_pem(private), Err(KeyError::Label { .. })));
    assert!(matches!(PrivateKey::from_pem(public), Err(KeyError::Label { .. })));
    for weak in [vector!("rsa1024.pub.pem"), vector!("p256.pub.pem")] {
        assert!(matches!(PublicKey::from_pem(text(weak)), Err(KeyError::Rsa(_))));
    }
    assert_eq!(PrivateKey::from_pem(text(vector!("rsa2048-passphrase.pem"))).unwrap_err(), KeyError::Passphrase);
}

#[test]
fn what_is_no_key_is_refused() {
    let long = "A".repeat(100_000);
    for value in ["", "RESULT", "AAAA", "é", "-----BEGIN PUBLIC KEY-----", &long] {
        assert!(PublicKey::from_sms_value(value).is_err(), "{value:?}");
        assert!(PublicKey::from_pem(value).is_err(), "{value:?}");
        assert!(PrivateKey::from_pem(value).is_err(), "{value:?}");
    }
}

#[test]
fn a_key_with_a_byte_changed_cut_or_added_is_refused_or_another_key() {
    let pem = text(vector!("rsa2048.pub.pem"));
    let key = PublicKey::from_pem(pem).unwrap();
    for at in 0..pem.len() {
        let mut changed = pem.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        if let Ok(other) = PublicKey::from_pem(text(&changed)) {
            assert_ne!(other.key_id(), key.key_id(), "byte {at}");
        }
        assert!(at + 1 == pem.len() || PublicKey::from_pem(&pem[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn keys_say_nothing_of_themselves() {
    assert_eq!(format!("{:?}", private_key(vector!("rsa2048.pem"))), "PrivateKey(..)");
}

/// The vector is OpenSSL's: PBES2, PBKDF2 with HMAC-SHA256, AES-256-CBC.
#[test]
fn a25_a_key_under_a_passphrase_is_read_with_it() {
    let pem = text(vector!("rsa2048-passphrase.pem"));
    assert!(PrivateKey::is_encrypted(pem) && !PrivateKey::is_encrypted(text(vector!("rsa2048.pem"))));
    let key = PrivateKey::from_encrypted_pem(pem, b"vector").unwrap();
    assert_eq!(key.public_key().unwrap(), private_key(vector!("rsa2048.pem")).public_key().unwrap());
    assert_eq!(PrivateKey::from_encrypted_pem(pem, b"Vector").unwrap_err(), KeyError::WrongPassphrase);
    assert!(PrivateKey::from_encrypted_pem(text(vector!("rsa2048.pem")), b"any").is_ok());
}

#[test]
fn a25_other_kdfs_of_openssl_are_read_and_excesses_refused() {
    let scrypt = text(vector!("rsa2048-passphrase-scrypt.pem"));
    assert!(PrivateKey::from_encrypted_pem(scrypt, b"vector").is_ok());
    for (pem, told) in [
        (vector!("rsa2048-passphrase-rounds.pem"), "a cost beyond the limits"),
        (vector!("rsa2048-passphrase-memory.pem"), "a cost beyond the limits"),
        (vector!("rsa2048-passphrase-des.pem"), "something else than PBES2"),
    ] {
        let error = PrivateKey::from_encrypted_pem(text(pem), b"vector").unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "openssl reads files")]
fn a25_openssl_opens_the_keys_that_we_write() {
    let key = private_key(vector!("rsa2048.pem"));
    let pem = key.to_encrypted_pem(b"a pass phrase", &mut crate::rng(7)).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let back = PrivateKey::from_encrypted_pem(&pem, b"a pass phrase").unwrap();
    assert_eq!(back.public_key().unwrap(), key.public_key().unwrap());
    let openssl = Command::new("openssl")
        .args(["pkey", "-passin", "pass:a pass phrase"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut openssl) = openssl else { return };
    openssl.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
    assert_eq!(text(&openssl.wait_with_output().unwrap().stdout), text(vector!("rsa2048.pem")));
}
