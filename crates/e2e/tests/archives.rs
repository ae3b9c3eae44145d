//! The archives that the network makes open everywhere: with our command, with `age`, with openssl, with the published SDK.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
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

/// A way to the storage that writes down what passes.
#[derive(Clone, Default)]
struct Wire {
    /// What was asked, and how many bytes were answered, since the last look.
    passed: Arc<Mutex<(String, usize)>>,
}

impl Wire {
    /// Listens on a port of its own for what goes to this one; yields its port.
    fn to(port: u16) -> (Self, u16) {
        let (wire, listener) = (Self::default(), TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let own = listener.local_addr().unwrap().port();
        let seen = wire.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let storage = TcpStream::connect(("127.0.0.1", port)).unwrap();
                seen.carry(client.try_clone().unwrap(), storage.try_clone().unwrap(), |passed, bytes| {
                    passed.0.push_str(&String::from_utf8_lossy(bytes).to_lowercase());
                });
                seen.carry(storage, client, |passed, bytes| passed.1 += bytes.len());
            }
        });
        (wire, own)
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, note: fn(&mut (String, usize), &[u8])) {
        let wire = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                // Noted first: whoever has the bytes finds them noted.
                note(&mut wire.passed.lock().unwrap(), &buffer[..count]);
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // The other side may be gone already.
            let _ = to.shutdown(Shutdown::Write);
        });
    }

    /// What passed since the last look.
    fn look(&self) -> (String, usize) {
        std::mem::take(&mut *self.passed.lock().unwrap())
    }
}

/// What iExec's own workers hand out: the same entries without the receipt.
const WITHOUT_RECEIPT: &str = "import sys, zipfile
whole, bare = zipfile.ZipFile(sys.argv[1]), zipfile.ZipFile(sys.argv[2], \"w\")
[bare.writestr(name, whole.read(name)) for name in whole.namelist() if name != \"receipt.json\"]
bare.close()";

#[test]
fn without_a_receipt_the_files_are_held_against_the_digest_on_chain() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let mine = finished_task(&user);
    let (_, other) = user.start_task("--args somebody").unwrap();
    user.wait_status(&other, "COMPLETED", LIMIT).unwrap();
    user.ok(&format!("task show {other} --download")).unwrap();
    for task in [&mine, &other] {
        sh(user.folder(), &format!("python3 -c '{WITHOUT_RECEIPT}' {task}.zip bare-{task}.zip"));
    }
    let refused = user.run(&format!("result decrypt bare-{other}.zip --task {mine}")).unwrap().failure().unwrap();
    assert!(refused.contains("the decrypted files have the result digest 0x"), "{refused}");
    assert!(!user.folder().join("results.zip").exists());
    let said = user.ok(&format!("result decrypt bare-{mine}.zip --task {mine}")).unwrap().to_string();
    assert!(said.contains("the decrypted files have the result digest of task"), "{said}");
    assert_eq!(sh(user.folder(), "unzip -p results.zip my-result.txt"), HELLO);
}

#[test]
fn a_download_asks_once_and_goes_on_with_a_range_for_what_is_missing_alone() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let task = finished_task(&user);
    let whole = fs::read(user.folder().join(format!("{task}.zip"))).unwrap();
    let digest = sh(user.folder(), &format!("sha256sum {task}.zip"));
    let partial = user.folder().join(format!(".iexec-{}.part", &digest[..16]));

    let port = network.port("storage").unwrap();
    let (wire, own) = Wire::to(port);
    let chain = fs::read_to_string(network.data.join("chain.json")).unwrap();
    let chain_file = folder.path().join("chain.json");
    fs::write(&chain_file, chain.replace(&format!(":{port}"), &format!(":{own}"))).unwrap();
    let run = |words: &str| {
        let mut command = user.prepared(&words.split(' ').collect::<Vec<_>>());
        text(command.env("IEXEC_CHAIN_FILE", &chain_file).output().unwrap());
        wire.look()
    };
    let (asked, answered) = run(&format!("task show {task} --download once"));
    assert_eq!((asked.matches("get /ipfs/").count(), asked.contains("range: ")), (1, false), "{asked}");
    assert!(answered >= whole.len() && answered < whole.len() + 2000, "{answered}");

    fs::write(&partial, &whole[..whole.len() - 100]).unwrap();
    let (asked, answered) = run(&format!("task show {task} --download rest"));
    assert_eq!(asked.matches("get /ipfs/").count(), 1, "{asked}");
    assert!(asked.contains(&format!("range: bytes={}-", whole.len() - 100)), "{asked}");
    assert!((100..2100).contains(&answered), "{answered}");
    assert_eq!(fs::read(user.folder().join("rest.zip")).unwrap(), whole);

    let (asked, _) = run(&format!("task show {task} --download plain --decrypt"));
    assert_eq!(asked.matches("get /ipfs/").count(), 1, "{asked}");
    network.stop().unwrap();
}

/// A disk with room for one copy of the ciphertext and for the result; and one with room for neither.
#[test]
fn a_download_with_decryption_stores_the_ciphertext_once_and_a_full_disk_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let task = finished_task(&user);
    user.ok(&format!("result decrypt {task}.zip")).unwrap();
    let pages = |name: &str| fs::metadata(user.folder().join(name)).unwrap().len().div_ceil(4096);
    let (ciphertext, plaintext) = (pages(&format!("{task}.zip")), pages("results.zip"));
    assert!(ciphertext > plaintext, "a second copy must not fit where the result does");
    fs::create_dir(user.folder().join("disk")).unwrap();
    let on_disk = |pages: u64, words: &str| {
        let mount = format!("mount -t tmpfs -o size={} tmpfs disk", pages * 4096);
        let script = format!(
            "{mount}; \"$0\" task show {task} --download disk/mine {words} >&2; code=$?; ls -A disk; exit $code"
        );
        let iexec = user.prepared(&[]);
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "bash", "-c", &script]).arg(iexec.get_program());
        let variables = iexec.get_envs().filter_map(|(name, value)| Some((name, value?)));
        unshare.current_dir(user.folder()).envs(variables).output().unwrap()
    };
    if !Command::new("unshare")
        .args(["--mount", "--map-root-user", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a small disk");
        eprintln!("not run: no mount namespace here; run as root");
        return;
    }
    let enough = on_disk(ciphertext + plaintext, "--decrypt");
    assert_eq!(text(enough), "mine.zip\n");
    for (pages, words) in [(ciphertext - 1, ""), (ciphertext - 1, "--decrypt")] {
        let full = on_disk(pages, words);
        let (left, told) = (String::from_utf8(full.stdout).unwrap(), String::from_utf8(full.stderr).unwrap());
        assert_eq!((full.status.code(), left.as_str()), (Some(2), ""), "{words}: {told}");
        assert!(
            told.contains("No space left on device") && told.contains("hint: check the disk's free space"),
            "{told}"
        );
    }
    // The whole ciphertext is there, and stays for the next try; nothing of the plaintext does.
    let full = on_disk(ciphertext, "--decrypt");
    let left = String::from_utf8(full.stdout).unwrap();
    assert!(full.status.code() == Some(2) && left.starts_with(".iexec-") && left.ends_with(".part\n"), "{left}");
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
