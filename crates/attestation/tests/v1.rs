//! The simulated TEE through the one verifier: what passes, and every way in which it must not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use iexec_attestation::v1::{AttestationError, Policy, TrustAnchors, verify};
use iexec_protocol::{
    Address, B256,
    evidence::{
        Evidence, MAX_QUOTE, Nonce, Tee, report_data,
        simulated::{PlatformCertificate, SimulatedQuote},
    },
    id::{Sha256, TaskId},
    key::SigningKey,
};

const KEY: [u8; 32] = [9; 32];
const NOW: u64 = 1_800_000_000;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn root() -> Address {
    key(1).address()
}

fn task() -> TaskId {
    TaskId(B256::repeat_byte(0x7a))
}

fn nonce() -> Nonce {
    Nonce(B256::repeat_byte(0x11))
}

fn enclave() -> Sha256 {
    Sha256::of("the enclave program")
}

fn image() -> Sha256 {
    Sha256::of("the app's manifest")
}

fn policy() -> Policy {
    Policy { tees: vec![Tee::Simulated], measurements: vec![enclave()], image: image() }
}

fn anchors() -> TrustAnchors {
    TrustAnchors::hardware().insecure_with_simulated(root())
}

fn quote() -> SimulatedQuote {
    let certificate = PlatformCertificate::issue(&key(1), key(2).address()).unwrap();
    SimulatedQuote::sign(enclave(), report_data(&KEY, Address::ZERO, task(), nonce(), image()), &key(2), certificate)
        .unwrap()
}

fn evidence(quote: &SimulatedQuote) -> Evidence {
    let quote = serde_json::to_vec(quote).unwrap();
    Evidence {
        tee: Tee::Simulated,
        key: B256::from(KEY),
        signer: Address::ZERO,
        image: image(),
        quote,
        certificates: vec![],
    }
}

fn refusal(evidence: &Evidence) -> AttestationError {
    verify(evidence, task(), nonce(), &anchors(), &policy(), NOW).unwrap_err()
}

#[test]
fn good_evidence_yields_the_proof_of_what_was_verified() {
    let attested = verify(&evidence(&quote()), task(), nonce(), &anchors(), &policy(), NOW).unwrap();
    assert_eq!((attested.key(), attested.image(), attested.task(), attested.at()), (&KEY, image(), task(), NOW));
    assert_eq!((attested.claims().tee, attested.claims().measurement), (Tee::Simulated, enclave()));
}

#[test]
fn a_verifier_that_was_not_told_to_believe_in_a_simulation_refuses_it() {
    let refused = verify(&evidence(&quote()), task(), nonce(), &TrustAnchors::hardware(), &policy(), NOW).unwrap_err();
    assert_eq!(refused, AttestationError::SimulatedRefused);
    assert!(refused.to_string().contains("--insecure-simulated-tee"));
}

#[test]
fn a_policy_of_hardware_alone_refuses_a_simulation_even_under_a_known_root() {
    let hardware = Policy { tees: vec![Tee::Tdx, Tee::Snp], ..policy() };
    let refused = verify(&evidence(&quote()), task(), nonce(), &anchors(), &hardware, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "evidence is of simulated; the policy allows tdx, snp");
}

#[test]
fn a_foreign_measurement_is_named_beside_the_allowed_ones() {
    let foreign = Sha256::of("another program");
    let certificate = PlatformCertificate::issue(&key(1), key(2).address()).unwrap();
    let data = report_data(&KEY, Address::ZERO, task(), nonce(), image());
    let foreign_quote = SimulatedQuote::sign(foreign, data, &key(2), certificate).unwrap();
    let refused = refusal(&evidence(&foreign_quote));
    assert_eq!(refused, AttestationError::Measurement { found: foreign, allowed: vec![enclave()] });
    assert_eq!(refused.to_string(), format!("the enclave measures {foreign}; the policy allows {}", enclave()));
}

