//! `iexecd sms`.

use anyhow::Result;
use clap::Args;
use iexec_protocol::{Address, id::Sha256};
use iexec_service::{BoxFuture, CancellationToken, limit::Rate};
use iexec_sms::OwnerLimits;

use crate::common::{Common, address, http_url};

/// Flags of the Secret Management Service.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd sms --listen 0.0.0.0:13300 --data /var/lib/iexec-sms \\\n    --rpc https://… --chain-id 42161 --hub 0x… --enclave-measurement sha256:…"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Origin under which workers reach this SMS; the address it listens on if absent
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,
    /// Measurement of an enclave program that may receive secrets (may be repeated)
    #[arg(long = "enclave-measurement", value_name = "DIGEST", value_parser = sha256)]
    enclaves: Vec<Sha256>,
    /// Accept simulated evidence certified by this root address. Whoever has the root's key gets every secret: local
    /// networks only
    #[arg(long, value_parser = address, value_name = "ROOT")]
    insecure_simulated_tee: Option<Address>,
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

fn sha256(text: &str) -> Result<Sha256, String> {
    Sha256::from_oci(text).map_err(|_| format!("expected sha256: and 64 hex digits, got {text:?}"))
}
