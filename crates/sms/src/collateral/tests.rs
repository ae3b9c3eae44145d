//! Recorded collateral of real platforms, from an HTTP server on loopback that answers well or badly.

mod amd;
mod simulated;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use iexec_attestation::needs;
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Tee},
    id::Sha256,
};
use iexec_service::Metrics;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// A moment at which the recorded collateral of SGX and TDX holds.
const THEN: Timestamp = 1_751_000_000;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/attestation/", $name)).as_slice()
    };
}
use vector;

fn evidence(tee: Tee, quote: &[u8]) -> Evidence {
    let (key, signer, image) = (B256::ZERO, Address::ZERO, Sha256::default());
    Evidence { tee, key, signer, image, quote: quote.to_vec(), certificates: Vec::new() }
}

fn tdx() -> Evidence {
    evidence(Tee::Tdx, vector!("dcap/tdx_quote"))
}

fn milan() -> Evidence {
    let report = std::str::from_utf8(vector!("snp/report_milan.hex")).unwrap();
    evidence(Tee::Snp, &const_hex::decode(report.trim()).unwrap())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Good,
    Garbage,
    Huge,
    Endless,
    Silent,
    Missing,
    Busy,
    Redirect,
    OtherChain,
    ChangedByte,
    NoHeader,
    BadEscape,
    OtherPlatform,
}

/// A vendor's service.
struct Vendor {
    origin: String,
    asked: Arc<Mutex<Vec<String>>>,
    mode: Arc<Mutex<Mode>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Shop = (Arc<Mutex<Vec<String>>>, Arc<Mutex<Mode>>);

impl Vendor {
    async fn start(mode: Mode) -> Self {
        iexec_service::crypto::install();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shop: Shop = (Arc::default(), Arc::new(Mutex::new(mode)));
        let router = Router::new().fallback(serve).with_state(shop.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, asked: shop.0, mode: shop.1, serving }
    }

    fn urls(&self) -> CollateralUrls {
        let origin = self.origin.clone();
        CollateralUrls { pccs: origin.clone(), root_list: format!("{origin}/root.der"), kds: origin }
    }

    fn source(&self, folder: &TempDir) -> Source {
        source(folder, CollateralSources { urls: Some(self.urls()), bundle: None })
    }

    /// How often it was asked, but for AMD's revocation list, of which there is no recorded one.
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| !path.ends_with("/crl")).count()
    }

    fn lists(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|path| path.ends_with("/crl")).cloned().collect()
    }
}

fn source(folder: &TempDir, sources: CollateralSources) -> Source {
    iexec_service::crypto::install();
    let own = folder.path().join("collateral");
    let library = Library::waiting(Duration::from_secs(3), own, sources, Metrics::default()).unwrap();
    Source::new(None, library)
}

