//! Attacks on the release of a session: evidence of something else, of another time, of another maker; and sessions that
//! are guessed, used, expired or raced for.

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address, B256,
    call::sms::SecretId,
    evidence::{Evidence, MAX_CERTIFICATES, MAX_JSON, MAX_QUOTE, Nonce, Tee, image_event},
    id::{Sha256, TaskId},
    secret::RESULT_ENCRYPTION_KEY,
};
use iexec_simulated_tee::{Td, pki::Pki};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::{
    common::{Service, config, enclave, enclave_key, image, key},
    request::{Ask, Raw},
    scene::{Case, Errand, Scene, Shown, case, evidence_request, platform, rewritten},
};

const REFUSED: &str = "403 SECURE_SESSION_GENERATION_FAILED";
const UNKNOWN: &str = "404 NO_SESSION_REQUEST";
const MALFORMED: &str = "400 INVALID_AUTHORIZATION";
const BINDS: &str = "the quote binds report data";

/// Each quote shown for the errand's session, by the machine that the SMS believes in.
fn shown(scene: &Scene, errand: &Errand, cases: Vec<(&str, Shown, &str)>) -> Vec<Case> {
    let machine = scene.platform();
    let request = |shown: Shown| evidence_request(&errand.offer.session_id, &shown.by(&machine));
    cases.into_iter().map(|(name, value, words)| case(name, request(value), REFUSED, words)).collect()
}

/// Each piece of evidence shown for the errand's session.
fn sent(errand: &Errand, cases: Vec<(&str, Evidence, &str)>) -> Vec<Case> {
    let request = |evidence: &Evidence| evidence_request(&errand.offer.session_id, evidence);
    cases.into_iter().map(|(name, evidence, words)| case(name, request(&evidence), REFUSED, words)).collect()
}

#[tokio::test]
async fn evidence_for_another_task_session_key_signer_or_image_opens_nothing() {
    let scene = Scene::set().await;
    let (errand, other) = (scene.errand().await, scene.errand().await);
    let twin = scene.another(&errand).await;
    let sound = Shown::of(&errand, &enclave_key());
    let evidence = sound.by(&scene.platform());
    let foreign = Sha256(B256::repeat_byte(0xcd));
    let registers = |events: &[Sha256]| {
        let td = Td::new(enclave().0, [0; 64]);
        sound.with(|shown| shown.td = events.iter().fold(td, |td, event| td.extend(3, &image_event(*event))))
    };
    let swapped = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        evidence
    };
    scene
        .refuses(shown(
            &scene,
            &errand,
            vec![
                ("another task", sound.with(|shown| shown.task = other.task.id), BINDS),
                ("task zero", sound.with(|shown| shown.task = TaskId(B256::ZERO)), BINDS),
                ("the nonce of another session of the task", sound.with(|shown| shown.nonce = twin.offer.nonce), BINDS),
                ("the nonce of another task's session", sound.with(|shown| shown.nonce = other.offer.nonce), BINDS),
                ("a nonce of zeros", sound.with(|shown| shown.nonce = Nonce(B256::ZERO)), BINDS),
                ("everything of another session", Shown::of(&other, &enclave_key()), BINDS),
                ("everything of another session of the task", Shown::of(&twin, &enclave_key()), BINDS),
                ("another image", sound.with(|shown| shown.image = foreign), "the enclave starts image"),
                ("another image in the register", registers(&[foreign]), "rtmr3 is"),
                ("another image after the app's", registers(&[image(), foreign]), "rtmr3 is"),
                ("the app's image after another", registers(&[foreign, image()]), "rtmr3 is"),
                ("the app's image twice", registers(&[image(), image()]), "rtmr3 is"),
                ("no image in the register", registers(&[]), "rtmr3 is"),
            ],
        ))
        .await;
    let with_quote = |quote: Vec<u8>| swapped(&|evidence| evidence.quote.clone_from(&quote));
    let unbound = scene.platform().quote(&Td { report_data: [0; 64], ..sound.td.clone() });
    scene
        .refuses(sent(
            &errand,
            vec![
                ("the key swapped", swapped(&|evidence| evidence.key = B256::from(*enclave_key().public())), BINDS),
                ("a key of zeros", swapped(&|evidence| evidence.key = B256::ZERO), BINDS),
                ("the signer swapped", swapped(&|evidence| evidence.signer = Address::repeat_byte(7)), BINDS),
                ("no signer", swapped(&|evidence| evidence.signer = Address::ZERO), BINDS),
                ("the image swapped", swapped(&|evidence| evidence.image = foreign), "the enclave starts image"),
                ("a quote that binds nothing", with_quote(unbound), BINDS),
            ],
        ))
        .await;
    // An X25519 key of small order makes the same secret with every other: whoever reads along would open the session.
    let small = ["00", "01", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b8"];
    let small = small.map(|start| {
        let mut key = const_hex::decode(start).unwrap();
        key.resize(32, 0);
        B256::from_slice(&key)
    });
    let of_key = |key: B256| ("a key of small order", sound.with(|shown| shown.key = key), "X25519");
    scene.refuses(shown(&scene, &errand, small.map(of_key).into())).await;
    scene.opens(&errand).await;
}

