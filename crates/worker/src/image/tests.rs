use std::fs;

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse as _};

use iexec_protocol::cause::Cause;

use super::*;
use crate::net::Reach;

/// An OCI layout of one gzip layer with one file, and what its manifest is made of.
struct Sample {
    folder: tempfile::TempDir,
    checksum: Sha256,
    layer: Sha256,
}

fn blob(folder: &Path, bytes: &[u8]) -> Sha256 {
    let digest = Sha256::of(bytes);
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("blobs/sha256").join(const_hex::encode(digest.0)), bytes).unwrap();
    digest
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o755);
        tar.append_data(&mut header, "app", &b"hi"[..]).unwrap();
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        let layer = blob(folder.path(), &bytes);
        let config = blob(folder.path(), br#"{"config":{"Entrypoint":["/app"]},"rootfs":{"diff_ids":[]}}"#);
        let manifest = format!(
            r#"{{"config":{{"digest":"{}"}},"layers":[{{"digest":"{}","size":{},"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}}]}}"#,
            config.to_oci(),
            layer.to_oci(),
            bytes.len()
        );
        let checksum = blob(folder.path(), manifest.as_bytes());
        let index = format!(
            r#"{{"manifests":[{{"digest":"{}","annotations":{{"org.opencontainers.image.ref.name":"1"}}}}]}}"#,
            checksum.to_oci()
        );
        fs::write(folder.path().join("index.json"), index).unwrap();
        Self { folder, checksum, layer }
    }

    fn blob_path(&self, digest: Sha256) -> PathBuf {
        self.folder.path().join("blobs/sha256").join(const_hex::encode(digest.0))
    }

    fn multiaddr(&self) -> String {
        format!("oci:{}:1", self.folder.path().display())
    }

    fn images(&self, cache: &Path) -> Images {
        let rules = ImageRules { layouts: vec![self.folder.path().to_owned()], ..ImageRules::default() };
        iexec_service::crypto::install();
        Images::new(cache.to_owned(), rules, Net::new(Reach::Loopback).unwrap())
    }

    async fn obtain(&self) -> Result<AppImage, ImageFault> {
        let cache = tempfile::tempdir().unwrap();
        self.images(cache.path()).obtain(self.multiaddr().as_bytes(), self.checksum).await
    }
}

#[tokio::test]
async fn an_image_is_taken_by_its_checksum_and_kept() {
    let (sample, cache) = (Sample::new(), tempfile::tempdir().unwrap());
    let images = sample.images(cache.path());
    let image = images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.unwrap();
    assert_eq!(image.image().command(&[]), ["/app"]);
    fs::remove_dir_all(sample.folder.path().join("blobs")).unwrap();
    assert!(images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.is_ok());
}

#[tokio::test]
async fn an_image_in_use_stays_until_another_is_fetched() {
    let (first, second, cache) = (Sample::new(), Sample::new(), tempfile::tempdir().unwrap());
    let layouts = [&first, &second].map(|sample| sample.folder.path().to_owned()).to_vec();
    let rules = ImageRules { layouts, cache_bytes: 0, ..ImageRules::default() };
    iexec_service::crypto::install();
    let images = Images::new(cache.path().to_owned(), rules, Net::new(Reach::Loopback).unwrap());
    // Another manifest, of the same layer.
    let manifest = fs::read_to_string(second.blob_path(second.checksum)).unwrap();
    let checksum = blob(second.folder.path(), format!("{manifest}\n").as_bytes());
    for _ in 0..2 {
        let image = images.obtain(first.multiaddr().as_bytes(), first.checksum).await.unwrap();
        assert!(image.folder().exists());
        let other = images.obtain(second.multiaddr().replace(":1", "").as_bytes(), checksum).await.unwrap();
        assert!(other.folder().exists() && !image.folder().exists());
    }
}

#[tokio::test]
async fn a_changed_cache_is_thrown_away_and_fetched_again() {
    let (sample, cache) = (Sample::new(), tempfile::tempdir().unwrap());
    let images = sample.images(cache.path());
    let image = images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.unwrap();
    fs::write(image.documents().join("config.json"), "{}").unwrap();
    let again = images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.unwrap();
    assert_eq!(again.image(), image.image());

    let layer = again.blob(sample.layer);
    let mut bytes = fs::read(&layer).unwrap();
    bytes[0] ^= 1;
    fs::write(&layer, bytes).unwrap();
    assert!(matches!(again.verify_blobs(), Err(ImageFault::Blob { .. })));
    let healed = images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.unwrap();
    healed.verify_blobs().unwrap();
}

