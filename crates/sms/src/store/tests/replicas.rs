//! Two services on one PostgreSQL database: what one does, the other sees, and nothing happens twice.

use iexec_protocol::{
    authorization::{TaskRef, WorkerpoolAuthorization},
    evidence::Nonce,
};

use super::*;
use crate::admin;

pub(super) fn pending(id: &str) -> Pending {
    let key = owner();
    let task = TaskRef { id: B256::ZERO.into(), deal: B256::ZERO.into(), index: 0 };
    let authorization = WorkerpoolAuthorization::sign(&task, key.address(), Address::ZERO, &key).unwrap();
    let worker_signature = key.sign_personal(authorization.hash()).unwrap();
    Pending { id: id.into(), nonce: Nonce(B256::ZERO), authorization, worker_signature, expires: 100 }
}

/// Two stores on one database with one key.
async fn two() -> Option<(Rig, [Arc<Store>; 2])> {
    let rig = Rig::postgres()?;
    let (one, other) = tokio::join!(Store::open(&rig.at), Store::open(&rig.at));
    Some((rig, [Arc::new(one.unwrap()), Arc::new(other.unwrap())]))
}

/// What many ask at once of both.
async fn ask<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    stores: &[Arc<Store>; 2],
    ask: impl Fn(Arc<Store>, u8) -> F,
) -> Vec<T> {
    let asking = (0..40u8).map(|number| tokio::spawn(ask(Arc::clone(&stores[usize::from(number % 2)]), number)));
    let mut answers = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        answers.push(asked.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_released_once_by_whichever_replica() {
    let Some((rig, stores)) = two().await else { return };
    stores[0].add_session(&pending("s")).await.unwrap();
    let answers = ask(&stores, |store, _| async move { store.release_session("s").await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|released| **released).count(), 1);
    assert!(matches!(stores[1].session("s").await.unwrap(), Some(Stored::Released)));
    assert_eq!(admin::verify_audit(rig.at, 1, None).await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_one_challenge_on_all_replicas() {
    let Some((_rig, stores)) = two().await else { return };
    let answers = ask(&stores, |store, number| async move {
        let fresh = SigningKey::from_bytes(&[number + 1; 32]).unwrap();
        store.challenge_or(task(1), &fresh, 10).await.unwrap().address()
    });
    let answers = answers.await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_counts_once_on_all_replicas() {
    let Some((_rig, stores)) = two().await else { return };
    let used = |store: Arc<Store>, _| async move { store.use_nonce(Address::ZERO, B256::ZERO, 10).await.unwrap() };
    assert_eq!(ask(&stores, used).await.iter().filter(|used| **used).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_puts_of_one_version_one_is_kept() {
    let Some((rig, stores)) = two().await else { return };
    let answers = ask(&stores, |store, number| async move {
        let value = SecretText::new(format!("v{number}"));
        let id = web2("a");
        let approved = approved(&id, &value);
        store.put_secret(approved, fence(number, 0)).await
    });
    let answers = answers.await;
    let kept = answers.iter().filter(|answer| matches!(answer, Ok(Put::Kept(1)))).count();
    assert_eq!(kept, 1, "{answers:?}");
    // Whoever came second is told so, and is not sent away to ask again.
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Put::Kept(_) | Put::Version(1)))), "{answers:?}");
    assert_eq!(stores[1].list_secrets(owner().address(), None, 9).await.unwrap()[0].version, 1);
    admin::verify_audit(rig.at, 1, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_of_two_replicas_is_one_chain() {
    let Some((rig, stores)) = two().await else { return };
    let log = |store: Arc<Store>, number| async move {
        for _ in 0..10 {
            store.audit(Entry::new(Event::Refused).number("n", u64::from(number))).await.unwrap();
        }
    };
    ask(&stores, log).await;
    assert_eq!(admin::verify_audit(rig.at, 1, None).await.unwrap().seq, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_replicas_go_on_while_the_data_key_rotates() {
    let Some((rig, stores)) = two().await else { return };
    let stores: Arc<[Arc<Store>; 2]> = Arc::new(stores);
    let working = tokio::spawn({
        let stores = Arc::clone(&stores);
        async move {
            for number in 0..80 {
                let id = web2(&format!("n{number}"));
                assert_eq!(create(&stores[number % 2], &id, "v").await, Created::Kept);
                assert_eq!(text(&stores[(number + 1) % 2], &id).await, "v");
            }
        }
    });
    for expected in 3..6 {
        assert_eq!(admin::rotate(rig.at.clone()).await.unwrap().active, expected);
    }
    working.await.unwrap();
    admin::rotate(rig.at.clone()).await.unwrap();
    for number in 0..80 {
        assert_eq!(text(&stores[number % 2], &web2(&format!("n{number}"))).await, "v");
    }
}
