//! Parts of the network that stand still, come back late, or are two: every task ends, contributed once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rogue;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use iexec_chain::devnet::{CHAIN_ID, DevAccount, HUB};
use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(2);

/// A second worker on the network's scheduler, as its operator starts one.
struct SecondWorker(Child);

impl SecondWorker {
    fn start(network: &Network, folder: &Path) -> Self {
        let url = |service| format!("http://127.0.0.1:{}", network.port(service).unwrap());
        let key = folder.join("second.key");
        fs::write(&key, const_hex::encode(DevAccount::Worker(1).wallet().unwrap().expose_secret().as_slice())).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |path: &str| network.data.join(path).display().to_string();
        let flags = [
            ("--listen", format!("127.0.0.1:{port}")),
            ("--data", folder.join("second").display().to_string()),
            ("--rpc", url("chain")),
            ("--chain-id", CHAIN_ID.to_string()),
            ("--hub", HUB.to_string()),
            ("--scheduler", url("scheduler")),
            ("--wallet", key.display().to_string()),
            ("--enclave", path("enclave/iexec-enclave")),
            ("--images", folder.join("images").display().to_string()),
            ("--simulated-platform", path("simulated-tee/platform.json")),
            ("--reach", "loopback".into()),
        ];
        let log = fs::File::create(network.data.join("logs/second-worker.log")).unwrap();
        let mut command = Command::new(workspace::program("iexecd"));
        command.arg("worker").args(flags.iter().flat_map(|(flag, value)| [*flag, value.as_str()]));
        Self(
            command
                .arg("--stop-with-parent")
                .stdin(Stdio::piped())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for SecondWorker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Waits until the task is COMPLETED; yields its only contributor, in lower case.
fn completed(user: &User, task: &str) -> String {
    let shown = user.wait_status(task, "COMPLETED", LIMIT).unwrap();
    let contributors = shown["task"]["contributors"].as_array().unwrap();
    assert_eq!((contributors.len(), &shown["task"]["winnerCounter"]), (1, &Value::from("1")), "{shown:#}");
    contributors[0].as_str().unwrap().to_lowercase()
}

fn runs(debug: &Value) -> bool {
    debug["offchainData"].to_string().contains("COMPUTING")
}

#[test]
fn two_workers_share_tasks_and_the_one_takes_over_what_the_other_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user) = rogue::network(folder.path(), "info");
    let [first, second] =
        [0, 1].map(|number| DevAccount::Worker(number).wallet().unwrap().address().to_string().to_lowercase());
    let _worker = SecondWorker::start(&network, folder.path());
    let tasks: Vec<_> = (0..4).map(|_| user.start_task("--args naps").unwrap().1).collect();
    let mut contributors: Vec<_> = tasks.iter().map(|task| completed(&user, task)).collect();
    contributors.sort();
    contributors.dedup();
    let mut both = vec![first.clone(), second.clone()];
    both.sort();
    assert_eq!(contributors, both);

    // The first stands still in the middle of a task, for longer than the scheduler waits.
    let (tasks, begun) = ([0, 1].map(|_| user.start_task("--args naps").unwrap().1), Instant::now());
    let held = |task: &str| runs(&user.debug(task).unwrap());
    while !tasks.iter().all(|task| held(task)) {
        assert!(begun.elapsed() < LIMIT, "nobody took the tasks");
    }
    network.signal("worker", "-STOP").unwrap();
    for task in &tasks {
        assert_eq!(completed(&user, task), second);
    }
    // Back again, it learns that its task was done by another, and takes the next one.
    network.signal("worker", "-CONT").unwrap();
    let tasks: Vec<_> = (0..4).map(|_| user.start_task("--args naps").unwrap().1).collect();
    assert!(tasks.iter().any(|task| completed(&user, task) == first));
    network.stop().unwrap();
}

#[test]
fn a_task_survives_services_that_stand_still_and_a_chain_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let (network, user) = rogue::network(folder.path(), "info");
    for stopped in [&["sms", "storage"][..], &["scheduler", "market"], &["storage", "scheduler", "sms"]] {
        let (_, task) = user.start_task("--args naps").unwrap();
        user.wait_debug(&task, LIMIT, runs).unwrap();
        for service in stopped {
            network.signal(service, "-STOP").unwrap();
        }
        // Longer than a call waits for its answer.
        thread::sleep(Duration::from_secs(11));
        for service in stopped {
            network.signal(service, "-CONT").unwrap();
        }
        completed(&user, &task);
    }

    let (_, task) = user.start_task("--args naps").unwrap();
    user.wait_debug(&task, LIMIT, runs).unwrap();
    let chain = chain_process(&network);
    let signal = |signal: &str| assert!(Command::new("kill").args([signal, &chain]).status().unwrap().success());
    signal("-STOP");
    thread::sleep(Duration::from_secs(20));
    signal("-CONT");
    completed(&user, &task);
    network.stop().unwrap();
}

/// Process id of the network's anvil: the one that listens on its port.
fn chain_process(network: &Network) -> String {
    let port = network.port("chain").unwrap().to_string();
    let output = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("anvil") && line.contains(&port)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}
