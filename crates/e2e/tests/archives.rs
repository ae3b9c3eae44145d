//! The archives that the network makes open everywhere: with our command, with `age`, with openssl, with the published SDK.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use iexec_e2e::{network::Network, sdk, user::User, workspace};

const LIMIT: Duration = Duration::from_mins(1);
const HELLO: &str = "Hello, world!\n";

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sh(folder: &Path, script: &str) -> String {
    text(Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(folder).output().unwrap())
}

/// Whether a program is installed. CI has all of them: there, a missing one is a failure.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "`{program}` is not installed, and CI must run this");
    if !found {
        eprintln!("not run: `{program}` is not installed");
    }
    found
}

fn finished_task(user: &User) -> String {
    let (_, task) = user.start_task("").unwrap();
    user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    user.ok(&format!("task show {task} --download")).unwrap();
    task
}

#[test]
fn an_age_key_and_a_recovery_key_open_a_result_with_our_command_and_with_age() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let owner = user.ok("wallet show").unwrap()["wallet"]["address"].as_str().unwrap().to_owned();
    let older = finished_task(&user);

    // The recovery key is somebody else's, of our own making: the `age` command may be missing.
    fs::create_dir(user.folder().join("recovery")).unwrap();
    let made = user.ok("result generate-encryption-keypair --type age --beneficiary-keystoredir recovery").unwrap();
    let recovery = user.folder().join("recovery").join(made["publicKeyFile"].as_str().unwrap());
    let recovery = fs::read_to_string(recovery).unwrap();
    let rotated = user.ok(&format!("result rotate-encryption-key --type age --recipient {}", recovery.trim())).unwrap();
    assert!(rotated["replacedKeyFile"].as_str().unwrap().ends_with("_key.1"), "{rotated}");

    let task = finished_task(&user);
    let facts = user.ok(&format!("result inspect {task}.zip")).unwrap();
    assert_eq!((facts["layout"].as_str(), facts["recipients"].as_array().unwrap().len()), (Some("age"), 2));
    let verified = user.ok(&format!("result verify {task}.zip --require-verified --insecure-simulated-tee")).unwrap();
    assert_eq!(verified["notVerifiable"].as_array().unwrap().len(), 0, "{verified}");
    user.ok(&format!("result decrypt {task}.zip --extract ours --require-verified --insecure-simulated-tee")).unwrap();
    assert_eq!(fs::read_to_string(user.folder().join("ours/my-result.txt")).unwrap(), HELLO);
    user.ok(&format!("result decrypt {task}.zip --extract recovered --beneficiary-keystoredir recovery")).unwrap();
    assert_eq!(fs::read_to_string(user.folder().join("recovered/my-result.txt")).unwrap(), HELLO);
    // What was encrypted to the key before still opens.
    user.ok(&format!("result decrypt {older}.zip --extract older")).unwrap();
    assert_eq!(fs::read_to_string(user.folder().join("older/my-result.txt")).unwrap(), HELLO);
    // Downloaded and decrypted at once.
    user.ok(&format!("task show {task} --download at-once --decrypt")).unwrap();
    assert_eq!(sh(user.folder(), "unzip -p at-once.zip my-result.txt"), HELLO);
    assert!(sh(user.folder(), "ls -A").lines().all(|name| !name.starts_with(".iexec-")), "nothing half-done stays");

    if has("age") {
        for key in [format!(".secrets/beneficiary/{owner}_key"), format!("recovery/{owner}_key")] {
            let open = format!(
                "unzip -p {task}.zip iexec_out.zip.age | age -d -i {key} > theirs.zip; unzip -p theirs.zip my-result.txt"
            );
            assert_eq!(sh(user.folder(), &open), HELLO);
        }
    }
    network.stop().unwrap();
}

#[test]
fn a_download_that_was_cut_off_goes_on_and_a_wrong_beginning_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let task = finished_task(&user);
    let whole = fs::read(user.folder().join(format!("{task}.zip"))).unwrap();
    let digest = sh(user.folder(), &format!("sha256sum {task}.zip"));
    let part = user.folder().join(format!(".iexec-{}.part", &digest[..16]));
    let wrong: Vec<u8> = whole.iter().map(|byte| !byte).collect();
    let begun = [&whole[..100], &whole[..], &wrong[..100], &wrong[..], &[whole.as_slice(), b"more"].concat()];
    for (index, beginning) in begun.iter().enumerate() {
        fs::write(&part, beginning).unwrap();
        user.ok(&format!("task show {task} --download again-{index}")).unwrap();
        assert_eq!(fs::read(user.folder().join(format!("again-{index}.zip"))).unwrap(), whole, "{index}");
        assert!(!part.exists());
    }
    network.stop().unwrap();
}

#[test]
fn our_archive_for_an_rsa_key_opens_with_the_sdk_9_and_with_openssl_alone() {
    let programs = sdk::installed("sdk-9").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let owner = user.ok("wallet show").unwrap()["wallet"]["address"].as_str().unwrap().to_owned();
    let task = finished_task(&user);
    let key = format!(".secrets/beneficiary/{owner}_key");

    let program = programs.join("iexec");
    assert_eq!(sh(user.folder(), &format!("{} --version", program.display())).trim(), "9.0.1");
    sh(
        user.folder(),
        &format!("{} result decrypt {task}.zip --beneficiary-key-file {owner}_key --force --raw", program.display()),
    );
    assert_eq!(sh(user.folder(), "unzip -p results.zip my-result.txt"), HELLO);

    let recipe = workspace::root().join("vectors/archive/open.sh");
    sh(user.folder(), &format!("{} {task}.zip {key} > by-openssl.zip", recipe.display()));
    assert_eq!(sh(user.folder(), "unzip -p by-openssl.zip my-result.txt"), HELLO);
    network.stop().unwrap();
}
