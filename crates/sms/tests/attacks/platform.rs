//! Machines that are authentic and not well kept: an SMS whose collateral judges them so releases nothing to them.

use iexec_simulated_tee::pki::{self, Collateral, Pki, TcbStatus, Terms};
use tempfile::TempDir;

use crate::{
    common::{Service, config, enclave_key},
    scene::{Errand, Scene, Shown, case, evidence_request},
};

const REFUSED: &str = "403 SECURE_SESSION_GENERATION_FAILED";

fn pki_of(folder: &TempDir) -> Pki {
    let secret = std::fs::read_to_string(folder.path().join("pki").join(pki::ROOT_KEY)).unwrap();
    Pki::from_secret(&const_hex::decode_to_array(secret.trim()).unwrap()).unwrap()
}

fn now() -> u64 {
    iexec_service::clock::now()
}

/// The same scene, with an SMS that has this collateral.
async fn with_collateral(scene: Scene, collateral: &Collateral) -> Scene {
    let Scene { network, folder, sms } = scene;
    sms.end().await;
    let settings = config(&network.anvil.url(), &folder);
    let json = serde_json::to_vec(collateral).unwrap();
    std::fs::write(folder.path().join("pki").join(pki::COLLATERAL), json).unwrap();
    Scene { sms: Service::start(settings).await, network, folder }
}

async fn refuses(scene: Scene, errand: &Errand, name: &str, collateral: &Collateral, words: &str) -> Scene {
    let scene = with_collateral(scene, collateral).await;
    let shown = Shown::of(errand, &enclave_key()).by(&scene.platform());
    scene.refuses(vec![case(name, evidence_request(&errand.offer.session_id, &shown), REFUSED, words)]).await;
    scene
}

#[tokio::test]
async fn a_machine_that_its_vendor_judges_badly_opens_nothing() {
    let mut scene = Scene::set().await;
    let errand = scene.errand().await;
    let pki = pki_of(&scene.folder);
    let sound = || Terms::sound(now() - 60, now() + 3600);
    let mut cases: Vec<(String, Terms, &str)> = [
        (TcbStatus::SWHardeningNeeded, "TCB is"),
        (TcbStatus::ConfigurationNeeded, "TCB is"),
        (TcbStatus::ConfigurationAndSWHardeningNeeded, "TCB is"),
        (TcbStatus::OutOfDate, "TCB is"),
        (TcbStatus::OutOfDateConfigurationNeeded, "TCB is"),
        (TcbStatus::Revoked, ""),
    ]
    .map(|(platform, words)| (format!("a platform that is {platform:?}"), Terms { platform, ..sound() }, words))
    .into();
    for (status, words) in [(TcbStatus::OutOfDate, "TCB is"), (TcbStatus::Revoked, "")] {
        cases.push((format!("a TDX module that is {status:?}"), Terms { module: status, ..sound() }, words));
        let terms = Terms { quoting_enclave: status, ..sound() };
        cases.push((format!("a quoting enclave that is {status:?}"), terms, words));
    }
    let advisories = vec!["INTEL-SA-00289".to_owned(), "INTEL-SA-00615".to_owned()];
    let terms = Terms { advisories, platform: TcbStatus::SWHardeningNeeded, ..sound() };
    cases.push(("a platform with advisories".to_owned(), terms, "INTEL-SA-00289, INTEL-SA-00615"));
    cases.push(("a revoked machine".to_owned(), Terms { revoked: true, ..sound() }, ""));
    cases.push(("another kind of machine".to_owned(), Terms { fmspc: [9; 6], ..sound() }, "FMSPC"));
    for (name, terms, words) in cases {
        scene = refuses(scene, &errand, &name, &pki.collateral(&terms).unwrap(), words).await;
    }
    let scene = with_collateral(scene, &pki.collateral(&sound()).unwrap()).await;
    scene.opens(&errand).await;
}

