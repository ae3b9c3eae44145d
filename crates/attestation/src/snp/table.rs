//! The table of certificates that a host hands to its guests (GHCB specification, extended guest request): entries of
//! {GUID, offset, length}, ended by an entry of zeros, then the certificates.

use super::{SnpCollateral, SnpKey};
use crate::AttestationError;

/// `63da758d-e664-4564-adc5-f4b93be8accd`, as its bytes lie in the table.
const VCEK: [u8; 16] = [0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
/// `a8074bc2-a25a-483e-aae6-39c045a0b8a1`.
const VLEK: [u8; 16] = [0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1];
const ENTRY: usize = 24;
/// Most entries read.
const MAX_ENTRIES: usize = 16;

const fn guid(key: SnpKey) -> [u8; 16] {
    match key {
        SnpKey::Vcek => VCEK,
        SnpKey::Vlek => VLEK,
    }
}

/// The certificate (DER) of a key of this kind in a table; `None` if the table is empty or has none.
pub(crate) fn certificate(table: &[u8], key: SnpKey) -> Result<Option<&[u8]>, AttestationError> {
    for entry in table.chunks_exact(ENTRY).take(MAX_ENTRIES) {
        let (named, place) = entry.split_at(16);
        if entry.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if named == guid(key) {
            return at(table, place, key).map(Some);
        }
    }
    if table.is_empty() { Ok(None) } else { Err(malformed("it has no end")) }
}

fn at<'a>(table: &'a [u8], place: &[u8], key: SnpKey) -> Result<&'a [u8], AttestationError> {
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).ok().and_then(|n| usize::try_from(n).ok());
    let (offset, length) = (number(&place[..4]), number(&place[4..]));
    let range = offset.zip(length).and_then(|(offset, length)| Some(offset..offset.checked_add(length)?));
    range.and_then(|range| table.get(range)).ok_or_else(|| malformed(&format!("the {key} lies outside of it")))
}

fn malformed(cause: &str) -> AttestationError {
    AttestationError::CollateralMalformed { what: "table of certificates", cause: cause.to_owned() }
}

/// A table of one certificate, as a host would hand it out: for [`SnpCollateral`]'s tests and for caches.
impl SnpCollateral {
    /// Writes a table that holds `certificate` (DER), of a key of this kind, alone.
    pub fn table_of(key: SnpKey, certificate: &[u8]) -> Vec<u8> {
        let offset = u32::try_from(2 * ENTRY).unwrap_or_default();
        let length = u32::try_from(certificate.len()).unwrap_or_default();
        let mut table = [guid(key).as_slice(), &offset.to_le_bytes(), &length.to_le_bytes(), &[0; ENTRY]].concat();
        table.extend_from_slice(certificate);
        table
    }
}
