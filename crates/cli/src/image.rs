//! An app's image as `app init --image` reads it: where it is, and the digest of its manifest.

use std::{collections::BTreeMap, path::Path};

use iexec_protocol::{B256, id::Sha256};
use serde::Deserialize;

use crate::{failure::Failure, files};

/// Where an image is, and what nobody can put in its place.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) multiaddr: String,
    pub(crate) checksum: B256,
}

/// `index.json` of an OCI image layout, and an image index in it (OCI image specification).
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A manifest; an index of several platforms has `manifests` instead of `layers`.
#[derive(Deserialize)]
struct Manifest {
    manifests: Option<serde_json::Value>,
}

impl Image {
    /// What a project without an image begins with.
    pub(crate) fn placeholder() -> Self {
        Self { name: "my-app".into(), multiaddr: "docker.io/me/my-app:1.0.0".into(), checksum: B256::ZERO }
    }

    /// The image of `oci:<folder>[:tag]` or `<name>@sha256:<digest>`.
    pub(crate) fn find(text: &str) -> Result<Self, Failure> {
        if let Some(layout) = text.strip_prefix("oci-layout://").or_else(|| text.strip_prefix("oci:")) {
            return Self::of_layout(layout).map_err(|failure| failure.at("--image"));
        }
        let Some((name, digest)) = text.split_once('@') else {
            return Err(Failure::invalid(format!("--image: {text:?} names no digest")).hint(
                "an image of a registry is named <host>/<name>@sha256:<digest> (`docker buildx imagetools inspect` tells it), one on this disk oci:<folder>",
            ));
        };
        let checksum = Sha256::from_oci(digest)
            .map_err(|_| {
                Failure::invalid(format!("--image: the digest must be sha256: and 64 hex digits, got {digest:?}"))
                    .hint("`docker buildx imagetools inspect <image>` tells it")
            })?
            .0;
        Ok(Self { name: last_part(name), multiaddr: text.to_owned(), checksum })
    }

    fn of_layout(text: &str) -> Result<Self, Failure> {
        let (folder, tag) = match text.rsplit_once(':') {
            Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag)),
            _ => (text, None),
        };
        if folder.is_empty() {
            return Err(
                Failure::invalid("no folder is named").hint("name the folder of an OCI image layout: oci:<folder>")
            );
        }
        let path = Path::new(folder).canonicalize().map_err(|error| {
            files::failure("cannot be read", Path::new(folder), &error)
                .or_hint("name the folder of an OCI image layout: oci:<folder>")
        })?;
        let index: Index = files::read_json(&path.join("index.json"))?.ok_or_else(|| {
            Failure::invalid(format!("{folder} is no OCI image layout: it has no index.json"))
                .hint("`docker buildx build --output type=oci,tar=false,dest=<folder>` or `skopeo copy … oci:<folder>` makes one")
        })?;
        let checksum =
            Sha256::from_oci(&index.one(tag, folder)?.digest).map_err(|error| Failure::invalid(error.to_string()))?;
        check_manifest(&path, checksum)?;
        let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
        Ok(Self {
            name: last_part(&path.to_string_lossy()),
            multiaddr: format!("oci:{}{tag}", path.display()),
            checksum: checksum.0,
        })
    }
}

impl Index {
    fn one(&self, tag: Option<&str>, folder: &str) -> Result<Descriptor, Failure> {
        let named = |descriptor: &&Descriptor| {
            tag.is_none() || descriptor.annotations.get("org.opencontainers.image.ref.name").map(String::as_str) == tag
        };
        let found: Vec<_> = self.manifests.iter().filter(named).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            several => {
                let tagged = tag.map_or_else(String::new, |tag| format!(" tagged {tag:?}"));
                let message = match several.len() {
                    0 => format!("{folder} has no image{tagged}"),
                    count => format!("{folder} has {count} images{tagged}"),
                };
                Err(Failure::invalid(message).hint("name the one with oci:<folder>:<tag>"))
            }
        }
    }
}

/// The manifest must be there, be of its digest, and be of one platform.
fn check_manifest(layout: &Path, digest: Sha256) -> Result<(), Failure> {
    let path = layout.join("blobs/sha256").join(digest.to_oci().trim_start_matches("sha256:"));
    let text = files::read_text(&path, files::MAX_PROJECT_FILE)?;
    let text = text.ok_or_else(|| Failure::absent(format!("there is no manifest {}", path.display())))?;
    let found = Sha256::of(&text);
    if found != digest {
        return Err(Failure::invalid(format!("the manifest {} has the digest {}", path.display(), found.to_oci())));
    }
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| Failure::invalid(format!("the manifest {}: {error}", path.display())))?;
    if manifest.manifests.is_none() {
        return Ok(());
    }
    Err(Failure::invalid(format!("{} holds an image for several platforms", layout.display()))
        .hint("make it for one platform, for example with `skopeo copy --override-arch amd64 …`"))
}

fn last_part(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path).split(':').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let digest = Sha256::of(manifest).to_oci();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        std::fs::write(folder.path().join("blobs/sha256").join(&digest[7..]), manifest).unwrap();
        std::fs::write(folder.path().join("index.json"), format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#))
            .unwrap();
        folder
    }

    #[test]
    fn the_checksum_of_a_layouts_image_is_its_manifests_digest() {
        let folder = layout(r#"{"layers":[]}"#);
        let image = Image::find(&format!("oci:{}", folder.path().display())).unwrap();
        assert_eq!(image.checksum, Sha256::of(r#"{"layers":[]}"#).0);
        assert_eq!(image.multiaddr, format!("oci:{}", folder.path().canonicalize().unwrap().display()));
    }

    #[test]
    fn an_image_of_several_platforms_and_a_missing_tag_are_refused() {
        let folder = layout(r#"{"manifests":[]}"#);
        let text = format!("oci:{}", folder.path().display());
        assert!(Image::find(&text).unwrap_err().message.ends_with("several platforms"));
        assert!(
            Image::find(&format!("{text}:latest")).unwrap_err().message.ends_with("has no image tagged \"latest\"")
        );
    }

    #[test]
    fn a_registrys_image_needs_its_digest() {
        assert!(Image::find("docker.io/me/app:1").is_err());
        let image = Image::find(&format!("docker.io/me/app@sha256:{}", "ab".repeat(32))).unwrap();
        assert_eq!((image.name.as_str(), image.checksum), ("app", B256::repeat_byte(0xab)));
    }
}
