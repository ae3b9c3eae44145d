//! On trees recorded from the kernel's ABI documents (`vectors/attestation/tsm-tdx`, `tsm-snp`). Attributes that change
//! are pipes, and a thread is the kernel: each step waits for the other side, so the order is the kernel's own.

use std::{
    io::Write as _,
    thread::{self, JoinHandle},
};

use iexec_protocol::evidence::image_register;
use nix::{sys::stat::Mode, unistd::mkfifo};

use super::*;

const DATA: [u8; 64] = [9; 64];

fn image() -> Sha256 {
    Sha256::of("image")
}

/// A copy of a recorded report, and a place for the register beside it.
fn recorded(tree: &str) -> (tempfile::TempDir, Report, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("report");
    fs::create_dir(&folder).unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/attestation").join(tree);
    for entry in fs::read_dir(tree).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let register = dir.path().join("rtmr3:sha384");
    (dir, Report(folder), register)
}

fn pipe(path: &Path) -> PathBuf {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRWXU).unwrap();
    path.to_owned()
}

/// Waits for a reader.
fn give(pipe: &Path, value: &[u8]) {
    fs::OpenOptions::new().write(true).open(pipe).unwrap().write_all(value).unwrap();
}

/// Takes report data, counts it, and gives the recorded quote.
fn provider(report: &Report) -> JoinHandle<Vec<u8>> {
    let at = |attribute: &str| report.0.join(attribute);
    let (quote, generation) = (fs::read(at("outblob")).unwrap(), at("generation"));
    let (inblob, outblob) = (pipe(&at("inblob")), pipe(&at("outblob")));
    thread::spawn(move || {
        let data = fs::read(inblob).unwrap();
        fs::write(generation, "1\n").unwrap();
        give(&outblob, &quote);
        data
    })
}

/// A register of zeros that is extended once; gives what was written.
fn register(path: &Path) -> JoinHandle<Vec<u8>> {
    let path = pipe(path);
    thread::spawn(move || {
        give(&path, &[0; REGISTER]);
        let event = fs::read(&path).unwrap();
        let value: [u8; REGISTER] = Sha384::new().chain_update([0; REGISTER]).chain_update(&event).finalize().into();
        give(&path, &value);
        assert_eq!(value, image_register(image()));
        event
    })
}

#[test]
fn tdx_has_the_image_in_its_register_before_it_gives_a_quote() {
    let (_dir, report, rtmr3) = recorded("tsm-tdx");
    let quote = fs::read(report.0.join("outblob")).unwrap();
    let (provider, register) = (provider(&report), register(&rtmr3));
    let vouched = report.vouch(&rtmr3, &DATA, image()).unwrap();
    assert_eq!(vouched, Quote { tee: Tee::Tdx, bytes: quote, certificates: vec![] });
    assert_eq!((provider.join().unwrap(), register.join().unwrap()), (DATA.to_vec(), image_event(image()).to_vec()));
}

#[test]
fn tdx_without_a_register_or_with_one_that_is_not_extended_gives_no_quote() {
    let (_dir, report, rtmr3) = recorded("tsm-tdx");
    let error = report.vouch(&rtmr3, &DATA, image()).unwrap_err();
    assert!(error.to_string().contains("rtmr3:sha384"), "{error}");
    assert!(!rtmr3.exists(), "a register is never made");
    fs::write(&rtmr3, [0; REGISTER]).unwrap();
    assert!(matches!(report.vouch(&rtmr3, &DATA, image()), Err(QuoteError::NotExtended { .. })));
    fs::write(&rtmr3, [0; REGISTER + 1]).unwrap();
    assert!(matches!(report.vouch(&rtmr3, &DATA, image()), Err(QuoteError::Io { .. })));
    assert_eq!(fs::read(report.0.join("inblob")).unwrap(), b"", "no report was asked for");
}

#[test]
fn snp_gives_its_certificates_too_if_it_has_some() {
    let (_dir, report, rtmr3) = recorded("tsm-snp");
    let read = |attribute: &str| fs::read(report.0.join(attribute)).unwrap();
    let expected = Quote { tee: Tee::Snp, bytes: read("outblob"), certificates: read("auxblob") };
    assert!(!expected.certificates.is_empty());
    let first = provider(&report);
    assert_eq!(report.vouch(&rtmr3, &DATA, image()).unwrap(), expected);
    assert_eq!(first.join().unwrap(), DATA);

    let (_dir, report, rtmr3) = recorded("tsm-snp");
    fs::remove_file(report.0.join("auxblob")).unwrap();
    let second = provider(&report);
    assert_eq!(report.vouch(&rtmr3, &DATA, image()).unwrap().certificates, b"");
    second.join().unwrap();
}

#[test]
fn a_report_whose_generation_is_not_the_next_was_written_by_somebody_else() {
    let (_dir, report, rtmr3) = recorded("tsm-snp");
    fs::write(report.0.join("generation"), "4\n").unwrap();
    assert!(matches!(report.vouch(&rtmr3, &DATA, image()), Err(QuoteError::Raced { expected: 5, found: 4 })));
    fs::write(report.0.join("generation"), "four\n").unwrap();
    assert!(report.vouch(&rtmr3, &DATA, image()).unwrap_err().to_string().contains("not a number"));
}

#[test]
fn what_a_provider_gives_is_read_within_bounds() {
    for (attribute, limit) in [("outblob", MAX_QUOTE), ("auxblob", MAX_CERTIFICATES), ("provider", MAX_ATTRIBUTE)] {
        let (_dir, report, rtmr3) = recorded("tsm-snp");
        fs::write(report.0.join(attribute), vec![b'x'; limit + 1]).unwrap();
        let error = report.vouch(&rtmr3, &DATA, image()).unwrap_err().to_string();
        assert!(error.contains(&format!("longer than {limit} bytes")), "{error}");
    }
}

#[test]
fn only_known_hardware_vouches() {
    assert_eq!(technology("tdx_guest").unwrap(), Tee::Tdx);
    assert_eq!(technology("sev_guest").unwrap(), Tee::Snp);
    for other in ["arm_cca_guest", "", "tdx_guest2"] {
        assert!(matches!(technology(other), Err(QuoteError::Provider(_))));
    }
}

#[test]
fn a_report_is_a_new_folder_that_goes_when_it_is_no_longer_needed() {
    let dir = tempfile::tempdir().unwrap();
    let report = Report::create(dir.path()).unwrap();
    assert!(Report::create(dir.path()).is_err(), "one that is there belongs to somebody else");
    drop(report);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
