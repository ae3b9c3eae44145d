use std::collections::BTreeMap;

use iexec_archive::{AgeIdentity, PrivateKey, Recipient};
use iexec_protocol::{
    id::Sha256,
    session::{SecretText, Service},
};

use super::*;

const CONFIG: &[u8] =
    br#"{"config":{"Entrypoint":["/app","-x"],"Cmd":["default"],"Env":["A=image","PATH=/bin"],"WorkingDir":"/work"}}"#;

fn task() -> TaskId {
    TaskId([7; 32].into())
}

fn image() -> Image {
    let manifest = format!(r#"{{"config":{{"digest":"{}"}},"layers":[]}}"#, Sha256::of(CONFIG).to_oci());
    Image::parse(manifest.as_bytes(), CONFIG).unwrap()
}

fn service(name: &str, variables: &[(&str, String)]) -> Service {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), SecretText::new(value.clone())));
    Service { name: name.into(), environment: environment.collect::<BTreeMap<_, _>>(), ..Service::default() }
}

/// A session in which nothing is missing: dataset, one input file, encryption.
fn session(public_key: &str) -> Session {
    let task = ("IEXEC_TASK_ID", task().to_string());
    let pre = [
        task.clone(),
        ("IS_DATASET_REQUIRED", "true".into()),
        ("IEXEC_DATASET_KEY", STANDARD_KEY.into()),
        ("IEXEC_DATASET_CHECKSUM", Sha256::of("dataset").to_string()),
        ("IEXEC_DATASET_FILENAME", "data.bin".into()),
        ("IEXEC_INPUT_FILES_NUMBER", "1".into()),
        ("IEXEC_INPUT_FILE_URL_1", "https://example.com/a".into()),
    ];
    let app = [
        ("IEXEC_DEAL_ID", TaskId([8; 32].into()).to_string()),
        ("IEXEC_INPUT_FILES_NUMBER", "1".into()),
        ("IEXEC_INPUT_FILE_NAME_1", "a.txt".into()),
        ("A", "session".into()),
    ];
    let post = [
        task,
        ("SIGN_WORKER_ADDRESS", "0x7bd4783FDCAD405A28052a0d1f11236A741da593".into()),
        ("SIGN_TEE_CHALLENGE_PRIVATE_KEY", format!("0x{}", "11".repeat(32))),
        ("RESULT_ENCRYPTION", "true".into()),
        ("RESULT_ENCRYPTION_PUBLIC_KEY", public_key.into()),
        ("RESULT_STORAGE_CALLBACK", "false".into()),
    ];
    let app = Service {
        fingerprint: image().digest().to_string(),
        command: "one 'two three'".into(),
        ..service("app", &app)
    };
    let services = vec![service("pre-compute", &pre), app, service("post-compute", &post)];
    Session { name: "s".into(), version: VERSION.into(), time_limit: 300, services }
}

/// Base64 of 32 zero bytes.
const STANDARD_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn public_key() -> String {
    PrivateKey::generate(2048).unwrap().public_key().unwrap().to_sms_value()
}

#[test]
fn a_whole_session_becomes_a_plan() {
    let plan = Plan::parse(&session(&public_key()), task(), &image()).unwrap();
    let dataset = plan.pre_compute.dataset.unwrap();
    assert_eq!((dataset.checksum, dataset.key.expose()), (Sha256::of("dataset"), &[0; 32]));
    assert_eq!(plan.pre_compute.inputs, [FileName::parse("a.txt").unwrap()]);
    assert_eq!(plan.app.command, ["/app", "-x", "one", "two three"]);
    assert_eq!(plan.app.folder, "/work");
    let shown = |name: &str| plan.app.environment.get(name).map(|value| value.expose().to_owned()).unwrap();
    assert_eq!((shown("A"), shown("PATH"), shown("HOME")), ("session".into(), "/bin".into(), "/tmp".into()));
    assert!(matches!(plan.post_compute.delivery, Delivery::Encrypted(_)));
    assert_eq!(plan.time_limit.as_secs(), 300);
}