#[test]
fn an_empty_policy_allows_nothing() {
    let empty = Policy { measurements: Vec::new(), ..policy() };
    let refused = verify(&evidence(&quote()), task(), nonce(), &anchors(), &empty, NOW).unwrap_err();
    assert!(refused.to_string().ends_with("the policy allows none"));
}

#[test]
fn a_platform_that_the_root_did_not_certify_is_refused() {
    let certificate = PlatformCertificate::issue(&key(3), key(2).address()).unwrap();
    let foreign = SimulatedQuote::sign(enclave(), [0; 64], &key(2), certificate).unwrap();
    let found = Some(key(3).address());
    let expected = AttestationError::UntrustedPlatform { platform: key(2).address(), expected: root(), found };
    assert_eq!(refusal(&evidence(&foreign)), expected);
}

#[test]
fn a_certificate_moved_to_another_platform_is_refused() {
    let mut moved = quote();
    moved.certificate.platform = key(4).address();
    assert!(matches!(refusal(&evidence(&moved)), AttestationError::UntrustedPlatform { .. }));
}

#[test]
fn a_quote_signed_by_another_than_its_platform_is_refused() {
    let certificate = PlatformCertificate::issue(&key(1), key(2).address()).unwrap();
    let forged = SimulatedQuote::sign(enclave(), [0; 64], &key(5), certificate).unwrap();
    let expected = AttestationError::QuoteSignature { expected: key(2).address(), found: Some(key(5).address()) };
    assert_eq!(refusal(&evidence(&forged)), expected);
}

#[test]
fn a_changed_measurement_or_report_data_breaks_the_quotes_signature() {
    let mut measurement = quote();
    measurement.measurement = Sha256::of("x");
    let mut data = quote();
    data.report_data[63] ^= 1;
    for changed in [measurement, data] {
        assert!(matches!(refusal(&evidence(&changed)), AttestationError::QuoteSignature { .. }));
    }
}

#[test]
fn a_quote_for_another_task_nonce_key_or_image_is_refused() {
    let good = evidence(&quote());
    let (other_task, other_nonce) = (TaskId(B256::repeat_byte(1)), Nonce(B256::repeat_byte(2)));
    let of = |evidence: &Evidence, task, nonce| verify(evidence, task, nonce, &anchors(), &policy(), NOW).unwrap_err();
    for refused in [
        of(&good, other_task, nonce()),
        of(&good, task(), other_nonce),
        of(&Evidence { key: B256::repeat_byte(8), ..good.clone() }, task(), nonce()),
        of(&Evidence { image: Sha256::of("other"), ..good.clone() }, task(), nonce()),
    ] {
        assert!(matches!(refused, AttestationError::ReportData { .. }), "{refused}");
    }
}

#[test]
fn an_image_other_than_the_apps_is_refused_with_both_digests() {
    let other = Policy { image: Sha256::of("the app that was bought"), ..policy() };
    let refused = verify(&evidence(&quote()), task(), nonce(), &anchors(), &other, NOW).unwrap_err();
    assert_eq!(refused, AttestationError::Image { expected: other.image, found: image() });
}

#[test]
fn hardware_evidence_is_refused_until_its_verifier_is_here() {
    for tee in [Tee::Tdx, Tee::Snp, Tee::Sgx] {
        assert_eq!(refusal(&Evidence { tee, ..evidence(&quote()) }), AttestationError::Unsupported { tee });
    }
}

#[test]
fn hostile_quotes_are_bounded_and_never_panic() {
    let of = |bytes: &[u8]| refusal(&Evidence { quote: bytes.to_vec(), ..evidence(&quote()) });
    assert_eq!(of(&vec![b' '; MAX_QUOTE + 1]), AttestationError::TooLarge { bytes: MAX_QUOTE + 1 });
    for quote in [b"".as_slice(), b"{}", b"\xff\xfe", b"null", &vec![b'['; MAX_QUOTE]] {
        assert!(matches!(of(quote), AttestationError::Malformed { .. }));
    }
    let good = serde_json::to_vec(&quote()).unwrap();
    for end in 0..good.len() {
        assert!(matches!(of(&good[..end]), AttestationError::Malformed { .. }));
    }
}