async fn serve(State((asked, mode)): State<Shop>, uri: Uri) -> Response {
    asked.lock().unwrap().push(uri.path().to_owned());
    let mode = *mode.lock().unwrap();
    match mode {
        Mode::Garbage => "<html>busy</html>".into_response(),
        Mode::Huge => vec![b' '; 600 * 1024].into_response(),
        Mode::Endless => {
            let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
            Body::from_stream(chunks).into_response()
        }
        Mode::Silent => std::future::pending().await,
        Mode::Missing => StatusCode::NOT_FOUND.into_response(),
        Mode::Busy => StatusCode::TOO_MANY_REQUESTS.into_response(),
        Mode::Redirect => (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response(),
        mode => answer(mode, uri.path(), uri.query().unwrap_or_default()),
    }
}

fn answer(mode: Mode, path: &str, query: &str) -> Response {
    if path.ends_with("/crl") && mode == Mode::OtherChain {
        return vector!("snp/self-made/milan/revoked-nobody.der").into_response();
    }
    if let Some(rest) = path.strip_prefix("/vcek/v1/") {
        let known = rest.starts_with("Milan/") && query == "blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115";
        return match (known, mode) {
            (false, _) => StatusCode::NOT_FOUND.into_response(),
            (true, Mode::OtherChain) => vector!("snp/self-made/milan/vcek.der").into_response(),
            (true, _) => vector!("snp/vcek_milan.der").into_response(),
        };
    }
    let about = if mode == Mode::OtherPlatform {
        vector!("dcap/tdx_quote_outdated_collateral.json")
    } else if path.starts_with("/tdx/") || query.contains("platform") || path.contains("root") {
        vector!("dcap/tdx_quote_collateral.json")
    } else {
        vector!("dcap/sgx_quote_collateral.json")
    };
    let mut all: Value = serde_json::from_slice(about).unwrap();
    match mode {
        Mode::OtherChain => {
            let other = include_str!("../../../../vectors/attestation/snp/cert_chain_milan");
            all["tcb_info_issuer_chain"] = other.into();
        }
        Mode::ChangedByte => {
            all["tcb_info"] = all["tcb_info"].as_str().unwrap().replacen("UpToDate", "UpToDatE", 1).into();
        }
        _ => (),
    }
    let text = |name: &str| all[name].as_str().unwrap().to_owned();
    let with = |header: &'static str, chain: &str, body: Vec<u8>| match mode {
        Mode::NoHeader => body.into_response(),
        Mode::BadEscape => ([(header, "-----BEGIN%2".to_owned())], body).into_response(),
        _ => ([(header, escaped(&text(chain)))], body).into_response(),
    };
    let signed = |name: &str, value: &str| {
        format!("{{\"{name}\":{},\"signature\":\"{}\"}}", text(value), text(&format!("{value}_signature"))).into_bytes()
    };
    if path.ends_with("/tcb") {
        with("tcb-info-issuer-chain", "tcb_info_issuer_chain", signed("tcbInfo", "tcb_info"))
    } else if path.ends_with("/qe/identity") {
        with("sgx-enclave-identity-issuer-chain", "qe_identity_issuer_chain", signed("enclaveIdentity", "qe_identity"))
    } else if path.ends_with("/pckcrl") {
        with("sgx-pck-crl-issuer-chain", "pck_crl_issuer_chain", const_hex::decode(text("pck_crl")).unwrap())
    } else if path == "/root.der" {
        const_hex::decode(text("root_ca_crl")).unwrap().into_response()
    } else if path.ends_with("/rootcacrl") && query == "pccs" {
        text("root_ca_crl").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn files(folder: &TempDir) -> Vec<String> {
    tool::list(&folder.path().join("collateral")).unwrap().into_iter().map(|line| line.file).collect()
}

async fn find(source: &Source, evidence: &Evidence, now: Timestamp) -> Result<Collateral, String> {
    source.find(&needs(evidence).unwrap(), false, now).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn what_real_platforms_need_is_fetched_kept_and_given_without_asking_again() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
    let recorded = [
        (tdx(), vector!("dcap/tdx_quote_collateral.json")),
        (evidence(Tee::Sgx, vector!("dcap/sgx_quote")), vector!("dcap/sgx_quote_collateral.json")),
    ];
    let source_1 = vendor.source(&folder);
    for (evidence, json) in &recorded {
        let expected = Collateral::Dcap(DcapCollateral::from_json(json).unwrap());
        assert_eq!(find(&source_1, evidence, THEN).await.unwrap(), expected);
    }
    let expected = Collateral::Snp(SnpCollateral::new(Some(vector!("snp/vcek_milan.der").to_vec()), None).unwrap());
    assert_eq!(find(&source_1, &milan(), THEN).await.unwrap(), expected);
    let asked = vendor.asked();
    for evidence in [tdx(), milan()] {
        find(&source_1, &evidence, THEN).await.unwrap();
    }
    assert_eq!(vendor.asked(), asked);
    let names = files(&folder);
    assert_eq!(names.len(), 3);
    assert_eq!(names[..2], ["dcap-sgx-00a067110000-processor.json", "dcap-tdx-b0c06f000000-platform.json"]);

    // A restart, and the vendors are gone.
    drop(vendor);
    let nobody = CollateralUrls { pccs: "http://127.0.0.1:1".into(), ..CollateralUrls::default() };
    let source_2 = source(&folder, CollateralSources { urls: Some(nobody), bundle: None });
    assert!(find(&source_2, &tdx(), THEN).await.is_ok());
}

#[tokio::test]
async fn hostile_and_broken_answers_delay_and_leave_nothing_behind() {
    let cases = [
        (Mode::Garbage, "is no revocation list"),
        (Mode::Huge, "answers with more than 524288 bytes"),
        (Mode::Endless, "answers with more than"),
        (Mode::Silent, "it did not come within 3s"),
        (Mode::Missing, "is not known to"),
        (Mode::Busy, "answers 429"),
        (Mode::Redirect, "answers 302"),
        (Mode::OtherChain, "its chain ends in another root than Intel's"),
        (Mode::ChangedByte, "the collateral's TCB info is malformed: it is not signed by"),
        (Mode::NoHeader, "has no header"),
        (Mode::BadEscape, "has a malformed header"),
        (Mode::OtherPlatform, "the collateral is about FMSPC"),
    ];
    for (mode, words) in cases {
        let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(mode).await);
        let error = find(&vendor.source(&folder), &tdx(), THEN).await.unwrap_err();
        assert!(error.contains(words), "{mode:?}: {error}");
        assert!(files(&folder).is_empty(), "{mode:?}");
    }
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::OtherChain).await);
    let error = find(&vendor.source(&folder), &milan(), THEN).await.unwrap_err();
    assert!(error.contains("the VCEK of this Milan chip and firmware cannot be had now"), "{error}");
    assert!(files(&folder).is_empty());
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch_and_a_failure_rests() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
    let source = vendor.source(&folder);
    let (evidence, asking) = (tdx(), 20);
    let found = futures_util::future::join_all((0..asking).map(|_| find(&source, &evidence, THEN))).await;
    assert!(found.iter().all(Result::is_ok));
    // TCB info, QE identity, PCK list; the root's list at the PCCS, then where Intel publishes it.
    assert_eq!(vendor.asked(), 5);

    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Missing).await);
    let source = vendor.source(&folder);
    let first = find(&source, &evidence, THEN).await.unwrap_err();
    let asked = vendor.asked();
    assert_eq!(find(&source, &evidence, THEN).await.unwrap_err(), first);
    assert_eq!(vendor.asked(), asked);
}

