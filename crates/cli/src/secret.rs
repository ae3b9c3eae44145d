//! Secrets that apps read inside the enclave: the app developer's (`iexec app …-secret`) and a requester's
//! (`iexec requester …`), by iExec's API: the SMS keeps each of them once, and none can be read back or replaced. What more
//! the second API can do is `iexec secret …` ([`owned`]).

mod owned;
mod sms;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use iexec_chain::{Wallet, view::Kind};
use iexec_protocol::{
    Address,
    call::sms::{SecretExists, SecretId, SetSecret},
    id::parse_address,
    secret::{MAX_SECRET, check_key, check_value},
    session::SecretText,
};
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use owned::SecretCommand;

use crate::{
    asset,
    chain_options::ChainOptions,
    failure::Failure,
    files,
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Keep a requester's secrets, which `app run --secret` hands to apps
#[derive(Subcommand)]
pub(crate) enum RequesterCommand {
    /// Give a secret of the wallet to the SMS; it cannot be replaced
    #[command(
        after_help = "Examples:\n  iexec requester push-secret my-password\n  iexec requester push-secret my-password --secret-path password.txt"
    )]
    PushSecret {
        /// The secret's name: at most 64 letters, digits, - and _
        #[arg(value_parser = key)]
        secret_name: String,
        #[command(flatten)]
        value: ValueOptions,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Does the SMS have a requester's secret? Exit 0: yes, 1: no
    #[command(after_help = "Example:\n  iexec requester check-secret my-password")]
    CheckSecret {
        /// The secret's name
        #[arg(value_parser = key)]
        secret_name: String,
        /// The requester; the wallet if not given
        #[arg(value_parser = parse_address)]
        requester_address: Option<Address>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
}

/// Where a secret's value comes from: --secret-path, else --secret-value, else the terminal.
#[derive(Args, Clone)]
pub(crate) struct ValueOptions {
    /// File that holds the secret; one line break at its end is left out
    #[arg(long, value_name = "FILE", conflicts_with = "secret_value")]
    secret_path: Option<PathBuf>,
    /// The secret (unsafe: others on this machine can see it)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    secret_value: Option<String>,
}

fn key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

impl RequesterCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::PushSecret { secret_name: name, value, wallet, chain } => {
                chain.network()?;
                let (value, wallet) = (value.read(screen)?, wallet.open(screen)?);
                let requester = wallet.address();
                let id = SecretId::Requester { requester, key: name.clone() };
                online(async { push(&Remote::new(&chain)?, &wallet, id, value).await })?;
                let text = table(&[("secret", format!("{name} of {requester} is in the SMS"))]);
                Answer::new(&json!({ "isPushed": true, "name": name }), text)
            }
            Self::CheckSecret { secret_name: name, requester_address, wallet, chain } => {
                chain.network()?;
                let requester = requester_address.map_or_else(|| wallet.address(), Ok)?;
                let set = is_set(&chain, SecretId::Requester { requester, key: name.clone() })?;
                let has = if set { "has a" } else { "has no" };
                let text = format!("{requester} {has} secret {name} in the SMS.");
                Ok(Answer::new(&json!({ "isSet": set, "name": name }), text)?.says(set))
            }
        }
    }
}

/// `iexec app push-secret`.
pub(crate) fn push_of_app(
    app: Address,
    value: &ValueOptions,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    let (value, wallet) = (value.read(screen)?, wallet.open(screen)?);
    online(async {
        let remote = Remote::connect(chain).await?;
        let found = remote.chain.view_app(app).await?.ok_or_else(|| asset::unknown(Kind::App, app, &remote))?;
        asset::check_owner("the app's owner", found.owner, wallet.address())?;
        push(&remote, &wallet, SecretId::App { app }, value).await
    })?;
    Answer::new(&json!({}), table(&[("secret", format!("that of the app {app} is in the SMS"))]))
}

/// `iexec app check-secret`.
pub(crate) fn check_of_app(app: Address, chain: &ChainOptions) -> Result<Answer, Failure> {
    let set = is_set(chain, SecretId::App { app })?;
    let has = if set { "has a" } else { "has no" };
    Ok(Answer::new(&json!({ "isSecretSet": set }), format!("The app {app} {has} secret in the SMS."))?.says(set))
}

fn is_set(chain: &ChainOptions, id: SecretId) -> Result<bool, Failure> {
    online(async { Remote::new(chain)?.send(Service::Sms, &SecretExists(id)).await })
}

async fn push(remote: &Remote, wallet: &Wallet, id: SecretId, value: SecretText) -> Result<(), Failure> {
    if remote.send(Service::Sms, &SecretExists(id.clone())).await? {
        let whose = match &id {
            SecretId::Requester { requester, key } => format!("Secret \"{key}\" already exists for {requester}"),
            SecretId::App { app } => format!("Secret already exists for {app}"),
            _ => "Secret already exists".to_owned(),
        };
        let hint = match id {
            SecretId::Requester { .. } => "push the new value under another name",
            _ => "deploy the app again, and push the secret for that one",
        };
        return Err(Failure::user("SecretExists", format!("{whose} and can't be updated")).hint(hint));
    }
    let signature = wallet.sign_message(id.challenge(value.expose()))?;
    remote.send(Service::Sms, &SetSecret { id, value, signature, update: false }).await
}

impl ValueOptions {
    fn read(&self, screen: Screen) -> Result<SecretText, Failure> {
        let text = match (&self.secret_path, &self.secret_value) {
            (Some(path), _) => {
                let absent = || {
                    Failure::absent(format!("--secret-path: there is no file {}", path.display()))
                        .hint("name the file that holds the secret")
                };
                Zeroizing::new(files::read_text(path, MAX_SECRET + 2)?.ok_or_else(absent)?)
            }
            (None, Some(value)) => Zeroizing::new(value.clone()),
            (None, None) => screen.hidden("The secret (it is not shown): ", "the secret's value", "--secret-path")?,
        };
        let line_break = if self.secret_path.is_some() { text.strip_suffix('\n') } else { None };
        let value = line_break.map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if value.is_empty() {
            return Err(Failure::invalid("the secret is empty").hint("give it with --secret-path"));
        }
        check_value(value)
            .map_err(|error| Failure::invalid(error.to_string()).hint("keep what is larger in an encrypted dataset"))?;
        Ok(SecretText::new(value))
    }
}
