//! `iexecd scheduler`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use iexec_protocol::Address;
use iexec_service::{BoxFuture, CancellationToken};

use crate::common::{self, Common, address, http_url};

/// Flags of the scheduler.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd scheduler --listen 0.0.0.0:13000 --data /var/lib/iexec-scheduler \\\n    --rpc https://… --chain-id 42161 --hub 0x… --workerpool 0x… \\\n    --wallet /etc/iexec/owner.json --password-file /etc/iexec/owner.password \\\n    --sms https://… --storage https://…"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The workerpool's contract
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    workerpool: Address,
    /// Wallet of the workerpool's owner: a keystore file, or a file with a private key
    #[arg(long, value_name = "FILE")]
    wallet: PathBuf,
    /// File with the keystore's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The pool's SMS; absent for a pool without enclaves
    #[arg(long, value_name = "URL", value_parser = http_url)]
    sms: Option<String>,
    /// The pool's result storage
    #[arg(long, value_name = "URL", value_parser = http_url)]
    storage: String,
    /// A worker that may ask for tasks (may be repeated); any if none is named
    #[arg(long = "worker", value_name = "ADDRESS", value_parser = address)]
    workers: Vec<Address>,
    /// Tasks that a worker may hold at once
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    capacity: usize,
    /// First block to read on the first start
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    start_block: u64,
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let config = iexec_scheduler::Config {
            listen: flags.common.listen(),
            chain_url: flags.common.rpc,
            chain_id: flags.common.chain_id,
            hub: flags.common.hub,
            data: flags.common.data,
            workerpool: flags.workerpool,
            wallet: common::wallet(&flags.wallet, flags.password_file.as_deref())?,
            sms_url: flags.sms,
            storage_url: flags.storage,
            start_block: flags.start_block,
            workers: flags.workers,
            capacity: flags.capacity,
        };
        iexec_scheduler::run(config, stop).await
    })
}
