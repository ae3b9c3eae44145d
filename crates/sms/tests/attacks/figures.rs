//! What is told of a known series of requests: the numbers of `/metrics` and the entries of the audit log are these and no
//! others.

use std::sync::{Arc, Mutex};

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    B256,
    evidence::{Evidence, Nonce, Tee},
    secret::RESULT_ENCRYPTION_KEY,
};
use iexec_service::clock;
use iexec_simulated_tee::Td;
use iexec_sms::{KekSource, Location, admin};
use serde_json::{Value, json};

use crate::{
    common::{authorization, enclave_key, image, key},
    request::Raw,
    scene::{Errand, Scene, Shown, challenge_request, evidence_request, post, session_request},
};

const REFUSED: &str = "403 SECURE_SESSION_GENERATION_FAILED";
const USED: &str = "409 NO_SESSION_REQUEST";
/// The families that are told of.
const FAMILIES: [&str; 6] = [
    "sms_attestations_total",
    "sms_authorizations_total",
    "sms_challenges_total",
    "sms_secrets_set_total",
    "sms_sessions_offered_total",
    "sms_sessions_released_total",
];

/// What `/metrics` must say of the series below.
const NUMBERS: [&str; 15] = [
    r#"sms_attestations_total{tee="simulated",verdict="accepted",check=""} 1"#,
    r#"sms_attestations_total{tee="simulated",verdict="refused",check="debug"} 1"#,
    r#"sms_attestations_total{tee="simulated",verdict="refused",check="key"} 1"#,
    r#"sms_attestations_total{tee="simulated",verdict="refused",check="reference"} 2"#,
    r#"sms_attestations_total{tee="simulated",verdict="refused",check="report-data"} 1"#,
    r#"sms_attestations_total{tee="tdx",verdict="refused",check="tee"} 1"#,
    r#"sms_challenges_total{outcome="ok",cause=""} 1"#,
    r#"sms_challenges_total{outcome="refused",cause="EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE"} 1"#,
    r#"sms_secrets_set_total{kind="web2",outcome="kept"} 1"#,
    r#"sms_sessions_offered_total{outcome="ok",cause=""} 1"#,
    r#"sms_sessions_offered_total{outcome="refused",cause="INVALID_AUTHORIZATION"} 1"#,
    r#"sms_sessions_released_total{tee="simulated",outcome="ok",cause=""} 1"#,
    r#"sms_sessions_released_total{tee="simulated",outcome="refused",cause="NO_SESSION_REQUEST"} 2"#,
    r#"sms_sessions_released_total{tee="simulated",outcome="refused",cause="SECURE_SESSION_GENERATION_FAILED"} 5"#,
    r#"sms_sessions_released_total{tee="tdx",outcome="refused",cause="SECURE_SESSION_GENERATION_FAILED"} 1"#,
];

/// What the audit log must have of it.
fn expected(errand: &Errand) -> Vec<Value> {
    let (task, session) = (errand.task.id.to_string(), errand.offer.session_id.as_str());
    let beneficiary = key(DevAccount::Requester(2)).address().to_string();
    let worker = key(DevAccount::Worker(0)).address().to_string();
    let foreign = "EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE";
    let shown = |session: &str, cause: &str, tee: &str, check: &str| json!({ "event": "refused", "request": "evidence", "cause": cause, "session": session, "tee": tee, "check": check });
    let refused = |tee, check| shown(session, "SECURE_SESSION_GENERATION_FAILED", tee, check);
    let mut entries = vec![
        json!({ "event": "secret.written", "kind": "web2", "owner": beneficiary, "name": RESULT_ENCRYPTION_KEY, "version": 1 }),
        json!({ "event": "refused", "request": "challenge", "cause": foreign, "task": task }),
        json!({ "event": "refused", "request": "session", "cause": "INVALID_AUTHORIZATION" }),
        refused("simulated", "reference"),
        refused("simulated", "reference"),
        refused("simulated", "debug"),
        refused("simulated", "report-data"),
        refused("tdx", "tee"),
        refused("simulated", "key"),
        json!({
            "event": "session.released", "session": session, "task": task, "tee": "simulated", "worker": worker,
            "image": image().to_string(), "reference": "enclave", "rules": "",
        }),
        shown(session, "NO_SESSION_REQUEST", "simulated", ""),
        shown("unknown", "NO_SESSION_REQUEST", "simulated", ""),
    ];
    for (entry, number) in entries.iter_mut().zip(1..) {
        entry["seq"] = Value::from(number);
    }
    entries
}

