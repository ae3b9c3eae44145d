//! A verified image in the cache, and where its parts lie.

use std::path::{Path, PathBuf};

use iexec_protocol::{id::Sha256, image::Image};
use sha2::Digest as _;

use super::{ImageFault, disk, remove};

/// A verified image in the cache.
#[derive(Clone, Debug)]
pub struct AppImage {
    pub(super) folder: PathBuf,
    pub(super) image: Image,
    pub(super) max_unpacked: u64,
}

impl AppImage {
    /// Its documents, read.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Digest of its manifest: the app's checksum.
    pub fn digest(&self) -> Sha256 {
        self.image.digest()
    }

    /// Its folder in the cache.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folder of `manifest.json` and `config.json`, which the enclave reads.
    pub fn documents(&self) -> PathBuf {
        self.folder.join("documents")
    }

    /// A layer's file.
    pub fn blob(&self, digest: Sha256) -> PathBuf {
        self.folder.join("blobs").join(const_hex::encode(digest.0))
    }

    /// Compares the cached blobs with the manifest again. If one was changed, the cached image is thrown away, so that
    /// the next task fetches it anew.
    pub fn verify_blobs(&self) -> Result<(), ImageFault> {
        for layer in self.image.layers() {
            let path = self.blob(layer.digest);
            let (mut file, mut hash) = (std::fs::File::open(&path).map_err(disk(&path))?, sha2::Sha256::new());
            std::io::copy(&mut file, &mut hash).map_err(disk(&path))?;
            let found = Sha256(<[u8; 32]>::from(hash.finalize()).into());
            if found != layer.digest {
                remove(&self.folder)?;
                return Err(ImageFault::Blob { digest: layer.digest, found });
            }
        }
        Ok(())
    }

    /// Bytes that it may have when unpacked.
    pub fn max_unpacked(&self) -> u64 {
        self.max_unpacked
    }
}
