//! The one TLS and crypto provider of the process.

/// Installs aws-lc as rustls' provider. Called first in `main`; calling it again changes nothing.
pub fn install() {
    // An error says only that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
