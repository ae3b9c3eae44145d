//! No core dump of a process that holds secrets: a crash would write them to disk, or hand them to a collector.

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, setrlimit};

/// Turns them off, for this process and those that it starts, before a secret is read. On Linux other processes of the
/// same user cannot read its memory either (`PR_SET_DUMPABLE`; a collector in `core_pattern` knows no size limit).
pub(super) fn refuse() -> Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("core dumps cannot be turned off")?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false).context("core dumps cannot be turned off")?;
    Ok(())
}
