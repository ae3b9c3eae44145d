//! A part of collateral: its name, which is its file's, and its bytes once they were looked at.

use std::fmt;

use iexec_attestation::{
    AttestationError, ChipId, DcapCollateral, DcapId, PckCa, SnpCollateral, SnpKey, SnpProduct, SnpVersion,
};
use iexec_protocol::Timestamp;

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Everything that Intel says of a kind of platform, as the JSON that `--collateral` of `iexec result verify` reads.
    Dcap(DcapId),
    /// The certificate of a chip's key, DER.
    Vcek {
        /// Generation of the processor.
        product: SnpProduct,
        /// The chip.
        chip_id: ChipId,
        /// Its firmware.
        version: SnpVersion,
    },
    /// AMD's revocation list of a generation, DER.
    AmdList {
        /// Generation of the processor.
        product: SnpProduct,
        /// Kind of the keys whose authority it may name.
        key: SnpKey,
    },
    /// That of the simulated TEE; it has no file here.
    Simulated,
}

/// Bytes of a part that are signed by its vendor and speak about what its name says.
pub(crate) struct Item {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
    pub(crate) issued: Timestamp,
    /// The first moment at which it no longer holds.
    pub(crate) expires: Timestamp,
}

/// What of the bytes decisions take.
pub(crate) enum Form {
    Dcap(Box<DcapCollateral>),
    Der,
}

impl Part {
    /// Its file's name.
    pub(crate) fn file(&self) -> String {
        match self {
            Self::Dcap(DcapId { sgx, fmspc, ca }) => {
                let tee = if *sgx { "sgx" } else { "tdx" };
                format!("dcap-{tee}-{}-{}.json", const_hex::encode(fmspc), ca.name())
            }
            Self::Vcek { product, chip_id, version } => {
                let SnpVersion { fmc, bootloader, tee, snp, microcode } = version;
                let fmc = fmc.map_or_else(String::new, |fmc| format!("{fmc}."));
                let chip = const_hex::encode(chip_id);
                format!("vcek-{}-{fmc}{bootloader}.{tee}.{snp}.{microcode}-{chip}.der", lower(*product))
            }
            Self::AmdList { product, key: SnpKey::Vcek } => format!("list-{}.crl", lower(*product)),
            Self::AmdList { product, key: SnpKey::Vlek } => format!("list-{}-vlek.crl", lower(*product)),
            Self::Simulated => "simulated".to_owned(),
        }
    }

    /// The part that a file of this name holds.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let words: Vec<&str> = stem.split('-').collect();
        let part = match (extension, words.as_slice()) {
            ("json", ["dcap", tee, fmspc, ca]) => {
                let ca = [PckCa::Processor, PckCa::Platform].into_iter().find(|known| known.name() == *ca)?;
                let mut bytes = [0; 6];
                const_hex::decode_to_slice(fmspc, &mut bytes).ok()?;
                Self::Dcap(DcapId { sgx: *tee == "sgx", fmspc: bytes.into(), ca })
            }
            ("der", ["vcek", product, version, chip]) => {
                let mut bytes = [0; 64];
                const_hex::decode_to_slice(chip, &mut bytes).ok()?;
                Self::Vcek { product: read_product(product)?, chip_id: bytes.into(), version: read_version(version)? }
            }
            ("crl", ["list", product]) => Self::AmdList { product: read_product(product)?, key: SnpKey::Vcek },
            ("crl", ["list", product, "vlek"]) => Self::AmdList { product: read_product(product)?, key: SnpKey::Vlek },
            _ => return None,
        };
        // One name for one part: nothing that is written in another way counts.
        (part.file() == name).then_some(part)
    }

    /// Looks at bytes: are they of this part, and its vendor's?
    pub(crate) fn read(&self, bytes: Vec<u8>) -> Result<Item, AttestationError> {
        match self {
            Self::Dcap(id) => {
                let collateral = DcapCollateral::from_json(&bytes)?;
                collateral.check_authentic(*id)?;
                let dates = collateral.validity();
                Ok(Item { bytes, form: Form::Dcap(Box::new(collateral)), issued: dates.issued, expires: dates.expires })
            }
            Self::Vcek { product, chip_id, version } => {
                let collateral = SnpCollateral::new(Some(bytes.clone()), None)?;
                collateral.check_vcek(*product, chip_id, *version)?;
                item(*product, bytes, &collateral)
            }
            Self::AmdList { product, .. } => item(*product, bytes.clone(), &SnpCollateral::new(None, Some(&bytes))?),
            Self::Simulated => Err(AttestationError::CollateralMissing { what: "file of the simulated TEE" }),
        }
    }
}

fn item(product: SnpProduct, bytes: Vec<u8>, collateral: &SnpCollateral) -> Result<Item, AttestationError> {
    collateral.check_authentic(product)?;
    let dates = collateral.validity()?;
    Ok(Item { bytes, form: Form::Der, issued: dates.issued, expires: dates.expires })
}

fn lower(product: SnpProduct) -> String {
    product.name().to_ascii_lowercase()
}

fn read_product(name: &str) -> Option<SnpProduct> {
    [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin].into_iter().find(|product| lower(*product) == name)
}

fn read_version(text: &str) -> Option<SnpVersion> {
    let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
    match *numbers?.as_slice() {
        [bootloader, tee, snp, microcode] => Some(SnpVersion { fmc: None, bootloader, tee, snp, microcode }),
        [fmc, bootloader, tee, snp, microcode] => Some(SnpVersion { fmc: Some(fmc), bootloader, tee, snp, microcode }),
        _ => None,
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dcap(id) => write!(f, "Intel's word on FMSPC {}", const_hex::encode(id.fmspc)),
            Self::Vcek { product, .. } => write!(f, "the VCEK of this {product} chip and firmware"),
            Self::AmdList { product, key } => write!(f, "AMD's revocation list of {product} ({key})"),
            Self::Simulated => f.write_str("that of the simulated TEE"),
        }
    }
}
