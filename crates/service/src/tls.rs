//! TLS (RFC 8446) of a port: certificate and key from files, read again when they change, kept when the new ones are bad.
//!
//! What it is not: no certificate is made or renewed here, no client is asked for one.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::Metrics;

/// Pause between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate, then those that lead to its root.
    pub certificate: PathBuf,
    /// PEM: its private key (PKCS#8, PKCS#1 or SEC1), readable by its owner alone.
    pub key: PathBuf,
}

/// Certificate and key that cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is larger than a certificate or key ever is.
    #[error("{} has {size} bytes, at most {MAX_FILE} are read", path.display())]
    Oversized {
        /// Which.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The key's file is not its owner's alone.
    #[error("the key {} has mode {mode:04o}: others may read it\nhint: chmod 600, if nobody has", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what}: {error}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        error: pem::Error,
    },
    /// The two are of no use together.
    #[error("the certificate {} cannot be used with the key {}: {error}", certificate.display(), key.display())]
    Unfit {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

/// The certificate and key in use.
#[derive(Debug)]
pub(crate) struct Identity {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    /// The files' marks before they were read.
    seen: RwLock<Marks>,
}

/// What changes when a file does.
type Marks = [Option<(SystemTime, u64, u64)>; 2];

impl Identity {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = marks(&files);
        let current = read(&files)?;
        Ok(Self { files, current: RwLock::new(Arc::new(current)), seen: RwLock::new(seen) })
    }

    /// What accepts connections with it; HTTP/1.1 is all that is offered.
    pub(crate) fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let mut config = builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files every [`LOOK_EVERY`] and at each SIGHUP, for as long as it is polled.
    pub(crate) async fn keep_fresh(self: Arc<Self>, metrics: Metrics) {
        let mut hangups = Hangups::listen();
        loop {
            let told = tokio::select! {
                () = hangups.next() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let (this, metrics) = (Arc::clone(&self), metrics.clone());
            // Files may be slow, and other callers shall not wait for them.
            let _ = tokio::task::spawn_blocking(move || this.refresh(told, &metrics)).await;
        }
    }

    fn refresh(&self, told: bool, metrics: &Metrics) {
        let found = marks(&self.files);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if !told && *seen == found {
            return;
        }
        *seen = found;
        let outcome = match read(&self.files) {
            Ok(fresh) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                tracing::info!("certificate and key were read again");
                "used"
            }
            Err(error) => {
                tracing::error!("the certificate in use stays: {error}");
                "refused"
            }
        };
        let help = "Times that certificate and key were read again, by outcome.";
        metrics.counter("tls_reloads_total", help, &[("outcome", outcome)]).increment();
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let TlsFiles { certificate, key } = files;
    let malformed = |path: &Path, what| {
        let path = path.to_owned();
        move |error| TlsError::Malformed { path, what, error }
    };
    let text = contents(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(malformed(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(malformed(certificate, "certificate")(pem::Error::NoItemsFound));
    }
    check_private(key)?;
    let text = Zeroizing::new(contents(key)?);
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(malformed(key, "private key"))?;
    CertifiedKey::from_der(chain, secret, &aws_lc_rs::default_provider()).map_err(|error| TlsError::Unfit {
        certificate: certificate.clone(),
        key: key.clone(),
        error,
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unread = |error| TlsError::Read { path: path.to_owned(), error };
    let size = fs::metadata(path).map_err(unread)?.len();
    if size > MAX_FILE {
        return Err(TlsError::Oversized { path: path.to_owned(), size });
    }
    fs::read(path).map_err(unread)
}

#[cfg(unix)]
fn check_private(key: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let found = fs::metadata(key).map_err(|error| TlsError::Read { path: key.to_owned(), error })?;
    let mode = found.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(TlsError::Exposed { path: key.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), TlsError> {
    Ok(())
}

/// A file that is not there has no mark.
fn marks(files: &TlsFiles) -> Marks {
    [&files.certificate, &files.key].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len(), file_number(&found)))
    })
}

#[cfg(unix)]
fn file_number(found: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn file_number(_: &Metadata) -> u64 {
    0
}

/// SIGHUPs to this process; none where there is no such thing.
struct Hangups {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = signal(SignalKind::hangup());
        Self { signals: signals.inspect_err(|error| tracing::error!("SIGHUP cannot be listened to: {error}")).ok() }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