#[tokio::test]
async fn another_image_than_the_checksums_is_a_bad_checksum_with_both_sides() {
    let sample = Sample::new();
    let wanted = Sha256::of("another");
    let cache = tempfile::tempdir().unwrap();
    let error = sample.images(cache.path()).obtain(sample.multiaddr().as_bytes(), wanted).await.unwrap_err();
    assert_eq!(error.cause(), Cause::AppImageChecksumMismatch);
    let text = error.to_string();
    assert!(text.contains(&wanted.to_oci()) && text.contains(&sample.checksum.to_oci()), "{text}");

    for digest in [sample.checksum, sample.layer] {
        let sample = Sample::new();
        let mut bytes = fs::read(sample.blob_path(digest)).unwrap();
        bytes[3] ^= 1;
        fs::write(sample.blob_path(digest), bytes).unwrap();
        assert_eq!(sample.obtain().await.unwrap_err().cause(), Cause::AppImageChecksumMismatch);
    }
}

#[tokio::test]
async fn an_index_of_several_platforms_is_refused_with_the_way_out() {
    let sample = Sample::new();
    let index = fs::read(sample.folder.path().join("index.json")).unwrap();
    let checksum = blob(sample.folder.path(), &index);
    let cache = tempfile::tempdir().unwrap();
    let error = sample.images(cache.path()).obtain(sample.multiaddr().as_bytes(), checksum).await.unwrap_err();
    assert_eq!(error.cause(), Cause::AppImageChecksumMismatch);
    assert!(error.to_string().contains("one image's manifest"), "{error}");
}

#[tokio::test]
async fn a_layout_outside_the_allowed_folders_is_not_read_even_through_a_link() {
    let (sample, other) = (Sample::new(), tempfile::tempdir().unwrap());
    let link = other.path().join("link");
    std::os::unix::fs::symlink(sample.folder.path(), &link).unwrap();
    let rules = ImageRules { layouts: vec![other.path().to_owned()], ..ImageRules::default() };
    let images = Images::new(other.path().join("cache"), rules, Net::new(Reach::Public).unwrap());
    for path in [sample.folder.path(), &link] {
        let multiaddr = format!("oci:{}", path.display());
        let error = images.obtain(multiaddr.as_bytes(), sample.checksum).await.unwrap_err();
        assert!(matches!(error, ImageFault::LayoutNotAllowed(_)), "{error}");
    }
}

#[tokio::test]
async fn an_image_larger_than_allowed_is_not_fetched() {
    let (sample, cache) = (Sample::new(), tempfile::tempdir().unwrap());
    let mut images = sample.images(cache.path());
    images.rules.max_bytes = 10;
    let error = images.obtain(sample.multiaddr().as_bytes(), sample.checksum).await.unwrap_err();
    assert!(matches!(error, ImageFault::TooLarge { limit: 10, .. }), "{error}");
}

/// A registry on loopback that wants an anonymous token, as public ones do.
async fn registry(sample: &Sample) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (blobs, own) = (sample.folder.path().join("blobs/sha256"), host.clone());
    let answer = move |request: Request| {
        let (blobs, own) = (blobs.clone(), own.clone());
        async move {
            if request.uri().path() == "/token" {
                return r#"{"token":"sesame"}"#.into_response();
            }
            if request.headers().get("authorization").is_none_or(|value| value != "Bearer sesame") {
                let challenge = format!(r#"Bearer realm="http://{own}/token",service="s",scope="repository:a/b:pull""#);
                return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
            }
            let name = request.uri().path().rsplit("sha256:").next().unwrap_or_default().to_owned();
            fs::read(blobs.join(name))
                .map_or(StatusCode::NOT_FOUND.into_response(), axum::response::IntoResponse::into_response)
        }
    };
    let serving = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    (host, serving)
}

#[tokio::test]
async fn an_image_is_pulled_by_digest_from_a_registry_that_wants_a_token() {
    let (sample, cache) = (Sample::new(), tempfile::tempdir().unwrap());
    let (host, _serving) = registry(&sample).await;
    let images = sample.images(cache.path());
    let image = images.obtain(format!("{host}/a/b:1").as_bytes(), sample.checksum).await.unwrap();
    image.verify_blobs().unwrap();
    let error = images.obtain(format!("{host}/a/b:1").as_bytes(), Sha256::of("absent")).await.unwrap_err();
    assert_eq!(error.cause(), Cause::AppImageDownloadFailed, "{error}");
}

#[tokio::test]
async fn a_registry_that_serves_other_bytes_is_found_out() {
    let sample = Sample::new();
    let (host, _serving) = registry(&sample).await;
    for digest in [sample.checksum, sample.layer] {
        let (cache, path) = (tempfile::tempdir().unwrap(), sample.blob_path(digest));
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[5] ^= 1;
        fs::write(&path, bad).unwrap();
        let error =
            sample.images(cache.path()).obtain(format!("{host}/a/b").as_bytes(), sample.checksum).await.unwrap_err();
        assert_eq!(error.cause(), Cause::AppImageChecksumMismatch, "{error}");
        fs::write(&path, good).unwrap();
    }
}
