//! A simulated platform's folder: made once, renewed at each further call.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{Pki, PkiError, Terms};

/// The PKI's secret: 64 hex digits, 0600.
pub const ROOT_KEY: &str = "root.key";
/// The trust anchor: a certificate, DER.
pub const ROOT: &str = "root.der";
/// What a verifier needs besides, JSON.
pub const COLLATERAL: &str = "collateral.json";
/// What the machine has, 0600: a worker mounts it into its enclaves.
pub const PLATFORM: &str = "platform.json";

/// Collateral is good for half a year from each set-up: a local network renews it at every start, and may run for months.
pub const VALIDITY: Duration = Duration::from_hours(180 * 24);

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// [`ROOT`]
    pub root: PathBuf,
    /// [`COLLATERAL`]
    pub collateral: PathBuf,
    /// [`PLATFORM`]
    pub platform: PathBuf,
}

/// Makes what is not there and renews the collateral; the keys, and with them root and platform, stay. `now` is in
/// seconds since the Unix epoch.
pub fn setup(folder: &Path, now: u64, validity: Duration) -> Result<Files, PkiError> {
    private_folder(folder)?;
    let secret = secret(&folder.join(ROOT_KEY))?;
    let pki = Pki::from_secret(&secret)?;
    let files = Files { root: folder.join(ROOT), collateral: folder.join(COLLATERAL), platform: folder.join(PLATFORM) };
    let terms = Terms::sound(now, now.saturating_add(validity.as_secs()));
    // Texts and hex alone: serialising them cannot fail.
    let collateral = serde_json::to_vec_pretty(&pki.collateral(&terms)?).unwrap_or_default();
    replace(&files.root, pki.root_der(), Readers::All)?;
    replace(&files.platform, &pki.platform()?.to_json(), Readers::Owner)?;
    replace(&files.collateral, &collateral, Readers::All)?;
    Ok(files)
}

fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, PkiError> {
    let mut text = Zeroizing::new(String::new());
    match fs::File::open(path) {
        Ok(file) => {
            file.take(256).read_to_string(&mut text).map_err(at(path))?;
            let mut secret = Zeroizing::new([0; 32]);
            const_hex::decode_to_slice(text.trim(), secret.as_mut_slice())
                .map_err(|_| PkiError::Secret { path: path.display().to_string() })?;
            Ok(secret)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = Zeroizing::new(rand::random::<[u8; 32]>());
            replace(path, Zeroizing::new(const_hex::encode(secret.as_slice())).as_bytes(), Readers::Owner)?;
            Ok(secret)
        }
        Err(error) => Err(at(path)(error)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Owner,
    All,
}

/// Temporary file, fsync, rename: a reader sees the old bytes or the new ones.
fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), PkiError> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        #[cfg(unix)]
        if readers == Readers::All {
            file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(at(path))
}

fn private_folder(folder: &Path) -> Result<(), PkiError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(io::Error) -> PkiError + '_ {
    |error| PkiError::Io { path: path.display().to_string(), error }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::Platform;

    #[test]
    fn a_second_set_up_keeps_root_and_platform_and_renews_the_collateral() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tee");
        let files = setup(&folder, 1_790_000_000, VALIDITY).unwrap();
        let read = |path: &PathBuf| fs::read(path).unwrap();
        let before = (read(&files.root), read(&files.platform), read(&files.collateral));
        assert_eq!(setup(&folder, 1_790_000_060, VALIDITY).unwrap(), files);
        assert_eq!((read(&files.root), read(&files.platform)), (before.0, before.1));
        assert_ne!(read(&files.collateral), before.2);
        Platform::from_json(&read(&files.platform)).unwrap();
    }

    #[test]
    fn secrets_are_their_owners_alone_and_a_spoiled_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tee");
        let files = setup(&folder, 1_790_000_000, VALIDITY).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join(ROOT_KEY)), mode(&files.platform)), (0o700, 0o600, 0o600));
        assert_eq!((mode(&files.root), mode(&files.collateral)), (0o644, 0o644));
        fs::write(folder.join(ROOT_KEY), "no key").unwrap();
        let error = setup(&folder, 1_790_000_000, VALIDITY).unwrap_err().to_string();
        assert!(error.contains("root.key: not 64 hex digits"), "{error}");
        assert!(!error.contains("no key"));
    }
}
