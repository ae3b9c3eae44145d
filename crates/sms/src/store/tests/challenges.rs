//! Challenge keys.

use super::*;

on_both! {
    async fn many_who_ask_at_once_get_one_challenge(rig: Rig) {
        let store = Arc::new(rig.open().await);
        let asking = (1..=16u8).map(|byte| {
            let store = Arc::clone(&store);
            let fresh = SigningKey::from_bytes(&[byte; 32]).unwrap();
            tokio::spawn(async move { store.challenge_or(task(1), &fresh, 10).await.unwrap().address() })
        });
        let mut answers = Vec::<Address>::new();
        for asked in asking.collect::<Vec<_>>() {
            answers.push(asked.await.unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(store.challenge(task(1)).await.unwrap().unwrap().address(), answers[0]);
    }

    async fn a_challenge_moved_to_another_task_does_not_open_and_ended_ones_are_purged(rig: Rig) {
        let store = rig.open().await;
        let (ended, living) = (task(1), task(2));
        for (task, deadline) in [(ended, 10), (living, u64::MAX)] {
            store.challenge_or(task, &owner(), deadline).await.unwrap();
        }
        assert_eq!(store.purge(11).await.unwrap(), 1);
        assert!(store.challenge(ended).await.unwrap().is_none());
        assert!(store.challenge(living).await.unwrap().is_some());
        let moved = sqlx::query("UPDATE challenge SET task = $1").bind(ended.as_bytes().as_slice());
        moved.execute(&mut db(&store).await).await.unwrap();
        assert!(matches!(store.challenge(ended).await, Err(StoreError::Vault { table: "challenge", .. })));
    }
}
