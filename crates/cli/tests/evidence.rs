//! What `iexec result verify` finds out from a receipt's evidence, on simulated quotes under a root that the user names.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod statement;

use std::{
    fs,
    io::Cursor,
    time::{SystemTime, UNIX_EPOCH},
};

use desk::{Answer, Desk, TASK, age};
use iexec_archive::Encryptor;
use iexec_protocol::{
    B256,
    evidence::{Nonce, image_event, report_data},
    receipt::Statement,
};
use iexec_simulated_tee::{
    Td, measured,
    pki::{Pki, TcbStatus, Terms},
};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn terms() -> Terms {
    Terms::sound(now() - 60, now() + 3600)
}

fn td(statement: &Statement) -> Td {
    let evidence = &statement.evidence;
    let data = report_data(&evidence.key.0, evidence.signer, statement.task, statement.nonce, evidence.image);
    Td::new(measured(b"the program"), data).extend(3, &image_event(evidence.image))
}

/// Puts a quote into a statement.
type Make = fn(&Pki, &mut Statement);

/// A desk with an archive whose receipt has the quote that `make` makes, and with a root that says `terms`.
fn desk(terms: &Terms, make: impl Fn(&Pki, &mut Statement)) -> Desk {
    let (key, pki) = (age(), Pki::from_secret(&[1; 32]).unwrap());
    let desk = Desk::new(&key);
    let out = Cursor::new(Vec::new());
    let mut sealing = Encryptor::to_recipients(&[key.recipient().unwrap()], &mut rand::rng(), out).unwrap();
    sealing.add_file("my-result.txt", &b"Hello, world!"[..]).unwrap();
    let archive = sealing.finish(|sealed| {
        let mut statement = statement::statement(sealed);
        make(&pki, &mut statement);
        statement::sign(&statement)
    });
    fs::write(desk.path(&format!("{TASK}.zip")), archive.unwrap().into_inner()).unwrap();
    fs::write(desk.path("root.der"), pki.root_der()).unwrap();
    fs::write(desk.path("collateral.json"), serde_json::to_vec(&pki.collateral(terms).unwrap()).unwrap()).unwrap();
    desk
}

fn sound(pki: &Pki, statement: &mut Statement) {
    statement.evidence.quote = pki.platform().unwrap().quote(&td(statement));
}

fn verified(desk: &Desk, options: &str) -> Answer {
    desk.result(&format!("verify {TASK}.zip --simulated-root root.der{options}"))
}

#[test]
fn evidence_tells_the_root_the_program_the_enclaves_key_and_the_platforms_state() {
    let desk = desk(&terms(), sound);
    let answer = verified(&desk, "");
    assert_eq!(answer.code, 0, "{}", answer.err);
    for line in [
        "verified: the quote is authentic under the development root sha256:",
        &format!("verified: the enclave measures mrtd 0x{}", const_hex::encode(measured(b"the program"))),
        "verified: that enclave alone has the key 0x",
        "verified: the platform's TCB is UpToDate",
        "not verifiable: that the machine was a TEE: it was simulated",
    ] {
        assert!(answer.err.lines().any(|found| found.starts_with(line)), "{line}: {}", answer.err);
    }
}

#[test]
fn the_root_of_the_local_networks_chain_file_is_used_where_none_is_named() {
    let desk = desk(&terms(), sound);
    let folder = desk.path("");
    let chain = serde_json::json!({ "default": "devnet", "chains": { "devnet": { "simulatedTee": folder } } });
    fs::write(desk.path("chain.json"), chain.to_string()).unwrap();
    let answer = desk.result(&format!("verify {TASK}.zip --receipt-only --insecure-simulated-tee"));
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(
        answer.err.contains("verified: the quote is authentic under the development root sha256:"),
        "{}",
        answer.err
    );
    fs::remove_file(desk.path("root.der")).unwrap();
    let answer = desk.result(&format!("verify {TASK}.zip --receipt-only --insecure-simulated-tee"));
    assert!(answer.err.contains("its quote was not checked: ") && answer.err.contains("root.der: "), "{}", answer.err);
}

#[test]
fn a_receipt_under_evidence_for_something_else_is_refused() {
    let cases: [(Make, &str); 4] = [
        (
            |pki, statement| {
                sound(pki, statement);
                statement.nonce = Nonce(B256::repeat_byte(9));
            },
            "the evidence (report-data)",
        ),
        (
            |pki, statement| {
                let td = td(statement).extend(3, &[1; 48]);
                statement.evidence.quote = pki.platform().unwrap().quote(&td);
            },
            "the evidence (image-register)",
        ),
        (
            |pki, statement| {
                let td = Td { attributes: Td::SEPT_VE_DISABLE | Td::DEBUG, ..td(statement) };
                statement.evidence.quote = pki.platform().unwrap().quote(&td);
            },
            "the evidence (debug)",
        ),
        (|_, statement| sound(&Pki::from_secret(&[2; 32]).unwrap(), statement), "the evidence (authenticity)"),
    ];
    for (make, words) in cases {
        let answer = verified(&desk(&terms(), make), " --raw");
        assert_eq!((answer.code, answer.json()["error"]["name"].as_str()), (1, Some("InvalidReceipt")));
        assert!(answer.err.contains(words), "{words}: {}", answer.err);
    }
}

#[test]
fn without_a_root_with_old_collateral_or_on_a_neglected_platform_something_stays_unknown() {
    let line = |answer: &Answer, words: &str| {
        assert_eq!(answer.code, 0, "{}", answer.err);
        let found = answer.err.lines().any(|line| line.starts_with("not verifiable: ") && line.contains(words));
        assert!(found, "{words}: {}", answer.err);
    };
    let here = desk(&terms(), sound);
    let unchecked = "its quote was not checked: no root of a simulated TEE is known (--simulated-root FILE";
    line(&here.result(&format!("verify {TASK}.zip")), unchecked);
    // That it may be a simulation does not make it checked.
    line(&here.result(&format!("verify {TASK}.zip --insecure-simulated-tee")), unchecked);
    let strict = here.result(&format!("verify {TASK}.zip --task {TASK} --insecure-simulated-tee --require-verified"));
    assert!(strict.code == 1 && strict.err.contains(unchecked), "{}", strict.err);
    line(&verified(&here, " --collateral nothing.json"), "nothing.json");
    let expired = Terms { issued: now() - 7200, next_update: now() - 3600, ..terms() };
    line(&verified(&desk(&expired, sound), ""), "expired");
    let advised = vec!["INTEL-SA-00289".to_owned()];
    let neglected = Terms { platform: TcbStatus::OutOfDate, advisories: advised, ..terms() };
    line(&verified(&desk(&neglected, sound), ""), "its TCB is OutOfDate (INTEL-SA-00289)");
}
