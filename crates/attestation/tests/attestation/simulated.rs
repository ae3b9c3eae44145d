//! The whole decision on the simulation, whose quotes differ from a TD's by their root alone: what passes, and each way
//! in which it must not.

use std::sync::LazyLock;

use iexec_attestation::{
    AttestationError, Attested, Collateral, CollateralId, DcapCollateral, DcapPolicy, Expected, Measurement, Policy,
    References, SimulatedReference, TcbStatus, TrustAnchors, needs, verify,
};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, MAX_CERTIFICATES, MAX_QUOTE, Nonce, Tee, image_event, report_data},
    id::{Sha256, TaskId},
};
use iexec_simulated_tee::{
    Td, measured,
    pki::{Pki, TcbStatus as Judged, Terms},
};

pub(crate) const NOW: u64 = 1_790_000_000;
const KEY: [u8; 32] = [9; 32];

pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(|| pki(1));

pub(crate) fn pki(number: u8) -> Pki {
    Pki::from_secret(&[number; 32]).unwrap()
}

pub(crate) fn terms() -> Terms {
    Terms::sound(NOW - 86_400, NOW + 86_400)
}

pub(crate) fn expected() -> Expected {
    Expected { task: TaskId(B256::repeat_byte(0x7a)), nonce: Nonce(B256::repeat_byte(0x11)), image: image() }
}

fn image() -> Sha256 {
    Sha256::of("the app's manifest")
}

fn signer() -> Address {
    Address::repeat_byte(0x51)
}

fn bound() -> [u8; 64] {
    let Expected { task, nonce, image } = expected();
    report_data(&KEY, signer(), task, nonce, image)
}

/// The TD that the enclave program runs in.
pub(crate) fn td() -> Td {
    Td::new(measured(b"the enclave program"), bound()).extend(3, &image_event(image()))
}

pub(crate) fn evidence(td: &Td) -> Evidence {
    of(PKI.platform().unwrap().quote(td))
}

pub(crate) fn of(quote: Vec<u8>) -> Evidence {
    Evidence {
        tee: Tee::Simulated,
        key: B256::from(KEY),
        signer: signer(),
        image: image(),
        quote,
        certificates: Vec::new(),
    }
}

pub(crate) fn collateral(pki: &Pki, terms: &Terms) -> Collateral {
    let json = serde_json::to_vec(&pki.collateral(terms).unwrap()).unwrap();
    Collateral::Dcap(DcapCollateral::from_json(&json).unwrap())
}

pub(crate) fn anchors() -> TrustAnchors {
    TrustAnchors::hardware().insecure_with_simulated(PKI.root_der().to_vec()).unwrap()
}

/// The strictest policy that names the program.
pub(crate) fn policy() -> Policy {
    let mrtd = measured(b"the enclave program").into();
    Policy {
        tees: vec![Tee::Simulated],
        references: References {
            simulated: vec![SimulatedReference { name: "enclave 1".to_owned(), mrtd }],
            ..References::default()
        },
        dcap: DcapPolicy {
            statuses: vec![TcbStatus::UpToDate],
            allowed_advisories: Some(Vec::new()),
            rejected_advisories: Vec::new(),
            minimum_evaluation_number: Some(17),
            maximum_collateral_age: Some(2 * 86_400),
        },
        snp: Policy::nothing().snp,
    }
}

fn decided(evidence: &Evidence, expected: &Expected, terms: &Terms) -> Result<Attested, AttestationError> {
    verify(evidence, expected, &collateral(&PKI, terms), &anchors(), &policy(), NOW)
}

fn refused(evidence: &Evidence) -> AttestationError {
    decided(evidence, &expected(), &terms()).unwrap_err()
}