#[test]
fn the_beneficiarys_key_picks_the_layout() {
    let (one, two) = (AgeIdentity::generate().recipient(), AgeIdentity::generate().recipient());
    for (value, count) in [(public_key(), 1), (one.to_string(), 1), (format!("{one}\n{two}\n"), 2)] {
        let plan = Plan::parse(&session(&value), task(), &image()).unwrap();
        let Delivery::Encrypted(recipients) = plan.post_compute.delivery else { panic!("not encrypted") };
        assert_eq!(recipients.len(), count, "{value}");
        assert!(recipients.iter().all(|key| matches!(key, Recipient::Age(_)) == value.starts_with("age1")));
    }
    let mixed = session(&format!("{one}\n{}", public_key()));
    let failure = Plan::parse(&mixed, task(), &image()).err().unwrap();
    assert_eq!(failure.cause, Cause::PostComputeMalformedEncryptionPublicKey);
}

#[test]
fn each_missing_or_malformed_variable_has_iexecs_cause() {
    use Cause as C;
    let cases: &[(&str, &str, Option<&str>, Cause)] = &[
        ("pre-compute", "IEXEC_TASK_ID", None, C::PreComputeTaskIdMissing),
        ("pre-compute", "IEXEC_TASK_ID", Some("0x1"), C::PreComputeTaskIdMissing),
        ("pre-compute", "IS_DATASET_REQUIRED", None, C::PreComputeIsDatasetRequiredMissing),
        ("pre-compute", "IS_DATASET_REQUIRED", Some("yes"), C::PreComputeIsDatasetRequiredMissing),
        ("pre-compute", "IEXEC_DATASET_KEY", Some(""), C::PreComputeDatasetKeyMissing),
        ("pre-compute", "IEXEC_DATASET_KEY", Some("AAAA"), C::PreComputeDatasetKeyMissing),
        ("pre-compute", "IEXEC_DATASET_CHECKSUM", Some("0x12"), C::PreComputeDatasetChecksumMissing),
        ("pre-compute", "IEXEC_DATASET_FILENAME", Some("../up"), C::PreComputeDatasetFilenameMissing),
        ("pre-compute", "IEXEC_INPUT_FILES_NUMBER", None, C::PreComputeInputFilesNumberMissing),
        ("pre-compute", "IEXEC_INPUT_FILES_NUMBER", Some("-1"), C::PreComputeInputFilesNumberMissing),
        ("pre-compute", "IEXEC_INPUT_FILES_NUMBER", Some("2"), C::PreComputeInputFileUrlMissing),
        ("pre-compute", "IEXEC_INPUT_FILES_NUMBER", Some("4000000000"), C::TaskDescriptionInvalid),
        ("pre-compute", "IEXEC_BULK_SLICE_SIZE", Some("3"), C::PreComputeFailedUnknownIssue),
        ("app", "IEXEC_INPUT_FILE_NAME_1", Some(".."), C::PreComputeInputFileUrlMissing),
        ("app", "IEXEC_DEAL_ID", None, C::TeePreparationFailed),
        ("app", "BAD=NAME", Some("x"), C::TaskDescriptionInvalid),
        ("post-compute", "IEXEC_TASK_ID", None, C::PostComputeTaskIdMissing),
        ("post-compute", "SIGN_WORKER_ADDRESS", Some("0x00"), C::PostComputeWorkerAddressMissing),
        ("post-compute", "SIGN_TEE_CHALLENGE_PRIVATE_KEY", None, C::PostComputeChallengeKeyMissing),
        ("post-compute", "SIGN_TEE_CHALLENGE_PRIVATE_KEY", Some("0x11"), C::PostComputeChallengeKeyMissing),
        ("post-compute", "RESULT_ENCRYPTION", None, C::PostComputeEncryptionPublicKeyMissing),
        ("post-compute", "RESULT_ENCRYPTION", Some("TRUE"), C::PostComputeEncryptionPublicKeyMissing),
        ("post-compute", "RESULT_ENCRYPTION", Some("1"), C::PostComputeEncryptionPublicKeyMissing),
        ("post-compute", "RESULT_ENCRYPTION_PUBLIC_KEY", Some(""), C::PostComputeEncryptionPublicKeyMissing),
        ("post-compute", "RESULT_ENCRYPTION_PUBLIC_KEY", Some("bm8ga2V5"), C::PostComputeMalformedEncryptionPublicKey),
        ("post-compute", "RESULT_ENCRYPTION_PUBLIC_KEY", Some("age1x"), C::PostComputeMalformedEncryptionPublicKey),
        ("post-compute", "RESULT_STORAGE_CALLBACK", Some("true"), C::TaskDescriptionInvalid),
        ("post-compute", "RESULT_STORAGE_CALLBACK", Some("maybe"), C::TaskDescriptionInvalid),
    ];
    let public_key = public_key();
    for (stage, name, value, cause) in cases {
        let mut session = session(&public_key);
        let service = session.services.iter_mut().find(|service| service.name == *stage).unwrap();
        match value {
            Some(value) => drop(service.environment.insert((*name).to_owned(), SecretText::new(*value))),
            None => drop(service.environment.remove(*name)),
        }
        let failure = Plan::parse(&session, task(), &image()).err().map(|failure| failure.cause);
        assert_eq!(failure, Some(*cause), "{stage} {name} {value:?}");
    }
}

