//! Things break while many push and ask: what was acknowledged is there afterwards, with its last acknowledged value.

use std::{ffi::OsString, path::Path, process::Command};

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{authorization::TaskRef, id::TaskId};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    common::{Network, Terms, authorization, enclave, enclave_key, evidence},
    load::{Done, Load},
    process::{Sms, tool},
    proxy::Proxy,
    store::Postgres,
};

/// Requester secrets 1 to 8 are the clients'.
const PARAMS: &str = r#"{"iexec_secrets":{"1":"k0","2":"k1","3":"k2","4":"k3","5":"k4","6":"k5","7":"k6","8":"k7"}}"#;

/// An SMS under load, before a chain with tasks.
struct Scene {
    network: Network,
    proxy: Proxy,
    tasks: Vec<TaskRef>,
    store: Vec<OsString>,
    sms: Sms,
    load: Load,
    folder: TempDir,
}

fn sqlite(data: &Path) -> Vec<OsString> {
    vec!["--data".into(), data.into()]
}

fn postgres(data: &Path, server: &Postgres) -> Vec<OsString> {
    let mut flags = sqlite(data);
    flags.extend(["--database-url".into(), server.url.clone().into()]);
    flags.extend(["--database-password-file".into(), server.password_file.clone().into()]);
    flags
}

impl Scene {
    async fn set(folder: TempDir, store: Vec<OsString>) -> Self {
        let network = Network::start().await;
        let proxy = Proxy::to(&network.anvil.url()).await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            tasks.push(network.task(Terms { params: PARAMS, ..Terms::default() }).await);
        }
        let sms = Sms::start(&folder, &proxy.url, &store, &["--owner-rate", "100000/s:100000"]);
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        let mut load = Load::start(&sms.service, &network.client, &ids);
        load.more(30).await;
        Self { network, proxy, tasks, store, sms, load, folder }
    }

    /// Ends the load, and holds what the SMS has against what it acknowledged.
    async fn holds(mut self) -> Done {
        self.load.more(30).await;
        let done = self.load.done();
        let (values, challenges) = self.load.end().await;
        assert_eq!(challenges.len(), self.tasks.len());
        for (task, told) in &challenges {
            let again = self.network.challenge(&self.sms.service, *task, DevAccount::Scheduler).await.unwrap();
            assert_eq!(again, *told, "the challenge of {task}");
        }
        let task = &self.tasks[0];
        let open = authorization(task, challenges[&task.id]);
        let offer = self.network.client.send(&self.sms.service.origin, &open).await.unwrap();
        let key = enclave_key();
        let sealed =
            self.network.attest(&offer, evidence(&self.folder, enclave(), &key, task.id, &offer)).await.unwrap();
        let session = key.open(&sealed).unwrap();
        let app = &session.service("app").unwrap().environment;
        for (number, value) in values.iter().enumerate() {
            let found = app[&format!("IEXEC_REQUESTER_SECRET_{}", number + 1)].expose();
            assert_eq!(found, value, "k{number} after {done:?}");
        }
        assert_eq!(self.sms.end(Signal::SIGTERM).code(), Some(0));
        tool(["sms", "audit", "verify"].into_iter().map(OsString::from).chain(self.store.clone()));
        let printed = String::from_utf8_lossy(&self.sms.printed.lock().unwrap()).into_owned();
        assert!(!printed.contains("panicked"), "{printed}");
        done
    }
}

async fn killed(mut scene: Scene) {
    for _ in 0..3 {
        scene.load.more(20).await;
        scene.sms.end(Signal::SIGKILL);
        let unanswered = scene.load.done().unanswered;
        scene.load.until("refused connection", |done| done.unanswered > unanswered).await;
        scene.sms.again();
    }
    let done = scene.holds().await;
    assert!(done.unanswered >= 3, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_three_times_under_load_on_sqlite_it_lost_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder.path().join("sms"));
    killed(Scene::set(folder, store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_three_times_under_load_on_postgresql_it_lost_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Postgres::start(folder.path()) else { return };
    let store = postgres(&folder.path().join("sms"), &server);
    killed(Scene::set(folder, store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_crashes_and_comes_back_under_load_lost_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Postgres::start(folder.path()) else { return };
    let store = postgres(&folder.path().join("sms"), &server);
    let mut scene = Scene::set(folder, store).await;
    let mut server = Some(server);
    for _ in 0..2 {
        scene.load.more(20).await;
        let restarted = tokio::task::spawn_blocking(move || {
            let server = server.unwrap();
            server.restart();
            server
        });
        server = Some(restarted.await.unwrap());
    }
    scene.holds().await;
}

/// A file system of a few MiB; needs root.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "sms"]).arg(folder.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var_os("CI").is_none(), "a tmpfs cannot be mounted (needs root), and CI must run this");
        eprintln!("not run: a tmpfs cannot be mounted (needs root)");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_under_load_and_is_freed_lost_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::new() else { return };
    let mut scene = Scene::set(tempfile::tempdir().unwrap(), sqlite(&disk.0.path().join("sms"))).await;
    for _ in 0..2 {
        let ballast = disk.0.path().join("ballast");
        assert!(std::fs::write(&ballast, vec![0; 8 << 20]).is_err(), "the disk must be full");
        let refused = scene.load.done().unavailable + 20;
        scene.load.until("refusal", |done| done.unavailable >= refused).await;
        std::fs::remove_file(&ballast).unwrap();
        scene.load.more(20).await;
    }
    scene.holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_cut_off_under_load_is_503_for_what_needs_it_and_pushes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder.path().join("sms"));
    let mut scene = Scene::set(folder, store).await;
    for _ in 0..2 {
        scene.proxy.set_cut(true);
        let now = scene.load.done();
        let enough = |done: &Done| done.unavailable >= now.unavailable + 10 && done.pushes >= now.pushes + 20;
        scene.load.until("pushes without a chain", enough).await;
        scene.proxy.set_cut(false);
        scene.load.more(20).await;
    }
    let done = scene.holds().await;
    assert_eq!(done.unanswered, 0, "{done:?}");
}
