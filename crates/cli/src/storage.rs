//! `iexec storage`: the token by which older workers uploaded results in a requester's name.

use clap::{Subcommand, builder::PossibleValuesParser};
use iexec_protocol::{
    Address,
    call::{
        sms::{SecretExists, SecretId, SetSecret},
        storage::{GetLoginChallenge, Login},
    },
    id::parse_address,
    secret::RESULT_STORAGE_TOKEN,
    session::SecretText,
};
use serde_json::json;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    market,
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Prepare and check the result storage (only networks of SDK 8 and before need it)
#[derive(Subcommand)]
pub(crate) enum StorageCommand {
    /// Give the SMS a token for the result storage
    #[command(after_help = "Example:\n  iexec storage init")]
    Init {
        /// The storage
        #[arg(default_value = "ipfs", value_parser = PossibleValuesParser::new(["ipfs", "default"]))]
        provider: String,
        /// Replace an existing token
        #[arg(long)]
        force_update: bool,
        /// A token that you have already
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Does the SMS have a token for the result storage? Exit 0: yes, 1: no
    #[command(after_help = "Example:\n  iexec storage check")]
    Check {
        /// The storage
        #[arg(default_value = "ipfs", value_parser = PossibleValuesParser::new(["ipfs", "default"]))]
        provider: String,
        /// Whose token; the wallet's if not given
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        user: Option<Address>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
}

impl StorageCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init { force_update, token, wallet, chain, .. } => init(force_update, token, &wallet, &chain, screen),
            Self::Check { user, wallet, chain, .. } => {
                chain.network()?;
                check(user.map_or_else(|| wallet.address(), Ok)?, &chain)
            }
        }
    }
}

fn id(owner: Address) -> SecretId {
    SecretId::Web2 { owner, name: RESULT_STORAGE_TOKEN.into() }
}

fn init(
    update: bool,
    token: Option<String>,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let wallet = wallet.open(screen)?;
    let owner = wallet.address();
    let existed = online(async {
        let remote = Remote::new(chain)?;
        let existed = remote.send(Service::Sms, &SecretExists(id(owner))).await?;
        if existed && !update {
            return Err(Failure::user("SecretExists", format!("the storage of {owner} is initialised already"))
                .hint("replace its token with --force-update"));
        }
        let token = match token {
            Some(token) => SecretText::new(token),
            None => login(&remote, &wallet).await?,
        };
        let signature = wallet.sign_message(id(owner).challenge(token.expose()))?;
        remote.send(Service::Sms, &SetSecret { id: id(owner), value: token, signature, update: existed }).await?;
        Ok(existed)
    })?;
    let done = if existed { "updated" } else { "initialised" };
    Answer::new(
        &json!({ "isInitialized": true, "isUpdated": existed }),
        table(&[("storage", format!("{done} for {owner}"))]),
    )
}

/// Trades the answered challenge of the result proxy for a token.
async fn login(remote: &Remote, wallet: &iexec_chain::Wallet) -> Result<SecretText, Failure> {
    let chain_id = remote.network.id;
    let asked = GetLoginChallenge { chain_id, address: wallet.address() };
    let data = remote.send(Service::ResultProxy, &asked).await?;
    let header = market::answer(&data, remote, wallet, Service::ResultProxy)?;
    Ok(SecretText::new(remote.send(Service::ResultProxy, &Login { chain_id, header }).await?))
}

fn check(owner: Address, chain: &ChainOptions) -> Result<Answer, Failure> {
    let set = online(async { Remote::new(chain)?.send(Service::Sms, &SecretExists(id(owner))).await })?;
    let text = if set {
        format!("The storage of {owner} is initialised.")
    } else {
        format!("The storage of {owner} is not initialised; networks of today do not need it to be.")
    };
    Ok(Answer::new(&json!({ "isInitialized": set }), text)?.says(set))
}
