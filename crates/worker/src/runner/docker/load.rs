//! A verified image into a Docker engine: a stream in the form of `docker save`, which every version loads, made of the
//! cached blobs without another copy on disk.

use std::{io::Cursor, path::PathBuf};

use bollard::{Docker as Api, errors::Error, query_parameters::ImportImageOptions};
use futures_util::{StreamExt as _, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::super::RunFault;
use crate::image::AppImage;

/// What the engine must know of an image's configuration.
#[derive(Deserialize)]
pub(super) struct Documents {
    #[serde(default)]
    config: Config,
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(rename = "Env", default)]
    env: Option<Vec<String>>,
    #[serde(rename = "Volumes", default)]
    volumes: Option<std::collections::BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Documents {
    pub(super) fn read(image: &AppImage) -> Result<Self, RunFault> {
        let path = image.documents().join("config.json");
        let bytes = std::fs::read(&path).map_err(|error| RunFault::disk(&path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| RunFault::Image(format!("its configuration: {error}")))
    }

    /// Names of the image's variables; PATH stays ours.
    pub(super) fn variables(&self) -> impl Iterator<Item = String> + '_ {
        let lines = self.config.env.iter().flatten();
        lines.filter_map(|line| line.split('=').next()).filter(|name| !matches!(*name, "" | "PATH")).map(str::to_owned)
    }

    /// Folders that the image declares as volumes.
    pub(super) fn volumes(&self) -> impl Iterator<Item = String> + '_ {
        self.config.volumes.iter().flat_map(|volumes| volumes.keys().cloned()).take(32)
    }
}

/// The name under which the engine keeps the image.
fn name(image: &AppImage) -> String {
    format!("iexec-app:{}", const_hex::encode(image.digest().0))
}

/// The engine's id for the image, if it has it. Its layers must be those that the verified configuration names: a tag
/// alone could have been moved.
pub(super) async fn id(api: &Api, image: &AppImage) -> Result<Option<String>, RunFault> {
    let found = match api.inspect_image(&name(image)).await {
        Ok(found) => found,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        Err(error) => return Err(super::fault(&error)),
    };
    let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
    Ok(found.id.filter(|_| Documents::read(image).is_ok_and(|documents| documents.rootfs.diff_ids == layers)))
}

/// Loads the image; the engine compares each layer with the configuration's `diff_ids`.
pub(super) async fn load(api: &Api, image: &AppImage) -> Result<(), RunFault> {
    let mut answer = api.import_image_stream(ImportImageOptions { quiet: true, platform: None }, archive(image)?, None);
    while let Some(line) = answer.next().await {
        line.map_err(|error| RunFault::Image(error.to_string().chars().take(300).collect()))?;
    }
    Ok(())
}

type Bytes = Result<bytes::Bytes, std::io::Error>;

fn archive(image: &AppImage) -> Result<BoxStream<'static, Bytes>, RunFault> {
    let config = image.documents().join("config.json");
    let layers: Vec<_> = image.image().layers().iter().map(|layer| image.blob(layer.digest)).collect();
    let entry = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<_> = layers.iter().map(|path| format!("{}.tar", entry(path))).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": [name(image)], "Layers": names}]).to_string();
    let mut files = vec![("config.json".to_owned(), config)];
    for (name, path) in names.into_iter().zip(layers) {
        // A layer may be listed twice; the archive holds it once.
        if !files.iter().any(|(other, _)| *other == name) {
            files.push((name, path));
        }
    }
    let mut parts: Vec<BoxStream<'static, Bytes>> = Vec::new();
    for (name, path) in files {
        let size = std::fs::metadata(&path).map_err(|error| RunFault::disk(&path, &error))?.len();
        parts.push(whole(header(&name, size)?));
        parts.push(file(path, size));
        parts.push(whole(padding(size)));
    }
    let size = manifest.len() as u64;
    let end = [header("manifest.json", size)?, manifest.into_bytes(), padding(size), vec![0; 1024]].concat();
    parts.push(whole(end));
    Ok(futures_util::stream::iter(parts).flatten().boxed())
}

fn header(name: &str, size: u64) -> Result<Vec<u8>, RunFault> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).map_err(|error| RunFault::Image(error.to_string()))?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from((512 - size % 512) % 512).unwrap_or(0)]
}

fn whole(bytes: Vec<u8>) -> BoxStream<'static, Bytes> {
    ReaderStream::new(Cursor::new(bytes)).boxed()
}

fn file(path: PathBuf, size: u64) -> BoxStream<'static, Bytes> {
    let open = async move { tokio::fs::File::open(path).await.map(|file| file.take(size)) };
    futures_util::stream::once(open)
        .flat_map(|opened| match opened {
            Ok(file) => ReaderStream::with_capacity(file, 64 * 1024).boxed(),
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        })
        .boxed()
}
