//! An entry's own records: the header in front of its data (4.3.7) and the descriptor behind it (4.3.9).

use super::directory::{at_end, damaged};
use super::field::{Fields, widen};
use super::{DESCRIPTOR_SIGNATURE, FLAG_DESCRIPTOR, IN_ZIP64, LOCAL_SIZE, ZipError};
use std::io::Read;

/// What an entry's own header says.
pub(super) struct Local {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time_and_date: u32,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Whether a number stands in the zip64 field, and so a descriptor has 8-byte sizes.
    pub(super) zip64: bool,
    /// Length of the header, bytes.
    pub(super) length: u64,
}

impl Local {
    /// Reads the header that starts at `at`; its signature has been read.
    pub(super) fn read(input: &mut impl Read, at: u64) -> Result<Self, ZipError> {
        let mut bytes = [0; LOCAL_SIZE - 4];
        input.read_exact(&mut bytes).map_err(|error| at_end(error, at))?;
        let mut fixed = Fields(&bytes);
        let _version = fixed.u16();
        let (flags, method, time_and_date, crc) = (fixed.u16(), fixed.u16(), fixed.u32(), fixed.u32());
        let (packed, size) = (fixed.u32(), fixed.u32());
        let (name_size, extra_size) = (usize::from(fixed.u16()), usize::from(fixed.u16()));
        // At most 64 KiB each by the fields' width.
        let (mut name, mut extra) = (vec![0; name_size], vec![0; extra_size]);
        input.read_exact(&mut name).and_then(|()| input.read_exact(&mut extra)).map_err(|error| at_end(error, at))?;
        let zip64 = packed == IN_ZIP64 || size == IN_ZIP64;
        let [size, packed, _] =
            widen(&extra, [size, packed, 0]).ok_or(damaged("a cut or malformed entry header", at))?;
        let length = (LOCAL_SIZE + name_size + extra_size) as u64;
        Ok(Self { name, flags, method, time_and_date, crc, packed, size, zip64, length })
    }

    /// Whether a descriptor follows the data.
    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & FLAG_DESCRIPTOR != 0
    }
}

/// What stands behind an entry's data.
pub(super) struct Descriptor {
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Length of the record, bytes.
    pub(super) length: u64,
}

impl Descriptor {
    /// Reads the descriptor at `at`, with its signature or without.
    pub(super) fn read(input: &mut impl Read, at: u64, zip64: bool) -> Result<Self, ZipError> {
        let mut take4 = || -> Result<[u8; 4], ZipError> {
            let mut bytes = [0; 4];
            input.read_exact(&mut bytes).map_err(|error| at_end(error, at))?;
            Ok(bytes)
        };
        let first = u32::from_le_bytes(take4()?);
        let signed = first == DESCRIPTOR_SIGNATURE;
        let crc = if signed { u32::from_le_bytes(take4()?) } else { first };
        let mut bytes = [0; 16];
        let sizes = if zip64 { &mut bytes[..] } else { &mut bytes[..8] };
        input.read_exact(sizes).map_err(|error| at_end(error, at))?;
        let length = 4 * u64::from(signed) + 4 + sizes.len() as u64;
        let mut fields = Fields(sizes);
        let (packed, size) =
            if zip64 { (fields.u64(), fields.u64()) } else { (fields.u32().into(), fields.u32().into()) };
        Ok(Self { crc, packed, size, length })
    }
}