#[test]
fn a_session_for_another_task_image_or_version_is_refused() {
    let good = || session(&public_key());
    let cause = |session: &Session, task| Plan::parse(session, task, &image()).err().unwrap().cause;
    assert_eq!(cause(&good(), TaskId([9; 32].into())), Cause::TeePreparationFailed);
    assert_eq!(cause(&Session { version: "2".into(), ..good() }, task()), Cause::TeePreparationFailed);
    let mut other = good();
    other.services[1].fingerprint = Sha256::of("other").to_string();
    assert_eq!(cause(&other, task()), Cause::AppImageChecksumMismatch);
    other.services[1].fingerprint = String::new();
    assert_eq!(cause(&other, task()), Cause::AppImageChecksumMismatch);
    other.services.remove(1);
    assert_eq!(cause(&other, task()), Cause::TeePreparationFailed);
}

#[test]
fn a_session_without_pre_compute_is_for_apps_without_input() {
    let mut session = session(&public_key());
    session.services.remove(0);
    assert_eq!(Plan::parse(&session, task(), &image()).err().unwrap().cause, Cause::PreComputeTaskIdMissing);
    session.services[0].environment.insert("IEXEC_INPUT_FILES_NUMBER".into(), SecretText::new("0"));
    assert!(Plan::parse(&session, task(), &image()).unwrap().pre_compute.inputs.is_empty());
    session.services.remove(1);
    assert_eq!(Plan::parse(&session, task(), &image()).err().unwrap().cause, Cause::PostComputeTaskIdMissing);
}

#[test]
fn file_names_stay_in_their_folder() {
    for bad in ["", ".", "..", "a/b", "/a", "a\nb", "a\0", &"x".repeat(256)] {
        assert_eq!(FileName::parse(bad), None, "{bad:?}");
    }
    assert!(FileName::parse("0xabc …").is_some());
}

#[test]
fn a_plain_result_and_a_callback_need_no_key() {
    for (callback, delivery) in [("false", Delivery::Plain), ("true", Delivery::Callback)] {
        let mut session = session("");
        let post = &mut session.services[2].environment;
        post.insert("RESULT_ENCRYPTION".into(), SecretText::new("false"));
        post.insert("RESULT_STORAGE_CALLBACK".into(), SecretText::new(callback));
        assert_eq!(Plan::parse(&session, task(), &image()).unwrap().post_compute.delivery, delivery);
    }
}
