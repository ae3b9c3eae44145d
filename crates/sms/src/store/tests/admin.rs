//! Keys, backup and restore beside a running store.

use super::*;
use crate::admin::{self, BackupKey, BackupTo};

/// A store with some of everything.
async fn filled(rig: &Rig) -> Store {
    let store = rig.open().await;
    for number in 0..30 {
        create(&store, &web2(&format!("n{number}")), &format!("value {number}")).await;
    }
    update(&store, &web2("n1"), "changed").await;
    store.delete_secret(&web2("n2"), fence(1, 1)).await.unwrap();
    store.challenge_or(task(1), &owner(), 1000).await.unwrap();
    store
}

async fn check(store: &Store) {
    for number in 3..30 {
        assert_eq!(text(store, &web2(&format!("n{number}"))).await, format!("value {number}"));
    }
    assert_eq!(text(store, &web2("n1")).await, "changed");
    assert_eq!(update(store, &web2("n1"), "value 1").await, Updated::Returned);
    assert!(store.secret(&web2("n2")).await.unwrap().is_none());
    assert_eq!(create(store, &web2("n2"), "value 2").await, Created::Returned);
    assert!(!store.use_nonce(owner().address(), B256::repeat_byte(1), 100).await.unwrap());
    assert_eq!(store.challenge(task(1)).await.unwrap().unwrap().expose(), &owner().expose());
}

fn private(rig: &Rig, name: &str, text: &str) -> std::path::PathBuf {
    let path = rig.folder.path().join(name);
    crate::private_file::create(&path, text.as_bytes()).unwrap();
    path
}

