//! `iexecd market`.

use anyhow::Result;
use clap::Args;
use iexec_protocol::Address;
use iexec_service::{BoxFuture, CancellationToken};

use crate::common::{self, Common};

/// Flags of the order book.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd market --listen 0.0.0.0:3000 --data /var/lib/iexec-market \\\n    --rpc https://… --chain-id 42161 --hub 0x… --scheduler 0x…=https://…"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where a workerpool's scheduler is: the workerpool's address, = and the scheduler's URL (may be repeated)
    #[arg(long = "scheduler", value_name = "POOL=URL", value_parser = scheduler)]
    schedulers: Vec<(Address, String)>,
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let config = iexec_market::Config {
            listen: flags.common.listen(),
            chain: flags.common.chain().await?,
            data: flags.common.data,
            schedulers: flags.schedulers.into_iter().collect(),
        };
        iexec_market::run(config, stop).await
    })
}

fn scheduler(text: &str) -> Result<(Address, String), String> {
    let (pool, url) = text.split_once('=').ok_or("expected <workerpool address>=<url>")?;
    Ok((common::address(pool)?, common::http_url(url)?))
}