#[test]
fn good_evidence_yields_the_proof_of_what_was_verified() {
    let attested = decided(&evidence(&td()), &expected(), &terms()).unwrap();
    assert_eq!((attested.key(), attested.signer(), attested.image()), (&KEY, signer(), image()));
    assert_eq!((attested.task(), attested.at(), attested.reference()), (expected().task, NOW, "enclave 1"));
    let claims = attested.claims();
    assert_eq!((claims.tee, claims.debug, claims.migratable), (Tee::Simulated, false, false));
    let Measurement::Tdx(measured) = &claims.measurement else { panic!() };
    assert_eq!(measured.mrtd.0, td().mrtd);
    assert_eq!((claims.collateral.issued, claims.collateral.expires), (NOW - 86_400, NOW + 86_400));
}

#[test]
fn its_collateral_is_a_file_beside_its_root() {
    assert_eq!(needs(&evidence(&td())), Ok(CollateralId::Simulated));
}

#[test]
fn a_verifier_that_was_not_told_to_believe_in_a_simulation_refuses_it() {
    let hardware = TrustAnchors::hardware();
    let collateral = collateral(&PKI, &terms());
    let refused = verify(&evidence(&td()), &expected(), &collateral, &hardware, &policy(), NOW).unwrap_err();
    assert_eq!(refused, AttestationError::SimulatedRefused);
    assert!(refused.to_string().contains("--insecure-simulated-tee"));
}