#[tokio::test]
async fn another_program_debug_migration_and_foreign_machines_open_nothing() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let sound = Shown::of(&errand, &enclave_key());
    let td = |change: &dyn Fn(&mut Td)| sound.with(|shown| change(&mut shown.td));
    let attributes = |bits: u64| td(&|td| td.attributes |= bits);
    scene
        .refuses(shown(
            &scene,
            &errand,
            vec![
                ("another program", td(&|td| td.mrtd = [7; 48]), "the enclave measures"),
                ("no program", td(&|td| td.mrtd = [0; 48]), "the enclave measures"),
                ("a program that differs in a bit", td(&|td| td.mrtd[47] ^= 1), "the enclave measures"),
                ("debug", attributes(Td::DEBUG), "runs in debug mode"),
                ("profiling", attributes(1 << 4), "runs in debug mode"),
                ("migration", attributes(Td::MIGRATABLE), "may be migrated"),
                ("debug and migration", attributes(Td::DEBUG | Td::MIGRATABLE), "runs in debug mode"),
                ("pages that the host may take", td(&|td| td.attributes = 0), "not authentic"),
                ("a TDX module that nobody judged", td(&|td| td.tee_tcb_svn = [0; 16]), "not authentic"),
            ],
        ))
        .await;
    let stranger = tempfile::tempdir().unwrap();
    let _ = config("http://127.0.0.1:1", &stranger);
    let secret = std::fs::read_to_string(scene.folder.path().join("pki/root.key")).unwrap();
    let own = Pki::from_secret(&const_hex::decode_to_array(secret.trim()).unwrap()).unwrap();
    let evidence = sound.by(&scene.platform());
    let quote = |quote: Vec<u8>| Evidence { quote, ..evidence.clone() };
    let flipped = |at: usize| {
        let mut bytes = evidence.quote.clone();
        bytes[at] ^= 1;
        quote(bytes)
    };
    let body = 48 + 584;
    let of_debug = attributes(Td::DEBUG).by(&scene.platform()).quote;
    let grafted = [&evidence.quote[..body], &of_debug[body..]].concat();
    let last = evidence.quote.len() - 1;
    let recorded = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/attestation/dcap/tdx_quote"));
    let certificates = Evidence { certificates: vec![0; MAX_CERTIFICATES + 1], quote: vec![], ..evidence.clone() };
    scene
        .refuses(sent(
            &errand,
            vec![
                ("a foreign root's machine", sound.by(&platform(&stranger)), "not authentic"),
                ("a machine of another kind", sound.by(&own.platform_of_kind([9; 6]).unwrap()), "FMSPC"),
                ("a debug quote's signature on a sound report", quote(grafted), "not authentic"),
                ("a signature with a bit changed", flipped(body + 4), "not authentic"),
                ("an attestation key with a bit changed", flipped(body + 4 + 64), "not authentic"),
                ("a quoting enclave with a bit changed", flipped(body + 4 + 64 + 64 + 6), "not authentic"),
                ("a register with a bit changed", flipped(48 + 328), ""),
                ("quote version 5", flipped(0), "malformed"),
                ("a quote of SGX", flipped(4), "malformed"),
                ("a quote cut short", quote(evidence.quote[..last].to_vec()), "malformed"),
                ("a header alone", quote(evidence.quote[..48].to_vec()), "malformed"),
                ("a byte after the quote", quote([evidence.quote.as_slice(), b"x"].concat()), "malformed"),
                ("no quote", quote(vec![]), "malformed"),
                ("JSON for a quote", quote(b"{\"measurement\":\"0x\"}".to_vec()), "malformed"),
                ("the largest quote there can be, of zeros", quote(vec![0; MAX_QUOTE]), "malformed"),
                ("a quote of 32 KiB and a byte", quote(vec![0; MAX_QUOTE + 1]), "at most 32768 are read"),
                ("certificates of 32 KiB and a byte", certificates, "at most 32768 are read"),
                ("a real machine's quote under the simulation's name", quote(recorded.unwrap()), BINDS),
                ("the simulation as tdx", Evidence { tee: Tee::Tdx, ..evidence.clone() }, "evidence is of tdx"),
                ("the simulation as snp", Evidence { tee: Tee::Snp, ..evidence.clone() }, "evidence is of snp"),
                ("the simulation as sgx", Evidence { tee: Tee::Sgx, ..evidence.clone() }, "evidence is of sgx"),
            ],
        ))
        .await;
    scene.opens(&errand).await;
}

