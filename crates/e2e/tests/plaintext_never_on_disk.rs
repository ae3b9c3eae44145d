//! What an app of an encrypted task writes and says leaves its enclave as ciphertext only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rogue;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use iexec_protocol::key::SigningKey;

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn what_an_app_writes_and_says_is_in_no_file_and_no_log_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user) = rogue::network(folder.path(), "trace");
    let words = ["a-word-that-is-said-backwards", "another-word-that-is-said-and-fails"];
    let (_, done) = user.start_task(&format!("--args {}", words[0])).unwrap();
    user.wait_status(&done, "COMPLETED", LIMIT).unwrap();
    let (_, failed) = user.start_task(&format!("--args {}", words[1])).unwrap();
    user.wait_debug(&failed, LIMIT, |debug| debug["offchainData"]["cause"].is_string()).unwrap();

    let backwards = words.map(|word| word.chars().rev().collect::<String>());
    let searched = |mark: &str| found(&network.data, mark.as_bytes());
    // The search finds what is there.
    assert!(!searched(&done).is_empty(), "not even the task's id is found");
    for mark in &backwards {
        assert_eq!(searched(mark), Vec::<PathBuf>::new(), "{mark}");
        assert!(!network.log().contains(mark.as_str()));
    }

    let logs = fs::read_dir(network.data.join("logs")).unwrap();
    let logs: String = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()).collect();
    let known = SigningKey::from_bytes(&[7; 32]).unwrap().address();
    assert_eq!(private_keys(&format!("{logs} {known} {}", "07".repeat(32))), ["07".repeat(32)]);
    for secret in ["PRIVATE KEY-----", "SIGN_TEE_CHALLENGE_PRIVATE_KEY", "IEXEC_REQUESTER_SECRET", "correct horse"] {
        assert!(!logs.contains(secret), "{secret}");
    }

    // The beneficiary has it.
    user.ok(&format!("task show {done} --download")).unwrap();
    user.ok(&format!("result decrypt {done}.zip --force")).unwrap();
    assert_eq!(found(user.folder(), backwards[0].as_bytes()), [user.folder().join("results.zip")]);
    network.stop().unwrap();
}

/// What is in this text of the private keys of addresses that are in it, too: wallets, and the task's challenge.
fn private_keys(text: &str) -> Vec<String> {
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.trim_start_matches("0x"));
    let hex = |digits: usize| {
        words().filter(move |word| word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let addresses: HashSet<String> = hex(40).map(str::to_lowercase).collect();
    let candidates: HashSet<&str> = hex(64).collect();
    let known = |key: &SigningKey| addresses.contains(&format!("{:x}", key.address()));
    let of = |word: &&str| SigningKey::from_hex(word).is_ok_and(|key| known(&key));
    candidates.into_iter().filter(of).map(str::to_owned).collect()
}

/// Files below `folder` with these bytes in them.
fn found(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(self::found(&path, bytes));
        } else if kind.is_file() && fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path);
        }
    }
    found
}
