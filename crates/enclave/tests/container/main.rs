//! The built program in a container, from the first frame to the last. Needs root, since the app gets another user;
//! where there is none, says so and passes.
#![allow(clippy::unwrap_used, reason = "what a test prepares must succeed")]

mod rig;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Cursor, Read as _},
};

use aes::Aes256;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use iexec_archive::{Archive, tree_of_zip};
use iexec_protocol::{
    B256, Bytes,
    cause::Cause,
    evidence::Tee,
    id::Sha256,
    receipt::{Entry, Receipt},
    result::digest,
    session::Stage,
};
use rig::Rig;

/// Ends a script: its result is `r.txt`.
const COMPUTED: &str = r#"echo '{"deterministic-output-path":"/iexec_out/r.txt"}' > /iexec_out/computed.json"#;

fn files(zip: &[u8]) -> BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    let count = zip.len();
    let read = |index| {
        let mut entry = zip.by_index(index).unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.name().to_owned(), text)
    };
    (0..count).map(read).collect()
}

fn archive(rig: &Rig) -> Archive<File> {
    Archive::open(File::open(rig.archive()).unwrap()).unwrap()
}

fn decrypted(rig: &Rig) -> Vec<u8> {
    let mut zip = Vec::new();
    archive(rig).decrypt(&rig.beneficiary, &mut zip).unwrap();
    zip
}

#[test]
fn a_task_ends_in_a_signed_contribution_and_an_archive_that_only_the_beneficiary_opens() {
    if !rig::possible() {
        return;
    }
    let dataset = [
        &[9; 16][..],
        &cbc::Encryptor::<Aes256>::new(&[7; 32].into(), &[9; 16].into()).encrypt_padded_vec_mut::<Pkcs7>(b"the data"),
    ]
    .concat();
    let script = format!(
        "cat /iexec_in/data.bin /iexec_in/a.txt > /iexec_out/r.txt; echo \"$1\" >> /iexec_out/r.txt; echo said; {COMPUTED}"
    );
    let mut rig = Rig::script(&script);
    rig.fetched("dataset", &dataset);
    rig.fetched("input-1", b", the file, ");
    for (name, value) in [
        ("IS_DATASET_REQUIRED", "true"),
        ("IEXEC_DATASET_KEY", STANDARD.encode([7; 32]).as_str()),
        ("IEXEC_DATASET_CHECKSUM", Sha256::of(&dataset).to_string().as_str()),
        ("IEXEC_DATASET_FILENAME", "data.bin"),
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILE_URL_1", "https://example.com/a.txt"),
    ] {
        rig.set("pre-compute", name, value);
    }
    rig.set("app", "IEXEC_INPUT_FILE_NAME_1", "a.txt");
    rig.session.services[1].command = "'the argument'".into();

    let ran = rig.run();

    let finished = ran.last.unwrap_or_else(|failure| panic!("{failure:?}\n{}", ran.log));
    assert_eq!((ran.code, ran.stages), (Some(0), vec![Stage::PreCompute, Stage::App, Stage::PostCompute]));
    let result = "the data, the file, the argument\n";
    assert!(finished.contribution.is_signed_by(rig.challenge.address()));
    assert_eq!(finished.contribution.contribution.result_digest, digest::file(Sha256::of(result)));
    assert_eq!(finished.contribution.contribution.worker.to_string(), rig::WORKER);

    let evidence = ran.evidence.unwrap();
    assert_eq!(evidence.quote, rig::quote(&evidence));

    let zip = decrypted(&rig);
    let found = files(&zip);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["computed.json", "r.txt", "stderr.txt", "stdout.txt"]);
    assert_eq!((found["r.txt"].as_str(), found["stdout.txt"].as_str()), (result, "said\n"));

    let written = finished.archive.unwrap();
    let bytes = fs::read(rig.archive()).unwrap();
    assert_eq!((written.sha256, written.size, written.encrypted), (Sha256::of(&bytes), bytes.len() as u64, true));

    let mut archive = archive(&rig);
    let receipt = Receipt::verify(archive.receipt().unwrap()).unwrap();
    assert_eq!((receipt.signer(), receipt.enclave()), (rig.challenge.address(), Some(evidence.signer)));
    let statement = receipt.statement();
    assert_eq!((statement.task, statement.deal, statement.tee), (rig::task(), rig::deal(), Tee::Simulated));
    assert_eq!(statement.tree, Sha256(B256::from(tree_of_zip(Cursor::new(zip)).unwrap().0)));
    assert_eq!(statement.inputs.dataset, Some(Sha256::of(&dataset)));
    assert_eq!(statement.inputs.files, [Sha256::of(", the file, ")]);
    assert_eq!(statement.inputs.command.last().unwrap(), "the argument");
    let others: Vec<Entry> = archive
        .entries()
        .unwrap()
        .into_iter()
        .filter(|entry| entry.name != iexec_archive::RECEIPT_ENTRY)
        .map(|entry| Entry { name: entry.name, size: entry.size, sha256: Sha256(B256::from(entry.sha256)) })
        .collect();
    assert_eq!(receipt.check_entries(&others), Ok(()));
}

