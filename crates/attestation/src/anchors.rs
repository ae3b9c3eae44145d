//! Whom a verifier believes in the end: the roots of the platforms' certificates.

use crate::AttestationError;

/// Intel SGX Root CA, DER, as Intel publishes it (see `vectors/attestation/README.md`). AMD's roots are those of the
/// `sev` crate.
pub(crate) const INTEL_ROOT: &[u8] = include_bytes!("anchors/intel-sgx-root-ca.der");

/// Largest root certificate read, in bytes.
const MAX_ROOT: usize = 8 * 1024;

/// Trust anchors. The simulated TEE has one only on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustAnchors {
    simulated: Option<Vec<u8>>,
}

impl TrustAnchors {
    /// Hardware only: what everybody but a developer wants.
    pub fn hardware() -> Self {
        Self::default()
    }

    /// Believes also a development root, a certificate in DER. Whoever holds its key can pass for any enclave.
    pub fn insecure_with_simulated(self, root: Vec<u8>) -> Result<Self, AttestationError> {
        use x509_cert::der::Decode as _;
        let refused = |cause: String| AttestationError::Anchor { cause };
        if root.len() > MAX_ROOT {
            return Err(refused(format!("{} bytes; at most {MAX_ROOT} are read", root.len())));
        }
        x509_cert::Certificate::from_der(&root).map_err(|error| refused(error.to_string()))?;
        if root == INTEL_ROOT {
            return Err(refused("it is Intel's own root: a simulation under it would pass for hardware".to_owned()));
        }
        Ok(Self { simulated: Some(root) })
    }

    pub(crate) fn simulated_root(&self) -> Option<&[u8]> {
        self.simulated.as_deref()
    }

    /// The root that a DCAP quote must chain to.
    pub(crate) fn dcap_root(&self, tee: iexec_protocol::evidence::Tee) -> Result<&[u8], AttestationError> {
        match tee {
            iexec_protocol::evidence::Tee::Simulated => self.simulated_root().ok_or(AttestationError::SimulatedRefused),
            _ => Ok(INTEL_ROOT),
        }
    }
}
