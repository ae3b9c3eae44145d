//! `iexecd sms explain --task`: what the chain adds to a decision, said as the service decides; of evidence, of a receipt
//! and of a result archive.

use std::{io::Cursor, path::Path};

use iexec_archive::{AgeIdentity, Encryptor, Identity};
use iexec_chain::devnet::{CHAIN_ID, DevAccount, HUB};
use iexec_protocol::{
    B256,
    authorization::TaskRef,
    call::sms::SessionOffer,
    evidence::{Evidence, Nonce, image_event, report_data},
    id::{Sha256, TaskId},
    receipt::Statement,
};
use iexec_simulated_tee::{Platform, Td, pki};
use tempfile::TempDir;

use crate::{
    common::{self, Network, Service, Terms, config, enclave, enclave_key, evidence, image, key, refused},
    process::iexecd,
    statement,
};

/// A task, an SMS with a policy, and a folder with what the command reads.
struct Scene<'a> {
    network: &'a Network,
    folder: TempDir,
    sms: Service,
    task: TaskRef,
}

/// Exit status, and both outputs.
struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    fn last(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    fn has(&self, line: &str) {
        assert!(self.out.lines().any(|found| found == line), "{line}\n{}{}", self.out, self.err);
    }
}

impl<'a> Scene<'a> {
    /// The operator's file has `rule` in it, the app's owner registered `mrenclave`.
    async fn set(network: &'a Network, rule: &str, mrenclave: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&network.anvil.url(), &folder);
        common::policy(&folder, rule);
        let sms = Service::start(config).await;
        network.push_beneficiary_key(&sms, "k").await;
        let task = network.task(Terms { mrenclave: mrenclave.to_owned(), ..Terms::default() }).await;
        Self { network, folder, sms, task }
    }

    /// Sound evidence for the task.
    fn evidence(&self, offer: &SessionOffer) -> Evidence {
        evidence(&self.folder, enclave(), &enclave_key(), self.task.id, offer)
    }

    /// The service's decision: its sentence if it refuses.
    async fn decision(&self, change: fn(&mut Evidence)) -> Result<(), String> {
        let sentence = |(_, words): (u16, String)| words.split_once(": ").unwrap().1.to_owned();
        let challenge = self.network.challenge(&self.sms, self.task.id, DevAccount::Scheduler).await.unwrap();
        let offered = self.network.offer(&self.sms, &self.task, challenge).await;
        let Ok(offer) = offered else { return Err(sentence(refused(offered))) };
        let mut shown = self.evidence(&offer);
        change(&mut shown);
        let released = self.network.attest(&offer, shown).await;
        if released.is_ok() { Ok(()) } else { Err(sentence(refused(released))) }
    }

