//! `POST /v2/collateral` over HTTP: the vendor's word as the vendor said it, kept for when the vendor is gone; and why there
//! is none. AMD's word is a recorded one, from a server on loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
};
use common::{Raw, Service, client, config, enclave, enclave_key, evidence, image, refused};
use http::Method;
use iexec_attestation::{Collateral, DcapCollateral, Expected, Policy, SnpCollateral, TrustAnchors, Verdict, explain};
use iexec_protocol::{
    Address, B256,
    call::sms::{GetCollateral, PlatformCollateral, SessionOffer},
    evidence::{Evidence, MAX_CERTIFICATES, MAX_QUOTE, Nonce, Tee},
    id::{Sha256, TaskId},
};
use iexec_service::{Client, clock};
use iexec_sms::{
    Config,
    collateral::{CollateralSources, CollateralUrls},
};

/// Nobody listens there: collateral takes no chain, and Intel is out of reach.
const NO_CHAIN: &str = "http://127.0.0.1:1";
const VCEK: &[u8] = include_bytes!("../../../vectors/attestation/snp/vcek_milan.der");

/// A report that a real Milan machine made.
fn milan() -> Evidence {
    let report = include_str!("../../../vectors/attestation/snp/report_milan.hex");
    let quote = const_hex::decode(report.trim()).unwrap();
    let (key, signer, image) = (B256::ZERO, Address::ZERO, Sha256::default());
    Evidence { tee: Tee::Snp, key, signer, image, quote, certificates: Vec::new() }
}

/// AMD's service: it knows one chip with one firmware.
struct Kds {
    asked: Arc<AtomicUsize>,
    urls: CollateralUrls,
    serving: tokio::task::JoinHandle<()>,
}

impl Kds {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kds = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(tell).with_state(Arc::clone(&asked));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { asked, urls: CollateralUrls { kds, pccs: NO_CHAIN.into(), root_list: NO_CHAIN.into() }, serving }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn tell(State(asked): State<Arc<AtomicUsize>>, uri: Uri) -> Result<&'static [u8], StatusCode> {
    // The revocation list, of which nobody recorded one, is asked for again after a rest.
    if !uri.path().ends_with("/crl") {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let known = uri.query() == Some("blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115");
    if known && uri.path().starts_with("/vcek/v1/Milan/") { Ok(VCEK) } else { Err(StatusCode::NOT_FOUND) }
}

async fn ask(client: &Client, sms: &Service, evidence: Evidence) -> Result<PlatformCollateral, (u16, String)> {
    let answer = client.send(&sms.origin, &GetCollateral { evidence }).await;
    if let Ok(collateral) = answer { Ok(collateral) } else { Err(refused(answer)) }
}

fn from(urls: Option<&CollateralUrls>, folder: &tempfile::TempDir) -> Config {
    let collateral = CollateralSources { urls: urls.cloned(), bundle: None };
    Config { collateral, ..config(NO_CHAIN, folder) }
}

#[tokio::test]
async fn amds_word_on_a_real_machine_is_passed_on_as_it_is_and_kept_for_when_amd_is_gone() {
    let (folder, client, kds) = (tempfile::tempdir().unwrap(), client(), Kds::start().await);
    let sms = Service::start(from(Some(&kds.urls), &folder)).await;
    let expected = PlatformCollateral::Snp { vcek: VCEK.to_vec(), revocations: vec![] };
    assert_eq!(ask(&client, &sms, milan()).await, Ok(expected.clone()));
    let asked = kds.asked();
    assert_eq!(ask(&client, &sms, milan()).await, Ok(expected.clone()));
    assert_eq!(kds.asked(), asked, "AMD is asked once");
    let metrics = client.send(&sms.origin, &Raw::new(Method::GET, "/metrics")).await.unwrap();
    let metrics = String::from_utf8(metrics.into_body()).unwrap();
    assert!(metrics.contains("sms_collateral_fetches_total{kind=\"vcek\",outcome=\"ok\"} 1\n"), "{metrics}");
    sms.end().await;
    kds.serving.abort();

    let sms = Service::start(from(None, &folder)).await;
    let Ok(PlatformCollateral::Snp { vcek, .. }) = ask(&client, &sms, milan()).await else { panic!("it was kept") };
    // Whoever asked verifies with it, under AMD's root and by the clock: nothing of it is taken on faith.
    let collateral = Collateral::Snp(SnpCollateral::new(Some(vcek), None).unwrap());
    let anchors = TrustAnchors::hardware();
    let told = explain(&milan(), None, Some(&collateral), &anchors, &Policy::nothing(), clock::now());
    let verdict = |name: &str| told.outcomes.iter().find(|outcome| outcome.check == name).unwrap().verdict.clone();
    for check in ["collateral", "collateral-dates", "authenticity"] {
        assert_eq!(verdict(check), Verdict::Passed, "{check}");
    }
}

#[tokio::test]
async fn the_simulations_collateral_verifies_what_its_machine_shows() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(from(None, &folder)).await;
    let (task, nonce, image) = (TaskId(B256::repeat_byte(1)), Nonce(B256::repeat_byte(2)), image());
    let offer = SessionOffer { session_id: String::new(), secret_provisioning_url: String::new(), nonce };
    let shown = evidence(&folder, enclave(), &enclave_key(), task, &offer);
    let Ok(PlatformCollateral::Dcap { collateral }) = ask(&client, &sms, shown.clone()).await else { panic!("none") };
    let file = std::fs::read(folder.path().join("pki/collateral.json")).unwrap();
    assert_eq!(collateral, serde_json::from_slice::<serde_json::Value>(&file).unwrap());
    let collateral = Collateral::Dcap(DcapCollateral::from_json(collateral.to_string().as_bytes()).unwrap());
    let root = std::fs::read(folder.path().join("pki/root.der")).unwrap();
    let anchors = TrustAnchors::hardware().insecure_with_simulated(root).unwrap();
    let expected = Expected { task, nonce, image };
    let told = explain(&shown, Some(&expected), Some(&collateral), &anchors, &Policy::nothing(), clock::now());
    let claims = told.claims.unwrap();
    assert!(claims.measurement.to_string().contains(&const_hex::encode(enclave())), "{}", claims.measurement);
}

