//! `iexec result verify` with the vendor's word from the SMS of chain.json: asked for by the command, over HTTP, of a real
//! `iexecd sms` with a bundle of recorded collateral.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Cursor},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use iexec_archive::{AgeIdentity, Encryptor, Identity};
use iexec_e2e::workspace;
use iexec_protocol::{
    B256,
    evidence::{Evidence, Tee},
    id::TaskId,
};

#[path = "../../cli/tests/statement/mod.rs"]
mod statement;

const TASK: TaskId = TaskId(B256::with_last_byte(1));
const HUB: &str = "0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f";
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn vector(name: &str) -> Vec<u8> {
    fs::read(workspace::root().join("vectors/attestation").join(name)).unwrap()
}

/// A report that a real machine of AMD's made. It is of no task, which shows once it is looked at.
fn report() -> Vec<u8> {
    const_hex::decode(String::from_utf8(vector("snp/report_milan.hex")).unwrap().trim()).unwrap()
}

/// `<task>.zip` with a receipt under this evidence.
fn archive(folder: &Path, tee: Tee, quote: &[u8]) {
    let recipient = Identity::from(AgeIdentity::generate()).recipient().unwrap();
    let mut sealing = Encryptor::to_recipients(&[recipient], &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
    sealing.add_file("my-result.txt", &b"Hello, world!"[..]).unwrap();
    let archive = sealing.finish(|sealed| {
        let mut stated = statement::statement(sealed);
        stated.tee = tee;
        stated.evidence = Evidence { tee, quote: quote.to_vec(), ..stated.evidence };
        statement::sign(&stated)
    });
    fs::write(folder.join(format!("{TASK}.zip")), archive.unwrap().into_inner()).unwrap();
}

/// The VCEK of that machine under the name that the SMS looks for: generation, firmware, chip.
fn bundle(folder: &Path) {
    let chip = const_hex::encode(&report()[0x1a0..0x1e0]);
    fs::create_dir(folder).unwrap();
    fs::write(folder.join(format!("vcek-milan-3.0.8.115-{chip}.der")), vector("snp/vcek_milan.der")).unwrap();
}

/// An SMS without a network; ends when dropped.
struct Sms {
    child: Child,
    origin: String,
}

impl Drop for Sms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sms {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(workspace::program("iexecd"));
        command.args(["sms", "--listen", "127.0.0.1:0", "--rpc", NOBODY, "--chain-id", "65535", "--hub", HUB]);
        command.arg("--data").arg(folder.join("sms")).args(["--collateral-offline", "--collateral-bundle"]);
        let mut child = command.arg(folder.join("bundle")).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("listening on http://")).unwrap();
        let origin = format!("http://{}", line.rsplit_once("http://").unwrap().1.trim());
        // What it says later is nobody's business, but must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, origin }
    }
}

/// The command, with a chain.json that names this SMS.
fn verify(folder: &Path, sms: &str, options: &[&str]) -> Output {
    let chain = serde_json::json!({
        "default": "there",
        "chains": { "there": { "id": "65535", "host": NOBODY, "hub": HUB, "sms": sms } }
    });
    fs::write(folder.join("chain.json"), chain.to_string()).unwrap();
    let mut command = Command::new(workspace::program("iexec"));
    command.args(["result", "verify", &format!("{TASK}.zip")]).args(options).current_dir(folder);
    command.env("HOME", folder).env("IEXEC_CHAIN_FILE", folder.join("chain.json")).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn evidence_is_judged_by_collateral_that_the_sms_of_chain_json_gives_out_and_not_judged_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bundle(&folder.join("bundle"));
    let sms = Sms::start(folder);

    // With AMD's word the report is authentic, and is found to be of no task of ours: the archive is refused for it.
    archive(folder, Tee::Snp, &report());
    let judged = verify(folder, &sms.origin, &[]);
    assert_eq!(judged.status.code(), Some(1), "{}", told(&judged));
    assert!(
        told(&judged).contains("error: ") && told(&judged).contains("the evidence (report-data): "),
        "{}",
        told(&judged)
    );

    // Without it nothing is known, which is said with the reason, and is no verdict.
    let unknown = "not verifiable: that the receipt is of the enclave that its evidence shows: ";
    let said = |output: &Output, words: &str| {
        let text = told(output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let line = text.lines().find(|line| line.starts_with(unknown)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(words), "{line}");
    };
    said(&verify(folder, &sms.origin, &["--receipt-only"]), "no collateral (--collateral), and no SMS");
    said(&verify(folder, NOBODY, &[]), NOBODY);
    archive(folder, Tee::Tdx, &vector("dcap/tdx_quote"));
    said(&verify(folder, &sms.origin, &[]), "Intel's word on FMSPC b0c06f000000 cannot be had now");
    let strict = verify(folder, &sms.origin, &["--require-verified"]);
    assert_eq!(strict.status.code(), Some(1), "{}", told(&strict));
    assert!(told(&strict).contains("cannot be had now"), "{}", told(&strict));
}
