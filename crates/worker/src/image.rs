//! An app's image: found by its on-chain checksum, verified blob by blob, kept in a cache by digest.
//!
//! What comes from here is what the checksum pins, whoever served it. Running it is the engines' business.

mod cached;
mod evict;
mod fault;
mod layout;
pub mod reference;
mod registry;
pub mod unpack;

use std::path::{Path, PathBuf};

use iexec_protocol::{
    id::Sha256,
    image::{Image, MAX_DOCUMENT},
};
use sha2::Digest as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::Net;
pub use cached::AppImage;
pub use fault::ImageFault;
use reference::Reference;

/// Where images may come from, and how large they may be.
#[derive(Clone, Debug)]
pub struct ImageRules {
    /// Folders in which image layouts may lie.
    pub layouts: Vec<PathBuf>,
    /// Bytes of all layers together as they are served; unpacked, four times as much.
    pub max_bytes: u64,
    /// Bytes of images kept beside the one in use.
    pub cache_bytes: u64,
}

impl Default for ImageRules {
    fn default() -> Self {
        Self { layouts: Vec::new(), max_bytes: 4 << 30, cache_bytes: 20 << 30 }
    }
}

/// The cache of images, `<folder>/<digest>/{documents,blobs,rootfs}`.
#[derive(Clone, Debug)]
pub struct Images {
    folder: PathBuf,
    rules: ImageRules,
    net: Net,
}

impl Images {
    /// A cache in `folder`, which is this process's alone.
    pub fn new(folder: PathBuf, rules: ImageRules, net: Net) -> Self {
        Self { folder, rules, net }
    }

    /// Makes the folder, and removes what a fetch that was killed left in it, and what is too much.
    pub fn tidy(&self) -> Result<(), ImageFault> {
        std::fs::create_dir_all(&self.folder).map_err(disk(&self.folder))?;
        for entry in std::fs::read_dir(&self.folder).map_err(disk(&self.folder))? {
            let entry = entry.map_err(disk(&self.folder))?;
            if entry.file_name().to_string_lossy().starts_with(FETCHING) {
                remove(&entry.path())?;
            }
        }
        self.make_room()
    }

    fn make_room(&self) -> Result<(), ImageFault> {
        let evicted = evict::evict(&self.folder, self.rules.cache_bytes).map_err(disk(&self.folder))?;
        if evicted > 0 {
            tracing::info!("{evicted} images that were not used for long were removed");
        }
        Ok(())
    }

    /// The image with this checksum, from the cache or from where `multiaddr` says.
    ///
    /// The cached documents are compared with the checksum each time: a changed cache is thrown away.
    pub async fn obtain(&self, multiaddr: &[u8], checksum: Sha256) -> Result<AppImage, ImageFault> {
        let folder = self.folder.join(const_hex::encode(checksum.0));
        if let Some(image) = self.cached(&folder, checksum) {
            evict::note_use(&folder).map_err(disk(&folder))?;
            return Ok(image);
        }
        remove(&folder)?;
        let text = std::str::from_utf8(multiaddr).map_err(|_| ImageFault::NotText)?;
        let source = Source::new(text, &self.rules, &self.net)?;
        std::fs::create_dir_all(&self.folder).map_err(disk(&self.folder))?;
        self.make_room()?;
        let fresh = tempfile::Builder::new().prefix(FETCHING).tempdir_in(&self.folder);
        let fresh = fresh.map_err(disk(&self.folder))?;
        self.fetch(&source, checksum, fresh.path()).await?;
        evict::note_use(fresh.path()).map_err(disk(fresh.path()))?;
        std::fs::rename(fresh.path(), &folder).map_err(disk(&folder))?;
        self.cached(&folder, checksum).ok_or(ImageFault::Disk("the image just written cannot be read".into()))
    }

    fn cached(&self, folder: &Path, checksum: Sha256) -> Option<AppImage> {
        let read = |name: &str| std::fs::read(folder.join("documents").join(name)).ok();
        let image = Image::parse(&read("manifest.json")?, &read("config.json")?).ok()?;
        let max_unpacked = self.rules.max_bytes.saturating_mul(4);
        let found = AppImage { folder: folder.to_owned(), image, max_unpacked };
        let whole = |layer: &iexec_protocol::image::Layer| {
            std::fs::metadata(found.blob(layer.digest)).is_ok_and(|file| file.len() == layer.size)
        };
        (found.digest() == checksum && found.image.layers().iter().all(whole)).then_some(found)
    }

