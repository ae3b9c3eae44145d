//! The audit log, and what it shows of tampering.

use super::*;
use crate::admin::{self, AuditHead};

/// A store with ten entries.
async fn logged(rig: &Rig) -> (Store, AuditHead) {
    let store = rig.open().await;
    for number in 0..10 {
        store.audit(Entry::new(Event::Refused).with("cause", "for the test").number("number", number)).await.unwrap();
    }
    let head = admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
    assert_eq!((head.seq, head), (10, admin::audit_head(rig.at.clone()).await.unwrap()));
    (store, head)
}

async fn tamper(store: &Store, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut db(store).await).await.unwrap();
}

async fn refused(rig: &Rig, known: Option<AuditHead>) -> String {
    format!("{:#}", admin::verify_audit(rig.at.clone(), 1, known).await.unwrap_err())
}

on_both! {
    async fn every_change_and_its_refusal_is_told_with_no_value(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("a"), "planted-value").await;
        create(&store, &web2("a"), "planted-value").await;
        store.delete_secret(&web2("a"), fence(1, 1)).await.unwrap();
        let pending = super::replicas::pending("s");
        store.add_session(&pending).await.unwrap();
        let entry = Entry::new(Event::SessionReleased).task(task(1)).by(owner().address()).secret(&web2("a"));
        assert!(store.release_session_as("s", entry.clone()).await.unwrap());
        assert!(!store.release_session_as("s", entry).await.unwrap());
        let shown = Arc::new(std::sync::Mutex::new(Vec::new()));
        let lines = Arc::clone(&shown);
        let show = move |line: &str| {
            lines.lock().unwrap().push(line.to_owned());
            Ok(())
        };
        admin::show_audit(rig.at.clone(), 1, show).await.unwrap();
        let lines = shown.lock().unwrap();
        let events: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| format!("{} {}", line["event"].as_str().unwrap(), line["seq"]))
            .collect();
        assert_eq!(events, ["secret.written 1", "refused 2", "secret.deleted 3", "session.released 4"]);
        assert!(lines[1].contains(r#""cause":"exists""#), "{}", lines[1]);
        assert!(lines[3].contains(r#""session":"s""#), "{}", lines[3]);
        assert!(lines.iter().all(|line| !line.contains("planted")));
    }

    async fn a_changed_entry_shows(rig: Rig) {
        let (store, _) = logged(&rig).await;
        tamper(&store, "UPDATE audit SET entry = replace(entry, 'for the test', 'another') WHERE seq = 4").await;
        assert!(refused(&rig, None).await.contains("audit entry 4 does not fit the one before it"));
        // Who believes the hash of entry 4 asks from 5 on.
        admin::verify_audit(rig.at.clone(), 5, None).await.unwrap();
    }

    async fn a_removed_entry_shows(rig: Rig) {
        let (store, _) = logged(&rig).await;
        tamper(&store, "DELETE FROM audit WHERE seq = 4").await;
        assert!(refused(&rig, None).await.contains("audit entry 4 is missing: the next one is 5"));
    }

    async fn entries_that_changed_places_show(rig: Rig) {
        let (store, _) = logged(&rig).await;
        tamper(&store, "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5;
                        UPDATE audit SET seq = 5 WHERE seq = 99;").await;
        assert!(refused(&rig, None).await.contains("audit entry 4 says that it is 5"));
    }

    async fn an_end_that_was_cut_off_shows_against_a_known_head_alone(rig: Rig) {
        let (store, head) = logged(&rig).await;
        tamper(&store, "DELETE FROM audit WHERE seq > 8").await;
        assert!(refused(&rig, None).await.contains("ends with entry 8, its head is of entry 10"));
        tamper(&store, "UPDATE audit_head SET seq = 8, hash = (SELECT hash FROM audit WHERE seq = 8)").await;
        admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
        assert!(refused(&rig, Some(head)).await.contains("ends with entry 8, but it had 10"));
        for _ in 0..5 {
            store.audit(Entry::new(Event::Refused)).await.unwrap();
        }
        admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
        assert!(refused(&rig, Some(head)).await.contains("audit entry 10 has another hash than it had"));
        let text = head.to_string();
        assert_eq!(text.parse(), Ok(head));
        assert!("10:00".parse::<AuditHead>().is_err());
    }

    async fn a_long_word_is_cut_and_a_batch_of_entries_is_one_chain(rig: Rig) {
        let store = Arc::new(rig.open().await);
        let logging = (0..300).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.audit(Entry::new(Event::Refused).with("n", "é".repeat(number * 3))).await })
        });
        for logged in logging.collect::<Vec<_>>() {
            logged.await.unwrap().unwrap();
        }
        assert_eq!(admin::verify_audit(rig.at.clone(), 1, None).await.unwrap().seq, 300);
        let longest: i64 = sqlx::query_scalar("SELECT CAST(max(length(entry)) AS BIGINT) FROM audit").fetch_one(&mut db(&store).await).await.unwrap();
        assert!(longest < 400, "{longest}");
    }
}
