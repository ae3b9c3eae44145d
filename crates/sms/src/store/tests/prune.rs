//! The audit log exported and pruned: what leaves the database is in a file, and everything that was changed shows.

use std::path::PathBuf;

use super::*;
use crate::admin::{self, AuditHead};

/// When the oldest of the entries were written.
const OLD: i64 = 1_000_000;

/// A store with ten old entries and five of today; and an empty place for a file.
async fn logged(rig: &Rig) -> (Store, PathBuf) {
    let store = rig.open().await;
    let mut connection = db(&store).await;
    let old: Vec<Entry> = (0..10).map(|number| Entry::new(Event::Refused).number("n", number)).collect();
    let mut transaction = writer::begin(store.engine.kind, &mut connection).await.unwrap();
    super::super::audit::append(store.engine.kind, &mut transaction, &old, OLD).await.unwrap();
    transaction.commit().await.unwrap();
    for number in 0..5 {
        store.audit(Entry::new(Event::Refused).number("today", number)).await.unwrap();
    }
    (store, rig.folder.path().join("audit.jsonl"))
}

async fn tamper(store: &Store, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut db(store).await).await.unwrap();
}

async fn verify(rig: &Rig, known: Option<AuditHead>) -> Result<AuditHead, String> {
    admin::verify_audit(rig.at.clone(), 1, known).await.map_err(|error| format!("{error:#}"))
}

async fn prune(rig: &Rig, before: u64, out: PathBuf) -> Result<admin::AuditPart, String> {
    admin::prune_audit(rig.at.clone(), before, out).await.map_err(|error| format!("{error:#}"))
}

async fn rows(store: &Store) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut db(store).await).await.unwrap()
}

const TODAY: u64 = OLD as u64 + 1;

