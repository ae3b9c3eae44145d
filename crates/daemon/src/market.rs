//! `iexecd market`.

use anyhow::Result;
use clap::Args;
use iexec_protocol::Address;
use iexec_service::{BoxFuture, CancellationToken};

use crate::common::{self, Common};

/// Flags of the order book.
#[derive(Args, Clone)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where a workerpool's scheduler is, as `<workerpool address>=<url>` (may be repeated)
    #[arg(long = "scheduler", value_parser = scheduler)]
    schedulers: Vec<(Address, String)>,
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let config = iexec_market::Config {
            listen: flags.common.listen,
            chain: flags.common.chain().await?,
            data: flags.common.data,
            schedulers: flags.schedulers.into_iter().collect(),
        };
        iexec_market::run(config, stop).await
    })
}

fn scheduler(text: &str) -> Result<(Address, String), String> {
    let (pool, url) = text.split_once('=').ok_or("expected <workerpool address>=<url>")?;
    Ok((common::address(pool)?, url.to_owned()))
}
