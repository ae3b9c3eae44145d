//! An app that misbehaves on demand, as an image, and a network whose worker may take it.

use std::{fs, path::Path, process::Command};

use iexec_e2e::{network::Network, user::User};
use iexec_protocol::id::Sha256;
use serde_json::json;

/// A network and somebody with that app deployed; below `folder`.
pub(crate) fn network(folder: &Path, log: &str) -> (Network, User) {
    let image = folder.join("images/rogue");
    build(&folder.join("build"), &image);
    let images = folder.join("images");
    let options = ["--images", images.to_str().unwrap()];
    let network = Network::start_logging(&folder.join("network"), &options, log).unwrap();
    let user = User::new(&network, &folder.join("home")).unwrap().with_app(&image).unwrap();
    (network, user)
}

/// The program in an image of one layer, as an OCI layout.
fn build(work: &Path, layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(work).unwrap();
    let blob = |bytes: &[u8]| {
        let digest = Sha256::of(bytes).to_oci();
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len()})
    };
    let typed = |mut blob: serde_json::Value, kind: &str| {
        blob["mediaType"] = json!(format!("application/vnd.oci.image.{kind}"));
        blob
    };
    let program = fs::read(compiled(work)).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    layer.append_data(&mut header, "app", program.as_slice()).unwrap();
    let layer = layer.into_inner().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [Sha256::of(&layer).to_oci()]},
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed(blob(config.to_string().as_bytes()), "config.v1+json"),
        "layers": [typed(blob(&layer), "layer.v1.tar")],
    });
    let manifest = typed(blob(manifest.to_string().as_bytes()), "manifest.v1+json");
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn compiled(work: &Path) -> std::path::PathBuf {
    let program = work.join("app");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rogue/app.rs");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"]);
    let built = rustc.arg("-o").arg(&program).arg(source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}
