//! TDX and SEV-SNP through Linux' configfs-tsm (Documentation/ABI/testing/configfs-tsm-report, Linux 6.7).
//!
//! A report is a folder: report data is written to `inblob`, the quote is read from `outblob`, and `generation` counts
//! the writes, so that a report that somebody else wrote to is noticed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use iexec_protocol::evidence::{MAX_QUOTE, Tee};

use super::{Quote, QuoteError};
use crate::file;

const MAX_ATTRIBUTE: usize = 4096;

pub(super) fn quote(reports: &Path, report_data: &[u8; 64]) -> Result<Quote, QuoteError> {
    Report::create(reports)?.quote(report_data)
}

fn technology(provider: &str) -> Result<Tee, QuoteError> {
    match provider {
        "tdx_guest" => Ok(Tee::Tdx),
        "sev_guest" => Ok(Tee::Snp),
        other => Err(QuoteError::Provider(other.chars().take(80).collect())),
    }
}

/// A report's folder; removed when dropped.
struct Report(PathBuf);

impl Report {
    fn create(reports: &Path) -> Result<Self, QuoteError> {
        let folder = reports.join(format!("iexec-{}", std::process::id()));
        fs::create_dir(&folder).map_err(QuoteError::at(&folder))?;
        Ok(Self(folder))
    }

    fn quote(&self, report_data: &[u8; 64]) -> Result<Quote, QuoteError> {
        let before = self.generation()?;
        self.write("inblob", report_data)?;
        let quote = self.read("outblob", MAX_QUOTE)?;
        let (expected, found) = (before + 1, self.generation()?);
        if expected != found {
            return Err(QuoteError::Raced { expected, found });
        }
        Ok((technology(&self.text("provider")?)?, quote))
    }

    fn generation(&self) -> Result<u64, QuoteError> {
        let text = self.text("generation")?;
        text.parse().map_err(|_| QuoteError::at(&self.0.join("generation"))(std::io::Error::other("not a number")))
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
        // One write(2): the kernel takes the blob whole.
        fs::write(&path, bytes).map_err(QuoteError::at(&path))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // In configfs this removes the attributes too. Nothing depends on it.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_whose_generation_is_not_the_next_was_written_by_somebody_else() {
        let dir = tempfile::tempdir().unwrap();
        let report = Report(dir.path().to_owned());
        for (attribute, text) in [("generation", "4\n"), ("outblob", "a quote"), ("provider", "tdx_guest\n")] {
            fs::write(dir.path().join(attribute), text).unwrap();
        }
        assert!(matches!(report.quote(&[9; 64]), Err(QuoteError::Raced { expected: 5, found: 4 })));
        assert_eq!(fs::read(dir.path().join("inblob")).unwrap(), [9; 64]);
    }

    #[test]
    fn only_known_hardware_vouches() {
        assert_eq!(technology("tdx_guest").unwrap(), Tee::Tdx);
        assert_eq!(technology("sev_guest").unwrap(), Tee::Snp);
        assert!(matches!(technology("arm_cca_guest"), Err(QuoteError::Provider(_))));
    }
}