    fn keep(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    /// The command about a file in the folder.
    fn explain(&self, file: &str, task: TaskId, more: &[&str]) -> Told {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let (chain, hub, rpc) = (CHAIN_ID.to_string(), HUB.to_string(), self.network.anvil.url());
        let (policy, root, task) = (at("policy.toml"), at("pki/root.der"), task.to_string());
        let mut words = vec!["sms", "explain", file, "--policy", &policy, "--insecure-simulated-tee", &root];
        words.extend(["--task", &task, "--hub", &hub]);
        for (flag, value) in [("--rpc", rpc.as_str()), ("--chain-id", chain.as_str())] {
            if !more.contains(&flag) {
                words.extend([flag, value]);
            }
        }
        words.extend(more);
        let output = iexecd(words).current_dir(self.folder.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Told { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// An offer that nobody made: evidence in a file of its own says nothing of its nonce.
fn no_offer() -> SessionOffer {
    SessionOffer { session_id: String::new(), secret_provisioning_url: String::new(), nonce: Nonce(B256::ZERO) }
}

fn registers(bytes: &str) -> String {
    format!(r#"{{"framework":"TDX","version":"v5","fingerprint":"{bytes}"}}"#)
}

#[tokio::test]
async fn what_is_accepted_is_told_check_by_check_with_what_was_measured() {
    let network = Network::start().await;
    let mrtd = const_hex::encode(enclave());
    let scene = Scene::set(&network, "", &registers(&mrtd)).await;
    scene.keep("evidence.json", serde_json::to_vec(&scene.evidence(&no_offer())).unwrap());
    let told = scene.explain("evidence.json", scene.task.id, &[]);
    let expected = format!(
        "passed   SMS-49  rules
passed   ATT-5   image
passed   ATT-1   size
passed   ATT-2   tee
passed   ATT-3   anchor
passed   ATT-4   format
not run  ATT-6   report-data: the file does not tell the session's nonce
not run  ATT-7   image-register: the file does not tell the session's nonce
passed   ATT-8   debug
passed   ATT-9   migration
passed   ATT-10  privilege-level
passed   ATT-29  signing-key
passed   ATT-11  reference
passed   ATT-12  collateral
passed   ATT-13  collateral-dates
passed   ATT-14  authenticity
passed   ATT-15  collateral-age
passed   ATT-16  tcb-status
passed   ATT-17  tcb-advisories
passed   ATT-18  tcb-evaluation
passed   ATT-19  tcb-floor
passed   SMS-48  registered
measured: mrtd 0x{mrtd}
accepted by reference value \"enclave\"
"
    );
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert_eq!(told.out, expected);
    assert_eq!(scene.decision(|_| ()).await, Ok(()), "the service decides so, too");
    let raw: serde_json::Value =
        serde_json::from_str(&scene.explain("evidence.json", scene.task.id, &["--raw"]).out).unwrap();
    assert_eq!((&raw["accepted"], &raw["decidedBy"]), (&true.into(), &"reference value \"enclave\"".into()));
}

/// What decides, the operator's rule, what the app's owner registered, what is wrong with the evidence, further words.
type Refusal = (&'static str, String, String, fn(&mut Evidence), &'static str);

#[tokio::test]
async fn what_is_refused_is_told_with_the_rule_that_decided_and_the_services_own_words() {
    let network = Network::start().await;
    let requester = key(DevAccount::Requester(0)).address();
    let rule = |effect: &str| format!("[[rule]]\nname = \"their account\"\nrequester = [\"{requester}\"]\n{effect}\n");
    let other: fn(&mut Evidence) = |shown| shown.image = Sha256(B256::repeat_byte(0xcd));
    let none: fn(&mut Evidence) = |_| ();
    let cases: [Refusal; 5] = [
        ("rules (SMS-49)", rule("deny = \"ask the operator\""), String::new(), none, ""),
        (
            "tee (ATT-2)",
            rule("tees = [\"tdx\"]"),
            String::new(),
            none,
            "rule \"their account\" narrowed what counts for this deal",
        ),
        ("registered (SMS-48)", String::new(), registers(&"33".repeat(48)), none, "passed   ATT-11  reference"),
        ("registered (SMS-48)", String::new(), "no JSON".to_owned(), none, "passed   SMS-49  rules"),
        ("image (ATT-5)", String::new(), String::new(), other, "passed   SMS-49  rules"),
    ];
    for (decides, rule, mrenclave, change, line) in cases {
        let scene = Scene::set(&network, &rule, &mrenclave).await;
        let mut shown = scene.evidence(&no_offer());
        change(&mut shown);
        scene.keep("evidence.json", serde_json::to_vec(&shown).unwrap());
        let told = scene.explain("evidence.json", scene.task.id, &[]);
        let sentence = scene.decision(change).await.unwrap_err();
        assert_eq!(
            (told.code, told.last()),
            (1, format!("refused by {decides}: {sentence}").as_str()),
            "{}{}",
            told.out,
            told.err
        );
        if !line.is_empty() {
            told.has(line);
        }
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_is_exit_2_with_the_reason() {
    let network = Network::start().await;
    let scene = Scene::set(&network, "", "").await;
    scene.keep("evidence.json", serde_json::to_vec(&scene.evidence(&no_offer())).unwrap());
    let early = network.deal(Terms::default()).await.id;
    for (task, more, words) in [
        (TaskId(B256::repeat_byte(7)), vec![], "the task must be ACTIVE on chain, it is UNSET".to_owned()),
        (early, vec![], format!("task {early}: the task must be ACTIVE on chain")),
        (scene.task.id, vec!["--rpc", "http://127.0.0.1:1"], "http://127.0.0.1:1".to_owned()),
        (scene.task.id, vec!["--chain-id", "1"], format!("has id {CHAIN_ID}, expected 1")),
    ] {
        let told = scene.explain("evidence.json", task, &more);
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{words}");
        assert!(told.err.starts_with("error: ") && told.err.contains(&words), "{words}: {}", told.err);
    }
    let plain = network.task(Terms { tag: iexec_protocol::tag::Tag::NONE, params: "", ..Terms::default() }).await;
    let told = scene.explain("evidence.json", plain.id, &[]);
    assert!(told.code == 2 && told.err.contains("the deal's tag must name tee"), "{}", told.err);
}

/// A receipt's statement for this task, with a quote of the folder's machine that binds it.
fn state(folder: &TempDir, task: TaskId, statement: &mut Statement) {
    (statement.task, statement.nonce) = (task, Nonce(B256::repeat_byte(4)));
    (statement.inputs.image, statement.evidence.image) = (image(), image());
    let Evidence { key, signer, .. } = statement.evidence;
    let data = report_data(&key.0, signer, task, statement.nonce, image());
    let td = Td::new(enclave().0, data).extend(3, &image_event(image()));
    let file = std::fs::read(folder.path().join("pki").join(pki::PLATFORM)).unwrap();
    statement.evidence.quote = Platform::from_json(&file).unwrap().quote(&td);
}

/// An archive with such a receipt, and the receipt.
fn archive(folder: &TempDir, task: TaskId) -> (Vec<u8>, Vec<u8>) {
    let recipient = Identity::from(AgeIdentity::generate()).recipient().unwrap();
    let mut sealing = Encryptor::to_recipients(&[recipient], &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
    sealing.add_file("my-result.txt", &b"Hello, world!"[..]).unwrap();
    let mut receipt = Vec::new();
    let archive = sealing.finish(|sealed| {
        let mut stated = statement::statement(sealed);
        state(folder, task, &mut stated);
        receipt = statement::sign(&stated);
        receipt.clone()
    });
    (archive.unwrap().into_inner(), receipt)
}

#[tokio::test]
async fn a_receipt_and_an_archive_are_explained_with_what_they_were_made_for() {
    let network = Network::start().await;
    let scene = Scene::set(&network, "", "").await;
    let (archive, receipt) = archive(&scene.folder, scene.task.id);
    scene.keep("receipt.json", &receipt);
    scene.keep("0x01.zip", &archive);
    let other = network.task(Terms::default()).await;
    for file in ["receipt.json", "0x01.zip"] {
        let told = scene.explain(file, scene.task.id, &[]);
        assert_eq!(
            (told.code, told.last()),
            (0, "accepted by reference value \"enclave\""),
            "{}{}",
            told.out,
            told.err
        );
        for check in ["ATT-5   image", "ATT-6   report-data", "ATT-7   image-register", "SMS-48  registered"] {
            told.has(&format!("passed   {check}"));
        }
        // The same receipt does not pass for another task's.
        let told = scene.explain(file, other.id, &[]);
        let words = "refused by report-data (ATT-6): the quote binds report data 0x";
        assert!(told.code == 1 && told.last().starts_with(words), "{}{}", told.out, told.err);
    }
    let changed = String::from_utf8(receipt).unwrap().replacen("\"sig\":\"", "\"sig\":\"AA", 1);
    scene.keep("receipt.json", changed);
    scene.keep("0x01.zip", &archive[..archive.len() / 2]);
    for (file, words) in
        [("receipt.json", "error: receipt.json: the receipt: "), ("0x01.zip", "error: the archive 0x01.zip: ")]
    {
        let told = scene.explain(file, scene.task.id, &[]);
        assert!(told.code == 2 && told.out.is_empty() && told.err.starts_with(words), "{}{}", told.out, told.err);
    }
}

#[tokio::test]
async fn an_archive_without_a_receipt_and_a_missing_file_are_named() {
    let network = Network::start().await;
    let scene = Scene::set(&network, "", "").await;
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/cmd/result.in/plain.zip");
    scene.keep("plain.zip", std::fs::read(plain).unwrap());
    for (file, words) in [("plain.zip", "error: the archive plain.zip"), ("nothing", "error: cannot read nothing: ")] {
        let told = scene.explain(file, scene.task.id, &[]);
        assert!(told.code == 2 && told.err.starts_with(words), "{}", told.err);
    }
}
