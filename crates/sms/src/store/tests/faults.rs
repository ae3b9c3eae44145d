//! The database goes away, comes back, is full: errors say so, and nothing that was acknowledged is lost.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgresql_under_load_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else { return };
    let rig = Rig::on(&cluster);
    let store = Arc::new(rig.open().await.with_quota(u64::MAX / 100));
    let stop = Arc::new(AtomicBool::new(false));
    let clients = (0..16).map(|client| {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            let (mut kept, mut refused, mut number) = (Vec::new(), 0, 0);
            while !stop.load(Ordering::Relaxed) {
                let id = web2(&format!("c{client}-{number}"));
                number += 1;
                match try_create(&store, &id, "v").await {
                    Ok(outcome) => {
                        assert_eq!(outcome, Created::Kept);
                        kept.push(id);
                    }
                    Err(error) => {
                        assert!(error.is_unavailable(), "{error}");
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            (kept, refused)
        })
    });
    let clients: Vec<_> = clients.collect();
    let count = async || {
        while store.count_secrets(owner().address()).await.is_ok_and(|count| count < 100) {
            tokio::task::yield_now().await;
        }
    };
    count().await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.restart();
        cluster
    });
    let cluster = cluster.await.unwrap();
    // Whoever asks again is served again.
    let began = Instant::now();
    while let Err(error) = try_create(&store, &web2("after"), "v").await {
        assert!(error.is_unavailable() && began.elapsed() < Duration::from_secs(20), "{error}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = 0;
    for client in clients {
        let (kept, _) = client.await.unwrap();
        for id in &kept {
            assert!(store.has_secret(id).await.unwrap(), "{id:?} was acknowledged and is lost");
        }
        all += kept.len();
    }
    assert!(all >= 100, "{all}");
    crate::admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
    drop(cluster);
    let error = store.has_secret(&web2("after")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let error = try_create(&store, &web2("gone"), "v").await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

/// A file system of a few MiB; needs root.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "sms"]).arg(folder.path()).output();
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
        Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_in_words_and_is_left_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let at = Location::folder(disk.0.path());
    let store = Store::open(&at).await.unwrap();
    create(&store, &web2("before"), "v").await;
    let ballast = disk.0.path().join("ballast");
    let mut kept = Vec::new();
    let filled = std::fs::write(&ballast, vec![0; 4 << 20]);
    assert!(filled.is_err(), "the disk must be full");
    let error = loop {
        let id = web2(&format!("n{}", kept.len()));
        match try_create(&store, &id, &"x".repeat(4000)).await {
            Ok(_) => kept.push(id),
            Err(error) => break error,
        }
    };
    assert!(error.is_unavailable() && error.to_string().contains("full"), "{error}");
    assert_eq!(text(&store, &web2("before")).await, "v");
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(create(&store, &web2("after"), "v").await, Created::Kept);
    for id in &kept {
        assert!(store.has_secret(id).await.unwrap());
    }
    crate::admin::verify_audit(at, 1, None).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn more_writes_than_may_wait_are_refused_and_none_is_dropped() {
    let rig = Rig::sqlite();
    let store = Arc::new(rig.open().await);
    // Whoever holds the file's lock stops the writer; what is asked meanwhile waits in the queue.
    let mut holder = db(&store).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let asking = (0..6000).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.audit(Entry::new(Event::Refused).number("n", number)).await })
    });
    let asking: Vec<_> = asking.collect();
    tokio::task::yield_now().await;
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    let (mut kept, mut busy) = (0, 0);
    for asked in asking {
        match asked.await.unwrap() {
            Ok(()) => kept += 1,
            Err(StoreError::Busy) => busy += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(busy > 0 && kept >= 4096, "{kept} kept, {busy} refused");
    assert_eq!(crate::admin::verify_audit(rig.at.clone(), 1, None).await.unwrap().seq, kept);
}