on_both! {
    async fn a_data_folder_that_is_not_there_is_made_for_the_first_key(rig: Rig) {
        let data = rig.folder.path().join("not/there");
        let at = Location { data: data.clone(), ..rig.at.clone() };
        let store = Store::open(&at).await.unwrap();
        create(&store, &web2("a"), "v").await;
        store.close().await;
        assert!(data.join(MASTER_KEY).exists());
        let store = Store::open(&at).await.unwrap();
        assert_eq!(text(&store, &web2("a")).await, "v");
        store.close().await;
    }

    async fn data_keys_rotate_while_the_store_is_read_and_written(rig: Rig) {
        let store = Arc::new(filled(&rig).await);
        let writing = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                for number in 0..60 {
                    create(&store, &web2(&format!("during{number}")), "v").await;
                    assert_eq!(text(&store, &web2("n1")).await, "changed");
                }
            }
        });
        let rotated = admin::rotate(rig.at.clone()).await.unwrap();
        writing.await.unwrap();
        assert_eq!((rotated.active, rotated.destroyed.as_slice()), (3, [1].as_slice()));
        check(&store).await;
        let lines = admin::keys(rig.at.clone()).await.unwrap();
        let lines: Vec<_> = lines.iter().map(|line| (line.id, line.purpose.as_str(), line.state.as_str(), line.values)).collect();
        assert_eq!(lines, [(2, "marks", "ACTIVE", 0), (3, "values", "ACTIVE", 30 - 1 + 60 + 1)]);
        let rotated = admin::rotate(rig.at.clone()).await.unwrap();
        assert_eq!((rotated.active, rotated.destroyed.as_slice(), rotated.values), (4, [3].as_slice(), 90));
        check(&store).await;
        admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
    }

    async fn a_kek_is_replaced_while_services_run_and_the_old_one_then_opens_nothing(rig: Rig) {
        let store = filled(&rig).await;
        let old = admin::keys(rig.at.clone()).await.unwrap()[0].wrapped_under[0].clone();
        let source = KekSource::Passphrase(private(&rig, "passphrase", "correct horse\n"));
        let new = admin::add_kek(rig.at.clone(), source.clone()).await.unwrap();
        let error = format!("{:#}", admin::rotate(rig.at.clone()).await.unwrap_err());
        assert!(error.contains("wrapped under 2 key-encryption keys") && error.contains("hint:"), "{error}");
        let error = format!("{:#}", admin::drop_kek(rig.at.clone(), old.clone()).await.unwrap_err());
        assert!(error.contains("is the key that this command was given"), "{error}");
        store.close().await;
        rig.open().await.close().await;
        let at = Location { kek: source, ..rig.at.clone() };
        admin::drop_kek(at.clone(), old.clone()).await.unwrap();
        let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
        assert!(error.contains(&old) && error.contains(&new), "{error}");
        let store = Store::open(&at).await.unwrap();
        admin::rotate(at.clone()).await.unwrap();
        check(&store).await;
        assert!(admin::keys(at).await.unwrap().iter().all(|line| line.wrapped_under == [new.clone()]));
    }

    async fn a_backup_of_a_running_store_restores_whole_on_either_database(rig: Rig) {
        let store = filled(&rig).await;
        let passphrase = private(&rig, "backup-passphrase", "battery staple\n");
        let out = rig.folder.path().join("backup.age");
        let counts = admin::backup(rig.at.clone(), out.clone(), BackupTo::Passphrase(passphrase.clone())).await.unwrap();
        assert_eq!((counts.secrets, counts.marks, counts.challenges, counts.data_keys), (30, 31, 1, 2));
        let bytes = std::fs::read(&out).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"));
        let again = admin::backup(rig.at.clone(), out.clone(), BackupTo::Passphrase(passphrase.clone())).await;
        assert!(again.unwrap_err().to_string().contains("exists already"));
        let mut places = vec![Rig::sqlite(), rig.fresh()];
        places.extend(Rig::postgres());
        for other in places {
            let key = BackupKey::Passphrase(passphrase.clone());
            let restored = admin::restore(other.at.clone(), out.clone(), key.clone()).await.unwrap();
            assert_eq!(restored, counts);
            admin::verify_audit(other.at.clone(), 1, None).await.unwrap();
            let error = format!("{:#}", admin::restore(other.at.clone(), out.clone(), key).await.unwrap_err());
            assert!(error.contains("is in use\nhint: restore into a new one"), "{error}");
            check(&other.open().await).await;
        }
        check(&store).await;
    }

    async fn a_backup_to_a_recipient_opens_with_its_identity_alone(rig: Rig) {
        use age::secrecy::ExposeSecret as _;
        let _store = filled(&rig).await;
        let (ours, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let out = rig.folder.path().join("backup.age");
        let to = BackupTo::Recipients(vec![ours.to_public().to_string()]);
        admin::backup(rig.at.clone(), out.clone(), to).await.unwrap();
        let fresh = rig.fresh();
        for (key, words) in [
            (BackupKey::Identities(private(&rig, "other", other.to_string().expose_secret())), "the key does not open it"),
            (BackupKey::Passphrase(private(&rig, "pass", "x")), "it is encrypted to age recipients"),
        ] {
            let error = format!("{:#}", admin::restore(fresh.at.clone(), out.clone(), key).await.unwrap_err());
            assert!(error.contains(words), "{error}");
        }
        let key = BackupKey::Identities(private(&rig, "ours", ours.to_string().expose_secret()));
        admin::restore(fresh.at.clone(), out, key).await.unwrap();
        check(&fresh.open().await).await;
    }

    async fn a_backup_that_was_changed_or_cut_restores_nothing(rig: Rig) {
        use age::secrecy::ExposeSecret as _;
        let _store = filled(&rig).await;
        let identity = age::x25519::Identity::generate();
        let out = rig.folder.path().join("backup.age");
        let to = BackupTo::Recipients(vec![identity.to_public().to_string()]);
        admin::backup(rig.at.clone(), out.clone(), to).await.unwrap();
        let key = BackupKey::Identities(private(&rig, "identity", identity.to_string().expose_secret()));
        let bytes = std::fs::read(&out).unwrap();
        let fresh = rig.fresh();
        let step = bytes.len() / 25;
        for place in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            for spoiled in [changed.as_slice(), &bytes[..place]] {
                let file = rig.folder.path().join("spoiled");
                std::fs::write(&file, spoiled).unwrap();
                admin::restore(fresh.at.clone(), file, key.clone()).await.unwrap_err();
            }
        }
        admin::restore(fresh.at.clone(), out, key).await.unwrap();
        check(&fresh.open().await).await;
    }
}
