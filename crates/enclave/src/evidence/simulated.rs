//! The simulated TEE: a TDX quote in every byte, signed by a development key. It proves nothing about the machine.
//!
//! MRTD is the measure of this program's own file, RTMR3 has the image, as on hardware (spec ATT-31).

use std::{fs::File, path::Path};

use iexec_protocol::{
    evidence::{Tee, image_event},
    id::Sha256,
};
use iexec_simulated_tee::{MAX_PLATFORM, Platform, Td};
use zeroize::Zeroizing;

use super::{Quote, QuoteError};
use crate::file;

const PROGRAM: &str = "/proc/self/exe";

pub(super) fn quote(path: &Path, report_data: &[u8; 64], image: Sha256) -> Result<Quote, QuoteError> {
    let json = Zeroizing::new(file::read(path, MAX_PLATFORM).map_err(QuoteError::at(path))?);
    let platform = Platform::from_json(&json)?;
    let program = Path::new(PROGRAM);
    let mrtd = File::open(program).and_then(file::sha384).map_err(QuoteError::at(program))?;
    let td = Td::new(mrtd, *report_data).extend(3, &image_event(image));
    Ok(Quote::bare(Tee::Simulated, platform.quote(&td)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use iexec_protocol::evidence::image_register;
    use iexec_simulated_tee::{measured, pki::Pki};

    use super::*;
    use crate::evidence::{Platform as Vouching, make, tests::bound};

    #[test]
    fn a_simulated_quote_measures_this_program_and_the_image_and_binds_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("platform.json");
        let platform = Pki::from_secret(&[1; 32]).unwrap().platform().unwrap();
        fs::write(&path, platform.to_json()).unwrap();
        let bound = bound(&[5; 32]);

        let evidence = make(Vouching::Simulated(&path), &bound).unwrap();

        assert_eq!((evidence.tee, evidence.image, evidence.signer), (Tee::Simulated, bound.image, bound.signer));
        let mut expected = Td::new(measured(&fs::read(PROGRAM).unwrap()), bound.report_data());
        expected.rtmr[3] = image_register(bound.image);
        assert_eq!(evidence.quote, platform.quote(&expected));
    }

    #[test]
    fn a_platform_file_that_is_malformed_or_a_link_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("platform.json");
        fs::write(&path, "{\"pck_key\":\"0xdeadbeef\"}").unwrap();
        let error = quote(&path, &[0; 64], Sha256::default()).unwrap_err();
        assert!(matches!(error, QuoteError::Platform(_)) && !error.to_string().contains("deadbeef"), "{error}");
        let link = dir.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(quote(&link, &[0; 64], Sha256::default()), Err(QuoteError::Io { .. })));
    }
}
