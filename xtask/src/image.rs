//! The sample app's OCI image, without a base image or a tool: a layout (OCI image specification 1.1, `image-layout.md`)
//! with one layer that holds one static program. The same program gives the same bytes, and so the same digest.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::enclave;

const PROGRAM: &str = "app/hello-world";
/// The one date that never changes.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// An image on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageRef {
    /// The layout's folder.
    pub(crate) layout: PathBuf,
    /// The manifest's digest, `sha256:…`: the app's checksum on chain.
    pub(crate) digest: String,
}

/// Builds the sample app and writes its image to `out`, which is replaced whole.
pub(crate) fn build_hello_world(out: &Path) -> Result<ImageRef> {
    let program = enclave::build_static("hello-world-app", "hello-world", true, &[])?;
    let program = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let triple = enclave::host()?;
    let digest = write(&program, architecture(&triple), out)?;
    Ok(ImageRef { layout: out.to_owned(), digest })
}

/// Writes the layout beside `out`, then puts it in its place.
fn write(program: &[u8], architecture: &str, out: &Path) -> Result<String> {
    let name = out.file_name().context("the image's folder has no name")?.to_string_lossy();
    let part = out.with_file_name(format!(".{name}.part-{}", std::process::id()));
    let _ = fs::remove_dir_all(&part);
    let written = write_layout(program, architecture, &part).and_then(|digest| {
        if out.exists() {
            fs::remove_dir_all(out).with_context(|| format!("cannot replace {}", out.display()))?;
        }
        fs::rename(&part, out).with_context(|| format!("cannot write {}", out.display()))?;
        Ok(digest)
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    written
}

/// Keys are in alphabetical order, which every build of the JSON library keeps.
fn write_layout(program: &[u8], architecture: &str, folder: &Path) -> Result<String> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot create {}", blobs.display()))?;
    let tar = layer(program)?;
    let layer = blob(&blobs, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&tar)?)?;
    let config = json!({
        "architecture": architecture,
        "config": {
            "Entrypoint": [format!("/{PROGRAM}")],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
        },
        "created": CREATED,
        "history": [{ "created": CREATED, "created_by": "cargo xtask" }],
        "os": "linux",
        "rootfs": { "diff_ids": [digest(&tar)], "type": "layers" },
    });
    let config = blob(&blobs, "application/vnd.oci.image.config.v1+json", &serde_json::to_vec(&config)?)?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "config": config, "layers": [layer], "mediaType": media_type, "schemaVersion": 2 });
    let mut manifest = blob(&blobs, media_type, &serde_json::to_vec(&manifest)?)?;
    let digest = manifest["digest"].as_str().context("the manifest has no digest")?.to_owned();
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
    let index = json!({
        "manifests": [manifest],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "schemaVersion": 2,
    });
    fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(digest)
}

/// A tar of the program and its folder: root's, of no date.
fn layer(program: &[u8]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header
    };
    tar.append_data(&mut header(tar::EntryType::Directory, 0), "app/", &b""[..])?;
    tar.append_data(&mut header(tar::EntryType::Regular, program.len() as u64), PROGRAM, program)?;
    Ok(tar.into_inner()?)
}

/// Stored, not compressed: how well a compressor finds matches depends on the processor, and the digest must not.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::none());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

/// Writes a blob and describes it.
fn blob(folder: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    let path = folder.join(digest.trim_start_matches("sha256:"));
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(json!({ "digest": digest, "mediaType": media_type, "size": bytes.len() }))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// OCI's (Go's) name of a target's processor.
fn architecture(triple: &str) -> &str {
    match triple.split('-').next() {
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        Some(other) => other,
        None => triple,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_program_gives_the_same_digest_and_every_blob_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("image");
        let first = write(b"program", "amd64", &out).unwrap();
        assert_eq!(write(b"program", "amd64", &out).unwrap(), first);
        assert_ne!(write(b"another", "amd64", &out).unwrap(), first);
        for entry in fs::read_dir(out.join("blobs/sha256")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                digest(&fs::read(entry.path()).unwrap()),
                format!("sha256:{}", entry.file_name().to_str().unwrap())
            );
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_layer_holds_the_program_executable_and_dateless() {
        let zipped = gzip(&layer(b"program").unwrap()).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(zipped.as_slice()));
        let mut entries = tar.entries().unwrap().map(Result::unwrap);
        assert_eq!(entries.next().unwrap().path().unwrap().to_str(), Some("app/"));
        let mut program = entries.next().unwrap();
        assert_eq!((program.header().mode().unwrap(), program.header().mtime().unwrap()), (0o755, 0));
        let mut bytes = Vec::new();
        program.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"program");
    }
}
