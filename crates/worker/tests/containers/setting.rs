//! What the checks run in: a probe in the enclave's place, a small image, and one container at a time.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use iexec_protocol::{
    B256,
    id::{Sha256, TaskId},
};
use iexec_worker::{
    image::{AppImage, ImageRules, Images},
    net::{Net, Reach},
    runner::{Container, Limits, Mounts, Runner},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An engine with all that a container needs.
pub(crate) struct Setting {
    pub(crate) runner: Box<dyn Runner>,
    folder: PathBuf,
    enclave: PathBuf,
    image: AppImage,
}

/// What a container said and how it ended.
pub(crate) struct Said {
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) stderr: String,
    pub(crate) code: i64,
}

impl std::ops::Index<&str> for Said {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.values.get(name).unwrap_or_else(|| panic!("the probe did not tell {name:?}; it told {:?}", self.values))
    }
}

pub(crate) const LIMITS: Limits =
    Limits { memory: 128 << 20, millicpus: 500, pids: 32, disk: 8 << 20, unsafe_no_limits: false };

pub(crate) const TASK: TaskId = TaskId(B256::repeat_byte(0x5a));

impl Setting {
    pub(crate) async fn new(runner: Box<dyn Runner>, folder: &Path, enclave: PathBuf) -> Self {
        let image = image(folder).await;
        runner.prepare(&image).await.unwrap();
        Self { runner, folder: folder.to_owned(), enclave, image }
    }

    pub(crate) fn image(&self) -> &AppImage {
        &self.image
    }

    pub(crate) fn container(&self) -> Container {
        let private = |name: &str| {
            let path = self.folder.join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            path
        };
        let (fetched, archive) = (private("fetched"), private("archive"));
        fs::write(fetched.join("dataset"), "ciphertext").unwrap();
        let mounts = Mounts { enclave: self.enclave.clone(), fetched, archive, simulated_platform: None };
        Container { task: TASK, folder: self.folder.join("container"), mounts, limits: LIMITS }
    }

    /// Says one word to the probe and hears it out.
    pub(crate) async fn ask(&self, word: &str) -> Said {
        let container = self.container();
        let mut running = self.runner.start(&container, &self.image).await.unwrap();
        running.stdin.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        running.stdin.flush().await.unwrap();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let heard = async {
            tokio::try_join!(running.stdout.read_to_string(&mut stdout), running.stderr.read_to_string(&mut stderr))
                .unwrap();
            running.ended.await.unwrap()
        };
        let code = tokio::time::timeout(Duration::from_mins(1), heard).await.expect("the probe does not end");
        self.runner.remove(TASK).await.unwrap();
        let values = stdout.lines().filter_map(|line| line.split_once('='));
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Said { values, stderr, code }
    }
}

/// An image with a program, variables, a volume, a health check and a user of its own: none of it may matter.
async fn image(folder: &Path) -> AppImage {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| {
        let digest = Sha256::of(bytes);
        fs::write(blobs.join(digest.to_oci().trim_start_matches("sha256:")), bytes).unwrap();
        digest
    };
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o755);
    tar.append_data(&mut header, "bin/hello", &b"hi"[..]).unwrap();
    let plain = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let layer = blob(&gzip);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": {
            "Entrypoint": ["/bin/hello"], "Env": ["PATH=/evil", "LD_PRELOAD=/evil.so", "SECRET=x"], "User": "1234",
            "Volumes": {"/data": {}}, "WorkingDir": "/bin", "Healthcheck": {"Test": ["CMD", "/bin/hello"]},
        },
        "rootfs": {"type": "layers", "diff_ids": [Sha256::of(&plain).to_oci()]},
    });
    let config = config.to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob(config.as_bytes()).to_oci(), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.to_oci(), "size": gzip.len()}],
    });
    let checksum = blob(manifest.to_string().as_bytes());
    iexec_service::crypto::install();
    let rules = ImageRules { layouts: vec![folder.to_owned()], ..ImageRules::default() };
    let images = Images::new(folder.join("images"), rules, Net::new(Reach::Public).unwrap());
    images.obtain(format!("oci:{}", layout.display()).as_bytes(), checksum).await.unwrap()
}

/// The probe, compiled once per run: statically, as the enclave is.
pub(crate) fn probe(folder: &Path) -> PathBuf {
    let program = folder.join("probe");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containers/probe.rs");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"]);
    let built = rustc.arg("-o").arg(&program).arg(source).output().expect("rustc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}
