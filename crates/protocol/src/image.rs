//! An app's OCI image as its checksum pins it: manifest digest → config digest → command (OCI image specification).

use std::collections::HashMap;

use serde::Deserialize;
use thiserror::Error;

use crate::id::Sha256;

/// Largest manifest or configuration read, in bytes.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// An image's documents, checked against the digest that the app has on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    digest: Sha256,
    layers: Vec<Layer>,
    config: ImageConfig,
}

/// One layer's descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the (compressed) blob.
    pub digest: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// What the image says about its process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// First words of the command.
    #[serde(rename = "Entrypoint", default)]
    pub entrypoint: Option<Vec<String>>,
    /// Further words, replaced by nothing: iExec appends the arguments.
    #[serde(rename = "Cmd", default)]
    pub cmd: Option<Vec<String>>,
    /// `NAME=value` lines.
    #[serde(rename = "Env", default)]
    pub env: Option<Vec<String>>,
    /// Working directory.
    #[serde(rename = "WorkingDir", default)]
    pub working_dir: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(rename = "mediaType", default)]
    media_type: String,
}

#[derive(Deserialize)]
struct ConfigDocument {
    #[serde(default)]
    config: ImageConfig,
    #[serde(default)]
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl Image {
    /// Reads the two documents; the configuration must be the manifest's.
    pub fn parse(manifest: &[u8], config: &[u8]) -> Result<Self, ImageError> {
        let digest = Sha256::of(manifest);
        let manifest: Manifest = document("manifest", manifest)?;
        let expected = Self::read_digest(&manifest.config)?;
        let found = Sha256::of(config);
        if found != expected {
            return Err(ImageError::Config { expected, found });
        }
        let config: ConfigDocument = document("configuration", config)?;
        if !config.rootfs.diff_ids.is_empty() && config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(ImageError::Layers { manifest: manifest.layers.len(), config: config.rootfs.diff_ids.len() });
        }
        let layers = manifest.layers.iter().map(|layer| {
            Ok(Layer { digest: Self::read_digest(layer)?, size: layer.size, media_type: layer.media_type.clone() })
        });
        Ok(Self { digest, layers: layers.collect::<Result<_, ImageError>>()?, config: config.config })
    }

    /// The configuration's digest that a manifest names.
    pub fn config_digest(manifest: &[u8]) -> Result<Sha256, ImageError> {
        Self::read_digest(&document::<Manifest>("manifest", manifest)?.config)
    }

    /// SHA-256 of the manifest: the app's `checksum` on chain.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What it says about its process.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The command with the deal's arguments: entrypoint, then `args` if there are any, else `cmd`.
    pub fn command(&self, args: &[String]) -> Vec<String> {
        let entrypoint = self.config.entrypoint.clone().unwrap_or_default();
        let cmd = self.config.cmd.clone().unwrap_or_default();
        let rest =
            if args.is_empty() || entrypoint.is_empty() { [cmd.as_slice(), args].concat() } else { args.to_vec() };
        [entrypoint, rest].concat()
    }

    /// The image's own environment.
    pub fn env(&self) -> HashMap<String, String> {
        let lines = self.config.env.as_deref().unwrap_or_default();
        lines
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn read_digest(descriptor: &Descriptor) -> Result<Sha256, ImageError> {
        Sha256::from_oci(&descriptor.digest)
            .map_err(|_| ImageError::Digest(descriptor.digest.chars().take(80).collect()))
    }
}

fn document<T: serde::de::DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, ImageError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(ImageError::TooLarge { document: name, bytes: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| ImageError::Json { document: name, error: error.to_string() })
}

/// An image that cannot be run as its checksum says.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// Larger than [`MAX_DOCUMENT`].
    #[error("the image's {document} has {bytes} bytes; at most {MAX_DOCUMENT} are read")]
    TooLarge {
        /// Which.
        document: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// Not the JSON of the OCI specification.
    #[error("the image's {document} is malformed: {error}")]
    Json {
        /// Which.
        document: &'static str,
        /// What is wrong.
        error: String,
    },
    /// Not a SHA-256 digest.
    #[error("the image names a digest that is not sha256: {0:?}")]
    Digest(String),
    /// Another configuration.
    #[error("the image's configuration should have digest {expected}, it has {found}")]
    Config {
        /// In the manifest.
        expected: Sha256,
        /// Of the bytes.
        found: Sha256,
    },
    /// Manifest and configuration disagree.
    #[error("the image's manifest lists {manifest} layers, its configuration {config}")]
    Layers {
        /// In the manifest.
        manifest: usize,
        /// In the configuration.
        config: usize,
    },
}

/// Splits a deal's `iexec_args` into words: blanks separate, single and double quotes and backslashes keep together.
pub fn split_args(text: &str) -> Result<Vec<String>, ArgsError> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.push(c),
            (None, '\'' | '"') => (quote, open) = (Some(c), true),
            (_, '\\') => {
                word.push(chars.next().ok_or(ArgsError)?);
                open = true;
            }
            (Some(_), c) => word.push(c),
            (None, c) if c.is_whitespace() => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (None, c) => {
                word.push(c);
                open = true;
            }
        }
    }
    if quote.is_some() {
        return Err(ArgsError);
    }
    if open {
        words.push(word);
    }
    Ok(words)
}

/// A quote that is not closed, or a lone backslash at the end.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the arguments have an unclosed quote or a backslash at their end")]
pub struct ArgsError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_split_as_a_shell_would() {
        assert_eq!(split_args(r#"a  'b c' "d \"e" f\ g """#).unwrap(), ["a", "b c", "d \"e", "f g", ""]);
        assert_eq!(split_args("").unwrap(), Vec::<String>::new());
        assert_eq!(split_args("'open"), Err(ArgsError));
        assert_eq!(split_args("end\\"), Err(ArgsError));
    }

    #[test]
    fn a_configuration_of_another_image_is_refused() {
        let config = br#"{"config":{"Entrypoint":["/app"],"Cmd":["x"]},"rootfs":{"diff_ids":[]}}"#;
        let manifest = format!(r#"{{"config":{{"digest":"{}"}},"layers":[]}}"#, Sha256::of(config).to_oci());
        let image = Image::parse(manifest.as_bytes(), config).unwrap();
        assert_eq!(image.command(&[]), ["/app", "x"]);
        assert_eq!(image.command(&["y".into()]), ["/app", "y"]);
        assert!(matches!(Image::parse(manifest.as_bytes(), b"{}"), Err(ImageError::Config { .. })));
    }
}
