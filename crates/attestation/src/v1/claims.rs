//! What a TEE vouched for, once its quote is authentic. The same for every TEE.

use iexec_protocol::{evidence::Tee, id::Sha256};

/// Claims of an authentic quote. They say what is so, not whether it is good enough: that is the policy's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who vouched.
    pub tee: Tee,
    /// The measured program.
    pub measurement: Sha256,
    /// 64 bytes that the program chose.
    pub report_data: [u8; 64],
    /// Whether the host may look inside.
    pub debug: bool,
}