#[tokio::test]
async fn an_sms_that_believes_in_no_simulation_is_not_talked_into_it_by_a_label() {
    let Scene { network, folder, sms } = Scene::set().await;
    sms.end().await;
    let strict = iexec_sms::Config { insecure_simulated_tee: None, ..config(&network.anvil.url(), &folder) };
    let scene = Scene { sms: Service::start(strict).await, network, folder };
    let errand = scene.errand().await;
    let evidence = Shown::of(&errand, &enclave_key()).by(&scene.platform());
    let labels = [Tee::Simulated, Tee::Tdx, Tee::Snp, Tee::Sgx, Tee::Simulated];
    let cases = labels.map(|tee| (tee.name(), Evidence { tee, ..evidence.clone() }, "evidence is of"));
    scene.refuses(sent(&errand, cases.into())).await;
}

#[tokio::test]
async fn a_session_that_is_guessed_used_or_expired_opens_nothing() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let (used, expired) = (scene.another(&errand).await, scene.another(&errand).await);
    let evidence = Shown::of(&errand, &enclave_key()).by(&scene.platform());
    let id = errand.offer.session_id.clone();
    let (random, rest) = id.split_at(10);
    let guess = |id: &str| evidence_request(id, &evidence);
    scene.opens(&used).await;
    let shown_again = Shown::of(&used, &enclave_key()).by(&scene.platform());
    let late = Shown::of(&expired, &enclave_key()).by(&scene.platform());
    let file = format!("sqlite:{}", scene.folder.path().join("sms/sms.sqlite").display());
    let mut db = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let update = sqlx::query("UPDATE session SET expires = 1 WHERE id = $1").bind(&expired.offer.session_id);
    assert_eq!(update.execute(&mut db).await.unwrap().rows_affected(), 1);
    let used_again = evidence_request(&used.offer.session_id, &shown_again);
    scene
        .refuses(vec![
            case("an id of other characters", guess(&format!("aaaaaaaaaa{rest}")), UNKNOWN, "no such session"),
            case("an id in other case", guess(&format!("{}{rest}", other_case(random))), UNKNOWN, "no such session"),
            case("an id cut short", guess(&id[..id.len() - 1]), UNKNOWN, "no such session"),
            case("an id and a character", guess(&format!("{id}0")), UNKNOWN, "no such session"),
            case("the random part alone", guess(random), UNKNOWN, "no such session"),
            case("the task alone", guess(&errand.task.id.to_string()), UNKNOWN, "no such session"),
            case("any", guess("%25"), UNKNOWN, "no such session"),
            case("SQL", guess("'%20OR%20''%3D'"), UNKNOWN, "no such session"),
            case("a path", guess("..%2f..%2fetc"), UNKNOWN, "no such session"),
            case("a zero byte", guess(&format!("{id}%00")), UNKNOWN, "no such session"),
            case("6,000 characters", guess(&"a".repeat(6000)), UNKNOWN, "no such session"),
            case("no UTF-8", guess("%ff%fe"), "400", ""),
            case("no id", guess(""), UNKNOWN, "no such session"),
            case("a session that was opened", used_again.clone(), "409 NO_SESSION_REQUEST", "a session is given once"),
            case(
                "a session that expired",
                evidence_request(&expired.offer.session_id, &late),
                "410 NO_SESSION_REQUEST",
                "the session expired",
            ),
        ])
        .await;
    scene.opens(&errand).await;
    let Scene { network, folder, sms } = scene;
    sms.end().await;
    let scene = Scene { sms: Service::start(config(&network.anvil.url(), &folder)).await, network, folder };
    let name = "a session that was opened before a restart";
    scene.refuses(vec![case(name, used_again, "409 NO_SESSION_REQUEST", "a session is given once")]).await;
}

