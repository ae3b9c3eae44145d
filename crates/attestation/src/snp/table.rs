//! The table of certificates that a host hands to its guests (GHCB specification, extended guest request): entries of
//! {GUID, offset, length}, ended by an entry of zeros, then the certificates.

use super::SnpCollateral;
use crate::AttestationError;

/// `63da758d-e664-4564-adc5-f4b93be8accd`, as its bytes lie in the table.
const VCEK: [u8; 16] = [0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
const ENTRY: usize = 24;
/// Most entries read.
const MAX_ENTRIES: usize = 16;

/// The VCEK's certificate (DER) in a table; `None` if the table is empty or has none.
pub(crate) fn vcek(table: &[u8]) -> Result<Option<&[u8]>, AttestationError> {
    for entry in table.chunks_exact(ENTRY).take(MAX_ENTRIES) {
        let (guid, place) = entry.split_at(16);
        if entry.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if guid == VCEK {
            return certificate(table, place).map(Some);
        }
    }
    if table.is_empty() { Ok(None) } else { Err(malformed("it has no end")) }
}

fn certificate<'a>(table: &'a [u8], place: &[u8]) -> Result<&'a [u8], AttestationError> {
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).ok().and_then(|n| usize::try_from(n).ok());
    let (offset, length) = (number(&place[..4]), number(&place[4..]));
    let range = offset.zip(length).and_then(|(offset, length)| Some(offset..offset.checked_add(length)?));
    range.and_then(|range| table.get(range)).ok_or_else(|| malformed("the VCEK lies outside of it"))
}

fn malformed(cause: &str) -> AttestationError {
    AttestationError::CollateralMalformed { what: "table of certificates", cause: cause.to_owned() }
}

/// A table of one VCEK, as a host would hand it out: for [`SnpCollateral`]'s tests and for caches.
impl SnpCollateral {
    /// Writes a table that holds `vcek` (DER) alone.
    pub fn table_of(vcek: &[u8]) -> Vec<u8> {
        let offset = u32::try_from(2 * ENTRY).unwrap_or_default();
        let length = u32::try_from(vcek.len()).unwrap_or_default();
        let mut table = [VCEK.as_slice(), &offset.to_le_bytes(), &length.to_le_bytes(), &[0; ENTRY]].concat();
        table.extend_from_slice(vcek);
        table
    }
}
