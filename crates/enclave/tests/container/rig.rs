//! Plays worker and SMS for the built program in a small container: namespaces, a read-only root, three capabilities.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use iexec_archive::PrivateKey;
use iexec_protocol::{
    B256,
    cause::Cause,
    evidence::{Evidence, Nonce, image_register, report_data},
    id::{DealId, Sha256, TaskId},
    image::Image,
    key::SigningKey,
    session::{
        Finished, FromEnclave, SecretText, Service, Session, Stage, ToEnclave, VERSION, decode_frame, encode_frame,
        frame_length, seal,
    },
};
use iexec_simulated_tee::{Platform, Td, measured, pki::Pki};
use rand_core::{OsRng, UnwrapErr};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_iexec-enclave");
pub(crate) const WORKER: &str = "0x7bd4783FDCAD405A28052a0d1f11236A741da593";

/// Whether such a container can be made here.
pub(crate) fn possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let unshared = root
        && Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).status().is_ok_and(|s| s.success());
    if !unshared {
        assert!(std::env::var_os("CI").is_none(), "containers cannot be made here, and CI must run this");
        eprintln!("not run: this needs root and namespaces");
    }
    unshared
}

/// A container's folder and what belongs to its task.
pub(crate) struct Rig {
    pub(crate) root: TempDir,
    pub(crate) beneficiary: PrivateKey,
    pub(crate) challenge: SigningKey,
    pub(crate) session: Session,
    /// In a pid namespace of its own, where the program is pid 1.
    pub(crate) pid_namespace: bool,
    /// `/iexec_in` and `/iexec_out` are tmpfs.
    pub(crate) memory: bool,
}

/// What came out.
pub(crate) struct Ran {
    pub(crate) stages: Vec<Stage>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) last: Result<Finished, (Cause, String)>,
    pub(crate) log: String,
    pub(crate) code: Option<i32>,
}

impl Ran {
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.last.as_ref().err().map(|(cause, _)| *cause)
    }
}

impl Rig {
    /// An app that is this shell script.
    pub(crate) fn script(script: &str) -> Self {
        Self::command(&["/bin/sh", "-c", script, "app"])
    }

