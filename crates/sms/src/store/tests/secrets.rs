//! Secrets: kept, replaced, deleted, listed; and that nothing of them is read from the disk.

use super::*;

on_both! {
    async fn a_secret_survives_a_restart(rig: Rig) {
        let store = rig.open().await;
        assert_eq!(create(&store, &web2("Name"), "planted-value").await, Created::Kept);
        assert_eq!(create(&store, &web2("name"), "another").await, Created::Exists);
        store.close().await;
        let store = rig.open().await;
        assert_eq!(text(&store, &web2("NAME")).await, "planted-value");
        assert!(store.has_secret(&web2("name")).await.unwrap());
        assert!(!store.has_secret(&web2("other")).await.unwrap());
        store.check().await.unwrap();
    }

    async fn values_swapped_between_rows_do_not_open(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("a"), "of a").await;
        create(&store, &web2("b"), "of b").await;
        let swap = "UPDATE secret SET sealed = (SELECT sealed FROM secret AS s WHERE s.name = 'b') WHERE name = 'a'";
        sqlx::query(swap).execute(&mut db(&store).await).await.unwrap();
        let error = store.secret(&web2("a")).await.unwrap_err();
        assert!(matches!(error, StoreError::Vault { table: "secret", source: VaultError::Open }), "{error}");
        assert!(!error.is_unavailable());
        assert_eq!(text(&store, &web2("b")).await, "of b");
    }

    async fn the_kinds_of_secrets_do_not_mix(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("k"), "web2's").await;
        assert!(!store.has_secret(&requester("k")).await.unwrap());
        create(&store, &requester("k"), "the requester's").await;
        assert_eq!(text(&store, &web2("k")).await, "web2's");
        assert_eq!(text(&store, &requester("k")).await, "the requester's");
    }

    async fn an_update_never_brings_an_older_value_back(rig: Rig) {
        let store = rig.open().await;
        assert_eq!(update(&store, &web2("a"), "first").await, Updated::Absent);
        create(&store, &web2("a"), "first").await;
        assert_eq!(update(&store, &web2("a"), "first").await, Updated::Kept);
        assert_eq!(update(&store, &web2("a"), "second").await, Updated::Kept);
        assert_eq!(update(&store, &web2("a"), "second").await, Updated::Kept);
        assert_eq!(update(&store, &web2("a"), "first").await, Updated::Returned);
        assert_eq!(text(&store, &web2("a")).await, "second");
        create(&store, &web2("b"), "b's first").await;
        assert_eq!(update(&store, &web2("b"), "first").await, Updated::Kept);
    }

    async fn a_deleted_secret_keeps_its_version_and_what_it_was(rig: Rig) {
        let store = rig.open().await;
        let id = web2("a");
        assert_eq!(put(&store, &id, "first", fence(1, 0)).await, Put::Kept(1));
        assert_eq!(store.delete_secret(&id, fence(2, 7)).await.unwrap(), Deleted::Version(1));
        assert_eq!(store.delete_secret(&id, fence(3, 1)).await.unwrap(), Deleted::Gone(2));
        assert_eq!(store.delete_secret(&id, fence(4, 2)).await.unwrap(), Deleted::Absent);
        assert!(!store.has_secret(&id).await.unwrap());
        assert!(store.secret(&id).await.unwrap().is_none());
        assert_eq!(create(&store, &id, "first").await, Created::Returned);
        assert_eq!(create(&store, &id, "second").await, Created::Kept);
        assert_eq!(put(&store, &id, "first", fence(5, 3)).await, Put::Kept(4));
        let listed = store.list_secrets(owner().address(), None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|one| (one.name.as_str(), one.version, one.deleted)).collect::<Vec<_>>(), [("a", 4, false)]);
    }

    async fn a_put_counts_once_and_for_the_version_that_its_signer_saw(rig: Rig) {
        let store = rig.open().await;
        let id = requester("a");
        assert_eq!(put(&store, &id, "v", fence(1, 1)).await, Put::Version(0));
        // Whatever became of it, the nonce is used up.
        assert_eq!(put(&store, &id, "v", fence(1, 0)).await, Put::NonceUsed);
        assert_eq!(put(&store, &id, "v", fence(2, 0)).await, Put::Kept(1));
        assert_eq!(put(&store, &id, "w", fence(2, 1)).await, Put::NonceUsed);
        assert_eq!(put(&store, &id, "w", fence(3, 0)).await, Put::Version(1));
        assert_eq!(text(&store, &id).await, "v");
        assert_eq!(store.delete_secret(&id, fence(2, 1)).await.unwrap(), Deleted::NonceUsed);
        assert!(store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
        assert!(!store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
        assert!(store.use_nonce(Address::ZERO, B256::repeat_byte(9), 100).await.unwrap());
        // After the deadline the request is refused for its deadline, so the nonce may be forgotten.
        store.purge(101).await.unwrap();
        assert!(store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
    }

    async fn a_list_is_of_one_owner_in_order_and_in_pages(rig: Rig) {
        let store = rig.open().await;
        for name in ["b", "a", "c"] {
            create(&store, &web2(name), "v").await;
            create(&store, &requester(name), "w").await;
        }
        create(&store, &SecretId::Web3 { asset: Address::repeat_byte(1) }, "v").await;
        let page = async |after| store.list_secrets(owner().address(), after, 4).await.unwrap();
        let names = |page: &[Listed]| page.iter().map(|one| format!("{} {}", one.kind, one.name)).collect::<Vec<_>>();
        let first = page(None).await;
        assert_eq!(names(&first), ["requester a", "requester b", "requester c", "web2 a"]);
        assert_eq!(names(&page(Some(("web2", "a"))).await), ["web2 b", "web2 c"]);
        assert!(first[0].created > 0 && first[0].created == first[0].updated);
    }
}

#[tokio::test]
async fn the_text_of_a_secret_is_nowhere_on_disk() {
    let rig = Rig::sqlite();
    let store = rig.open().await;
    create(&store, &web2("name"), "planted-value").await;
    for _ in 0..2 {
        for file in std::fs::read_dir(rig.folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(13).any(|window| window == b"planted-value"));
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut db(&store).await).await.unwrap();
    }
}
