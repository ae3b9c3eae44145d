//! The node's state on disk.
//!
//! anvil writes its dump in place; a copy that parses whole replaces the kept state by a rename, so a crash while writing
//! costs at most one interval.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{AnvilError, io};

/// The chain's state as of its last save, whole.
pub const STATE_FILE: &str = "chain.json";
/// What anvil itself writes; perhaps half-written.
pub(super) const DUMP_FILE: &str = "chain.dump.json";

/// Adopts a dump that anvil finished writing more than a second ago.
pub(super) fn save_if_settled(dir: &Path, saved: &mut Option<SystemTime>) {
    let Ok(written) = std::fs::metadata(dir.join(DUMP_FILE)).and_then(|metadata| metadata.modified()) else { return };
    let settled = written.elapsed().is_ok_and(|age| age > Duration::from_secs(1));
    if settled && *saved != Some(written) && adopt(dir).is_ok() {
        *saved = Some(written);
    }
}

/// Makes anvil's last dump the kept state, if it is whole.
pub(super) fn adopt(dir: &Path) -> Result<(), AnvilError> {
    let dump = dir.join(DUMP_FILE);
    let text = match std::fs::read(&dump) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(io(&dump, cause)),
    };
    if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_err() {
        return Ok(());
    }
    let kept = dir.join(STATE_FILE);
    let written = (|| {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&kept)?;
        Ok(())
    })();
    written.map_err(|cause: std::io::Error| io(&kept, cause))
}