#[tokio::test]
async fn old_collateral_is_served_as_long_as_it_holds_and_never_after() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
    let source_1 = vendor.source(&folder);
    let Collateral::Dcap(kept) = find(&source_1, &tdx(), THEN).await.unwrap() else { panic!() };
    let expires = kept.validity().expires;
    *vendor.mode.lock().unwrap() = Mode::Busy;
    let asked = vendor.asked();
    assert!(find(&source_1, &tdx(), expires - 1).await.is_ok());
    while vendor.asked() == asked {
        tokio::task::yield_now().await;
    }
    let refused = find(&source_1, &tdx(), expires).await.unwrap_err();
    assert!(refused.contains("Intel's word on FMSPC b0c06f000000 cannot be had now"), "{refused}");
    *vendor.mode.lock().unwrap() = Mode::Good;
    let source_2 = vendor.source(&folder);
    let refused = find(&source_2, &tdx(), expires).await.unwrap_err();
    assert!(refused.contains(&format!("what was fetched expired at {expires}")), "{refused}");
    let source_3 = source(&folder, CollateralSources { urls: None, bundle: None });
    let refused = find(&source_3, &tdx(), expires).await.unwrap_err();
    assert!(refused.contains("it is not kept, and this SMS fetches none"), "{refused}");
    assert!(find(&source_3, &tdx(), expires - 1).await.is_ok());
}

#[tokio::test]
async fn a_bundle_is_made_where_there_is_a_network_and_read_where_there_is_none() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), Vendor::start(Mode::Good).await);
    let bundle = folder.path().join("bundle");
    tool::fetch(vec![tdx()], vendor.urls(), bundle.clone(), THEN).await.unwrap();
    drop(vendor);
    let lines = tool::list(&bundle).unwrap();
    assert_eq!(lines.len(), 1);
    let (issued, expires) = lines[0].dates.clone().unwrap();
    assert!(issued < THEN && THEN < expires);
    let source_1 = source(&folder, CollateralSources { urls: None, bundle: Some(bundle.clone()) });
    assert!(find(&source_1, &tdx(), THEN).await.is_ok());
    assert!(files(&folder).is_empty(), "a bundle is only read");
    assert!(tool::from_folder(&bundle, &tdx(), false, THEN).await.is_ok());

    // A file that says something else than its name, or nothing, is as if it were not there.
    let path = bundle.join(&lines[0].file);
    std::fs::write(&path, vector!("dcap/sgx_quote_collateral.json")).unwrap();
    let source_2 = source(&folder, CollateralSources { urls: None, bundle: Some(bundle.clone()) });
    assert!(find(&source_2, &tdx(), THEN).await.unwrap_err().contains("it is not kept"));
    assert!(tool::list(&bundle).unwrap()[0].dates.is_err());
    let gone = Some(Path::new("/nowhere").to_owned());
    let own = folder.path().join("own");
    assert!(Library::open(own, CollateralSources { urls: None, bundle: gone }, Metrics::default()).is_err());
}

#[test]
fn a_parts_file_name_leads_back_to_it_and_no_other_name_does() {
    for evidence in [tdx(), evidence(Tee::Sgx, vector!("dcap/sgx_quote"))] {
        let CollateralId::Dcap(id) = needs(&evidence).unwrap() else { panic!() };
        assert_eq!(Part::of_file(&Part::Dcap(id).file()), Some(Part::Dcap(id)));
    }
    let CollateralId::Snp(id) = needs(&milan()).unwrap() else { panic!() };
    let part = Part::Vcek { product: id.products[0], chip_id: id.chip_id, version: id.reported };
    assert!(part.file().len() < 255);
    assert_eq!(Part::of_file(&part.file()), Some(part));
    assert_eq!(Part::of_file("list-genoa.crl"), Some(Part::AmdList { product: SnpProduct::Genoa, key: SnpKey::Vcek }));
    assert_eq!(
        Part::of_file("list-turin-vlek.crl"),
        Some(Part::AmdList { product: SnpProduct::Turin, key: SnpKey::Vlek })
    );
    for name in [
        "",
        "dcap-tdx-b0c06f000000-platform",
        "dcap-svs-b0c06f000000-platform.json",
        "list-naples.crl",
        "list-milan-vcek.crl",
        "simulated",
    ] {
        assert_eq!(Part::of_file(name), None, "{name}");
    }
}

#[test]
fn percent_escapes_are_read_strictly() {
    use super::fetch::percent_decoded;
    assert_eq!(percent_decoded("a%20b%0A").as_deref(), Some("a b\n"));
    for wrong in ["%", "%2", "%zz", "%ff"] {
        assert_eq!(percent_decoded(wrong), None, "{wrong}");
    }
}
