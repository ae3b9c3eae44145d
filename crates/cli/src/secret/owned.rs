//! `iexec secret`: what an owner keeps in the SMS, by its second API: listed, kept, replaced, deleted. Values are never read
//! back: there is no way to.

use clap::{Args, Subcommand, ValueEnum};
use iexec_protocol::{
    Address,
    call::{secrets::Listed, sms::SecretId},
    id::parse_address,
    secret::{RESULT_ENCRYPTION_KEY, SecretKind, proxy_origin},
};
use iexec_service::clock;
use serde_json::json;

use super::{ValueOptions, sms::Sms};
use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    remote::online,
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// List, replace and delete what the wallet keeps in the SMS
#[derive(Subcommand)]
pub(crate) enum SecretCommand {
    /// Names, versions and dates of the wallet's secrets, or of those of an app or dataset that it owns
    #[command(after_help = "Examples:\n  iexec secret list\n  iexec secret list --app 0x…\n  iexec secret list --raw")]
    List {
        /// That of this app, which the wallet owns
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address, conflicts_with = "dataset")]
        app: Option<Address>,
        /// That of this dataset, which the wallet owns
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        dataset: Option<Address>,
        #[command(flatten)]
        access: Access,
    },
    /// Keep a secret that is not there yet
    #[command(
        after_help = "Examples:\n  iexec secret push requester my-password --secret-path password.txt\n  iexec secret push app 0x… --secret-path api-key.txt\n  iexec secret push storage https://proxy.example --secret-path token.txt"
    )]
    Push {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        value: ValueOptions,
        #[command(flatten)]
        access: Access,
    },
    /// Replace a secret's value by a new version; tasks that start from now on get it
    #[command(
        after_help = "Examples:\n  iexec secret rotate requester my-password --secret-path new-password.txt\n  iexec secret rotate app 0x… --secret-path new-api-key.txt"
    )]
    Rotate {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        value: ValueOptions,
        #[command(flatten)]
        access: Access,
    },
    /// Delete a secret; tasks that need it fail from now on
    #[command(
        after_help = "Examples:\n  iexec secret delete requester my-password\n  iexec secret delete dataset 0x… --force"
    )]
    Delete {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        access: Access,
    },
}

/// Wallet and network.
#[derive(Args, Clone)]
pub(crate) struct Access {
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    pub(super) chain: ChainOptions,
}

/// A secret, as users name it.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// What it is for
    kind: Noun,
    /// Its name; the address for an app or a dataset, the proxy's URL for a storage token
    name: String,
}

/// The kinds, by the words of the other commands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Noun {
    /// A requester's, for the apps that it runs
    Requester,
    /// An app developer's
    App,
    /// A dataset's key
    #[value(alias = "web3")]
    Dataset,
    /// A wallet's other secrets
    Web2,
    /// A worker's token for one result proxy
    Storage,
}

impl Noun {
    const fn kind(self) -> SecretKind {
        match self {
            Self::Requester => SecretKind::Requester,
            Self::App => SecretKind::App,
            Self::Dataset => SecretKind::Web3,
            Self::Web2 => SecretKind::Web2,
            Self::Storage => SecretKind::Storage,
        }
    }
}

impl Which {
    fn id(&self, wallet: Address) -> Result<SecretId, Failure> {
        let (kind, name) = (self.kind.kind(), self.name.as_str());
        let invalid = |error: &dyn std::fmt::Display| Failure::invalid(format!("{name:?}: {error}"));
        if kind.is_of_asset() {
            let asset = parse_address(name).map_err(|error| invalid(&error).hint("give the contract's address"))?;
            return SecretId::new(kind, asset, "").map_err(|error| invalid(&error));
        }
        let name = if kind == SecretKind::Storage {
            &proxy_origin(name)
                .map_err(|error| invalid(&error).hint("give the proxy's URL, as https://proxy.example"))?
        } else {
            name
        };
        SecretId::new(kind, wallet, name).map_err(|error| invalid(&error))
    }