/// What the app may not do; each line says `no` if it may not.
const TRIALS: &str = r#"
    descriptors=$(ls /proc/self/fd | tr '\n' ' ')
    exec > /iexec_out/r.txt 2>/dev/null
    may() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name yes"; else echo "$name no"; fi; }
    echo "ids $(id -u) $(id -g) $(id -G)"
    echo "capabilities $(grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u)"
    echo "new-privileges $(grep NoNewPrivs /proc/self/status | cut -f2)"
    echo "descriptors $descriptors"
    echo "variables $(env | cut -d= -f1 | sort | tr '\n' ' ')"
    may environment cat /proc/$PPID/environ
    may memory head -c1 /proc/$PPID/mem
    may descriptors ls /proc/$PPID/fd
    may kill kill -0 $PPID
    may input touch /iexec_in/x
    may stdout-remove rm -f /iexec_out/stdout.txt
    may stdout-replace mv /iexec_out/computed.json /iexec_out/stdout.txt
    may archive ls /iexec/archive
    may platform cat /iexec/simulated-platform.json
    may root touch /x
"#;

#[test]
fn the_app_is_nobody_and_reaches_nothing_of_the_supervisor() {
    if !rig::possible() {
        return;
    }
    let mut rig = Rig::script(&format!("{COMPUTED}; {TRIALS}"));
    rig.set("app", "SECRET", "1234");
    let archive_folder = rig.archive().parent().unwrap().to_owned();
    fs::set_permissions(archive_folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let ran = rig.run();
    assert!(ran.last.is_ok(), "{:?}\n{}", ran.last, ran.log);
    let found = files(&decrypted(&rig));
    let variables = "HOME IEXEC_DEAL_ID IEXEC_IN IEXEC_INPUT_FILES_NUMBER IEXEC_OUT IEXEC_TASK_ID PATH PWD SECRET";
    let (facts, trials): (Vec<_>, Vec<_>) = found["r.txt"].lines().partition(|line| !line.ends_with(" no"));
    assert_eq!(
        facts,
        [
            "ids 65534 65534 65534",
            "capabilities 0000000000000000",
            "new-privileges 1",
            "descriptors 0 1 2 3 ",
            &format!("variables {variables} "),
        ]
    );
    assert_eq!(trials.len(), 10);
    assert!(!ran.log.contains("1234"), "{}", ran.log);
}

#[test]
fn whatever_the_app_leaves_running_is_ended_before_the_output_is_read() {
    if !rig::possible() {
        return;
    }
    let script = format!(
        "echo first > /iexec_out/r.txt; {COMPUTED}
        (setsid sh -c 'trap \"\" TERM HUP; while :; do echo x >> /iexec_out/r2.txt; sleep 0.01; done' &) ; (sleep 1000 &)"
    );
    for pid_namespace in [true, false] {
        let rig = Rig { pid_namespace, ..Rig::script(&script) };
        let ran = rig.run();
        assert!(ran.last.is_ok(), "{:?}\n{}", ran.last, ran.log);
        assert_eq!(files(&decrypted(&rig))["r.txt"], "first\n");
    }
}

#[test]
fn each_fault_of_an_app_has_its_cause_and_leaves_no_archive() {
    if !rig::possible() {
        return;
    }
    let wrote = format!("echo plain-text > /iexec_out/r.txt; {COMPUTED}");
    let cases = [
        ("exit 3".to_owned(), Cause::AppComputeFailed),
        (format!("{wrote}; kill -9 $$"), Cause::AppComputeFailed),
        ("sleep 1000".to_owned(), Cause::AppComputeTimeout),
        ("echo plain-text".to_owned(), Cause::PostComputeComputedFileNotFound),
        ("echo nonsense > /iexec_out/computed.json".to_owned(), Cause::PostComputeComputedFileNotFound),
        (COMPUTED.to_owned(), Cause::PostComputeResultDigestComputationFailed),
        (format!("{wrote}; ln -s /etc/passwd /iexec_out/link"), Cause::PostComputeOutFolderZipFailed),
        (format!("{wrote}; mkfifo /iexec_out/pipe"), Cause::PostComputeOutFolderZipFailed),
        (format!("{wrote}; touch /iexec_out/x; chmod 0 /iexec_out/x"), Cause::PostComputeOutFolderZipFailed),
        (
            format!(
                "{wrote}; ln -sf /etc /iexec_out/d; echo '{{\"deterministic-output-path\":\"/iexec_out/../etc/passwd\"}}' > /iexec_out/computed.json; rm /iexec_out/d"
            ),
            Cause::PostComputeResultDigestComputationFailed,
        ),
    ];
    for (script, cause) in cases {
        let mut rig = Rig::script(&script);
        rig.session.time_limit = if cause == Cause::AppComputeTimeout { 1 } else { 60 };
        let ran = rig.run();
        assert_eq!((ran.cause(), ran.code), (Some(cause), Some(1)), "{script}\n{:?}\n{}", ran.last, ran.log);
        assert_eq!(fs::read(rig.archive()).unwrap(), b"", "{script}");
        assert!(!format!("{:?}{}", ran.last, ran.log).contains("plain-text"), "{script}");
    }
    let ran = Rig::command(&["/no/such/program"]).run();
    assert_eq!(ran.cause(), Some(Cause::AppNotFoundLocally));
}

#[test]
fn an_unclear_or_impossible_wish_for_encryption_ends_the_task_before_the_app_runs() {
    if !rig::possible() {
        return;
    }
    let cases = [
        ("RESULT_ENCRYPTION", "True", Cause::PostComputeEncryptionPublicKeyMissing),
        ("RESULT_ENCRYPTION", "", Cause::PostComputeEncryptionPublicKeyMissing),
        ("RESULT_ENCRYPTION_PUBLIC_KEY", "", Cause::PostComputeEncryptionPublicKeyMissing),
        ("RESULT_ENCRYPTION_PUBLIC_KEY", "AAAA", Cause::PostComputeMalformedEncryptionPublicKey),
    ];
    for (name, value, cause) in cases {
        let mut rig = Rig::script("exit 9");
        rig.set("post-compute", name, value);
        let ran = rig.run();
        assert_eq!((ran.cause(), ran.stages), (Some(cause), vec![]), "{name}={value}");
        assert!(!rig.archive().exists());
    }
}

#[test]
fn a_container_that_is_not_as_it_must_be_gets_no_session() {
    if !rig::possible() {
        return;
    }
    let refused = |rig: &Rig| {
        let ran = rig.run();
        assert!(ran.evidence.is_none(), "no evidence, so no session");
        let (cause, message) = ran.last.unwrap_err();
        assert_eq!(cause, Cause::TeePreparationFailed);
        message
    };
    let on_disk = Rig { memory: false, ..Rig::script("true") };
    assert_eq!(refused(&on_disk), "/iexec_in must be a tmpfs");
    let no_tee = Rig::script("true");
    fs::remove_file(no_tee.root.path().join("iexec/simulated-platform.json")).unwrap();
    assert!(refused(&no_tee).starts_with("this machine has no TEE"));
    let other_image = Rig::script("true");
    fs::write(other_image.root.path().join("iexec/image/config.json"), "{}").unwrap();
    assert!(refused(&other_image).contains("configuration should have digest"));

    let taken = Rig::script("true");
    fs::write(taken.archive(), "from before").unwrap();
    assert_eq!(taken.run().cause(), Some(Cause::TeePreparationFailed));
    assert_eq!(fs::read(taken.archive()).unwrap(), b"from before");
}

#[test]
fn a_plain_deal_gives_a_plain_zip_and_a_callback_no_archive() {
    if !rig::possible() {
        return;
    }
    let mut plain = Rig::script(&format!("echo open > /iexec_out/r.txt; mkdir /iexec_out/void; {COMPUTED}"));
    plain.set("post-compute", "RESULT_ENCRYPTION", "false");
    let finished = plain.run().last.unwrap();
    assert!(!finished.archive.unwrap().encrypted);
    let found = files(&fs::read(plain.archive()).unwrap());
    assert_eq!((found["r.txt"].as_str(), found.contains_key("void/")), ("open\n", true));

    let mut callback = Rig::script(r#"echo '{"callback-data":"0x0102"}' > /iexec_out/computed.json"#);
    callback.set("post-compute", "RESULT_ENCRYPTION", "false");
    callback.set("post-compute", "RESULT_STORAGE_CALLBACK", "true");
    let finished = callback.run().last.unwrap();
    let contribution = finished.contribution.contribution;
    assert_eq!(contribution.callback, Bytes::from_static(&[1, 2]));
    assert_eq!(contribution.result_digest, digest::callback(&contribution.callback));
    assert!(finished.archive.is_none() && !callback.archive().exists());
}

#[test]
fn what_the_app_prints_never_blocks_it_and_an_archive_holds_large_files() {
    if !rig::possible() {
        return;
    }
    let rig = Rig::script(&format!("head -c 3000000 /dev/zero | tr '\\0' a | tee /iexec_out/r.txt; {COMPUTED}"));
    let ran = rig.run();
    assert!(ran.last.is_ok(), "{:?}\n{}", ran.last, ran.log);
    let found = files(&decrypted(&rig));
    assert_eq!((found["stdout.txt"].len(), found["r.txt"].len()), (3_000_000, 3_000_000));
}