#[tokio::test]
async fn why_there_is_no_collateral_is_said_by_status_and_sentence() {
    let (folder, client, kds) = (tempfile::tempdir().unwrap(), client(), Kds::start().await);
    let without = Config { insecure_simulated_tee: None, ..from(Some(&kds.urls), &folder) };
    let sms = Service::start(without).await;
    // Another firmware, so that AMD knows no such key.
    let mut unknown = milan();
    unknown.quote[0x180] ^= 1;
    let simulated = Evidence { tee: Tee::Simulated, quote: tdx(), ..milan() };
    let expired = Evidence { tee: Tee::Tdx, quote: tdx(), ..milan() };
    for (name, evidence, status, words) in [
        ("a chip's firmware that AMD does not know", unknown, 404, "is not known to"),
        ("a quote that is none", Evidence { quote: vec![1, 2, 3], ..milan() }, 422, "malformed"),
        ("a simulation that this SMS was not told of", simulated, 503, "told of no simulated TEE"),
        ("a platform whose vendor is out of reach", expired, 503, "cannot be had now"),
    ] {
        let (found, said) = ask(&client, &sms, evidence).await.unwrap_err();
        assert!(found == status && said.contains(words), "{name}: {found} {said}");
    }
    sms.end().await;

    let sms = Service::start(from(None, &folder)).await;
    let body = |body: Vec<u8>| Raw { body, ..Raw::new(Method::POST, "/v2/collateral") };
    let offline = body(serde_json::to_vec(&milan()).unwrap());
    for (name, request, status) in [
        ("an SMS that fetches none", offline, 503),
        ("no JSON", body(b"quote".to_vec()), 400),
        ("a body that no evidence has", body(vec![b' '; 2 * (MAX_QUOTE + MAX_CERTIFICATES)]), 413),
    ] {
        let answer = client.send(&sms.origin, &request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503, "{name}");
    }
}

/// A quote of a real TDX machine, whose recorded collateral expired.
fn tdx() -> Vec<u8> {
    include_bytes!("../../../vectors/attestation/dcap/tdx_quote").to_vec()
}

#[tokio::test]
async fn one_client_asks_thirty_times_a_minute_and_no_more() {
    let (folder, client) = (tempfile::tempdir().unwrap(), client());
    let sms = Service::start(from(None, &folder)).await;
    let request = Raw { body: b"{}".to_vec(), ..Raw::new(Method::POST, "/v2/collateral") };
    let mut statuses = Vec::new();
    for _ in 0..33 {
        statuses.push(client.send(&sms.origin, &request).await.unwrap().status().as_u16());
    }
    // A turn comes back every two seconds: a slow machine may get one or two more.
    assert!(statuses[..30].iter().all(|status| *status == 400), "{statuses:?}");
    assert!(statuses[30..].contains(&429), "{statuses:?}");
}
