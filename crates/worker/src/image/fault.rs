//! Why an image is not run.

use iexec_protocol::{cause::Cause, id::Sha256, image::ImageError};
use thiserror::Error;

use super::{MAX_LAYERS, reference::ReferenceError, unpack::UnpackFault};
use crate::net::NetFault;

/// An image that is not run.
#[derive(Debug, Error)]
pub enum ImageFault {
    /// The multiaddr is binary.
    #[error("the app's multiaddr is not text; an app's image is named as oci:/path, or as host/name:tag")]
    NotText,
    /// The multiaddr names no image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A layout outside the allowed folders, or nothing there.
    #[error("the image layout {0} is not there, or not in a folder that this worker allows")]
    LayoutNotAllowed(String),
    /// The image is not there.
    #[error("{0}")]
    Download(String),
    /// Not reachable, or not within the limits.
    #[error(transparent)]
    Net(#[from] NetFault),
    /// Another image is there.
    #[error("the image should have digest {} (the app's checksum on chain), what is served has {found}", expected.to_oci())]
    Checksum {
        /// On chain.
        expected: Sha256,
        /// Served.
        found: String,
    },
    /// The checksum is that of an index of several platforms.
    #[error(
        "the app's checksum {} is that of an index of images for several platforms; an app must be deployed with the \
         digest of one image's manifest (linux/amd64)", .0.to_oci()
    )]
    Index(Sha256),
    /// A document that cannot be used.
    #[error(transparent)]
    Document(#[from] ImageError),
    /// A blob that is another one.
    #[error("blob {} was served with other bytes (their digest is {})", digest.to_oci(), found.to_oci())]
    Blob {
        /// Asked for.
        digest: Sha256,
        /// Served.
        found: Sha256,
    },
    /// A blob of another size.
    #[error("blob {} should have {size} bytes, {found} or more were served", digest.to_oci())]
    BlobSize {
        /// Which.
        digest: Sha256,
        /// In the manifest.
        size: u64,
        /// Served.
        found: u64,
    },
    /// Beyond the operator's limits.
    #[error("the image has {layers} layers of {bytes} bytes; this worker takes {MAX_LAYERS} layers of {limit} bytes")]
    TooLarge {
        /// Of all layers.
        bytes: u64,
        /// Layers.
        layers: usize,
        /// Allowed bytes.
        limit: u64,
    },
    /// A layer that cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackFault),
    /// The worker's disk.
    #[error("cannot write {0}")]
    Disk(String),
}

impl ImageFault {
    /// iExec's name for it.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Checksum { .. } | Self::Blob { .. } | Self::Index(_) => Cause::AppImageChecksumMismatch,
            _ => Cause::AppImageDownloadFailed,
        }
    }
}
