//! `iexecd storage`.

use anyhow::Result;
use clap::Args;
use iexec_service::{BoxFuture, CancellationToken};

use crate::common::Common;

/// Flags of the result storage.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd storage --listen 0.0.0.0:13200 --data /var/lib/iexec-storage \\\n    --rpc https://… --chain-id 42161 --hub 0x…"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Largest archive, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
    max_archive: u64,
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let config = iexec_storage::Config {
            listen: flags.common.listen(),
            chain: flags.common.chain().await?,
            data: flags.common.data,
            max_archive: flags.max_archive,
        };
        iexec_storage::run(config, stop).await
    })
}
