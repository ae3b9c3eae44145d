//! What apps, datasets and workerpools have in common: they are found by address, by number or as the last one deployed,
//! they are counted, and their owners sign for them.

use clap::Args;
use iexec_chain::{view::Kind, writer::Deployed};
use iexec_protocol::{
    Address,
    id::{AddressError, parse_address},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    project::Project,
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Which object a command is about.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subject {
    /// Address, or number among the owner's (from 0); the one deployed last from this folder if not given
    address_or_index: Option<AddressOrIndex>,
    /// The owner whose objects are numbered; the wallet if not given
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    user: Option<Address>,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    pub(crate) chain: ChainOptions,
}

/// Whose objects are counted.
#[derive(Args, Clone, Debug)]
pub(crate) struct Owner {
    /// The owner; the wallet if not given
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    user: Option<Address>,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

/// An address, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressOrIndex {
    Address(Address),
    Index(u64),
}

impl std::str::FromStr for AddressOrIndex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(index) => Ok(Self::Index(index)),
            Err(_) => parse_address(text).map(Self::Address).map_err(|error| match error {
                AddressError::Malformed(_) => {
                    format!("expected a number, or an address (0x and 40 hex digits), got {text:?}")
                }
                AddressError::Checksum { .. } => error.to_string(),
            }),
        }
    }
}

/// `app`, `dataset`, `workerpool`.
pub(crate) const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::App => "app",
        Kind::Dataset => "dataset",
        Kind::Workerpool => "workerpool",
    }
}

impl Subject {
    /// Its address.
    pub(crate) async fn locate(&self, remote: &Remote, kind: Kind) -> Result<Address, Failure> {
        let index = match self.address_or_index {
            Some(AddressOrIndex::Address(address)) => return Ok(address),
            Some(AddressOrIndex::Index(index)) => index,
            None => return deployed(kind, remote.network.id),
        };
        let owner = self.user.map_or_else(|| self.wallet.address(), Ok)?;
        let found = remote.chain.owned(kind, owner, index).await?;
        let name = name_of(kind);
        found.ok_or_else(|| {
            Failure::absent(format!("{owner} has no {name} number {index}"))
                .hint(format!("numbers begin at 0; `iexec {name} count` tells how many there are"))
        })
    }
}

impl Owner {
    /// How many it has.
    pub(crate) fn count(&self, kind: Kind) -> Result<Answer, Failure> {
        self.chain.network()?;
        let owner = self.user.map_or_else(|| self.wallet.address(), Ok)?;
        let count = online(async { Ok(Remote::connect(&self.chain).await?.chain.count_owned(kind, owner).await?) })?;
        Answer::new(
            &json!({ "count": count.to_string() }),
            table(&[("owner", owner.to_string()), (name_of(kind), count.to_string())]),
        )
    }
}

/// The object of this kind that was deployed last from this folder.
pub(crate) fn deployed(kind: Kind, chain_id: u64) -> Result<Address, Failure> {
    let all = Project::here()?.deployed()?;
    let of_kind = match kind {
        Kind::App => all.app,
        Kind::Dataset => all.dataset,
        Kind::Workerpool => all.workerpool,
    };
    let name = name_of(kind);
    of_kind.get(&chain_id.to_string()).copied().ok_or_else(|| {
        Failure::absent(format!("no {name} was deployed from this folder on chain {chain_id}"))
            .hint(format!("give the {name}'s address, or deploy one with `iexec {name} deploy`"))
    })
}

/// The given address, or the one deployed last.
pub(crate) fn given_or_deployed(given: Option<Address>, kind: Kind, chain_id: u64) -> Result<Address, Failure> {
    given.map_or_else(|| deployed(kind, chain_id), Ok)
}

/// Notes a deployment in `deployed.json` and answers with it.
pub(crate) fn note_deployed(remote: &Remote, kind: Kind, done: &Deployed, screen: Screen) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        address: Address,
        #[serde(skip_serializing_if = "Option::is_none")]
        tx_hash: Option<String>,
    }
    let project = Project::here()?;
    let mut all = project.deployed()?;
    let of_kind = match kind {
        Kind::App => &mut all.app,
        Kind::Dataset => &mut all.dataset,
        Kind::Workerpool => &mut all.workerpool,
    };
    of_kind.insert(remote.network.id.to_string(), done.address);
    project.set_deployed(&all)?;
    if done.receipt.is_none() {
        screen.note(format!("The very same {} was deployed before; nothing was sent.", name_of(kind)));
    }
    let tx_hash = done.receipt.map(|receipt| receipt.transaction.to_string());
    let mut rows = vec![(name_of(kind), done.address.to_string())];
    rows.extend(tx_hash.clone().map(|hash| ("transaction", hash)));
    Answer::new(&Done { address: done.address, tx_hash }, table(&rows))
}

/// Refuses a signer who is not the owner; `place` says whose word the owner's address is.
pub(crate) fn check_owner(place: &str, owner: Address, signer: Address) -> Result<(), Failure> {
    if owner == signer {
        return Ok(());
    }
    Err(Failure::user("NotTheOwner", format!("{place} is {owner}, the wallet is {signer}"))
        .hint("choose the owner's wallet with --wallet-address"))
}

/// Nothing of this kind is at the address.
pub(crate) fn unknown(kind: Kind, address: Address, remote: &Remote) -> Failure {
    let name = name_of(kind);
    Failure::absent(format!("there is no {name} at {address} on the chain {:?}", remote.network.name))
        .hint("check the address, and the chain with --chain")
}

/// Text or hex of bytes on chain.
pub(crate) fn words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => const_hex::encode_prefixed(bytes),
    }
}
