//! Refusals in the log: all of them, in a bounded number of entries.

use std::net::IpAddr;

use super::*;
use crate::admin;

async fn refuse(store: &Store, client: u8, cause: &'static str) {
    let network = IpAddr::from([192, 0, 2, client]);
    let refused = Refused { source: Source::Client(Some(network)), request: "set", cause };
    store.refused(refused, Entry::new(Event::Refused).secret(&web2("a"))).await.unwrap();
}

/// Cause and count of each refusal in the log; 0 for one that is told word by word.
async fn told(rig: &Rig) -> Vec<(String, u64)> {
    let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let show = move |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let cause = line["cause"].as_str().unwrap_or_default().to_owned();
        told.lock().unwrap().push((cause, line["count"].as_u64().unwrap_or_default()));
        Ok(())
    };
    admin::show_audit(rig.at.clone(), 1, show).await.unwrap();
    Arc::into_inner(lines).unwrap().into_inner().unwrap()
}

on_both! {
    async fn a_flood_is_told_as_counts_and_hides_nobody_else(rig: Rig) {
        let store = rig.open().await;
        for _ in 0..300 {
            refuse(&store, 1, "unsigned").await;
        }
        refuse(&store, 1, "signer").await;
        refuse(&store, 2, "signer").await;
        let word_by_word = told(&rig).await;
        assert_eq!(word_by_word.len(), 50 + 1, "fifty of the flood, and the other client's");
        assert_eq!(word_by_word.last().unwrap(), &("signer".to_owned(), 0));
        assert_eq!(store.tell_refusals().await.unwrap(), 251);
        assert_eq!(store.tell_refusals().await.unwrap(), 0);
        let all = told(&rig).await;
        assert_eq!(all[51..], [("signer".to_owned(), 1), ("unsigned".to_owned(), 250)]);
        admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
    }

    async fn replays_of_an_owners_request_are_bounded_too(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("a"), "v").await;
        for _ in 0..120 {
            assert_eq!(create(&store, &web2("a"), "v").await, Created::Exists);
        }
        store.close().await;
        let all = told(&rig).await;
        assert_eq!(all.len(), 1 + 50 + 1);
        assert_eq!(all.last().unwrap(), &("exists".to_owned(), 70));
    }
}

#[tokio::test]
async fn counts_that_cannot_be_told_stay() {
    let rig = Rig::sqlite();
    let store = rig.open().await;
    for _ in 0..60 {
        refuse(&store, 1, "unsigned").await;
    }
    store.writer.close().await;
    assert!(store.tell_refusals().await.unwrap_err().is_unavailable());
    store.engine.close().await;
    drop(told(&rig).await);
    assert!(store.tell_refusals().await.is_err(), "they are counted still");
}
