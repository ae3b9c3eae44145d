//! The records of a zip file being read: fields of fixed width, and the zip64 field that widens them.

use super::{EXTRA_ZIP64, IN_ZIP64};

/// Little-endian fields of a record. The fixed-width readers give zero beyond the end: callers take whole records first.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// Replaces the numbers that say "see zip64" by those of the extra field (4.5.3), in its order; `None` if it lacks one.
pub(super) fn widen<const N: usize>(extra: &[u8], short: [u32; N]) -> Option<[u64; N]> {
    let mut wide = short.map(u64::from);
    let mut field = zip64_field(extra)?;
    for number in wide.iter_mut().filter(|number| **number == u64::from(IN_ZIP64)) {
        *number = u64::from_le_bytes(field.take(8)?.try_into().ok()?);
    }
    Some(wide)
}

/// The zip64 extra field's data, empty if there is none; `None` if the extra fields are malformed.
fn zip64_field(extra: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields(extra);
    let mut found = Fields(&[]);
    while !fields.0.is_empty() {
        let mut head = Fields(fields.take(4)?);
        let (id, size) = (head.u16(), head.u16());
        let data = fields.take(size.into())?;
        if id == EXTRA_ZIP64 {
            found = Fields(data);
        }
    }
    Some(found)
}
