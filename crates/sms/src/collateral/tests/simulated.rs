//! The simulated TEE's file, renewed while the SMS runs.

use iexec_simulated_tee::pki::{Pki, Terms};

use super::*;

fn json(issued: Timestamp) -> Vec<u8> {
    let pki = Pki::from_secret(&[1; 32]).unwrap();
    serde_json::to_vec(&pki.collateral(&Terms::sound(issued, issued + 1000)).unwrap()).unwrap()
}

async fn issued(source: &Source) -> Timestamp {
    let Collateral::Dcap(found) = source.find(&CollateralId::Simulated, false, THEN).await.unwrap() else { panic!() };
    found.validity().issued
}

#[tokio::test]
async fn renewed_collateral_counts_without_a_restart_and_a_spoiled_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collateral.json");
    let replace = |bytes: &[u8]| cache::write(&path, bytes).unwrap();
    replace(&json(THEN));
    let library = source(&folder, CollateralSources { urls: None, bundle: None }).library;
    let source = Source::new(Some(Simulated::open(path.clone()).unwrap()), library);
    assert_eq!(issued(&source).await, THEN);
    replace(&json(THEN + 1));
    assert_eq!(issued(&source).await, THEN + 1);
    replace(b"half of i");
    assert_eq!(issued(&source).await, THEN + 1);
    replace(&vec![b' '; iexec_attestation::MAX_COLLATERAL + 1]);
    assert_eq!(issued(&source).await, THEN + 1);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(issued(&source).await, THEN + 1);
    replace(&json(THEN + 2));
    assert_eq!(issued(&source).await, THEN + 2);
    // In place, as an editor or `cp` writes.
    let mut longer = json(THEN + 3);
    longer.push(b'\n');
    std::fs::write(&path, longer).unwrap();
    assert_eq!(issued(&source).await, THEN + 3);
}

#[test]
fn an_sms_does_not_start_without_the_file_or_with_a_spoiled_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collateral.json");
    let refused = || Simulated::open(path.clone()).unwrap_err().to_string();
    assert!(refused().contains("collateral.json"), "{}", refused());
    std::fs::write(&path, "{}").unwrap();
    assert!(refused().contains("collateral.json"), "{}", refused());
}
