//! Backup and restore: the whole store as one age file (age-encryption.org/v1), from one moment, for either database.
//!
//! Inside are lines of JSON ([`Record`]). Values stay sealed as they are in the database; the data keys are bare, so
//! whoever opens the file has everything. It holds no key-encryption key: the restored store has its own.

mod file;
mod read;
mod record;
mod write;

pub(crate) use read::restore;
pub(crate) use write::backup;

pub use file::{BackupKey, BackupTo};
pub use record::BackupCounts;
