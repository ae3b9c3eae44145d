//! Where an app's image is, as the chain's `multiaddr` text names it.

use std::{
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use iexec_protocol::id::Sha256;
use thiserror::Error;

/// Longest text read, in bytes.
pub const MAX_TEXT: usize = 2048;

/// A place to take an image from. The digest that counts is the chain's checksum; a tag is only used to say what is
/// there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `oci:/path[:tag|@digest]` or `oci-layout:///path[…]`: a folder in the form of OCI's image layout.
    Layout {
        /// The folder.
        path: PathBuf,
        /// The image's name in it.
        tag: Option<String>,
    },
    /// `[docker://][host[:port]/]name[:tag][@digest]`: a registry that speaks OCI's distribution API.
    Registry {
        /// Host, with its port if it has one.
        host: String,
        /// Repository.
        repository: String,
        /// The image's name in it.
        tag: String,
    },
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |why| ReferenceError { text: text.chars().take(120).collect(), why };
        if text.len() > MAX_TEXT || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(error("it is too long or holds blanks"));
        }
        if let Some(rest) = text.strip_prefix("oci-layout://").or_else(|| text.strip_prefix("oci:")) {
            return layout(rest).map_err(error);
        }
        registry(text.strip_prefix("docker://").unwrap_or(text)).map_err(error)
    }
}

fn layout(text: &str) -> Result<Reference, &'static str> {
    let (text, tag) = split_name(text)?;
    let path = PathBuf::from(text);
    let plain =
        path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if plain { Ok(Reference::Layout { path, tag }) } else { Err("the layout's path must be absolute and without `..`") }
}

fn registry(text: &str) -> Result<Reference, &'static str> {
    let (name, tag) = split_name(text)?;
    let (host, repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
        Some(_) => (DOCKER_HUB, name.to_owned()),
        None => (DOCKER_HUB, format!("library/{name}")),
    };
    let host = if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host };
    let part = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        inner && part.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if !repository.split('/').all(part) || repository.len() > 255 {
        return Err("a repository's name is of lower-case letters, digits and `._-/`");
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)) {
        return Err("the registry's host is malformed");
    }
    Ok(Reference::Registry { host: host.to_owned(), repository, tag: tag.unwrap_or_else(|| "latest".into()) })
}

const DOCKER_HUB: &str = "registry-1.docker.io";

/// Splits `name[:tag][@digest]`. A digest is read for its form only: the chain's checksum decides.
fn split_name(text: &str) -> Result<(&str, Option<String>), &'static str> {
    let text = match text.split_once('@') {
        Some((name, digest)) => {
            Sha256::from_oci(digest).map_err(|_| "what follows `@` must be sha256: and 64 hex digits")?;
            name
        }
        None => text,
    };
    let colon = text.rfind(':').filter(|colon| !text[*colon..].contains('/'));
    let (name, tag) = colon.map_or((text, None), |colon| (&text[..colon], Some(&text[colon + 1..])));
    let word = |tag: &str| {
        (1..=128).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match tag {
        _ if name.is_empty() => Err("it names no image"),
        Some(tag) if !word(tag) => Err("a tag is of letters, digits and `._-`"),
        tag => Ok((name, tag.map(str::to_owned))),
    }
}

/// Whether a registry at this host is spoken to without TLS: only this machine's own.
pub fn is_loopback(host: &str) -> bool {
    let name = host
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_else(|| host.split_once(':').map_or(host, |(name, _)| name));
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `path` lies in one of the folders that the operator allows; links are resolved first.
pub fn is_allowed(path: &Path, allowed: &[PathBuf]) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    allowed.iter().filter_map(|folder| folder.canonicalize().ok()).any(|folder| path.starts_with(folder))
}

/// Text that names no image.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the app's multiaddr {text:?} names no image: {why}")]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(host: &str, repository: &str, tag: &str) -> Reference {
        Reference::Registry { host: host.into(), repository: repository.into(), tag: tag.into() }
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, expected) in [
            ("alpine".to_owned(), registry("registry-1.docker.io", "library/alpine", "latest")),
            ("iexechub/python:3".into(), registry("registry-1.docker.io", "iexechub/python", "3")),
            ("docker.io/a/b:1".into(), registry("registry-1.docker.io", "a/b", "1")),
            ("localhost:5000/a/b/c:x".into(), registry("localhost:5000", "a/b/c", "x")),
            (format!("ghcr.io/a/b@{digest}"), registry("ghcr.io", "a/b", "latest")),
            (format!("docker://ghcr.io/a/b:t@{digest}"), registry("ghcr.io", "a/b", "t")),
            ("oci:/data/app:1".into(), Reference::Layout { path: "/data/app".into(), tag: Some("1".into()) }),
            (format!("oci-layout:///data/app@{digest}"), Reference::Layout { path: "/data/app".into(), tag: None }),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for text in [
            "",
            ":1",
            "oci:relative",
            "oci:/a/../etc",
            "a b",
            "host.io/UPPER",
            "host.io/../x",
            "a@sha256:12",
            "ho?st.io/a",
            "a/b:t/../x?",
            "host.io/a//b",
            "oci:/a:b c",
            "user@host/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machines_registry_is_spoken_to_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "10.0.0.1:5000", "localhost.example.org", "127.0.0.1.example.org:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
