//! Which wallet is found, what is written, what is refused.

use super::*;
use std::time::Duration;

const KEY: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const ADDRESS: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

fn ring(dir: &Path) -> Keyring {
    Keyring::new(&KeystoreDir::Custom("keys".into()), dir).unwrap()
}

fn put(dir: &Path, name: &str, address: &str) {
    std::fs::create_dir_all(dir.join("keys")).unwrap();
    std::fs::write(dir.join("keys").join(name), format!("{{\"address\":\"{address}\"}}")).unwrap();
}

fn chosen(ring: &Keyring, choice: &Choice) -> String {
    ring.find(choice).unwrap().path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn names_are_the_sdk_s_names() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
    let name = file_name(ADDRESS.parse().unwrap(), now);
    assert_eq!(name, "UTC--2026-01-02T03-04-05.678000000Z--3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
    let leap = SystemTime::UNIX_EPOCH + Duration::from_hours(474_768);
    assert!(file_name(Address::ZERO, leap).starts_with("UTC--2024-02-29T00-00-00.000000000Z--"));
}

#[test]
fn a_file_outranks_an_address_outranks_wallet_json_outranks_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let ring = ring(dir.path());
    let (a, b) = ("11".repeat(20), "22".repeat(20));
    let old_a = format!("UTC--2020-01-01T00-00-00.000000000Z--{a}");
    let new_a = format!("UTC--2021-01-01T00-00-00.000000000Z--{a}");
    let newest_b = format!("UTC--2022-01-01T00-00-00.000000000Z--{b}");
    for (name, address) in [(&old_a, &a), (&new_a, &a), (&newest_b, &b)] {
        put(dir.path(), name, address);
    }
    put(dir.path(), "notes.txt", &a);
    assert_eq!(chosen(&ring, &Choice::default()), newest_b);
    ring.store_plain(&Wallet::from_hex(KEY).unwrap(), false).unwrap();
    assert_eq!(chosen(&ring, &Choice::default()), PLAIN_FILE);
    let by_address = Choice { file: None, address: Some(a.parse().unwrap()) };
    assert_eq!(chosen(&ring, &by_address), new_a);
    assert_eq!(chosen(&ring, &Choice { file: Some(old_a.clone()), ..by_address }), old_a);
}

#[test]
fn a_stored_wallet_is_found_again_private_to_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (ring, wallet) = (ring(dir.path()), Wallet::from_hex(KEY).unwrap());
    let path = ring.store(&wallet, "pw", SystemTime::now()).unwrap();
    let found = ring.find(&Choice::default()).unwrap();
    assert_eq!((found.path.clone(), found.is_encrypted()), (path.clone(), true));
    assert_eq!(found.address().unwrap(), wallet.address());
    assert_eq!(found.open("pw").unwrap().address(), wallet.address());
    assert!(found.open("no").unwrap_err().to_string().contains("wrong password"));
    #[cfg(unix)]
    for file in [path, ring.store_plain(&wallet, false).unwrap()] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn wallet_json_is_the_sdk_s_and_never_replaced_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let (ring, wallet) = (ring(dir.path()), Wallet::from_hex(KEY).unwrap());
    let path = ring.store_plain(&wallet, false).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&format!("{{\n  \"privateKey\": \"{KEY}\",\n  \"publicKey\": \"0x04")));
    assert!(text.ends_with(&format!("\"address\": \"{ADDRESS}\"\n}}")));
    let found = ring.find(&Choice::default()).unwrap();
    assert!(!found.is_encrypted());
    assert_eq!(found.open("").unwrap().address(), wallet.address());
    assert!(matches!(ring.store_plain(&wallet, false), Err(KeyringError::Exists { .. })));
    ring.store_plain(&wallet, true).unwrap();
}

#[test]
fn faults_name_their_file_and_never_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let ring = ring(dir.path());
    let plain = |text: String| {
        std::fs::write(dir.path().join(PLAIN_FILE), text).unwrap();
        ring.find(&Choice::default()).unwrap_err().to_string()
    };
    assert!(plain("{".into()).contains("wallet.json: not an unencrypted wallet (line 1"));
    assert!(plain(format!("{{\"privateKey\":\"{KEY}00\"}}")).contains("private key must be"));
    let foreign = plain(format!("{{\"privateKey\":\"{KEY}\",\"address\":\"{}\"}}", Address::ZERO));
    assert!(foreign.contains("says address 0x0000") && !foreign.contains(&KEY[2..]));
    assert!(plain("x".repeat(40_000)).contains("at most"));
    std::fs::remove_file(dir.path().join(PLAIN_FILE)).unwrap();
    assert!(matches!(ring.find(&Choice::default()), Err(KeyringError::NoWallet { .. })));
    let absent = Choice { file: None, address: Some(Address::ZERO) };
    assert!(matches!(ring.find(&absent), Err(KeyringError::NoSuchAddress { .. })));
    for name in ["../x", "a/b", "..", "/etc/passwd"] {
        let choice = Choice { file: Some(name.into()), address: None };
        assert!(matches!(ring.find(&choice), Err(KeyringError::NotAName { .. })), "{name}");
    }
}
