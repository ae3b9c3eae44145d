//! `iexecd sms`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use iexec_service::{BoxFuture, CancellationToken, limit::Rate};
use iexec_sms::{Digest384, OwnerLimits};

use crate::common::{Common, http_url};

/// Flags of the Secret Management Service.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd sms --listen 0.0.0.0:13300 --data /var/lib/iexec-sms \\\n    --rpc https://… --chain-id 42161 --hub 0x… --enclave-measurement 5f6e…"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Origin under which workers reach this SMS; the address it listens on if absent
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,
    /// SHA-384 of the file of an enclave program that may receive secrets (may be repeated)
    #[arg(long = "enclave-measurement", value_name = "DIGEST", value_parser = sha384)]
    enclaves: Vec<Digest384>,
    /// Accept simulated evidence under this root certificate (DER, with collateral.json beside it). Whoever has the root's
    /// key gets every secret: local networks only
    #[arg(long, value_name = "FILE")]
    insecure_simulated_tee: Option<PathBuf>,
    /// Most secrets of one owner; each has at most 4096 bytes
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    owner_secrets: u64,
    /// Most signed requests about secrets of one owner, and how many at once
    #[arg(long, value_name = "RATE", default_value = "10/s:100")]
    owner_rate: Rate,
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    let config = iexec_sms::Config {
        listen: flags.common.listen(),
        public_url: flags.url,
        data: flags.common.data,
        database: None,
        kek: iexec_sms::KekSource::DataFolder,
        limits: OwnerLimits { secrets: flags.owner_secrets, rate: Some(flags.owner_rate) },
        chain_url: flags.common.rpc,
        chain_id: flags.common.chain_id,
        hub: flags.common.hub,
        enclaves: flags.enclaves,
        insecure_simulated_tee: flags.insecure_simulated_tee,
    };
    iexec_sms::run(config, stop)
}

fn sha384(text: &str) -> Result<Digest384, String> {
    let mut digest = [0; 48];
    let read = const_hex::decode_to_slice(text, &mut digest);
    read.map(|()| digest.into()).map_err(|_| format!("expected 96 hex digits, got {text:?}"))
}
