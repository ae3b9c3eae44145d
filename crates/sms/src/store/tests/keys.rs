//! What opens a store, and what does not.

use super::*;

on_both! {
    async fn another_or_a_missing_key_stops_the_start(rig: Rig) {
        let path = rig.folder.path().join(MASTER_KEY);
        rig.open().await.close().await;
        let original = std::fs::read_to_string(&path).unwrap();
        assert_eq!(original.trim().len(), 64);
        for (text, words) in [
            (format!("{}\n", "00".repeat(32)), "but the store's data keys are wrapped under file-"),
            ("short".to_owned(), "must be 64 hex digits"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
            assert!(error.contains("the master key") && error.contains(words), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
        assert!(error.contains("is missing") && error.contains("hint: restore"), "{error}");
        assert!(!path.exists());
        crate::private_file::create(&path, original.as_bytes()).unwrap();
        rig.open().await.close().await;
    }

    async fn a_passphrase_opens_the_store_and_another_does_not(rig: Rig) {
        let path = rig.folder.path().join("passphrase");
        crate::private_file::create(&path, b"correct horse\n").unwrap();
        let at = Location { kek: KekSource::Passphrase(path.clone()), ..rig.at.clone() };
        let store = Store::open(&at).await.unwrap();
        create(&store, &web2("a"), "v").await;
        store.close().await;
        assert!(!rig.folder.path().join(MASTER_KEY).exists());
        let store = Store::open(&at).await.unwrap();
        assert_eq!(text(&store, &web2("a")).await, "v");
        store.close().await;
        std::fs::write(&path, "battery staple\n").unwrap();
        let error = format!("{:#}", Store::open(&at).await.err().unwrap());
        assert!(error.contains("opens none of the store's keys"), "{error}");
        assert!(!error.contains("battery"), "{error}");
    }
}
