//! Apps that attack the machine, or their own result: each task ends with the true cause, and the worker works on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rogue;

use std::{
    fs,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_mins(1);

/// What the app does, and the cause that its task ends with.
const FAULTS: [(&str, &str); 7] = [
    ("forks", "APP_COMPUTE_FAILED"),
    ("memory", "APP_COMPUTE_FAILED"),
    ("fills", "APP_COMPUTE_FAILED"),
    ("links", "POST_COMPUTE_OUT_FOLDER_ZIP_FAILED"),
    ("names", "POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME"),
    ("outside", "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED"),
    ("nonsense", "POST_COMPUTE_COMPUTED_FILE_NOT_FOUND"),
];

#[test]
fn apps_that_misbehave_fail_with_their_cause_and_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user) = rogue::network(folder.path(), "info");
    let worker = network.pid("worker").unwrap();
    for (deed, cause) in FAULTS {
        let (_, task) = user.start_task(&format!("--args {deed}")).unwrap();
        let debug = user.wait_debug(&task, LIMIT, |debug| debug["offchainData"]["cause"].is_string()).unwrap();
        assert_eq!(debug["offchainData"]["cause"], cause, "{deed}: {debug:#}");
    }
    let stored = fs::read_dir(network.data.join("storage/archives")).unwrap();
    assert_eq!(stored.filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 0);

    let (_, task) = user.start_task("--args tries").unwrap();
    user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    user.ok(&format!("task show {task} --download")).unwrap();
    user.ok(&format!("result decrypt {task}.zip --force")).unwrap();
    let unzip = std::process::Command::new("python3")
        .args(["-c", "import sys,zipfile; print(zipfile.ZipFile(sys.argv[1]).read('r.txt').decode(), end='')"])
        .arg(user.folder().join("results.zip"))
        .output()
        .unwrap();
    assert!(unzip.status.success());
    assert_eq!(String::from_utf8_lossy(&unzip.stdout), "", "what the app could do");

    assert_eq!(network.pid("worker").unwrap(), worker, "the worker was started again");
    // Nothing of a finished errand is left.
    let begun = Instant::now();
    while fs::read_dir(network.data.join("worker/errands")).unwrap().count() > 0 {
        assert!(begun.elapsed() < LIMIT, "an errand is left");
        std::thread::sleep(Duration::from_millis(50));
    }
    network.stop().unwrap();
}
