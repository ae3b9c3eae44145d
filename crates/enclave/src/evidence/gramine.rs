//! SGX through Gramine's pseudo-files (Gramine manual, "Attestation and Secret Provisioning", `/dev/attestation`).

use std::{fs, path::Path};

use iexec_protocol::evidence::{MAX_QUOTE, Tee};

use super::{Quote, QuoteError};
use crate::file;

pub(super) fn quote(folder: &Path, report_data: &[u8; 64]) -> Result<Quote, QuoteError> {
    let read = |name: &str, limit| {
        let path = folder.join(name);
        file::read_kernel(&path, limit).map_err(QuoteError::at(&path))
    };
    let kind = read("attestation_type", 64)?;
    if kind.trim_ascii() != b"dcap" {
        return Err(QuoteError::Gramine(String::from_utf8_lossy(&kind).trim().to_owned()));
    }
    let target = folder.join("user_report_data");
    fs::write(&target, report_data).map_err(QuoteError::at(&target))?;
    Ok((Tee::Sgx, read("quote", MAX_QUOTE)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gramine_is_given_the_report_data_and_its_quote_is_taken_only_from_dcap() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("quote"), "a quote").unwrap();
        for (kind, taken) in [("dcap\n", true), ("epid", false), ("none", false)] {
            fs::write(at("attestation_type"), kind).unwrap();
            assert_eq!(quote(dir.path(), &[9; 64]).is_ok(), taken, "{kind}");
        }
        assert_eq!(fs::read(at("user_report_data")).unwrap(), [9; 64]);
    }
}
