//! Both engines hold every promise about containers. What this machine cannot run is said, and counts as not run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]
#![allow(clippy::print_stdout, reason = "what holds, and what was not run, is told")]

mod checks;
mod docker;
mod setting;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use iexec_worker::runner::{Runner, docker::Docker, runc::Runc};

use crate::setting::Setting;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runc_holds_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let runc = match Runc::new(None, folder.path().join("runc"), false) {
        Ok(runc) => runc,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}, and CI must run this");
            return println!("not run: {error}");
        }
    };
    hold(Box::new(runc), folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_holds_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let dockerd = match docker::Dockerd::start(folder.path()) {
        Ok(dockerd) => dockerd,
        Err(error) => return println!("not run: {error}"),
    };
    let docker = Docker::new(Some(&dockerd.socket), "test".into(), false).unwrap();
    hold(Box::new(docker), folder.path()).await;
}

async fn hold(runner: Box<dyn Runner>, folder: &std::path::Path) {
    println!("{}", runner.check().await.unwrap());
    let setting = Setting::new(runner, folder, setting::probe(folder)).await;
    let mut broken = Vec::new();
    for (sentence, check) in checks::ALL {
        let held = AssertUnwindSafe(check(&setting)).catch_unwind().await.is_ok();
        println!("{} {sentence}", if held { "holds:" } else { "BROKEN:" });
        if !held {
            broken.push(sentence);
        }
        setting.runner.remove(setting::TASK).await.unwrap();
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
