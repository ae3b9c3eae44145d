//! `iexec init`: a project's first files and a wallet.

use clap::Args;
use iexec_chain::{
    Wallet,
    network::{ChainFile, Dialect},
};
use serde::Serialize;

use crate::{
    chain_options::CHAIN_FILE,
    failure::Failure,
    files::{self, Keep},
    project::{DESCRIPTION_FILE, Description, Project},
    screen::{Answer, Screen, table},
    wallet,
    wallet_options::NewWalletOptions,
};

/// Start a project in this folder: iexec.json, chain.json and a wallet
#[derive(Args)]
#[command(after_help = "Examples:\n  iexec init\n  iexec init --skip-wallet --raw")]
pub(crate) struct Init {
    /// Replace existing files
    #[arg(long)]
    force: bool,
    /// Make no wallet
    #[arg(long)]
    skip_wallet: bool,
    #[command(flatten)]
    new: NewWalletOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_file: Option<String>,
    config_file: &'static str,
    chain_config_file: &'static str,
}

impl Init {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let folder = files::working_folder()?;
        for name in [DESCRIPTION_FILE, CHAIN_FILE] {
            files::refuse_existing(&folder.join(name), self.force)?;
        }
        let kept = if self.skip_wallet {
            None
        } else {
            Some(wallet::store(&Wallet::random()?, &self.new, screen, self.force)?)
        };
        Project::at(&folder).describe(&Description::default())?;
        let chains = ChainFile::initial().render(Dialect::Iexec);
        files::write(&folder.join(CHAIN_FILE), chains.as_bytes(), Keep { secret: false, replace: self.force })?;
        let started = Started {
            wallet_address: kept.as_ref().map(|kept| kept.address.to_string()),
            wallet_file: kept.map(|kept| kept.file_name),
            config_file: DESCRIPTION_FILE,
            chain_config_file: CHAIN_FILE,
        };
        screen.note("Next: `iexec app init`, or `iexec app run <address>` if the app is deployed already.");
        let mut rows = vec![("project", DESCRIPTION_FILE.to_owned()), ("chains", CHAIN_FILE.to_owned())];
        rows.extend(started.wallet_address.clone().map(|address| ("wallet", address)));
        rows.extend(started.wallet_file.clone().map(|file| ("wallet file", file)));
        Answer::new(&started, table(&rows))
    }
}
