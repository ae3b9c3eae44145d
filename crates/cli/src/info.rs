//! `iexec info`: the chain's contracts and services.

use clap::Args;
use serde::Serialize;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    remote::{Remote, online},
    screen::{Answer, Screen, table},
};

/// Version of the protocol that the hub's orders are signed under.
const POCO_VERSION: &str = "5.0.0";

/// Show the chain in use: its contracts and its services
#[derive(Args)]
#[command(after_help = "Examples:\n  iexec info\n  iexec info --chain arbitrum-sepolia-testnet --raw")]
pub(crate) struct Info {
    #[command(flatten)]
    chain: ChainOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    poco_version: &'static str,
    host: String,
    hub_address: String,
    rlc_address: String,
    app_registry_address: String,
    dataset_registry_address: String,
    workerpool_registry_address: String,
    chain_id: String,
}

impl Info {
    pub(crate) fn run(self, _: Screen) -> Result<Answer, Failure> {
        let (remote, contracts) = online(async {
            let remote = Remote::connect(&self.chain).await?;
            let contracts = remote.chain.contracts().await?;
            Ok((remote, contracts))
        })?;
        let network = &remote.network;
        let shown = Shown {
            poco_version: POCO_VERSION,
            host: network.host.clone(),
            hub_address: network.hub.to_string(),
            rlc_address: contracts.token.to_string(),
            app_registry_address: contracts.apps.to_string(),
            dataset_registry_address: contracts.datasets.to_string(),
            workerpool_registry_address: contracts.workerpools.to_string(),
            chain_id: network.id.to_string(),
        };
        let service = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".into());
        let text = table(&[
            ("chain", format!("{} ({})", network.name, network.id)),
            ("host", shown.host.clone()),
            ("hub", shown.hub_address.clone()),
            ("RLC", shown.rlc_address.clone()),
            ("apps", shown.app_registry_address.clone()),
            ("datasets", shown.dataset_registry_address.clone()),
            ("workerpools", shown.workerpool_registry_address.clone()),
            ("SMS", service(&network.services.sms)),
            ("market", service(&network.services.market)),
            ("storage", service(&network.services.ipfs_gateway)),
        ]);
        Answer::new(&shown, text)
    }
}
