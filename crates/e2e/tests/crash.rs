//! `kill -9` of each service at three moments of a task: after its restart the task ends COMPLETED, contributed once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(1);

/// A moment of a task, as the scheduler's word on it shows it.
struct Moment {
    name: &'static str,
    reached: fn(&Value) -> bool,
}

const MOMENTS: [Moment; 3] = [
    Moment { name: "the deal was just seen", reached: |debug| !debug.is_null() },
    Moment { name: "a worker holds the task", reached: |debug| has_status(debug, "STARTED") },
    Moment { name: "the result was computed", reached: |debug| has_status(debug, "COMPUTED") },
];

/// Whether some replicate went through this status.
fn has_status(debug: &Value, status: &str) -> bool {
    let replicates = debug["offchainData"]["replicates"].as_array().cloned().unwrap_or_default();
    let went = |replicate: &Value| {
        let history = replicate["statusHistory"].as_array().cloned().unwrap_or_default();
        history.iter().any(|step| step["status"] == status)
    };
    replicates.iter().any(went)
}

fn survives(service: &str) {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    for moment in &MOMENTS {
        let (_, task) = user.start_task("").unwrap();
        user.wait_debug(&task, LIMIT, moment.reached).unwrap();
        network.kill(service).unwrap();
        let shown = user
            .wait_status(&task, "COMPLETED", LIMIT)
            .unwrap_or_else(|error| panic!("{service} killed when {}: {error:#}", moment.name));
        let contributors = shown["task"]["contributors"].as_array().unwrap();
        assert_eq!(contributors.len(), 1, "{service} killed when {}", moment.name);
        assert_eq!(shown["task"]["winnerCounter"], "1");
        user.eventually(&format!("task show {task} --download"), LIMIT).unwrap();
        user.ok(&format!("result decrypt {task}.zip --force")).unwrap();
    }
    network.stop().unwrap();
}

#[test]
fn a_task_survives_the_schedulers_death() {
    survives("scheduler");
}

#[test]
fn a_task_survives_the_workers_death() {
    survives("worker");
}

#[test]
fn a_task_survives_the_smss_death() {
    survives("sms");
}

#[test]
fn a_task_survives_the_storages_death() {
    survives("storage");
}