    pub(crate) fn command(entrypoint: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["iexec/image", "iexec/fetched", "iexec/archive", "iexec_in", "iexec_out", "proc", "dev", "tmp"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(at("iexec_out"), Permissions::from_mode(0o1777)).unwrap();
        fs::copy(PROGRAM, at("iexec/enclave")).unwrap();
        let config = serde_json::to_vec(&serde_json::json!({ "config": { "Entrypoint": entrypoint } })).unwrap();
        let manifest = format!(r#"{{"config":{{"digest":"{}"}},"layers":[]}}"#, Sha256::of(&config).to_oci());
        fs::write(at("iexec/image/config.json"), &config).unwrap();
        fs::write(at("iexec/image/manifest.json"), &manifest).unwrap();
        let image = Image::parse(manifest.as_bytes(), &config).unwrap();
        fs::write(at("iexec/simulated-platform.json"), platform().to_json()).unwrap();
        fs::set_permissions(at("iexec/simulated-platform.json"), Permissions::from_mode(0o600)).unwrap();
        let (beneficiary, challenge) = (PrivateKey::generate(2048).unwrap(), SigningKey::from_bytes(&[3; 32]).unwrap());
        let session = session(&image, &beneficiary, &challenge);
        Self { root, beneficiary, challenge, session, pid_namespace: true, memory: true }
    }

    pub(crate) fn set(&mut self, service: &str, name: &str, value: &str) {
        let service = self.session.services.iter_mut().find(|known| known.name == service).unwrap();
        service.environment.insert(name.to_owned(), SecretText::new(value));
    }

    pub(crate) fn fetched(&self, name: &str, bytes: &[u8]) {
        fs::write(self.root.path().join("iexec/fetched").join(name), bytes).unwrap();
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.root.path().join("iexec/archive/archive.zip")
    }

    /// The whole conversation.
    pub(crate) fn run(&self) -> Ran {
        let mut child = self.start();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let begin = ToEnclave::Begin { task: task(), nonce: nonce() };
        // A program that did not start is found out when its answer is read.
        let _ = to.write_all(&encode_frame(&begin).unwrap());
        let (mut stages, mut shown) = (Vec::new(), None);
        let last = loop {
            let Some(message) = receive(&mut from) else {
                let output = child.wait_with_output().unwrap();
                panic!("no last frame ({})\n{}", output.status, String::from_utf8_lossy(&output.stderr));
            };
            match message {
                FromEnclave::Evidence(evidence) => {
                    let sealed = seal(&self.session, &evidence.key.0, &mut UnwrapErr(OsRng)).unwrap();
                    to.write_all(&encode_frame(&ToEnclave::Session(sealed)).unwrap()).unwrap();
                    shown = Some(evidence);
                }
                FromEnclave::Stage { stage } => stages.push(stage),
                FromEnclave::Finished(finished) => break Ok(*finished),
                FromEnclave::Failed { cause, message } => break Err((cause, message)),
            }
        };
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "nothing comes after the last frame");
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        Ran { stages, evidence: shown, last, log, code: output.status.code() }
    }

    fn start(&self) -> Child {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--ipc"]);
        if self.pid_namespace {
            command.args(["--pid", "--fork", "--kill-child"]);
        }
        command
            .args(["sh", "-c", include_str!("container.sh"), "container"])
            .arg(self.root.path())
            .arg(if self.memory { "memory" } else { "disk" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

fn platform() -> Platform {
    Pki::from_secret(&[1; 32]).unwrap().platform().unwrap()
}

/// The quote that the program's own file, the image and this evidence's keys make: signatures are deterministic.
pub(crate) fn quote(evidence: &Evidence) -> Vec<u8> {
    let data = report_data(&evidence.key.0, evidence.signer, task(), nonce(), evidence.image);
    let mut td = Td::new(measured(&fs::read(PROGRAM).unwrap()), data);
    td.rtmr[3] = image_register(evidence.image);
    platform().quote(&td)
}

pub(crate) fn task() -> TaskId {
    TaskId(B256::repeat_byte(7))
}

pub(crate) fn deal() -> DealId {
    DealId(B256::repeat_byte(8))
}

pub(crate) fn nonce() -> Nonce {
    Nonce(B256::repeat_byte(9))
}

fn session(image: &Image, beneficiary: &PrivateKey, challenge: &SigningKey) -> Session {
    let task = ("IEXEC_TASK_ID", task().to_string());
    let key = format!("0x{}", challenge.expose().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat());
    let app = service(
        "app",
        vec![
            task.clone(),
            ("IEXEC_DEAL_ID", deal().to_string()),
            ("IEXEC_IN", "/iexec_in".into()),
            ("IEXEC_OUT", "/iexec_out".into()),
            ("IEXEC_INPUT_FILES_NUMBER", "0".into()),
        ],
    );
    let post = vec![
        task.clone(),
        ("SIGN_WORKER_ADDRESS", WORKER.into()),
        ("SIGN_TEE_CHALLENGE_PRIVATE_KEY", key),
        ("RESULT_ENCRYPTION", "true".into()),
        ("RESULT_ENCRYPTION_PUBLIC_KEY", beneficiary.public_key().unwrap().to_sms_value()),
        ("RESULT_STORAGE_CALLBACK", "false".into()),
    ];
    let pre = vec![task, ("IS_DATASET_REQUIRED", "false".into()), ("IEXEC_INPUT_FILES_NUMBER", "0".into())];
    let app = Service { fingerprint: image.digest().to_string(), ..app };
    let services = vec![service("pre-compute", pre), app, service("post-compute", post)];
    Session { name: "session-1".into(), version: VERSION.into(), time_limit: 60, services }
}

fn service(name: &str, variables: Vec<(&str, String)>) -> Service {
    let environment: BTreeMap<_, _> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), SecretText::new(value))).collect();
    Service { name: name.into(), environment, ..Service::default() }
}

fn receive(from: &mut impl Read) -> Option<FromEnclave> {
    let mut header = [0; 4];
    from.read_exact(&mut header).ok()?;
    let mut json = vec![0; frame_length(header).unwrap()];
    from.read_exact(&mut json).ok()?;
    Some(decode_frame(&json).unwrap())
}
