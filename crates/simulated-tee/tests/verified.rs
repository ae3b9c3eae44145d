//! The production verifier of TDX quotes on simulated ones: sound ones pass its strictest policy, spoiled ones are
//! refused for what is spoiled.
#![allow(clippy::unwrap_used, reason = "what a test prepares must succeed")]

use dcap_qvl::{QuoteClaims, QuoteCollateralV3, QuotePolicy, TcbStatus as Verified, verify::QuoteVerifier};
use iexec_simulated_tee::{
    Td, measured,
    pki::{Pki, TcbStatus, Terms},
};

const NOW: u64 = 1_790_000_000;

fn pki(number: u8) -> Pki {
    Pki::from_secret(&[number; 32]).unwrap()
}

fn terms() -> Terms {
    Terms::sound(NOW, NOW + 86_400)
}

fn td() -> Td {
    Td::new(measured(b"the program"), [5; 64]).extend(3, &measured(b"the image"))
}

/// Through the JSON that a verifier reads.
fn collateral(pki: &Pki, terms: &Terms) -> QuoteCollateralV3 {
    let json = serde_json::to_string(&pki.collateral(terms).unwrap()).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn verified(quote: &[u8], root: &Pki, collateral: QuoteCollateralV3, now: u64) -> Result<QuoteClaims, String> {
    let verifier = QuoteVerifier::new(root.root_der().to_vec());
    let claims = verifier.verify_with_policy(quote, collateral, now, &QuotePolicy::strict(now));
    claims.map_err(|error| format!("{error:#}"))
}

fn refused(quote: &[u8], terms: &Terms, now: u64) -> String {
    verified(quote, &pki(1), collateral(&pki(1), terms), now).unwrap_err()
}

#[test]
fn a_sound_quote_passes_the_strictest_policy_and_says_what_it_was_made_of() {
    let (pki, td) = (pki(1), td());
    let quote = pki.platform().unwrap().quote(&td);
    let claims = verified(&quote, &pki, collateral(&pki, &terms()), NOW + 1).unwrap();
    assert_eq!(claims.tcb.status, Verified::UpToDate);
    let report = claims.report.as_td10().unwrap();
    assert_eq!((report.mr_td, report.report_data), (td.mrtd, td.report_data));
    assert_eq!([report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3], td.rtmr);
    assert_eq!(claims.platform.pck.fmspc, iexec_simulated_tee::pki::FMSPC);
    assert!(quote.len() < 8 * 1024, "{} bytes", quote.len());
}

#[test]
fn the_same_secret_gives_the_same_bytes_and_another_secret_another_root() {
    let quote = |pki: &Pki| pki.platform().unwrap().quote(&td());
    assert_eq!((pki(1).root_der(), quote(&pki(1))), (pki(1).root_der(), quote(&pki(1))));
    assert_ne!(pki(1).root_der(), pki(2).root_der());
}

#[test]
fn names_say_that_nothing_is_proven() {
    let root = String::from_utf8_lossy(pki(1).root_der()).into_owned();
    assert!(root.contains("SIMULATED Root CA") && root.contains("SIMULATED, proves nothing"), "{root}");
    let quote = String::from_utf8_lossy(&pki(1).platform().unwrap().quote(&td())).into_owned();
    let pem = &quote[quote.find("-----BEGIN").unwrap()..];
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 3);
}

#[test]
fn a_foreign_root_is_not_believed() {
    let quote = pki(2).platform().unwrap().quote(&td());
    for (root, collateral) in [(pki(1), collateral(&pki(2), &terms())), (pki(1), collateral(&pki(1), &terms()))] {
        assert!(verified(&quote, &root, collateral, NOW).is_err());
    }
    assert!(verified(&quote, &pki(2), collateral(&pki(2), &terms()), NOW).is_ok());
}

#[test]
fn debug_migration_and_missing_protection_are_refused() {
    let platform = pki(1).platform().unwrap();
    for (attributes, cause) in [
        (Td::SEPT_VE_DISABLE | Td::DEBUG, "Debug mode is enabled"),
        (Td::SEPT_VE_DISABLE | Td::MIGRATABLE, "TD migration is enabled"),
        (0, "SEPT_VE_DISABLE is not enabled"),
    ] {
        let error = refused(&platform.quote(&Td { attributes, ..td() }), &terms(), NOW);
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn collateral_counts_from_its_issue_to_its_next_update() {
    let quote = pki(1).platform().unwrap().quote(&td());
    assert!(refused(&quote, &terms(), NOW - 1).contains("issue date is in the future"));
    let late = refused(&quote, &terms(), NOW + 86_401);
    assert!(late.contains("CrlExpired") || late.contains("TCBInfo expired"), "{late}");
    assert!(verified(&quote, &pki(1), collateral(&pki(1), &terms()), NOW + 86_400 - 1).is_ok());
}

#[test]
fn a_judgement_other_than_up_to_date_reaches_the_policy() {
    use TcbStatus::{ConfigurationNeeded, OutOfDate, Revoked, SWHardeningNeeded};
    let quote = pki(1).platform().unwrap().quote(&td());
    for (changed, cause) in [
        (Terms { platform: OutOfDate, ..terms() }, "TCB status OutOfDate"),
        (Terms { platform: SWHardeningNeeded, ..terms() }, "TCB status SWHardeningNeeded"),
        (Terms { platform: ConfigurationNeeded, ..terms() }, "TCB status ConfigurationNeeded"),
        (Terms { platform: Revoked, ..terms() }, "Revoked"),
        (Terms { module: OutOfDate, ..terms() }, "TCB status OutOfDate"),
        (Terms { quoting_enclave: OutOfDate, ..terms() }, "TCB status OutOfDate"),
        (Terms { revoked: true, ..terms() }, "CertRevoked"),
        (Terms { fmspc: [9; 6], ..terms() }, "Fmspc mismatch"),
    ] {
        let error = refused(&quote, &changed, NOW);
        assert!(error.contains(cause), "{cause}: {error}");
    }
    let advised = Terms { advisories: vec!["INTEL-SA-00289".into()], ..terms() };
    let claims = verified(&quote, &pki(1), collateral(&pki(1), &advised), NOW).unwrap();
    assert_eq!(claims.platform.tcb_level.advisory_ids, ["INTEL-SA-00289"]);
}

#[test]
fn a_machine_of_another_kind_or_with_an_older_module_finds_no_judgement() {
    let other = pki(1).platform_of_kind([9; 6]).unwrap().quote(&td());
    assert!(refused(&other, &terms(), NOW).contains("Fmspc mismatch"));
    assert!(verified(&other, &pki(1), collateral(&pki(1), &Terms { fmspc: [9; 6], ..terms() }), NOW).is_ok());
    let mut old = td();
    old.tee_tcb_svn[0] -= 1;
    let error = refused(&pki(1).platform().unwrap().quote(&old), &terms(), NOW);
    assert!(error.contains("below minimum"), "{error}");
}

#[test]
fn every_byte_before_the_chain_counts() {
    let collateral = collateral(&pki(1), &terms());
    let quote = pki(1).platform().unwrap().quote(&td());
    // Past them is the chain's PEM, where many changes mean nothing. At 764 is the number 6 for «a quoting enclave's report
    // follows», which nothing depends on.
    let before_chain = quote.windows(5).position(|window| window == b"-----").unwrap();
    for index in (0..before_chain).step_by(3).filter(|index| !(764..766).contains(index)) {
        let mut changed = quote.clone();
        changed[index] ^= 1;
        assert!(verified(&changed, &pki(1), collateral.clone(), NOW).is_err(), "byte {index}");
    }
}
