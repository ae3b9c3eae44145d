//! What anyone can tell of an archive without a key.

use super::unlock::Lock;
use super::{Archive, Layout, OpenError};
use crate::zip::Entry;
use std::fmt;
use std::io::{Read, Seek};

/// What an archive says of itself. None of it is authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// How it is encrypted.
    pub layout: Layout,
    /// Every entry of the outer zip, in the order of their bytes.
    pub entries: Vec<EntryFacts>,
    /// To whom; empty for a plain archive.
    pub recipients: Vec<RecipientFacts>,
    /// Size of the receipt in bytes, if there is one.
    pub receipt: Option<usize>,
}

/// An entry of the outer zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    /// Path; a folder's ends in `/`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Size in the zip, in bytes.
    pub packed: u64,
    /// `YYYY-MM-DD hh:mm:ss` in the writer's time zone, `None` where that is no date; always 1980-01-01 in ours (A16).
    pub modified: Option<String>,
}

/// A recipient, as far as the archive names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientFacts {
    /// An RSA key, of which the archive tells the size alone.
    Rsa {
        /// Bits of the modulus, rounded up to whole bytes.
        bits: usize,
    },
    /// A stanza of an age header, of which the archive tells the kind: `X25519`, `p256tag`, …
    Age {
        /// The stanza's type, cut at 80 characters.
        kind: String,
    },
}

impl fmt::Display for RecipientFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Age { kind } => write!(f, "age {kind:?}"),
        }
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Tells what can be told without a key. Reads a few kilobytes.
    pub fn inspect(&mut self) -> Result<Inspection, OpenError> {
        let entries = self.zip.entries().iter().map(EntryFacts::of).collect();
        let recipients = self.recipients()?;
        Ok(Inspection { layout: self.layout, entries, recipients, receipt: self.receipt.as_ref().map(Vec::len) })
    }

    fn recipients(&mut self) -> Result<Vec<RecipientFacts>, OpenError> {
        self.lock().map(Lock::recipients)
    }

    /// What a key must open.
    pub(super) fn lock(&mut self) -> Result<Lock<'_>, OpenError> {
        let start = self.age_start()?;
        Lock::of(self.layout, &self.wrapped_key, &start)
    }

    /// As much of an age file as its header may be long; of another layout nothing.
    fn age_start(&mut self) -> Result<Vec<u8>, OpenError> {
        let mut start = Vec::new();
        let Some(entry) = self.zip.find(crate::AGE_ENTRY).cloned() else { return Ok(start) };
        let unreadable = |source| OpenError::Entry { name: entry.name.clone(), source };
        let content = self.zip.content(&entry).map_err(unreadable)?;
        content.take(crate::MAX_AGE_HEADER as u64).read_to_end(&mut start).map_err(unreadable)?;
        Ok(start)
    }
}

impl EntryFacts {
    fn of(entry: &Entry) -> Self {
        let modified = dos_date(entry.time_and_date);
        Self { name: entry.name.clone(), size: entry.size, packed: entry.packed, modified }
    }
}

/// A DOS date and time (APPNOTE 4.4.6): date in the upper half, in local time, two seconds exact.
fn dos_date(stamp: u32) -> Option<String> {
    let bits = |from: u32, count: u32| (stamp >> from) & ((1 << count) - 1);
    let (year, month, day) = (1980 + bits(25, 7), bits(21, 4), bits(16, 5));
    let (hour, minute, second) = (bits(11, 5), bits(5, 6), 2 * bits(0, 5));
    let sound = (1..=12).contains(&month) && day > 0 && hour < 24 && minute < 60 && second < 60;
    sound.then(|| format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::dos_date;

    #[test]
    fn dos_dates_are_read_as_the_format_has_them() {
        assert_eq!(dos_date(0x0021_0000).as_deref(), Some("1980-01-01 00:00:00"));
        assert_eq!(dos_date(0x5021_6cb5).as_deref(), Some("2020-01-01 13:37:42"));
        assert_eq!(dos_date(0), None);
        assert_eq!(dos_date(u32::MAX), None);
    }
}
