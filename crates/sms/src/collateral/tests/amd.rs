//! AMD's revocation list and VLEKs. No list that AMD signed was recorded; what it says is tested where it is verified.

use super::*;

/// A report of AWS, whose host hands out the VLEK's certificate.
fn aws() -> Evidence {
    let certificates = SnpCollateral::table_of(SnpKey::Vlek, vector!("snp/vlek_milan.der"));
    Evidence { certificates, ..evidence(Tee::Snp, vector!("snp/report_milan_vlek.bin")) }
}

async fn ask(source: &Source, evidence: &Evidence, list: bool) -> Result<Collateral, String> {
    source.find(&needs(evidence).unwrap(), list, THEN).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_revocation_list_is_always_asked_for_and_its_absence_stops_only_who_requires_one() {
    for (evidence, path, words) in [
        (milan(), "/vcek/v1/Milan/crl", "AMD's revocation list of Milan (VCEK) is not known to"),
        (aws(), "/vlek/v1/Milan/crl", "AMD's revocation list of Milan (VLEK) is not known to"),
    ] {
        let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
        let source = vendor.source(&folder);
        let Collateral::Snp(found) = ask(&source, &evidence, false).await.unwrap() else { panic!() };
        assert_eq!((vendor.lists(), found.to_parts().1), (vec![path.to_owned()], Vec::new()));
        let refused = ask(&source, &evidence, true).await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_revocation_list_of_somebody_else_is_not_kept_and_not_given() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::OtherChain).await);
    let source = vendor.source(&folder);
    let refused = ask(&source, &aws(), true).await.unwrap_err();
    assert!(refused.contains("the revocation list is not signed by AMD's root of this generation"), "{refused}");
    let Collateral::Snp(found) = ask(&source, &aws(), false).await.unwrap() else { panic!() };
    assert_eq!((found, files(&folder)), (SnpCollateral::default(), Vec::new()));
}

#[tokio::test]
async fn nobody_is_asked_for_a_vlek() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
    let source = vendor.source(&folder);
    let without = Evidence { certificates: Vec::new(), ..aws() };
    let collateral = ask(&source, &without, true).await.unwrap();
    assert_eq!(collateral, Collateral::Snp(SnpCollateral::default()));
    assert_eq!((vendor.asked(), vendor.lists()), (0, Vec::new()));
    ask(&source, &aws(), false).await.unwrap();
    assert_eq!(vendor.asked(), 0);
}
