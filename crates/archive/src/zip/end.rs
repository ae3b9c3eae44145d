//! The end of a zip file: where its central directory is (4.3.14–4.3.16).

use super::directory::{damaged, read_at};
use super::field::Fields;
use super::{
    END_SIGNATURE, END_SIZE, END64_SIGNATURE, END64_SIZE, IN_ZIP64, LOCATOR64_SIGNATURE, LOCATOR64_SIZE, ZipError,
};
use std::io::{Read, Seek, SeekFrom};

/// Where the central directory is.
pub(super) struct Directory {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) count: u64,
}

/// Reads the end record, which must be the file's last 22 bytes, and its zip64 form where it points there.
pub(super) fn find_directory(input: &mut (impl Read + Seek)) -> Result<Directory, ZipError> {
    let length = input.seek(SeekFrom::End(0))?;
    let at = length.checked_sub(END_SIZE as u64).ok_or(damaged("no end record, the file is too short", 0))?;
    let bytes: [u8; END_SIZE] = read_at(input, at)?;
    let mut fields = Fields(&bytes);
    if fields.u32() != END_SIGNATURE {
        return Err(damaged("no end record, or bytes behind it,", at));
    }
    let disks = fields.u32();
    let (count_here, count) = (fields.u16(), fields.u16());
    let (size, offset) = (fields.u32(), fields.u32());
    if disks != 0 || count_here != count || fields.u16() != 0 {
        return Err(damaged("a split file or a comment", at));
    }
    let (directory, end) = if count == u16::MAX || size == IN_ZIP64 || offset == IN_ZIP64 {
        find_directory64(input, at)?
    } else {
        (Directory { offset: offset.into(), size: size.into(), count: count.into() }, at)
    };
    let agrees = |wide: u64, short: u64, mark: u64| short == mark || short == wide;
    let sound = directory.offset.checked_add(directory.size) == Some(end)
        && agrees(directory.count, count.into(), u16::MAX.into())
        && agrees(directory.size, size.into(), IN_ZIP64.into())
        && agrees(directory.offset, offset.into(), IN_ZIP64.into());
    if sound { Ok(directory) } else { Err(damaged("a central directory that does not end at the end record", at)) }
}

/// Reads the zip64 locator in front of the end record at `end`, and the record that it names.
fn find_directory64(input: &mut (impl Read + Seek), end: u64) -> Result<(Directory, u64), ZipError> {
    let missing = || damaged("no zip64 end record", end);
    let locator_at = end.checked_sub(LOCATOR64_SIZE as u64).ok_or_else(missing)?;
    let record_at = locator_at.checked_sub(END64_SIZE as u64).ok_or_else(missing)?;
    let locator: [u8; LOCATOR64_SIZE] = read_at(input, locator_at)?;
    let mut fields = Fields(&locator);
    if (fields.u32(), fields.u32(), fields.u64(), fields.u32()) != (LOCATOR64_SIGNATURE, 0, record_at, 1) {
        return Err(missing());
    }
    let record: [u8; END64_SIZE] = read_at(input, record_at)?;
    let mut fields = Fields(&record);
    if (fields.u32(), fields.u64()) != (END64_SIGNATURE, END64_SIZE as u64 - 12) {
        return Err(missing());
    }
    let (_versions, disks) = (fields.u32(), fields.u64());
    let (count_here, count, size, offset) = (fields.u64(), fields.u64(), fields.u64(), fields.u64());
    if disks != 0 || count_here != count {
        return Err(damaged("a split file", record_at));
    }
    Ok((Directory { offset, size, count }, record_at))
}

#[cfg(test)]
mod tests {
    use super::super::record::end_records;
    use super::super::stream::Tail;
    use super::find_directory;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_directory_beyond_4_gib_is_found() {
        for (count, offset, size) in [(1, 5 * GIB, 100), (70_000, 3, 100), (65_535, 3, 100), (1, 3, 100)] {
            let bytes = [vec![0; 100], end_records(count, offset, size)].concat();
            let found = find_directory(&mut Tail::new(offset, &bytes)).unwrap();
            assert_eq!((found.count, found.offset, found.size), (count, offset, size));
        }
    }
}
