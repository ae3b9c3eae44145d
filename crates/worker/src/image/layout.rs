//! An image in a local folder of OCI's image-layout form.

use std::path::{Path, PathBuf};

use iexec_protocol::id::Sha256;
use serde::Deserialize;

use super::{ImageFault, copy_verified, read_document};

/// A layout folder.
pub(super) struct Layout {
    pub(super) path: PathBuf,
    pub(super) tag: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Layout {
    /// The manifest of that digest. If it is not there, what is there instead is the answer.
    pub(super) fn manifest(&self, checksum: Sha256) -> Result<Vec<u8>, ImageFault> {
        match read_document(&self.blob_path(checksum)) {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(match self.named() {
                Some(found) => ImageFault::Checksum { expected: checksum, found },
                None => ImageFault::Download(format!("{} holds no such image", self.path.display())),
            }),
        }
    }

    /// A document of that digest; its user compares.
    pub(super) fn document(&self, digest: Sha256) -> Result<Vec<u8>, ImageFault> {
        let path = self.blob_path(digest);
        read_document(&path).map_err(|error| ImageFault::Download(format!("{}: {error}", path.display())))
    }

    pub(super) async fn blob(&self, digest: Sha256, size: u64, to: &Path) -> Result<(), ImageFault> {
        let path = self.blob_path(digest);
        let file = tokio::fs::File::open(&path).await;
        let file = file.map_err(|error| ImageFault::Download(format!("{}: {error}", path.display())))?;
        copy_verified(file, to, digest, size).await
    }

    fn blob_path(&self, digest: Sha256) -> PathBuf {
        self.path.join("blobs/sha256").join(const_hex::encode(digest.0))
    }

    /// The digest that the index has under the tag, or its only one.
    fn named(&self) -> Option<String> {
        let index: Index = serde_json::from_slice(&read_document(&self.path.join("index.json")).ok()?).ok()?;
        let name = |entry: &&Entry| {
            let found = entry.annotations.get("org.opencontainers.image.ref.name");
            self.tag.is_none() || found == self.tag.as_ref()
        };
        index.manifests.iter().find(name).map(|entry| entry.digest.chars().take(80).collect())
    }
}
