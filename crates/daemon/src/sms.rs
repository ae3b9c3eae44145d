//! `iexecd sms`: the service, and the commands beside it.

mod audit;
mod dumps;
mod explain;
mod place;
mod tool;

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand as _};
use iexec_service::{BoxFuture, CancellationToken, limit::Rate};
use iexec_sms::{
    OwnerLimits,
    collateral::{CollateralSources, CollateralUrls},
};

use crate::common::{Common, http_url};

/// What `iexecd sms` is asked to do.
pub(crate) enum Sms {
    /// Run the service.
    Serve(Box<Flags>),
    /// Something beside it.
    Tool(Box<tool::Tool>),
}

// Either the service's flags or a command: clap's derive knows no such pair.
impl Args for Sms {
    fn augment_args(command: Command) -> Command {
        let command = tool::Tool::augment_subcommands(Flags::augment_args(command));
        command
            .subcommand_required(false)
            .arg_required_else_help(false)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sms {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.subcommand_name().is_some() {
            return tool::Tool::from_arg_matches(matches).map(Box::new).map(Self::Tool);
        }
        Flags::from_arg_matches(matches).map(Box::new).map(Self::Serve)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Does it.
pub(crate) fn start(sms: Sms) -> Result<()> {
    dumps::refuse()?;
    match sms {
        Sms::Serve(flags) => crate::common::run(&flags.common.clone(), |stop| run(*flags, stop)),
        Sms::Tool(tool) => tool::run(*tool),
    }
}

/// Flags of the Secret Management Service.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd sms --listen 0.0.0.0:13300 --data /var/lib/iexec-sms \\\n    --rpc https://… --chain-id 42161 --hub 0x… --policy policy.toml"
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    place: place::Place,
    /// Origin under which workers reach this SMS; the address it listens on if absent
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,
    /// Which enclaves may receive secrets, and for which deals (docs/operators/policy.example.toml); none if absent
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    collateral: CollateralFlags,
    /// Be the hub's TEE broker (its owner calls setTeeBroker): sign the authorizations of workerpools for own challenges
    #[arg(long)]
    tee_broker: bool,
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

/// Where the vendors' word on platforms comes from.
#[derive(Args, Clone)]
pub(crate) struct CollateralFlags {
    #[command(flatten)]
    urls: CollateralUrlFlags,
    /// Fetch no collateral: what is kept and what the bundle holds is all there is
    #[arg(long)]
    collateral_offline: bool,
    /// Folder with collateral that was brought by hand, as `iexecd sms collateral fetch` makes it; only read
    #[arg(long, value_name = "FOLDER")]
    collateral_bundle: Option<PathBuf>,
}

/// The vendors' services.
#[derive(Args, Clone)]
#[expect(clippy::struct_field_names, reason = "the flags are called so")]
pub(crate) struct CollateralUrlFlags {
    /// Intel's PCS, or a PCCS that caches it (API version 4)
    #[arg(long, value_name = "URL", value_parser = http_url, default_value = iexec_sms::collateral::INTEL_PCS)]
    pccs_url: String,
    /// Where Intel's root revocation list is, if the PCS does not serve it
    #[arg(long, value_name = "URL", value_parser = http_url, default_value = iexec_sms::collateral::INTEL_ROOT_LIST)]
    intel_root_list_url: String,
    /// AMD's KDS, or a cache of it
    #[arg(long, value_name = "URL", value_parser = http_url, default_value = iexec_sms::collateral::AMD_KDS)]
    kds_url: String,
}

impl CollateralFlags {
    fn sources(self) -> CollateralSources {
        let urls = (!self.collateral_offline).then(|| self.urls.urls());
        CollateralSources { urls, bundle: self.collateral_bundle }
    }
}

impl CollateralUrlFlags {
    pub(crate) fn urls(self) -> CollateralUrls {
        CollateralUrls { pccs: self.pccs_url, root_list: self.intel_root_list_url, kds: self.kds_url }
    }
}

/// Runs it.
fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    let at = flags.place.at(&flags.common.data);
    let config = iexec_sms::Config {
        listen: flags.common.listen(),
        public_url: flags.url,
        data: at.data,
        database: at.database,
        kek: at.kek,
        limits: OwnerLimits { secrets: flags.owner_secrets, rate: Some(flags.owner_rate) },
        chain_url: flags.common.rpc,
        chain_id: flags.common.chain_id,
        hub: flags.common.hub,
        policy: flags.policy,
        collateral: flags.collateral.sources(),
        tee_broker: flags.tee_broker,
        insecure_simulated_tee: flags.insecure_simulated_tee,
    };
    iexec_sms::run(config, stop)
}
