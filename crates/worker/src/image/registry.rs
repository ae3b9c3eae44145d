//! An image in a registry (OCI distribution specification), pulled by digest; anonymous, with the bearer tokens that
//! public registries hand to anybody.

use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use iexec_protocol::{id::Sha256, image::MAX_DOCUMENT};
use serde::Deserialize;
use std::path::Path;
use tokio_util::io::StreamReader;
use url::Url;

use super::{ImageFault, copy_verified, reference::is_loopback};
use crate::net::{self, Net};

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
const MAX_TOKEN: usize = 64 * 1024;

/// A repository of a registry.
pub(super) struct Registry<'a> {
    net: &'a Net,
    base: Url,
    tag: String,
    token: tokio::sync::Mutex<Option<HeaderValue>>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(net: &'a Net, host: &str, repository: &str, tag: String) -> Result<Self, ImageFault> {
        let scheme = if is_loopback(host) { "http" } else { "https" };
        let text = format!("{scheme}://{host}/v2/{repository}/");
        let base = Url::parse(&text).map_err(|error| ImageFault::Download(format!("{text}: {error}")))?;
        Ok(Self { net, base, tag, token: tokio::sync::Mutex::default() })
    }

    /// The manifest of that digest. If it is not there, what the tag names instead is the answer.
    pub(super) async fn manifest(&self, checksum: Sha256) -> Result<Vec<u8>, ImageFault> {
        let answer = self.ask(&format!("manifests/{}", checksum.to_oci())).await?;
        if answer.status() != StatusCode::NOT_FOUND {
            return Ok(net::read(self.good(answer)?, MAX_DOCUMENT).await?);
        }
        let answer = self.ask(&format!("manifests/{}", self.tag)).await?;
        let bytes = net::read(self.good(answer)?, MAX_DOCUMENT).await?;
        Err(ImageFault::Checksum { expected: checksum, found: Sha256::of(bytes).to_oci() })
    }

    /// A document of that digest; its user compares.
    pub(super) async fn document(&self, digest: Sha256) -> Result<Vec<u8>, ImageFault> {
        let answer = self.ask(&format!("blobs/{}", digest.to_oci())).await?;
        Ok(net::read(self.good(answer)?, MAX_DOCUMENT).await?)
    }

    pub(super) async fn blob(&self, digest: Sha256, size: u64, to: &Path) -> Result<(), ImageFault> {
        let answer = self.good(self.ask(&format!("blobs/{}", digest.to_oci())).await?)?;
        let stream = answer.bytes_stream().map_err(std::io::Error::other);
        copy_verified(StreamReader::new(stream), to, digest, size).await
    }

    fn good(&self, answer: reqwest::Response) -> Result<reqwest::Response, ImageFault> {
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        Err(ImageFault::Download(format!("{} answers {} for the app's image", self.base, answer.status())))
    }

    async fn ask(&self, path: &str) -> Result<reqwest::Response, ImageFault> {
        let url = self.base.join(path).map_err(|error| ImageFault::Download(format!("{path}: {error}")))?;
        let token = self.token.lock().await.clone();
        let answer = self.net.open(&url, &headers(token)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.authenticate(&answer).await?;
        *self.token.lock().await = Some(token.clone());
        Ok(self.net.open(&url, &headers(Some(token))).await?)
    }

    /// Trades the registry's challenge (RFC 6750) for an anonymous token.
    async fn authenticate(&self, answer: &reqwest::Response) -> Result<HeaderValue, ImageFault> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let private = || ImageFault::Download(format!("{} wants a login: the app's image is not public", self.base));
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let url = challenge.and_then(token_url).ok_or_else(private)?;
        let answer = self.net.open(&url, &HeaderMap::new()).await?;
        if answer.status() != StatusCode::OK {
            return Err(private());
        }
        let token: Token = serde_json::from_slice(&net::read(answer, MAX_TOKEN).await?).map_err(|_| private())?;
        let token = token.token.or(token.access_token).ok_or_else(private)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| private())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn headers(token: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, token);
    }
    headers
}

/// `Bearer realm="…",service="…",scope="…"` → where to ask for the token.
fn token_url(challenge: &str) -> Option<Url> {
    let (scheme, fields) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let field = |name: &str| {
        let start = fields.find(&format!("{name}=\""))? + name.len() + 2;
        fields[start..].split('"').next()
    };
    let mut url = Url::parse(field("realm")?).ok()?;
    for name in ["service", "scope"] {
        if let Some(value) = field(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_where_the_token_is_had() {
        let challenge = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#;
        let expected =
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Falpine%3Apull";
        assert_eq!(token_url(challenge).unwrap().as_str(), expected);
        assert_eq!(token_url("Basic realm=\"x\""), None);
    }
}