    /// A key that no enclave can read would only be noticed when results cannot be encrypted.
    fn check_value(&self) -> Result<(), Failure> {
        if self.name.eq_ignore_ascii_case(RESULT_ENCRYPTION_KEY) && matches!(self.kind, Noun::Web2) {
            return Err(Failure::invalid(format!("{RESULT_ENCRYPTION_KEY} has a form of its own"))
                .hint("`iexec result push-encryption-key` keeps and replaces it"));
        }
        Ok(())
    }
}

impl SecretCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::List { app, dataset, access } => list(app, dataset, &access, screen),
            Self::Push { which, value, access } => keep(&which, &value, &access, screen, false),
            Self::Rotate { which, value, access } => keep(&which, &value, &access, screen, true),
            Self::Delete { which, force, access } => delete(&which, force, &access, screen),
        }
    }
}

fn list(app: Option<Address>, dataset: Option<Address>, access: &Access, screen: Screen) -> Result<Answer, Failure> {
    access.chain.network()?;
    let wallet = access.wallet.open(screen)?;
    let (owner, kind) = match (app, dataset) {
        (Some(app), _) => (app, Some(SecretKind::App)),
        (None, Some(dataset)) => (dataset, Some(SecretKind::Web3)),
        (None, None) => (wallet.address(), None),
    };
    let secrets = online(async { Sms::open(access, &wallet).await?.list(owner, kind).await })?;
    let json = json!({ "owner": owner, "secrets": secrets.iter().map(shown).collect::<Vec<_>>() });
    Answer::new(&json, lines(owner, &secrets))
}

fn shown(secret: &Listed) -> serde_json::Value {
    let Listed { kind, name, version, created, updated, deleted } = secret;
    json!({
        "kind": kind, "name": name, "version": version, "created": date(*created), "updated": date(*updated),
        "deleted": deleted,
    })
}

fn date(seconds: u64) -> String {
    clock::iso8601(seconds.saturating_mul(1000))
}

/// A line for each secret; deleted ones are for scripts.
fn lines(owner: Address, secrets: &[Listed]) -> String {
    let there: Vec<_> = secrets.iter().filter(|secret| !secret.deleted).collect();
    if there.is_empty() {
        return format!("{owner} has no secret in the SMS.");
    }
    let named = |secret: &Listed| format!("{} {}", secret.kind, secret.name).trim_end().to_owned();
    let width = there.iter().map(|secret| named(secret).chars().count()).max().unwrap_or(0);
    let line = |secret: &&Listed| {
        let (name, updated) = (named(secret), date(secret.updated));
        format!("{name:width$}  version {:<3} {updated}", secret.version)
    };
    there.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Pushes what is not there, or rotates what is.
fn keep(which: &Which, value: &ValueOptions, access: &Access, screen: Screen, rotate: bool) -> Result<Answer, Failure> {
    access.chain.network()?;
    which.check_value()?;
    which.id(Address::ZERO)?;
    let (value, wallet) = (value.read(screen)?, access.wallet.open(screen)?);
    let id = which.id(wallet.address())?;
    let version = online(async {
        let sms = Sms::open(access, &wallet).await?;
        if rotate { sms.rotate(&id, value).await } else { sms.push(&id, value).await }
    })?;
    let rows = [("secret", words(&id)), ("version", version.to_string())];
    Answer::new(
        &json!({ "kind": id.kind().name(), "owner": id.owner(), "name": id.name(), "version": version }),
        table(&rows),
    )
}

fn delete(which: &Which, force: bool, access: &Access, screen: Screen) -> Result<Answer, Failure> {
    access.chain.network()?;
    which.id(Address::ZERO)?;
    let wallet = access.wallet.open(screen)?;
    let id = which.id(wallet.address())?;
    screen.confirm(&format!("Delete {}? Tasks that need it will fail.", words(&id)), force)?;
    let version = online(async { Sms::open(access, &wallet).await?.delete(&id).await })?;
    let text = table(&[("deleted", words(&id)), ("version", version.to_string())]);
    Answer::new(&json!({ "kind": id.kind().name(), "owner": id.owner(), "name": id.name(), "version": version }), text)
}

/// A secret, for people.
pub(super) fn words(id: &SecretId) -> String {
    match id.kind() {
        SecretKind::App | SecretKind::Web3 => format!("that of {}", id.owner()),
        kind => format!("{kind} {} of {}", id.name(), id.owner()),
    }
}
