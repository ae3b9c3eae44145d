//! What must not happen, does not: each refusal with its exact words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod foreign;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::Value;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(1);
const SESSION_REFUSED: &str = "TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED";

struct World {
    folder: TempDir,
    network: Network,
    user: User,
}

impl World {
    fn new(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::start(&folder.path().join("network"), options).unwrap();
        let user =
            User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
        Self { folder, network, user }
    }

    /// The scheduler's verdict on a task once it has failed for good, or was refused a first time.
    fn refused(&self, task: &str) -> Value {
        let debug = self.user.wait_debug(task, LIMIT, |debug| debug["offchainData"]["cause"].is_string()).unwrap();
        debug["offchainData"].clone()
    }

    /// Nothing that the storage has for this task.
    fn stores_nothing(&self) -> bool {
        archives(&self.network.data).is_empty()
    }
}

fn archives(data: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(data.join("storage/archives")).unwrap();
    folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn a_key_that_leaves_the_sms_after_the_deal_ends_the_task_without_an_upload() {
    let world = World::new(&[]);
    world.network.signal("worker", "-STOP").unwrap();
    let (deal, task) = world.user.start_task("").unwrap();
    world.user.ok("secret delete web2 iexec-result-encryption-public-key --force").unwrap();
    world.network.signal("worker", "-CONT").unwrap();
    let verdict = world.refused(&task);
    let cause = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY";
    assert_eq!(verdict["cause"], cause);
    assert_eq!(verdict["remedy"], "the beneficiary must push a key: `iexec result push-encryption-key`");
    assert!(world.stores_nothing());
    let said = world.user.run(&format!("deal show {deal} --watch")).unwrap().failure().unwrap();
    assert!(said.contains(&format!("task {task} failed with {cause}")), "{said}");
}

#[test]
fn an_unclear_wish_for_encryption_is_refused_before_the_deal_and_in_it() {
    let world = World::new(&[]);
    let arguments =
        ["app", "run", "--tag", "tee", "--force", "--raw", "--params", r#"{"iexec_result_encryption":"oui"}"#];
    let said = world.user.command(&arguments).unwrap().failure().unwrap();
    let unclear = "result encryption must be true or false, got \"oui\"; an unclear wish is never taken for «no»";
    assert!(said.contains(unclear), "{said}");

    // The SDK's own checks can be left out, too: the deal is made, and nobody computes it.
    let task = foreign::deal_with_params(&world.network, &world.user, r#"{"iexec_result_encryption":"oui"}"#).unwrap();
    let verdict = foreign::cause_of(&world.network, &task).unwrap();
    assert_eq!(verdict["cause"], "TASK_DESCRIPTION_INVALID");
    assert!(verdict["message"].as_str().unwrap().contains(unclear), "{verdict}");
    assert!(world.stores_nothing());
}

#[test]
fn an_archive_tampered_with_in_the_storage_is_not_downloaded() {
    let world = World::new(&[]);
    let (_, task) = world.user.start_task("").unwrap();
    world.user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    let archive = archives(&world.network.data).pop().unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let said = world.user.run(&format!("task show {task} --download")).unwrap().failure().unwrap();
    assert!(said.contains("yields other bytes than the chain says"), "{said}");
    assert!(!world.user.folder().join(format!("{task}.zip")).exists());
}

#[test]
fn an_archive_tampered_with_after_the_download_is_not_decrypted() {
    let world = World::new(&[]);
    let (_, task) = world.user.start_task("").unwrap();
    world.user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    world.user.ok(&format!("task show {task} --download")).unwrap();
    let archive = world.user.folder().join(format!("{task}.zip"));
    let mut bytes = fs::read(&archive).unwrap();
    let at = bytes.windows(17).position(|window| window == b"iexec_out.zip.aes").unwrap() + 17 + 40;
    bytes[at] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let said = world.user.run(&format!("result decrypt {task}.zip")).unwrap().failure().unwrap();
    assert!(said.contains("iexec_out.zip.aes"), "{said}");
    assert!(!world.user.folder().join("results.zip").exists());
}

#[test]
fn an_enclave_program_that_the_sms_does_not_know_gets_no_session() {
    let world = World::new(&[]);
    let program = world.network.data.join("enclave/iexec-enclave");
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    fs::write(&program, bytes).unwrap();
    world.network.kill("worker").unwrap();
    let (_, task) = world.user.start_task("").unwrap();
    let verdict = world.refused(&task);
    assert_eq!(verdict["cause"], SESSION_REFUSED);
    let message = verdict["message"].as_str().unwrap();
    assert!(message.contains("the enclave measures mrtd 0x") && message.contains("the policy allows "), "{message}");
    assert!(world.stores_nothing());
}

/// The worker starts containers through a program that puts another image's documents in place of the app's.
#[test]
fn a_worker_that_lies_about_the_image_gets_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let liar = folder.path().join("runc");
    let script =
        include_str!("lying-runc.sh").replace("@FOREIGN@", &folder.path().join("foreign").display().to_string());
    fs::write(&liar, script).unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let network = Network::start(&folder.path().join("network"), &["--runtime", liar.to_str().unwrap()]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let world = World { folder, network, user };
    let (_, task) = world.user.start_task("").unwrap();
    let verdict = world.refused(&task);
    assert_eq!(verdict["cause"], SESSION_REFUSED);
    let message = verdict["message"].as_str().unwrap();
    assert!(
        message.contains("the enclave starts image 0x") && message.contains("the app's checksum on chain is 0x"),
        "{message}"
    );
    assert!(world.stores_nothing());
}

#[test]
fn an_sms_that_was_not_told_to_accepts_no_simulated_evidence() {
    let world = World::new(&["--without-simulated-tee"]);
    let (_, task) = world.user.start_task("").unwrap();
    let verdict = world.refused(&task);
    assert_eq!(verdict["cause"], SESSION_REFUSED);
    let message = verdict["message"].as_str().unwrap();
    assert!(message.contains("evidence is of simulated; the policy allows none"), "{message}");
    assert!(world.stores_nothing());
}

#[test]
fn an_image_that_is_not_the_one_on_chain_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let network =
        Network::start(&folder.path().join("network"), &["--images", folder.path().to_str().unwrap()]).unwrap();
    let image = folder.path().join("image");
    copy_folder(&workspace::hello_world(), &image);
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&image).unwrap();
    // The app is on chain with the digest of the image as it was; now somebody changes the image.
    change_image(&image);
    let world = World { folder, network, user };
    let (_, task) = world.user.start_task("").unwrap();
    let verdict = world.refused(&task);
    assert_eq!(verdict["cause"], "APP_IMAGE_BAD_CHECKSUM");
    assert!(world.stores_nothing());
    assert!(world.folder.path().exists());
}

/// Changes a byte of the manifest that the layout's index names, and leaves the index as it is.
fn change_image(layout: &Path) {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let blob = layout.join("blobs/sha256").join(digest);
    let text = fs::read_to_string(&blob).unwrap();
    fs::write(&blob, format!("{text}\n")).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
