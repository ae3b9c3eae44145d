//! Whom a verifier believes in the end: the roots of the platforms' certificates.

use iexec_protocol::Address;

/// Trust anchors. Hardware vendors' roots are those of their verifiers; the simulated TEE has one only on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustAnchors {
    simulated: Option<Address>,
}

impl TrustAnchors {
    /// Hardware only: what everybody but a developer wants.
    pub fn hardware() -> Self {
        Self::default()
    }

    /// Believes also a development root key, by its address. Whoever holds that key can pass for any enclave.
    #[must_use]
    pub fn insecure_with_simulated(self, root: Address) -> Self {
        Self { simulated: Some(root) }
    }

    pub(crate) fn simulated_root(&self) -> Option<Address> {
        self.simulated
    }
}