#[tokio::test]
async fn collateral_that_ended_is_to_come_or_is_not_its_vendors_decides_nothing() {
    let mut scene = Scene::set().await;
    let errand = scene.errand().await;
    let pki = pki_of(&scene.folder);
    let stranger = Pki::from_secret(&[9; 32]).unwrap();
    let of = |issued: u64, next: u64| pki.collateral(&Terms::sound(issued, next)).unwrap();
    let sound = of(now() - 60, now() + 3600);
    let foreign = stranger.collateral(&Terms::sound(now() - 60, now() + 3600)).unwrap();
    let spoiled = |change: &dyn Fn(&mut Collateral)| {
        let mut collateral = sound.clone();
        change(&mut collateral);
        collateral
    };
    let flip = |bytes: &mut Vec<u8>| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    };
    let better = |text: &str| text.replacen("UpToDate", "SWHardeningNeeded", 1);
    for (name, collateral, words) in [
        ("collateral that ended a minute ago", of(now() - 7200, now() - 60), "expired"),
        ("collateral of years ago", of(1_600_000_000, 1_600_086_400), "expired"),
        ("collateral that is to come", of(now() + 3600, now() + 7200), "still to come"),
        ("a stranger's collateral", foreign.clone(), "not authentic"),
        ("TCB info with its status changed", spoiled(&|all| all.tcb_info = better(&all.tcb_info)), "not authentic"),
        ("TCB info's signature with a bit changed", spoiled(&|all| flip(&mut all.tcb_info_signature)), "not authentic"),
        (
            "TCB info of a stranger",
            spoiled(&|all| {
                all.tcb_info.clone_from(&foreign.tcb_info);
                all.tcb_info_signature.clone_from(&foreign.tcb_info_signature);
            }),
            "not authentic",
        ),
        (
            "TCB info under a stranger's chain",
            spoiled(&|all| {
                all.tcb_info_issuer_chain.clone_from(&foreign.tcb_info_issuer_chain);
            }),
            "not authentic",
        ),
        (
            "QE identity with its signature changed",
            spoiled(&|all| flip(&mut all.qe_identity_signature)),
            "not authentic",
        ),
        (
            "QE identity under a stranger's chain",
            spoiled(&|all| {
                all.qe_identity_issuer_chain.clone_from(&foreign.qe_identity_issuer_chain);
            }),
            "not authentic",
        ),
        ("a revocation list with a bit changed", spoiled(&|all| flip(&mut all.pck_crl)), "not authentic"),
        ("a stranger's revocation list", spoiled(&|all| all.pck_crl.clone_from(&foreign.pck_crl)), "not authentic"),
        (
            "a stranger's list for the root",
            spoiled(&|all| all.root_ca_crl.clone_from(&foreign.root_ca_crl)),
            "not authentic",
        ),
        ("a revocation list that ended", spoiled(&|all| all.pck_crl = of(now() - 7200, now() - 60).pck_crl), "expired"),
    ] {
        scene = refuses(scene, &errand, name, &collateral, words).await;
    }
    let scene = with_collateral(scene, &sound).await;
    scene.opens(&errand).await;
}

/// The same scene, with an SMS under this policy beside the one reference, and with this collateral.
async fn under(scene: Scene, dcap: &str, more: &str, collateral: &Collateral) -> Scene {
    let Scene { network, folder, sms } = scene;
    sms.end().await;
    let settings = config(&network.anvil.url(), &folder);
    let mrtd = const_hex::encode(crate::common::enclave());
    let text = format!(
        "tees = [\"simulated\"]\n[dcap]\nstatuses = [\"UpToDate\", \"SWHardeningNeeded\"]\n{dcap}\n\
         [[reference.simulated]]\nname = \"enclave\"\nmrtd = \"{mrtd}\"\n{more}"
    );
    std::fs::write(settings.policy.as_ref().unwrap(), text).unwrap();
    std::fs::write(folder.path().join("pki").join(pki::COLLATERAL), serde_json::to_vec(collateral).unwrap()).unwrap();
    Scene { sms: Service::start(settings).await, network, folder }
}

#[tokio::test]
async fn an_advisory_that_the_policy_rejects_or_does_not_allow_opens_nothing_on_a_platform_whose_status_counts() {
    let mut scene = Scene::set().await;
    let errand = scene.errand().await;
    let pki = pki_of(&scene.folder);
    let advisories = vec!["INTEL-SA-00289".to_owned(), "INTEL-SA-00615".to_owned()];
    let terms = Terms { advisories, platform: TcbStatus::SWHardeningNeeded, ..Terms::sound(now() - 60, now() + 3600) };
    let advised = pki.collateral(&terms).unwrap();
    let requester = crate::common::key(iexec_chain::devnet::DevAccount::Requester(0)).address();
    let rule = format!(
        "[[rule]]\nname = \"careful\"\nrequester = [\"{requester}\"]\nrejected-advisories = [\"INTEL-SA-00289\"]\n"
    );
    for (name, dcap, rule, words) in [
        ("one of two is rejected", "rejected-advisories = [\"INTEL-SA-00615\"]", "", "INTEL-SA-00615"),
        ("rejected in other case", "rejected-advisories = [\"intel-sa-00615\"]", "", "INTEL-SA-00615"),
        ("one of two is allowed", "allowed-advisories = [\"INTEL-SA-00289\"]", "", "INTEL-SA-00615"),
        ("none is allowed", "allowed-advisories = []", "", "INTEL-SA-00289"),
        (
            "allowed and rejected",
            "allowed-advisories = [\"INTEL-SA-00289\", \"INTEL-SA-00615\"]\nrejected-advisories = [\"INTEL-SA-00289\"]",
            "",
            "INTEL-SA-00289",
        ),
        ("rejected by a rule for the deal", "", rule.as_str(), "INTEL-SA-00289"),
    ] {
        scene = under(scene, dcap, rule, &advised).await;
        let shown = Shown::of(&errand, &enclave_key()).by(&scene.platform());
        let words = format!("advisory {words}");
        scene.refuses(vec![case(name, evidence_request(&errand.offer.session_id, &shown), REFUSED, words)]).await;
    }
    let scene = under(scene, "rejected-advisories = [\"INTEL-SA-00837\"]", "", &advised).await;
    scene.opens(&errand).await;
}