fn other_case(text: &str) -> String {
    let turned = |letter: char| {
        if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    let turned: String = text.chars().map(turned).collect();
    if turned == text { "aaaaaaaaaa".to_owned() } else { turned }
}

#[tokio::test]
async fn what_changed_between_offer_and_evidence_counts_as_it_is_now() {
    let scene = Scene::set().await;
    let (errand, ended) = (scene.errand().await, scene.errand().await);
    let beneficiary = key(DevAccount::Requester(2));
    let id = SecretId::Web2 { owner: beneficiary.address(), name: RESULT_ENCRYPTION_KEY.to_owned() };
    let by_beneficiary = |ask: Ask| {
        let header = ask.terms.clone().sign(&ask.subject, ask.chain_id, &beneficiary).unwrap();
        ask.tampered(|sent| sent.authorization = Some(header.to_string()))
    };
    let show = |errand: &Errand| {
        evidence_request(&errand.offer.session_id, &Shown::of(errand, &enclave_key()).by(&scene.platform()))
    };
    assert_eq!(scene.answer(&by_beneficiary(Ask::delete(&scene.sms, &id, 1))).await.0, "204");
    let missing = "422 POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY";
    scene
        .refuses(vec![case("the beneficiary's key deleted", show(&errand), missing, "has no result encryption key")])
        .await;
    let put = by_beneficiary(Ask::put(&scene.sms, &id, "another key", 3));
    assert!(scene.answer(&put).await.0.starts_with("20"));
    scene.opens(&errand).await;
    scene.pass(24 * 3600).await;
    scene.network.writer(DevAccount::Scheduler).claim(ended.task.id).await.unwrap();
    let inactive = "409 EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE";
    scene.refuses(vec![case("the task ended", show(&ended), inactive, "it is FAILED")]).await;
}

#[tokio::test]
async fn evidence_that_is_malformed_or_oversized_is_refused_by_its_field() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let evidence = Shown::of(&errand, &enclave_key()).by(&scene.platform());
    let sound = evidence_request(&errand.offer.session_id, &evidence);
    let body = |body: Vec<u8>| Raw { body, ..sound.clone() };
    let mut cases = Vec::new();
    for field in ["tee", "key", "signer", "image", "quote"] {
        let without = rewritten(&sound, |json| drop(json.as_object_mut().unwrap().remove(field)));
        cases.push(case(format!("no {field}"), without, MALFORMED, field));
        for (what, value) in [
            ("null", Value::Null),
            ("a number", 7.into()),
            ("true", true.into()),
            ("a list", json!([1])),
            ("an object", json!({ "value": "0x" })),
            ("a byte", "0x11x".into()),
        ] {
            let with = rewritten(&sound, |json| json[field] = value);
            cases.push(case(format!("{field}: {what}"), with, MALFORMED, "the evidence"));
        }
    }
    let set = |field: &str, value: &str| rewritten(&sound, |json| json[field] = value.into());
    let valid = String::from_utf8(sound.body.clone()).unwrap();
    let twice = valid.replacen('{', "{\"tee\":\"tdx\",", 1);
    let digits = "11".repeat(33);
    cases.extend([
        case("a TEE in capitals", set("tee", "SIMULATED"), MALFORMED, "the evidence"),
        case("a TEE that is none", set("tee", "none"), MALFORMED, "the evidence"),
        case("a key of 31 bytes", set("key", &format!("0x{}", &digits[..62])), MALFORMED, "the evidence"),
        case("a key of 33 bytes", set("key", &format!("0x{digits}")), MALFORMED, "the evidence"),
        case("a signer of 19 bytes", set("signer", &format!("0x{}", &digits[..38])), MALFORMED, "the evidence"),
        case("an image of 31 bytes", set("image", &format!("0x{}", &digits[..62])), MALFORMED, "the evidence"),
        case("a quote in hex", set("quote", "0x0400"), MALFORMED, "the evidence"),
        case("certificates that are no base64", set("certificates", "%%"), MALFORMED, "the evidence"),
        case("a TEE twice", body(twice.into_bytes()), MALFORMED, "duplicate field"),
        case("two pieces of evidence", body(valid.repeat(2).into_bytes()), MALFORMED, "trailing characters"),
        case("a list of evidence", body(format!("[{valid}]").into_bytes()), MALFORMED, "the evidence"),
        case("cut short", body(sound.body[..100].to_vec()), MALFORMED, "the evidence"),
        case("nothing", body(vec![]), MALFORMED, "the evidence"),
        case("no UTF-8", body(vec![0xff; 16]), MALFORMED, "the evidence"),
        case("brackets 40,000 deep", body(vec![b'['; 40_000]), MALFORMED, "the evidence"),
        case(
            "a byte more than evidence can have",
            body(vec![b' '; MAX_JSON + 1]),
            "413 INVALID_AUTHORIZATION",
            "too large",
        ),
    ]);
    scene.refuses(cases).await;
    scene.opens(&errand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_enclaves_that_race_for_a_session_exactly_one_gets_it() {
    let scene = Scene::set().await;
    let errand = scene.errand().await;
    let machine = scene.platform();
    let of_different = (0..16).map(|_| Shown::of(&errand, &enclave_key()).by(&machine)).collect::<Vec<_>>();
    let twin = scene.another(&errand).await;
    let of_one = vec![Shown::of(&twin, &enclave_key()).by(&machine); 16];
    for (name, errand, evidence) in
        [("sixteen enclaves", &errand, of_different), ("one enclave sixteen times", &twin, of_one)]
    {
        let requests: Vec<_> =
            evidence.iter().map(|evidence| evidence_request(&errand.offer.session_id, evidence)).collect();
        let answers = futures_util::future::join_all(requests.iter().map(|request| scene.answer(request))).await;
        let mut answers: Vec<_> = answers.into_iter().map(|(status, _)| status).collect();
        answers.sort_unstable();
        let mut expected = vec!["200".to_owned()];
        expected.resize(16, "409 NO_SESSION_REQUEST".to_owned());
        assert_eq!(answers, expected, "{name}");
    }
}
