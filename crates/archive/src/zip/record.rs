//! The records of a zip file as bytes: headers, descriptor, end, zip64 fields. No input or output.

use super::{
    CENTRAL_SIGNATURE, DESCRIPTOR_SIGNATURE, END_SIGNATURE, END64_SIGNATURE, END64_SIZE, EXTRA_ZIP64, IN_ZIP64,
    LOCAL_SIGNATURE, LOCATOR64_SIGNATURE,
};

/// 1980-01-01 00:00:00, the first DOS date, for every entry (A16).
const DATE: u16 = 0x0021;
const VERSION_PLAIN: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Attributes follow Unix in the upper 16 bits (4.4.2).
const MADE_BY_UNIX: u16 = 3 << 8;
pub(super) const MODE_FILE: u32 = 0o100_644 << 16;
pub(super) const MODE_FOLDER: u32 = (0o040_755 << 16) | 0x10;

/// What the headers of an entry say.
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) mode: u32,
}

impl Header<'_> {
    /// Local file header (4.3.7); with `zip64` the sizes stand in the extra field, however small.
    pub(super) fn local(&self, zip64: bool) -> Vec<u8> {
        let version = if zip64 { VERSION_ZIP64 } else { VERSION_PLAIN };
        let mut bytes = Vec::with_capacity(64 + self.name.len());
        put32(&mut bytes, LOCAL_SIGNATURE);
        put16(&mut bytes, version);
        self.put_common(&mut bytes);
        let (packed, size) = if zip64 { (u64::MAX, u64::MAX) } else { (self.packed, self.size) };
        put32(&mut bytes, narrow(packed));
        put32(&mut bytes, narrow(size));
        put16(&mut bytes, narrow16(self.name.len() as u64));
        put16(&mut bytes, if zip64 { 20 } else { 0 });
        bytes.extend_from_slice(self.name.as_bytes());
        if zip64 {
            put_zip64(&mut bytes, &[self.size, self.packed]);
        }
        bytes
    }

    /// Data descriptor with zip64 sizes (4.3.9.2).
    pub(super) fn descriptor64(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        put32(&mut bytes, DESCRIPTOR_SIGNATURE);
        put32(&mut bytes, self.crc);
        put64(&mut bytes, self.packed);
        put64(&mut bytes, self.size);
        bytes
    }

    /// Central directory header (4.3.12); zip64 only for the numbers that need it.
    pub(super) fn central(&self) -> Vec<u8> {
        let wide: Vec<u64> =
            [self.size, self.packed, self.offset].into_iter().filter(|n| narrow(*n) == IN_ZIP64).collect();
        let version = if wide.is_empty() { VERSION_PLAIN } else { VERSION_ZIP64 };
        let mut bytes = Vec::with_capacity(80 + self.name.len());
        put32(&mut bytes, CENTRAL_SIGNATURE);
        put16(&mut bytes, MADE_BY_UNIX | version);
        put16(&mut bytes, version);
        self.put_common(&mut bytes);
        put32(&mut bytes, narrow(self.packed));
        put32(&mut bytes, narrow(self.size));
        put16(&mut bytes, narrow16(self.name.len() as u64));
        put16(&mut bytes, if wide.is_empty() { 0 } else { narrow16(4 + 8 * wide.len() as u64) });
        // No comment, disk 0, no internal attributes.
        bytes.extend_from_slice(&[0; 6]);
        put32(&mut bytes, self.mode);
        put32(&mut bytes, narrow(self.offset));
        bytes.extend_from_slice(self.name.as_bytes());
        if !wide.is_empty() {
            put_zip64(&mut bytes, &wide);
        }
        bytes
    }

    /// Flags, method, time, date, CRC-32: the same in both headers.
    fn put_common(&self, bytes: &mut Vec<u8>) {
        put16(bytes, self.flags);
        put16(bytes, self.method);
        put16(bytes, 0);
        put16(bytes, DATE);
        put32(bytes, self.crc);
    }
}

/// End of central directory (4.3.16), after its zip64 form and locator (4.3.14, 4.3.15) where a number needs it.
pub(super) fn end_records(count: u64, offset: u64, size: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(98);
    if narrow16(count) == u16::MAX || narrow(offset) == IN_ZIP64 || narrow(size) == IN_ZIP64 {
        put32(&mut bytes, END64_SIGNATURE);
        put64(&mut bytes, END64_SIZE as u64 - 12);
        put16(&mut bytes, MADE_BY_UNIX | VERSION_ZIP64);
        put16(&mut bytes, VERSION_ZIP64);
        put64(&mut bytes, 0);
        for number in [count, count, size, offset] {
            put64(&mut bytes, number);
        }
        put32(&mut bytes, LOCATOR64_SIGNATURE);
        put32(&mut bytes, 0);
        put64(&mut bytes, offset + size);
        put32(&mut bytes, 1);
    }
    put32(&mut bytes, END_SIGNATURE);
    put32(&mut bytes, 0);
    put16(&mut bytes, narrow16(count));
    put16(&mut bytes, narrow16(count));
    put32(&mut bytes, narrow(size));
    put32(&mut bytes, narrow(offset));
    put16(&mut bytes, 0);
    bytes
}

fn put16(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_zip64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    put16(bytes, EXTRA_ZIP64);
    put16(bytes, narrow16(8 * numbers.len() as u64));
    for number in numbers {
        put64(bytes, *number);
    }
}

/// The number, or all ones where it does not fit: the mark that says "see zip64".
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_ZIP64)
}

fn narrow16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
