//! The beneficiary's key replaced on a running network: by an age key under a passphrase, and by a hardware key through its
//! plugin, which stands in for the hardware. Results to each open with their own key alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(1);
const HELLO: &str = "Hello, world!\n";
const PLUGIN: &str = env!("CARGO_BIN_EXE_age-plugin-testkey");

/// A network, and somebody on it whose key is an RSA pair.
fn set(folder: &Path) -> (Network, User, PathBuf) {
    let network = Network::start(&folder.join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let owner = user.ok("wallet show").unwrap()["wallet"]["address"].as_str().unwrap().to_owned();
    let key = user.folder().join(format!(".secrets/beneficiary/{owner}_key"));
    (network, user, key)
}

fn finished_task(user: &User) -> String {
    let (_, task) = user.start_task("").unwrap();
    user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    user.ok(&format!("task show {task} --download")).unwrap();
    task
}

fn opened(user: &User, folder: &str) -> String {
    fs::read_to_string(user.folder().join(folder).join("my-result.txt")).unwrap()
}

/// Layout and ids of the keys that a result is encrypted to.
fn inspected(user: &User, task: &str) -> (String, Value) {
    let facts = user.ok(&format!("result inspect {task}.zip")).unwrap();
    (facts["layout"].as_str().unwrap().to_owned(), facts["receipt"]["recipients"].clone())
}

#[test]
fn a_key_is_rotated_into_an_age_key_under_a_passphrase_and_older_results_still_open() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user, key) = set(folder.path());
    let older = finished_task(&user);
    let rsa = fs::read_to_string(&key).unwrap();
    for (file, passphrase) in [("secret", "correct horse\n"), ("wrong", "battery staple\n")] {
        fs::write(user.folder().join(file), passphrase).unwrap();
    }
    let rotated = user.ok("result rotate-encryption-key --type age --passphrase-file secret").unwrap();
    let replaced = rotated["replacedKeyFile"].as_str().unwrap();
    assert!(replaced.ends_with("_key.1"), "{rotated}");
    assert_eq!(fs::read_to_string(key.with_file_name(Path::new(replaced).file_name().unwrap())).unwrap(), rsa);
    let kept = fs::read_to_string(&key).unwrap();
    assert!(kept.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && !kept.contains("AGE-SECRET-KEY"), "{kept}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let task = finished_task(&user);
    let (layout, recipients) = inspected(&user, &task);
    assert_eq!((layout.as_str(), recipients.as_array().unwrap().len()), ("age", 1));
    assert_ne!(recipients, inspected(&user, &older).1);
    for (words, name) in [("", "PassphraseNeeded"), (" --passphrase-file wrong", "InvalidEncryptionKey")] {
        let refused = user.run(&format!("result decrypt {task}.zip --extract refused{words}")).unwrap();
        let last: Value = serde_json::from_str(refused.stderr.lines().last().unwrap()).unwrap();
        assert_eq!((refused.status, last["error"]["name"].as_str()), (1, Some(name)), "{last}");
        assert!(!user.folder().join("refused").exists());
    }
    user.ok(&format!("result decrypt {task}.zip --extract ours --passphrase-file secret")).unwrap();
    assert_eq!(opened(&user, "ours"), HELLO);
    user.ok(&format!("result decrypt {older}.zip --extract older --passphrase-file secret")).unwrap();
    assert_eq!(opened(&user, "older"), HELLO);
    network.stop().unwrap();
}

/// The command with the plugin in its path, or without.
fn with_plugin(user: &User, words: &str, has_plugin: bool) -> Output {
    let path = std::env::var_os("PATH").unwrap();
    let plugin = has_plugin.then(|| Path::new(PLUGIN).parent().unwrap().to_owned());
    let path = std::env::join_paths(plugin.into_iter().chain(std::env::split_paths(&path))).unwrap();
    user.prepared(&words.split(' ').collect::<Vec<_>>()).env("PATH", path).output().unwrap()
}

fn ok(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_hardware_key_is_pushed_and_results_open_through_its_plugin_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user, _) = set(folder.path());
    for kind in ["tag", "tagpq"] {
        let made = Command::new(PLUGIN).arg(kind).output().unwrap();
        ok(&made);
        let file = user.folder().join(format!("{kind}.txt"));
        fs::write(&file, &made.stdout).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let public = String::from_utf8(made.stdout).unwrap();
        let public = public.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
        assert!(public.starts_with(&format!("age1{kind}1")), "{public}");
        ok(&with_plugin(&user, &format!("result import-key {kind}.txt --force"), true));
        let pushed = user.ok("result push-encryption-key --force-update").unwrap();
        assert_eq!(pushed["recipients"], serde_json::json!([public]));

        let task = finished_task(&user);
        let (layout, recipients) = inspected(&user, &task);
        assert_eq!((layout.as_str(), recipients.as_array().unwrap().len()), ("age", 1));
        let refused = with_plugin(&user, &format!("result decrypt {task}.zip --extract {kind}-no"), false);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("the program age-plugin-testkey, which is not in the PATH"), "{told}");
        assert!(!user.folder().join(format!("{kind}-no")).exists());
        let strict = "--require-verified --insecure-simulated-tee";
        ok(&with_plugin(&user, &format!("result decrypt {task}.zip --extract {kind} {strict}"), true));
        assert_eq!(opened(&user, kind), HELLO);
    }
    network.stop().unwrap();
}
