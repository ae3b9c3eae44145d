//! The owners' quotas, and that nobody gets past them by writing at once.

use super::*;

on_both! {
    async fn an_owner_has_a_quota_and_leaves_no_endless_trail(rig: Rig) {
        let store = rig.open().await.with_quota(2);
        for (name, kept) in [("a", Created::Kept), ("b", Created::Kept), ("c", Created::Full)] {
            assert_eq!(create(&store, &web2(name), "v").await, kept, "{name}");
        }
        assert_eq!(put(&store, &requester("c"), "v", fence(1, 0)).await, Put::Full);
        assert_eq!(update(&store, &web2("a"), "w").await, Updated::Kept);
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 2);
        store.delete_secret(&web2("a"), fence(2, 2)).await.unwrap();
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 1);
        for round in 0..18 {
            let id = web2(&format!("n{round}"));
            assert_eq!(create(&store, &id, "v").await, Created::Kept, "{round}");
            store.delete_secret(&id, fence(10 + round, 1)).await.unwrap();
        }
        assert_eq!(create(&store, &web2("one more"), "v").await, Created::Full);
        assert_eq!(create(&store, &web2("a"), "x").await, Created::Kept);
    }
}

/// A store's quota, and what two of them may be asked at once.
const QUOTA: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn many_who_write_on_two_replicas_at_once_keep_no_more_than_the_quota() {
    let Some(rig) = Rig::postgres() else { return };
    let (one, other) = tokio::join!(Store::open(&rig.at), Store::open(&rig.at));
    let stores = [Arc::new(one.unwrap().with_quota(QUOTA)), Arc::new(other.unwrap().with_quota(QUOTA))];
    for round in 0..6u8 {
        // Two of them write where a secret was deleted: that needs no row, and counts as much.
        let deleted = requester(&format!("deleted{round}"));
        let fence = |nonce, version| Fence { nonce: B256::with_last_byte(nonce), ..fence(round, version) };
        create(&stores[0], &deleted, &format!("{round}")).await;
        stores[0].delete_secret(&deleted, fence(round, 1)).await.unwrap();
        let asking = (0..40usize).map(|number| {
            let (store, deleted) = (Arc::clone(&stores[number % 2]), deleted.clone());
            let id = if number < 2 { deleted } else { web2(&format!("r{round}-{number}")) };
            tokio::spawn(async move { try_create(&store, &id, &format!("v{number}")).await })
        });
        let mut outcomes = Vec::new();
        for asked in asking.collect::<Vec<_>>() {
            outcomes.push(asked.await.unwrap().unwrap());
        }
        let kept = outcomes.iter().filter(|outcome| **outcome == Created::Kept).count();
        assert_eq!(kept as u64, QUOTA, "round {round}: {outcomes:?}");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Created::Kept | Created::Full | Created::Exists)));
        assert_eq!(stores[1].count_secrets(owner().address()).await.unwrap(), QUOTA);
        let all = stores[0].list_secrets(owner().address(), None, 100).await.unwrap();
        for (number, one) in all.iter().filter(|one| !one.deleted).enumerate() {
            let id = if one.kind == "web2" { web2(&one.name) } else { requester(&one.name) };
            let nonce = 100 + 10 * round + u8::try_from(number).unwrap();
            stores[0].delete_secret(&id, fence(nonce, one.version)).await.unwrap();
        }
    }
    crate::admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_far_at_first_is_exact_when_it_is_reached() {
    let Some(rig) = Rig::postgres() else { return };
    let (one, other) = tokio::join!(Store::open(&rig.at), Store::open(&rig.at));
    let stores = [Arc::new(one.unwrap().with_quota(300)), Arc::new(other.unwrap().with_quota(300))];
    let asking = (0..600usize).map(|number| {
        let store = Arc::clone(&stores[number % 2]);
        tokio::spawn(async move { try_create(&store, &web2(&format!("{number}")), "v").await })
    });
    let mut kept = 0;
    for asked in asking.collect::<Vec<_>>() {
        kept += usize::from(asked.await.unwrap().unwrap() == Created::Kept);
    }
    assert_eq!((kept, stores[0].count_secrets(owner().address()).await.unwrap()), (300, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_who_write_at_once_do_not_stop_each_other() {
    let Some(rig) = Rig::postgres() else { return };
    let (one, other) = tokio::join!(Store::open(&rig.at), Store::open(&rig.at));
    let stores = [Arc::new(one.unwrap().with_quota(QUOTA)), Arc::new(other.unwrap().with_quota(QUOTA))];
    let asking = (0..400u16).map(|number| {
        let store = Arc::clone(&stores[usize::from(number % 2)]);
        tokio::spawn(async move {
            let key = SigningKey::from_bytes(&[1 + u8::try_from(number % 80).unwrap(); 32]).unwrap();
            let (id, value) =
                (SecretId::Web2 { owner: key.address(), name: format!("{number}") }, SecretText::new("v"));
            let signature = key.sign_personal(id.challenge(value.expose())).unwrap();
            let approved = Signed::challenge(&id, &value, &signature).unwrap().approve(key.address()).unwrap();
            store.create_secret(approved).await
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap().unwrap(), Created::Kept);
    }
}
