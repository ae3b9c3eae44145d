//! TDX and SEV-SNP through Linux: reports by configfs-tsm (`Documentation/ABI/testing/configfs-tsm-report`, Linux 6.7),
//! TDX' run-time measurements by sysfs (`Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest`, Linux 6.16).
//!
//! A report is a folder: report data is written to `inblob`, the quote is read from `outblob`, the machine's certificates
//! from `auxblob` (SNP), and `generation` counts the writes, so that a report that somebody else wrote to is noticed.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use iexec_protocol::{
    evidence::{MAX_CERTIFICATES, MAX_QUOTE, Tee, image_event},
    id::Sha256,
};
use sha2::{Digest as _, Sha384};

use super::{Quote, QuoteError};
use crate::file;

const MAX_ATTRIBUTE: usize = 4096;
/// Bytes of a run-time measurement.
const REGISTER: usize = 48;

pub(super) fn quote(reports: &Path, rtmr3: &Path, report_data: &[u8; 64], image: Sha256) -> Result<Quote, QuoteError> {
    Report::create(reports)?.vouch(rtmr3, report_data, image)
}

fn technology(provider: &str) -> Result<Tee, QuoteError> {
    match provider {
        "tdx_guest" => Ok(Tee::Tdx),
        "sev_guest" => Ok(Tee::Snp),
        other => Err(QuoteError::Provider(other.chars().take(80).collect())),
    }
}

/// Puts the image into the register, and sees that it is in there: without it there is no quote (spec ATT-31).
fn extend(register: &Path, image: Sha256) -> Result<(), QuoteError> {
    let read = || file::read_kernel(register, REGISTER).map_err(QuoteError::at(register));
    let (before, event) = (read()?, image_event(image));
    file::write_kernel(register, &event).map_err(QuoteError::at(register))?;
    let expected: [u8; REGISTER] = Sha384::new().chain_update(before).chain_update(event).finalize().into();
    if read()? == expected {
        return Ok(());
    }
    Err(QuoteError::NotExtended { path: register.display().to_string() })
}

/// A report's folder; removed when dropped.
struct Report(PathBuf);

impl Report {
    fn create(reports: &Path) -> Result<Self, QuoteError> {
        let folder = reports.join(format!("iexec-{}", std::process::id()));
        fs::create_dir(&folder).map_err(QuoteError::at(&folder))?;
        Ok(Self(folder))
    }

    fn vouch(&self, rtmr3: &Path, report_data: &[u8; 64], image: Sha256) -> Result<Quote, QuoteError> {
        let tee = technology(&self.text("provider")?)?;
        if tee == Tee::Tdx {
            extend(rtmr3, image)?;
        }
        let before = self.generation()?;
        self.write("inblob", report_data)?;
        let bytes = self.read("outblob", MAX_QUOTE)?;
        let certificates = if tee == Tee::Snp { self.certificates()? } else { Vec::new() };
        let (expected, found) = (before + 1, self.generation()?);
        if expected != found {
            return Err(QuoteError::Raced { expected, found });
        }
        Ok(Quote { tee, bytes, certificates })
    }

    /// Empty where the host gave none, and where the attribute is not shown.
    fn certificates(&self) -> Result<Vec<u8>, QuoteError> {
        match self.read("auxblob", MAX_CERTIFICATES) {
            Err(QuoteError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    fn generation(&self) -> Result<u64, QuoteError> {
        let text = self.text("generation")?;
        text.parse().map_err(|_| QuoteError::at(&self.0.join("generation"))(io::Error::other("not a number")))
    }

    fn text(&self, attribute: &str) -> Result<String, QuoteError> {
        let bytes = self.read(attribute, MAX_ATTRIBUTE)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn read(&self, attribute: &str, limit: usize) -> Result<Vec<u8>, QuoteError> {
        let path = self.0.join(attribute);
        file::read_kernel(&path, limit).map_err(QuoteError::at(&path))
    }

    fn write(&self, attribute: &str, bytes: &[u8]) -> Result<(), QuoteError> {
        let path = self.0.join(attribute);
        file::write_kernel(&path, bytes).map_err(QuoteError::at(&path))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // In configfs this removes the attributes too. Nothing depends on it.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests;