/// Evidence for the errand's session, one of each kind that is refused, with the check that refuses it.
fn refused(scene: &Scene, errand: &Errand) -> Vec<(Evidence, &'static str)> {
    let (machine, sound) = (scene.platform(), Shown::of(errand, &enclave_key()));
    let shown = |change: &dyn Fn(&mut Shown)| sound.with(|shown| change(shown)).by(&machine);
    let program = shown(&|shown| shown.td.mrtd = [7; 48]);
    vec![
        (program.clone(), "reference"),
        (program, "reference"),
        (shown(&|shown| shown.td.attributes |= Td::DEBUG), "debug"),
        (shown(&|shown| shown.nonce = Nonce(B256::ZERO)), "report-data"),
        (Evidence { tee: Tee::Tdx, ..sound.by(&machine) }, "tee"),
        (shown(&|shown| shown.key = B256::ZERO), "key"),
    ]
}

/// Lines of `/metrics` of the families above, without their help.
async fn numbers(scene: &Scene) -> Vec<String> {
    let request = Raw { method: Method::GET, ..post("/metrics", None, "") };
    let answer = scene.network.client.send(&scene.sms.origin, &request).await.unwrap();
    let text = String::from_utf8(answer.into_body()).unwrap();
    let is_ours = |line: &&str| FAMILIES.iter().any(|family| line.starts_with(&format!("{family}{{")));
    text.lines().filter(is_ours).map(str::to_owned).collect()
}

/// The audit log, without the times, which must be of the last minutes.
async fn entries(scene: &Scene) -> Vec<Value> {
    let at = Location { data: scene.folder.path().join("sms"), database: None, kek: KekSource::DataFolder };
    let shown = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&shown);
    let show = move |line: &str| {
        lines.lock().unwrap().push(line.to_owned());
        Ok(())
    };
    admin::verify_audit(at.clone(), 1, None).await.unwrap();
    admin::show_audit(at, 1, show).await.unwrap();
    let untimed = |line: &String| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        let time = entry.as_object_mut().unwrap().remove("time").unwrap().as_u64().unwrap();
        assert!(clock::now() - time < 600, "{line}");
        entry
    };
    let lines = shown.lock().unwrap();
    lines.iter().map(untimed).collect()
}

#[tokio::test]
async fn a_known_series_of_requests_gives_these_numbers_and_these_entries() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let session = errand.offer.session_id.as_str();
    let said = async |request: &Raw| scene.answer(request).await.0;
    let foreign = challenge_request(errand.task.id, DevAccount::Requester(0));
    assert_eq!(said(&foreign).await, "401 EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE");
    let mut unsigned = authorization(&errand.task, errand.challenge);
    unsigned.signature = key(DevAccount::Worker(1)).sign_personal(unsigned.authorization.hash()).unwrap();
    assert_eq!(said(&session_request(&unsigned)).await, "401 INVALID_AUTHORIZATION");
    for (evidence, check) in refused(&scene, &errand) {
        assert_eq!(said(&evidence_request(session, &evidence)).await, REFUSED, "{check}");
    }
    scene.opens(&errand).await;
    let again = Shown::of(&errand, &enclave_key()).by(&scene.platform());
    assert_eq!(said(&evidence_request(session, &again)).await, USED);
    assert_eq!(said(&evidence_request("unknown", &again)).await, "404 NO_SESSION_REQUEST");
    // Nothing is decided about what cannot be read.
    assert_eq!(said(&post(format!("/tee/sessions/{session}/evidence"), None, "{}")).await, "400 INVALID_AUTHORIZATION");

    assert_eq!(numbers(&scene).await, NUMBERS);
    assert_eq!(entries(&scene).await, expected(&errand));
}