on_both! {
    async fn what_is_pruned_is_in_a_file_and_the_log_verifies_from_there(rig: Rig) {
        let (store, out) = logged(&rig).await;
        let before = verify(&rig, None).await.unwrap();
        let part = prune(&rig, TODAY, out.clone()).await.unwrap();
        assert_eq!((part.after.seq, part.head.seq, part.entries()), (0, 10, 10));
        assert_eq!(admin::verify_export(&out).unwrap(), part);
        assert_eq!(rows(&store).await, 5 + 1, "today's, and the one about the pruning");
        assert_eq!(verify(&rig, Some(before)).await.unwrap().seq, 16);
        assert_eq!(verify(&rig, Some(part.head)).await.unwrap().seq, 16, "the anchor is as good as a head");
        // Nothing older is left; services go on; the next part begins where this one ended.
        assert!(prune(&rig, TODAY, out.with_extension("none")).await.unwrap_err().contains("no such entry"));
        assert!(!out.with_extension("none").exists());
        create(&store, &web2("a"), "v").await;
        let all = prune(&rig, u64::MAX, out.with_extension("all")).await.unwrap();
        assert_eq!((all.after, all.head.seq), (part.head, 17));
        assert_eq!((rows(&store).await, verify(&rig, None).await.unwrap().seq), (1, 18));
        let known = verify(&rig, Some(before)).await.unwrap_err();
        assert!(known.contains("audit entry 15 of the known head was pruned: the log begins with entry 18"), "{known}");
    }

    async fn an_export_deletes_nothing_and_overwrites_nothing(rig: Rig) {
        let (store, out) = logged(&rig).await;
        let part = admin::export_audit(rig.at.clone(), out.clone(), 4, Some(TODAY)).await.unwrap();
        assert_eq!((part.after.seq, part.head.seq), (3, 10));
        assert_eq!(admin::verify_export(&out).unwrap(), part);
        assert_eq!(rows(&store).await, 15);
        let kept = std::fs::read(&out).unwrap();
        for error in [
            prune(&rig, TODAY, out.clone()).await.unwrap_err(),
            format!("{:#}", admin::export_audit(rig.at.clone(), out.clone(), 1, None).await.unwrap_err()),
        ] {
            assert!(error.contains("exists already\nhint:"), "{error}");
        }
        assert_eq!((std::fs::read(&out).unwrap(), rows(&store).await), (kept, 15));
    }

    async fn everything_that_is_changed_in_a_pruned_log_shows(rig: Rig) {
        let (store, out) = logged(&rig).await;
        prune(&rig, TODAY, out).await.unwrap();
        let restore = "UPDATE audit_anchor SET seq = 10, hash = (SELECT hash FROM kept)";
        tamper(&store, "CREATE TABLE kept AS SELECT hash FROM audit_anchor").await;
        for (change, words, undo) in [
            ("UPDATE audit_anchor SET seq = 11, hash = (SELECT hash FROM audit WHERE seq = 11)", "begins after entry 11, and no entry says", restore),
            ("UPDATE audit_anchor SET hash = (SELECT hash FROM audit WHERE seq = 11)", "audit entry 11 does not fit", restore),
            ("UPDATE audit_anchor SET seq = 0", "audit entry 1 is missing: the next one is 11", restore),
            ("UPDATE audit SET entry = replace(entry, 'refused', 'revised') WHERE seq = 11", "audit entry 11 does not fit",
             "UPDATE audit SET entry = replace(entry, 'revised', 'refused') WHERE seq = 11"),
            ("UPDATE audit SET entry = replace(entry, '10:', '11:') WHERE seq = 16", "audit entry 16 does not fit",
             "UPDATE audit SET entry = replace(entry, '11:', '10:') WHERE seq = 16"),
            ("UPDATE audit SET seq = 99 WHERE seq = 13", "audit entry 13 is missing", "UPDATE audit SET seq = 13 WHERE seq = 99"),
        ] {
            verify(&rig, None).await.unwrap();
            tamper(&store, change).await;
            let error = verify(&rig, None).await.unwrap_err();
            assert!(error.contains(words), "{change}: {error}");
            tamper(&store, undo).await;
        }
    }

    async fn a_log_that_does_not_verify_is_not_pruned(rig: Rig) {
        let (store, out) = logged(&rig).await;
        tamper(&store, "UPDATE audit SET entry = replace(entry, '\"n\":3', '\"n\":4') WHERE seq = 4").await;
        let error = prune(&rig, TODAY, out.clone()).await.unwrap_err();
        assert!(error.contains("audit entry 4 does not fit"), "{error}");
        assert_eq!((out.exists(), rows(&store).await), (false, 15));
    }

    async fn a_pruned_log_survives_backup_and_restore_and_an_interrupted_pruning(rig: Rig) {
        let (store, out) = logged(&rig).await;
        // A pruning that ended after its anchor was moved: the rows are there, and nobody reads them.
        tamper(&store, "CREATE TABLE gone AS SELECT * FROM audit WHERE seq <= 10").await;
        prune(&rig, TODAY, out.clone()).await.unwrap();
        tamper(&store, "INSERT INTO audit SELECT * FROM gone").await;
        tamper(&store, "UPDATE audit SET entry = 'changed' WHERE seq = 2").await;
        verify(&rig, None).await.unwrap();
        let passphrase = rig.folder.path().join("passphrase");
        crate::private_file::create(&passphrase, b"battery staple\n").unwrap();
        let file = rig.folder.path().join("backup.age");
        let to = admin::BackupTo::Passphrase(passphrase.clone());
        assert_eq!(admin::backup(rig.at.clone(), file.clone(), to).await.unwrap().audit, 6);
        let other = rig.fresh();
        admin::restore(other.at.clone(), file, admin::BackupKey::Passphrase(passphrase)).await.unwrap();
        assert_eq!(verify(&other, None).await.unwrap().seq, 17);
        store.audit(Entry::new(Event::Refused)).await.unwrap();
        prune(&rig, u64::MAX, out.with_extension("next")).await.unwrap();
        assert_eq!(rows(&store).await, 1);
    }

    async fn a_log_of_schema_2_begins_at_its_beginning_and_can_be_pruned(rig: Rig) {
        let (store, out) = logged(&rig).await;
        let version = store.engine.kind.pick("PRAGMA user_version = 2", "UPDATE schema_version SET version = 2");
        tamper(&store, "DROP TABLE audit_anchor").await;
        tamper(&store, version).await;
        store.close().await;
        let error = verify(&rig, None).await.unwrap_err();
        assert!(error.contains("it has schema 2, this program knows 3\nhint: a newer SMS migrates"), "{error}");
        rig.open().await.close().await;
        assert_eq!(verify(&rig, None).await.unwrap().seq, 15);
        assert_eq!(prune(&rig, TODAY, out).await.unwrap().entries(), 10);
        assert_eq!(verify(&rig, None).await.unwrap().seq, 16);
    }

    async fn services_write_on_while_the_log_is_pruned(rig: Rig) {
        let store = Arc::new(rig.open().await);
        let entry = |number| Entry::new(Event::Refused).number("n", number);
        for _ in 0..20 {
            store.audit(entry(0)).await.unwrap();
        }
        let writing = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                for number in 0..200 {
                    store.audit(entry(number)).await.unwrap();
                }
            }
        });
        let mut parts = Vec::new();
        for number in 0..4 {
            parts.push(prune(&rig, u64::MAX, rig.folder.path().join(format!("{number}"))).await.unwrap());
        }
        writing.await.unwrap();
        assert!(parts.windows(2).all(|two| two[0].head == two[1].after), "{parts:?}");
        assert_eq!(verify(&rig, None).await.unwrap().seq, 20 + 200 + 4);
    }
}

#[tokio::test]
async fn everything_that_is_changed_in_an_export_shows() {
    let rig = Rig::sqlite();
    let (_store, out) = logged(&rig).await;
    admin::export_audit(rig.at.clone(), out.clone(), 1, None).await.unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let spoiled = rig.folder.path().join("spoiled");
    let check = |text: &str| {
        std::fs::write(&spoiled, text).unwrap();
        admin::verify_export(&spoiled)
    };
    check(&text).unwrap();
    for number in 0..lines.len() {
        let without: Vec<&str> = [&lines[..number], &lines[number + 1..]].concat();
        assert!(check(&joined(&without)).is_err(), "without line {number}");
        assert!(check(&joined(&lines[..number])).is_err(), "cut before line {number}");
        let changed = text.replacen(lines[number], &lines[number].replace('e', "f"), 1);
        assert!(check(&changed).is_err(), "line {number} changed");
    }
    assert!(check(&format!("{text}{}\n", lines[1])).is_err(), "something follows");
    assert!(check(&format!("{}{text}", "x".repeat(100_000))).is_err());
}
