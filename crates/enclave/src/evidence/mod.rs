//! Evidence, from whatever vouches for this machine. Made here, verified by others.
//!
//! The machine decides and nothing falls back: what has no hardware and no simulated platform has no evidence.

mod gramine;
mod simulated;
mod tsm;

use std::{io, path::Path};

use iexec_protocol::{
    cause::Cause,
    evidence::{Evidence, MAX_QUOTE, Nonce, Tee, report_data},
    id::{Sha256, TaskId},
    key::KeyError,
};
use thiserror::Error;

use crate::{failure::Failure, layout::Layout};

/// A quote and the technology that signed it.
type Quote = (Tee, Vec<u8>);

/// Who vouches for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform<'a> {
    /// A development key.
    Simulated(&'a Path),
    /// TDX or SEV-SNP through Linux' configfs-tsm.
    Tsm(&'a Path),
    /// SGX through Gramine.
    Gramine(&'a Path),
}

impl<'a> Platform<'a> {
    /// The one that this machine has. A simulated platform that is there is taken: a verifier of hardware refuses it.
    pub(crate) fn find(layout: &'a Layout) -> Result<Self, Failure> {
        if layout.platform.exists() {
            return Ok(Self::Simulated(&layout.platform));
        }
        if layout.tsm.is_dir() {
            return Ok(Self::Tsm(&layout.tsm));
        }
        if layout.gramine.is_dir() {
            return Ok(Self::Gramine(&layout.gramine));
        }
        Err(Failure::unprepared(format_args!(
            "this machine has no TEE ({} and {} are missing) and no simulated platform ({})",
            layout.tsm.display(),
            layout.gramine.display(),
            layout.platform.display()
        )))
    }

    fn quote(self, report_data: &[u8; 64]) -> Result<Quote, QuoteError> {
        match self {
            Self::Simulated(file) => simulated::quote(file, report_data),
            Self::Tsm(folder) => tsm::quote(folder, report_data),
            Self::Gramine(folder) => gramine::quote(folder, report_data),
        }
    }
}

/// Evidence that binds the key, the task, the nonce and the image.
pub(crate) fn make(
    platform: Platform<'_>,
    key: &[u8; 32],
    signer: iexec_protocol::Address,
    task: TaskId,
    nonce: Nonce,
    image: Sha256,
) -> Result<Evidence, Failure> {
    let failed = |error: QuoteError| Failure::new(Cause::TeePreparationFailed, error);
    let (tee, quote) = platform.quote(&report_data(key, signer, task, nonce, image)).map_err(failed)?;
    if quote.is_empty() || quote.len() > MAX_QUOTE {
        return Err(failed(QuoteError::Size(quote.len())));
    }
    Ok(Evidence { tee, key: (*key).into(), signer, image, quote, certificates: Vec::new() })
}

/// No quote was had.
#[derive(Debug, Error)]
enum QuoteError {
    /// A file of the platform.
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    /// The simulated platform's file.
    #[error("the simulated platform's file is malformed")]
    Platform,
    /// Its key.
    #[error("the simulated platform's key: {0}")]
    Key(#[from] KeyError),
    /// A technology that this program does not know.
    #[error("the machine's provider of reports is {0:?}, not tdx_guest or sev_guest")]
    Provider(String),
    /// Gramine's attestation.
    #[error("Gramine attests by {0:?}, not by dcap")]
    Gramine(String),
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
        assert_eq!(Platform::find(&layout), Ok(Platform::Tsm(&layout.tsm)));
        // Hardware that fails stays hardware: this folder is not the kernel's.
        let made =
            make(Platform::Tsm(&layout.tsm), &[1; 32], iexec_protocol::Address::ZERO, TaskId::default(), Nonce([2; 32].into()), Sha256::of("i"));
        assert_eq!(made.unwrap_err().cause, Cause::TeePreparationFailed);
    }
}
