//! The group commit.

use super::*;

on_both! {
    async fn writes_share_commits_and_one_that_fails_takes_no_other_with_it(rig: Rig) {
        let store = Arc::new(rig.open().await);
        create(&store, &web2("broken"), "v").await;
        let spoil = "UPDATE secret SET sealed = key_blob.sealed FROM (SELECT sealed FROM challenge) AS key_blob";
        store.challenge_or(task(1), &owner(), 10).await.unwrap();
        sqlx::query(spoil).execute(&mut db(&store).await).await.unwrap();
        let writing = (0..200).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                if number == 100 {
                    let (id, value) = (web2("broken"), SecretText::new("w"));
                    let approved = approved(&id, &value);
                    return store.update_secret(approved).await.map(|_| Created::Exists);
                }
                try_create(&store, &web2(&format!("n{number}")), "v").await
            })
        });
        for (number, written) in writing.collect::<Vec<_>>().into_iter().enumerate() {
            match written.await.unwrap() {
                Ok(kept) => assert_eq!(kept, Created::Kept, "{number}"),
                Err(error) => assert!(number == 100 && matches!(error, StoreError::Vault { .. }), "{number}: {error}"),
            }
        }
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 200);
    }
}
