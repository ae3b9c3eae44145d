//! The simulated TEE: a development key vouches for this program's own file. It proves nothing about the machine.

use std::{fs::File, path::Path};

use iexec_protocol::{
    evidence::{
        Tee,
        simulated::{PlatformFile, SimulatedQuote},
    },
    key::SigningKey,
};

use super::{Quote, QuoteError};
use crate::file;

const PROGRAM: &str = "/proc/self/exe";
const MAX_FILE: usize = 4096;

pub(super) fn quote(path: &Path, report_data: &[u8; 64]) -> Result<Quote, QuoteError> {
    let json = file::read(path, MAX_FILE).map_err(QuoteError::at(path))?;
    let platform: PlatformFile = serde_json::from_slice(&json).map_err(|_| QuoteError::Platform)?;
    let key = SigningKey::from_hex(&platform.key)?;
    let program = Path::new(PROGRAM);
    let measurement = File::open(program).and_then(file::sha256).map_err(QuoteError::at(program))?;
    let quote = SimulatedQuote::sign(measurement, *report_data, &key, platform.certificate)?;
    let quote = serde_json::to_vec(&quote).map_err(|_| QuoteError::Platform)?;
    Ok((Tee::Simulated, quote))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use iexec_protocol::{
        evidence::{Nonce, report_data, simulated::PlatformCertificate},
        id::{Sha256, TaskId},
    };

    use super::*;
    use crate::evidence::{Platform, make};

    #[test]
    fn a_simulated_quote_measures_this_program_and_binds_key_task_nonce_and_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("platform.json");
        let (root, key) = (SigningKey::from_bytes(&[1; 32]).unwrap(), SigningKey::from_bytes(&[2; 32]).unwrap());
        let certificate = PlatformCertificate::issue(&root, key.address()).unwrap();
        let file = PlatformFile { key: "02".repeat(32), certificate };
        fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
        let (task, nonce, image) = (TaskId([3; 32].into()), Nonce([4; 32].into()), Sha256::of("image"));

        let evidence = make(Platform::Simulated(&path), &[5; 32], iexec_protocol::Address::ZERO, task, nonce, image).unwrap();

        assert_eq!((evidence.tee, evidence.image), (Tee::Simulated, image));
        let quote: SimulatedQuote = serde_json::from_slice(&evidence.quote).unwrap();
        assert_eq!(quote.measurement, Sha256::of(fs::read(PROGRAM).unwrap()));
        assert_eq!(quote.report_data, report_data(&[5; 32], iexec_protocol::Address::ZERO, task, nonce, image));
        assert_eq!(quote.certificate, certificate);
        let signer = quote.signature.signer_of_personal(SimulatedQuote::hash(quote.measurement, &quote.report_data));
        assert_eq!(signer, Some(key.address()));
    }

    #[test]
    fn a_malformed_platform_file_is_an_error_that_does_not_repeat_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("platform.json");
        for text in ["", "{}", "{\"key\":\"0xdeadbeef\"}"] {
            fs::write(&path, text).unwrap();
            assert!(!quote(&path, &[0; 64]).unwrap_err().to_string().contains("deadbeef"));
        }
    }
}
