//! Evidence, from whatever vouches for this machine. Made here, verified by others.
//!
//! The machine decides and nothing falls back: what has no hardware and no simulated platform has no evidence.

mod gramine;
#[cfg(feature = "simulated")]
mod simulated;
mod tsm;

use std::{io, path::Path};

use iexec_protocol::{
    Address,
    cause::Cause,
    evidence::{Evidence, MAX_QUOTE, Nonce, Tee, report_data},
    id::{Sha256, TaskId},
};
use thiserror::Error;

use crate::{failure::Failure, layout::Layout};

/// What a machine gives.
#[derive(Debug, PartialEq, Eq)]
struct Quote {
    tee: Tee,
    bytes: Vec<u8>,
    /// The machine's own certificates, where it hands them out.
    certificates: Vec<u8>,
}

impl Quote {
    fn bare(tee: Tee, bytes: Vec<u8>) -> Self {
        Self { tee, bytes, certificates: Vec::new() }
    }
}

/// What evidence binds.
pub(crate) struct Bound<'a> {
    /// The session is sealed to it.
    pub(crate) key: &'a [u8; 32],
    /// Signs the receipt.
    pub(crate) signer: Address,
    pub(crate) task: TaskId,
    pub(crate) nonce: Nonce,
    /// The image that is about to be started.
    pub(crate) image: Sha256,
}

impl Bound<'_> {
    fn report_data(&self) -> [u8; 64] {
        report_data(self.key, self.signer, self.task, self.nonce, self.image)
    }
}

/// Who vouches for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform<'a> {
    /// A development key.
    #[cfg(feature = "simulated")]
    Simulated(&'a Path),
    /// TDX or SEV-SNP through Linux' configfs-tsm.
    Tsm {
        /// Folder of reports.
        reports: &'a Path,
        /// TDX' run-time measurement 3.
        rtmr3: &'a Path,
    },
    /// SGX through Gramine.
    Gramine(&'a Path),
}

impl<'a> Platform<'a> {
    /// The one that this machine has. A simulated platform that is there is taken: a verifier of hardware refuses it.
    pub(crate) fn find(layout: &'a Layout) -> Result<Self, Failure> {
        #[cfg(feature = "simulated")]
        if layout.platform.exists() {
            return Ok(Self::Simulated(&layout.platform));
        }
        if layout.tsm.is_dir() {
            return Ok(Self::Tsm { reports: &layout.tsm, rtmr3: &layout.rtmr3 });
        }
        if layout.gramine.is_dir() {
            return Ok(Self::Gramine(&layout.gramine));
        }
        Err(Failure::unprepared(format_args!(
            "this machine has no TEE: {} and {} are missing{}",
            layout.tsm.display(),
            layout.gramine.display(),
            no_simulation(layout)
        )))
    }

    fn quote(self, bound: &Bound<'_>) -> Result<Quote, QuoteError> {
        let report_data = bound.report_data();
        match self {
            #[cfg(feature = "simulated")]
            Self::Simulated(file) => simulated::quote(file, &report_data, bound.image),
            Self::Tsm { reports, rtmr3 } => tsm::quote(reports, rtmr3, &report_data, bound.image),
            Self::Gramine(folder) => gramine::quote(folder, &report_data),
        }
    }
}

#[cfg(feature = "simulated")]
fn no_simulation(layout: &Layout) -> String {
    format!(", and there is no simulated platform ({})", layout.platform.display())
}

#[cfg(not(feature = "simulated"))]
fn no_simulation(_: &Layout) -> &'static str {
    ""
}

/// Evidence that binds keys, task, nonce and image.
pub(crate) fn make(platform: Platform<'_>, bound: &Bound<'_>) -> Result<Evidence, Failure> {
    let failed = |error: QuoteError| Failure::new(Cause::TeePreparationFailed, error);
    let Quote { tee, bytes, certificates } = platform.quote(bound).map_err(failed)?;
    if bytes.is_empty() || bytes.len() > MAX_QUOTE {
        return Err(failed(QuoteError::Size(bytes.len())));
    }
    Ok(Evidence { tee, key: (*bound.key).into(), signer: bound.signer, image: bound.image, quote: bytes, certificates })
}

/// No quote was had.
#[derive(Debug, Error)]
enum QuoteError {
    /// A file of the platform.
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    /// The simulated platform's file.
    #[cfg(feature = "simulated")]
    #[error(transparent)]
    Platform(#[from] iexec_simulated_tee::PlatformError),
    /// A technology that this program does not know.
    #[error("the machine's provider of reports is {0:?}, not tdx_guest or sev_guest")]
    Provider(String),
    /// Gramine's attestation.
    #[error("Gramine attests by {0:?}, not by dcap")]
    Gramine(String),
    /// The register does not hold what was put into it.
    #[error("{path}: the image's digest was written, and the register is not extended by it")]
    NotExtended { path: String },
    /// Somebody else used the same report.
    #[error("the report was changed by another process (generation {found} instead of {expected})")]
    Raced { expected: u64, found: u64 },
    /// Too long or empty.
    #[error("the machine gave a quote of {0} bytes; 1 to {MAX_QUOTE} are sent")]
    Size(usize),
}

impl QuoteError {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |error| Self::Io { path: path.display().to_string(), error }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layout::in_folder;

    pub(super) fn bound(key: &[u8; 32]) -> Bound<'_> {
        let signer = Address::repeat_byte(6);
        Bound { key, signer, task: TaskId([3; 32].into()), nonce: Nonce([4; 32].into()), image: Sha256::of("image") }
    }

    #[test]
    fn the_machine_decides_and_nothing_falls_back_to_the_simulation() {
        let dir = tempfile::tempdir().unwrap();
        let layout = in_folder(dir.path());
        let failure = Platform::find(&layout).unwrap_err();
        assert_eq!(failure.cause, Cause::TeePreparationFailed);
        assert!(failure.message.starts_with("this machine has no TEE"), "{failure}");
        fs::create_dir(&layout.gramine).unwrap();
        assert_eq!(Platform::find(&layout), Ok(Platform::Gramine(&layout.gramine)));
        fs::create_dir(&layout.tsm).unwrap();
        let tsm = Platform::Tsm { reports: &layout.tsm, rtmr3: &layout.rtmr3 };
        assert_eq!(Platform::find(&layout), Ok(tsm));
        // Hardware that fails stays hardware: this folder is not the kernel's.
        assert_eq!(make(tsm, &bound(&[1; 32])).unwrap_err().cause, Cause::TeePreparationFailed);
    }

    #[cfg(not(feature = "simulated"))]
    #[test]
    fn a_program_without_the_simulation_takes_no_simulated_platform() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("platform.json"), "{}").unwrap();
        assert!(Platform::find(&in_folder(dir.path())).is_err());
    }
}
