//! SGX through Gramine's pseudo-files (Gramine manual, "Attestation and Secret Provisioning", `/dev/attestation`).

use std::path::Path;

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
    file::write_kernel(&target, report_data).map_err(QuoteError::at(&target))?;
    Ok(Quote::bare(Tee::Sgx, read("quote", MAX_QUOTE)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A copy of `vectors/attestation/gramine`.
    fn recorded() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/attestation/gramine");
        for entry in fs::read_dir(tree).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        dir
    }

    #[test]
    fn gramine_is_given_the_report_data_and_its_quote_is_taken_only_from_dcap() {
        let dir = recorded();
        let at = |name: &str| dir.path().join(name);
        let vouched = quote(dir.path(), &[9; 64]).unwrap();
        assert_eq!(vouched, Quote::bare(Tee::Sgx, fs::read(at("quote")).unwrap()));
        assert_eq!(fs::read(at("user_report_data")).unwrap(), [9; 64]);
        for kind in ["epid", "none", "", "dcap2"] {
            fs::write(at("attestation_type"), kind).unwrap();
            assert!(matches!(quote(dir.path(), &[9; 64]), Err(QuoteError::Gramine(_))), "{kind}");
        }
    }

    #[test]
    fn gramine_without_report_data_gives_no_quote() {
        let dir = recorded();
        fs::remove_file(dir.path().join("user_report_data")).unwrap();
        assert!(matches!(quote(dir.path(), &[9; 64]), Err(QuoteError::Io { .. })));
        assert!(!dir.path().join("user_report_data").exists());
    }
}