    async fn fetch(&self, source: &Source<'_>, checksum: Sha256, to: &Path) -> Result<(), ImageFault> {
        let (documents, blobs) = (to.join("documents"), to.join("blobs"));
        for folder in [&documents, &blobs] {
            std::fs::create_dir_all(folder).map_err(disk(folder))?;
        }
        let manifest = source.manifest(checksum).await?;
        check_manifest(&manifest, checksum)?;
        let config = Image::config_digest(&manifest)?;
        let config = source.document(config).await?;
        let image = Image::parse(&manifest, &config)?;
        let total = image.layers().iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if total > self.rules.max_bytes || image.layers().len() > MAX_LAYERS {
            let limit = self.rules.max_bytes;
            return Err(ImageFault::TooLarge { bytes: total, layers: image.layers().len(), limit });
        }
        for layer in image.layers() {
            unpack::Compression::of(&layer.media_type)?;
            source.blob(layer.digest, layer.size, &blobs.join(const_hex::encode(layer.digest.0))).await?;
        }
        for (name, bytes) in [("manifest.json", &manifest), ("config.json", &config)] {
            write(&documents.join(name), bytes)?;
        }
        Ok(())
    }
}

/// How folders of fetches under way begin.
const FETCHING: &str = ".fetching-";
/// Most layers of an image.
pub const MAX_LAYERS: usize = 128;

/// The bytes must be the checksum's, and be one image's manifest: an index is another document, and what the enclave
/// compares with the checksum is the manifest.
fn check_manifest(bytes: &[u8], checksum: Sha256) -> Result<(), ImageFault> {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(default)]
        manifests: Option<serde_json::Value>,
    }
    let found = Sha256::of(bytes);
    if found != checksum {
        return Err(ImageFault::Checksum { expected: checksum, found: found.to_oci() });
    }
    match serde_json::from_slice::<Kind>(bytes) {
        Ok(Kind { manifests: Some(_) }) => Err(ImageFault::Index(checksum)),
        _ => Ok(()),
    }
}

enum Source<'a> {
    Layout(layout::Layout),
    Registry(registry::Registry<'a>),
}

impl<'a> Source<'a> {
    fn new(text: &str, rules: &ImageRules, net: &'a Net) -> Result<Self, ImageFault> {
        match text.parse()? {
            Reference::Layout { path, tag } => {
                if !reference::is_allowed(&path, &rules.layouts) {
                    return Err(ImageFault::LayoutNotAllowed(path.display().to_string()));
                }
                Ok(Self::Layout(layout::Layout { path, tag }))
            }
            Reference::Registry { host, repository, tag } => {
                Ok(Self::Registry(registry::Registry::new(net, &host, &repository, tag)?))
            }
        }
    }

    async fn manifest(&self, checksum: Sha256) -> Result<Vec<u8>, ImageFault> {
        match self {
            Self::Layout(layout) => layout.manifest(checksum),
            Self::Registry(registry) => registry.manifest(checksum).await,
        }
    }

    async fn document(&self, digest: Sha256) -> Result<Vec<u8>, ImageFault> {
        match self {
            Self::Layout(layout) => layout.document(digest),
            Self::Registry(registry) => registry.document(digest).await,
        }
    }

    async fn blob(&self, digest: Sha256, size: u64, to: &Path) -> Result<(), ImageFault> {
        match self {
            Self::Layout(layout) => layout.blob(digest, size, to).await,
            Self::Registry(registry) => registry.blob(digest, size, to).await,
        }
    }
}

/// Copies a blob to `to`, which must have exactly this size and digest.
async fn copy_verified(
    mut from: impl AsyncRead + Unpin,
    to: &Path,
    digest: Sha256,
    size: u64,
) -> Result<(), ImageFault> {
    let mut file = tokio::fs::File::create(to).await.map_err(disk(to))?;
    let (mut hash, mut count, mut buffer) = (sha2::Sha256::new(), 0_u64, vec![0; 64 * 1024]);
    loop {
        let read = from.read(&mut buffer).await.map_err(|error| ImageFault::Download(error.to_string()))?;
        if read == 0 {
            break;
        }
        count += read as u64;
        if count > size {
            return Err(ImageFault::BlobSize { digest, size, found: count });
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).await.map_err(disk(to))?;
    }
    file.sync_all().await.map_err(disk(to))?;
    let found = Sha256(<[u8; 32]>::from(hash.finalize()).into());
    match found == digest {
        true if count == size => Ok(()),
        true => Err(ImageFault::BlobSize { digest, size, found: count }),
        false => Err(ImageFault::Blob { digest, found }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ImageFault> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).map_err(disk(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk(path))
}

fn remove(folder: &Path) -> Result<(), ImageFault> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk(folder)(error)),
        _ => Ok(()),
    }
}

fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> ImageFault {
    let path = path.display().to_string();
    move |error| ImageFault::Disk(format!("{path}: {error}"))
}

/// Reads at most [`MAX_DOCUMENT`] bytes of a document's file.
fn read_document(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
