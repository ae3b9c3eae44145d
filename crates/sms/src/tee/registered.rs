//! The measurement that an app's owner registered on chain (the contract's `mrenclave`), which an enclave must meet beside
//! the operator's policy (spec SMS-48).
//!
//! The field's form is iExec's: nothing, or JSON with a `fingerprint`. Under `TDX` iExec registers the image's digest
//! there; 48 bytes are the launch measurement of a TD or of a guest of SEV-SNP; 32 bytes under any other framework are an
//! MRENCLAVE.

use iexec_attestation::{Claims, Digest384, Measurement};
use iexec_chain::view::App;
use iexec_protocol::{B256, id::Sha256};
use serde::Deserialize;
use thiserror::Error;

/// Longest field read, in bytes.
const MAX_FIELD: usize = 4096;

/// An enclave or image that is not the registered one, or a registration that cannot be held against anything.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum RegisteredError {
    /// Neither empty nor JSON with a measurement.
    #[error("the app's mrenclave on chain cannot be held against evidence: {0}")]
    Unclear(String),
    /// Another program.
    #[error("the app's owner registered the measurement {registered}, the enclave measures {found}")]
    Enclave {
        /// On chain.
        registered: String,
        /// Attested.
        found: String,
    },
    /// Another image.
    #[error("the app's owner registered the image {registered}, the app's checksum on chain is {found}")]
    Image {
        /// In the field.
        registered: String,
        /// The app's checksum.
        found: Sha256,
    },
}

/// What of the field counts.
#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    framework: String,
    #[serde(default)]
    fingerprint: String,
}

/// Whether the attested enclave, about to start `image`, is the one that the app's owner registered.
pub(crate) fn check(app: &App, claims: &Claims, image: Sha256) -> Result<(), RegisteredError> {
    let Some(Field { framework, fingerprint }) = read(&app.mrenclave)? else { return Ok(()) };
    let bytes = const_hex::decode(&fingerprint)
        .map_err(|_| RegisteredError::Unclear("its fingerprint is not hexadecimal".to_owned()))?;
    let is_tdx = framework.eq_ignore_ascii_case("TDX");
    match (bytes.len(), &claims.measurement) {
        (32, _) if is_tdx => {
            let same = bytes == image.as_bytes();
            same.then_some(()).ok_or(RegisteredError::Image { registered: fingerprint, found: image })
        }
        (32, Measurement::Sgx(sgx)) if sgx.mrenclave == B256::from_slice(&bytes) => Ok(()),
        (48, Measurement::Tdx(tdx)) if tdx.mrtd == Digest384::from_slice(&bytes) => Ok(()),
        (48, Measurement::Snp(snp)) if snp.measurement == Digest384::from_slice(&bytes) => Ok(()),
        (32 | 48, found) => {
            Err(RegisteredError::Enclave { registered: fingerprint, found: format!("{} {found}", claims.tee) })
        }
        (length, _) => Err(RegisteredError::Unclear(format!("its fingerprint has {length} bytes, expected 32 or 48"))),
    }
}

fn read(field: &[u8]) -> Result<Option<Field>, RegisteredError> {
    if field.is_empty() {
        return Ok(None);
    }
    if field.len() > MAX_FIELD {
        return Err(RegisteredError::Unclear(format!("it has {} bytes, at most {MAX_FIELD} are read", field.len())));
    }
    let found: Field = serde_json::from_slice(field)
        .map_err(|_| RegisteredError::Unclear("it is no JSON object with a fingerprint".to_owned()))?;
    Ok(Some(found).filter(|field| !field.fingerprint.is_empty()))
}

#[cfg(test)]
mod tests {
    use iexec_attestation::{CollateralDates, DcapTcb, SgxMeasurement, TcbClaims, TcbStatus, TdxMeasurement};
    use iexec_protocol::{Address, evidence::Tee};

    use super::*;

    fn app(mrenclave: &str) -> App {
        App {
            owner: Address::ZERO,
            name: String::new(),
            kind: String::new(),
            multiaddr: Vec::new().into(),
            checksum: B256::ZERO,
            mrenclave: mrenclave.as_bytes().to_vec().into(),
        }
    }

    fn claims(tee: Tee, measurement: Measurement) -> Claims {
        let tcb = DcapTcb {
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            evaluation_number: 0,
            level_date: 0,
            fmspc: [0; 6].into(),
        };
        Claims {
            tee,
            measurement,
            report_data: [0; 64].into(),
            debug: false,
            migratable: false,
            tcb: TcbClaims::Dcap(tcb),
            collateral: CollateralDates { issued: 0, expires: 0 },
        }
    }

    fn tdx() -> Claims {
        let zero = Digest384::ZERO;
        let measured = TdxMeasurement {
            mrtd: Digest384::repeat_byte(0x33),
            rtmr: [zero; 4],
            mr_config_id: zero,
            mr_owner: zero,
            mr_owner_config: zero,
            mr_seam: zero,
            attributes: [0; 8].into(),
            xfam: [0; 8].into(),
        };
        claims(Tee::Tdx, Measurement::Tdx(measured))
    }

    fn sgx() -> Claims {
        let measured =
            SgxMeasurement { mrenclave: B256::repeat_byte(0x44), mrsigner: B256::ZERO, product_id: 0, svn: 0 };
        claims(Tee::Sgx, Measurement::Sgx(measured))
    }

    #[test]
    fn the_registered_measurement_is_asked_for_in_addition() {
        let image = Sha256(B256::repeat_byte(0x55));
        let json = |framework: &str, byte: &str, bytes: usize| {
            format!(r#"{{"framework":"{framework}","version":"v5","fingerprint":"{}"}}"#, byte.repeat(bytes))
        };
        let cases = [
            (String::new(), tdx(), None),
            (r#"{"framework":"TDX","fingerprint":""}"#.to_owned(), tdx(), None),
            (json("TDX", "55", 32), tdx(), None),
            (json("TDX", "56", 32), tdx(), Some("the app's owner registered the image 5656")),
            (json("TDX", "33", 48), tdx(), None),
            (json("TDX", "34", 48), tdx(), Some("the app's owner registered the measurement 3434")),
            (json("SCONE", "44", 32), sgx(), None),
            (json("GRAMINE", "45", 32), sgx(), Some("the app's owner registered the measurement 4545")),
            (json("SCONE", "44", 32), tdx(), Some("the app's owner registered the measurement 4444")),
            (json("TDX", "33", 48), sgx(), Some("the app's owner registered the measurement 3333")),
            (json("TDX", "33", 20), tdx(), Some("the app's mrenclave on chain cannot be held against evidence")),
            (json("TDX", "zz", 32), tdx(), Some("the app's mrenclave on chain cannot be held against evidence")),
            ("11|22|33|python".to_owned(), tdx(), Some("the app's mrenclave on chain cannot be held against evidence")),
            (" ".repeat(5000), tdx(), Some("the app's mrenclave on chain cannot be held against evidence")),
        ];
        for (field, claims, expected) in cases {
            let found = check(&app(&field), &claims, image).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{field}"),
                Some(words) => assert!(found.clone().unwrap_err().starts_with(words), "{field}: {found:?}"),
            }
        }
    }
}