#[test]
fn a_simulated_quote_never_passes_for_hardware() {
    let mut policy = policy();
    policy.tees = vec![Tee::Tdx];
    policy.references = crate::known::lenient().references;
    let as_tdx = Evidence { tee: Tee::Tdx, ..evidence(&td()) };
    let refused = verify(&as_tdx, &expected(), &collateral(&PKI, &terms()), &anchors(), &policy, NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity", "{refused}");
}

#[test]
fn hardware_never_passes_for_a_simulation() {
    let tdx = crate::known::tdx();
    let mut policy = crate::known::lenient();
    policy.tees = vec![Tee::Simulated];
    policy.references = policy_of_any_simulation(&tdx.quote);
    let evidence = Evidence { tee: Tee::Simulated, ..tdx.evidence() };
    let refused = iexec_attestation::appraise(&evidence, &tdx.collateral, &anchors(), &policy, tdx.now).unwrap_err();
    assert_eq!(refused.check(), "authenticity", "{refused}");
}

fn policy_of_any_simulation(quote: &[u8]) -> References {
    let mrtd = iexec_attestation::Digest384::from_slice(&quote[184..232]);
    References { simulated: vec![SimulatedReference { name: "it".to_owned(), mrtd }], ..References::default() }
}

#[test]
fn a_policy_of_hardware_alone_refuses_a_simulation_even_under_a_known_root() {
    let hardware = Policy { tees: vec![Tee::Tdx, Tee::Snp], ..policy() };
    let collateral = collateral(&PKI, &terms());
    let refused = verify(&evidence(&td()), &expected(), &collateral, &anchors(), &hardware, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "evidence is of simulated; the policy allows tdx, snp");
}

#[test]
fn a_foreign_root_and_a_foreign_platform_are_refused() {
    let foreign = of(pki(2).platform().unwrap().quote(&td()));
    assert_eq!(refused(&foreign).check(), "authenticity");
    // The whole PKI is foreign, and the anchor is not.
    let collateral = collateral(&pki(2), &terms());
    let refused = verify(&foreign, &expected(), &collateral, &anchors(), &policy(), NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity", "{refused}");
}

#[test]
fn a_platform_of_another_kind_than_its_collateral_is_refused() {
    let other = of(PKI.platform_of_kind([1, 2, 3, 4, 5, 6]).unwrap().quote(&td()));
    assert_eq!(refused(&other).check(), "collateral");
}

#[test]
fn a_revoked_platform_is_refused() {
    let terms = Terms { revoked: true, ..terms() };
    let refused = decided(&evidence(&td()), &expected(), &terms).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
    assert!(refused.to_string().to_lowercase().contains("revoked"), "{refused}");
}

#[test]
fn a_td_that_its_host_may_read_or_move_is_refused() {
    for (attributes, check) in [
        (Td::SEPT_VE_DISABLE | Td::DEBUG, "debug"),
        (Td::SEPT_VE_DISABLE | 1 << 4, "debug"),
        (Td::SEPT_VE_DISABLE | 1 << 6, "debug"),
        (Td::SEPT_VE_DISABLE | Td::MIGRATABLE, "migration"),
        // The host could take pages back; reserved bits say what nobody knows.
        (0, "authenticity"),
        (Td::SEPT_VE_DISABLE | 1 << 1, "authenticity"),
    ] {
        let td = Td { attributes, ..td() };
        assert_eq!(refused(&evidence(&td)).check(), check, "attributes {attributes:#x}");
    }
}

#[test]
fn another_program_is_refused_beside_the_allowed_ones() {
    let other = Td { mrtd: measured(b"another program"), ..td() };
    let refused = refused(&evidence(&other)).to_string();
    let (found, allowed) = (const_hex::encode(other.mrtd), const_hex::encode(td().mrtd));
    assert!(refused.contains(&format!("measures mrtd 0x{found}")), "{refused}");
    assert!(refused.ends_with(&format!("the policy allows enclave 1: mrtd 0x{allowed}")), "{refused}");
}

#[test]
fn an_empty_policy_allows_nothing() {
    let collateral = collateral(&PKI, &terms());
    let of = |policy: &Policy| verify(&evidence(&td()), &expected(), &collateral, &anchors(), policy, NOW).unwrap_err();
    assert_eq!(of(&Policy::nothing()).to_string(), "evidence is of simulated; the policy allows none");
    let tee_alone = Policy { tees: vec![Tee::Simulated], ..Policy::nothing() };
    assert!(of(&tee_alone).to_string().ends_with("the policy allows none"));
    let program_too = Policy { references: policy().references, ..tee_alone };
    assert_eq!(of(&program_too).to_string(), "the platform's TCB is UpToDate (none); the policy accepts none");
}

#[test]
fn evidence_for_another_task_nonce_key_signer_or_image_is_refused() {
    let good = evidence(&td());
    let another = Sha256::of("another image");
    for (evidence, expected, check) in [
        (good.clone(), Expected { task: TaskId(B256::repeat_byte(1)), ..expected() }, "report-data"),
        (good.clone(), Expected { nonce: Nonce(B256::repeat_byte(2)), ..expected() }, "report-data"),
        (good.clone(), Expected { image: another, ..expected() }, "image"),
        (Evidence { key: B256::repeat_byte(8), ..good.clone() }, expected(), "report-data"),
        (Evidence { signer: Address::repeat_byte(8), ..good.clone() }, expected(), "report-data"),
        (Evidence { image: another, ..good.clone() }, expected(), "image"),
        (Evidence { image: another, ..good.clone() }, Expected { image: another, ..expected() }, "report-data"),
    ] {
        let refused = decided(&evidence, &expected, &terms()).unwrap_err();
        assert_eq!(refused.check(), check, "{refused}");
    }
}

#[test]
fn rtmr3_holds_the_image_and_nothing_else() {
    let without = Td { rtmr: [[0; 48]; 4], ..td() };
    let more = td().extend(3, &[1; 48]);
    let twice = td().extend(3, &image_event(image()));
    let other = Td::new(td().mrtd, td().report_data).extend(3, &image_event(Sha256::of("another image")));
    let elsewhere = Td::new(td().mrtd, td().report_data).extend(2, &image_event(image()));
    for td in [without, more, twice, other, elsewhere] {
        assert_eq!(refused(&evidence(&td)).check(), "image-register");
    }
}

#[test]
fn each_verdict_on_a_platform_counts_only_if_the_policy_accepts_it() {
    let statuses = [
        (Judged::UpToDate, TcbStatus::UpToDate),
        (Judged::SWHardeningNeeded, TcbStatus::SWHardeningNeeded),
        (Judged::ConfigurationNeeded, TcbStatus::ConfigurationNeeded),
        (Judged::ConfigurationAndSWHardeningNeeded, TcbStatus::ConfigurationAndSWHardeningNeeded),
        (Judged::OutOfDate, TcbStatus::OutOfDate),
        (Judged::OutOfDateConfigurationNeeded, TcbStatus::OutOfDateConfigurationNeeded),
    ];
    for (judged, found) in statuses {
        let collateral = collateral(&PKI, &Terms { platform: judged, ..terms() });
        for (_, accepted) in statuses {
            let mut policy = policy();
            policy.dcap.statuses = vec![accepted];
            let decided = verify(&evidence(&td()), &expected(), &collateral, &anchors(), &policy, NOW);
            assert_eq!(decided.map_err(|error| error.check()).err(), (found != accepted).then_some("tcb-status"));
        }
    }
}

#[test]
fn a_revoked_platform_module_or_quoting_enclave_is_refused_whatever_the_policy_says() {
    let mut policy = policy();
    policy.dcap.statuses = crate::known::lenient().dcap.statuses;
    policy.dcap.statuses.push(TcbStatus::Revoked);
    for terms in [
        Terms { platform: Judged::Revoked, ..terms() },
        Terms { module: Judged::Revoked, ..terms() },
        Terms { quoting_enclave: Judged::Revoked, ..terms() },
    ] {
        let collateral = collateral(&PKI, &terms);
        let refused = verify(&evidence(&td()), &expected(), &collateral, &anchors(), &policy, NOW).unwrap_err();
        assert_eq!(refused.check(), "authenticity", "{refused}");
    }
}

#[test]
fn an_outdated_module_or_quoting_enclave_makes_the_platform_outdated() {
    for terms in
        [Terms { module: Judged::OutOfDate, ..terms() }, Terms { quoting_enclave: Judged::OutOfDate, ..terms() }]
    {
        let refused = decided(&evidence(&td()), &expected(), &terms).unwrap_err();
        assert_eq!(refused.to_string(), "the platform's TCB is OutOfDate (none); the policy accepts UpToDate");
    }
}

#[test]
fn a_module_below_every_level_is_refused() {
    let mut tee_tcb_svn = td().tee_tcb_svn;
    tee_tcb_svn[0] -= 1;
    assert_eq!(refused(&evidence(&Td { tee_tcb_svn, ..td() })).check(), "authenticity");
}

#[test]
fn bounds_are_kept_before_anything_is_parsed() {
    let good = evidence(&td());
    let long = Evidence { quote: vec![0; MAX_QUOTE + 1], ..good.clone() };
    assert_eq!(refused(&long).to_string(), "a quote of 32769 bytes; at most 32768 are read");
    assert_eq!(needs(&long).unwrap_err().check(), "size");
    let many = Evidence { certificates: vec![0; MAX_CERTIFICATES + 1], ..good.clone() };
    assert_eq!(refused(&many).check(), "size");
    // As long as may be: padding.
    let mut padded = good;
    padded.quote.resize(MAX_QUOTE, 0);
    assert!(decided(&padded, &expected(), &terms()).is_ok());
}

#[test]
fn hostile_quotes_are_malformed_and_never_panic() {
    for tee in [Tee::Simulated, Tee::Tdx, Tee::Sgx, Tee::Snp] {
        for quote in [b"".as_slice(), b"{}", b"\xff\xfe", &[0; 48], &[0xff; 5000], &vec![b'['; MAX_QUOTE]] {
            let evidence = Evidence { tee, quote: quote.to_vec(), ..evidence(&td()) };
            assert_eq!(needs(&evidence).unwrap_err().check(), "format");
        }
    }
}
