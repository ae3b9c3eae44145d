//! The terms on which an app, a dataset or a workerpool is offered: `… publish` and `… unpublish` share them.

use clap::Args;
use iexec_chain::Wallet;
use iexec_protocol::{Address, B256, U256, amount::Currency, call::market::Target, order::Order, tag::Tag};
use serde_json::json;

use crate::{
    chain_options::{self, ChainOptions},
    failure::Failure,
    market,
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Price, volume and tag of an offer.
#[derive(Args, Clone, Debug)]
pub(crate) struct Terms {
    /// Price of a task, in nRLC unless a unit follows
    #[arg(long, value_names = ["AMOUNT", "UNIT"], num_args = 1..=2)]
    price: Option<Vec<String>>,
    /// How many tasks
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    volume: Option<u64>,
    /// What a task's machine must have, or a workerpool has: names (tee, scone, gramine, tdx, gpu) or 0x…
    #[arg(long, value_name = "TAG", default_value = "none")]
    tag: Tag,
    /// No effect, publishing is free and never asks (for scripts of the JavaScript SDK)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(crate) wallet: WalletOptions,
    #[command(flatten)]
    pub(crate) chain: ChainOptions,
}

/// `… unpublish`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Withdrawal {
    /// Take out all of its orders, not only the newest
    #[arg(long)]
    all: bool,
    /// No effect, nothing is asked (for scripts of the JavaScript SDK)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

impl Terms {
    pub(crate) fn price(&self) -> Result<U256, Failure> {
        self.price
            .as_ref()
            .map_or(Ok(U256::ZERO), |words| chain_options::amount(Currency::Rlc, "--price", words, "nRLC"))
    }

    pub(crate) fn volume(&self, default: u64) -> U256 {
        U256::from(self.volume.unwrap_or(default))
    }

    pub(crate) fn tag(&self) -> Result<Tag, Failure> {
        checked(self.tag)
    }
}

/// A tag that names at most one framework, and none without `tee`.
pub(crate) fn checked(tag: Tag) -> Result<Tag, Failure> {
    match tag.framework() {
        Ok(_) => Ok(tag),
        Err(error) => Err(Failure::invalid(format!("--tag: {error}")).hint("use `tee`, or for example `tee,tdx`")),
    }
}

/// Random bytes that make an order unique.
pub(crate) fn salt() -> B256 {
    B256::from(rand::random::<[u8; 32]>())
}

/// The zero address where no restriction is given.
pub(crate) fn only(address: Option<Address>) -> Address {
    address.unwrap_or(Address::ZERO)
}

/// Signs and publishes an offer.
pub(crate) async fn publish<T: Order + Send + Sync>(
    remote: &Remote,
    wallet: &Wallet,
    order: T,
) -> Result<Answer, Failure> {
    let signed = market::sign(remote, wallet, order)?;
    let hash = market::publish(remote, wallet, signed.to_unverified()).await?;
    Answer::new(&json!({ "orderHash": hash }), table(&[("published", hash.to_string())]))
}

impl Withdrawal {
    /// Takes an object's orders out of the market.
    pub(crate) fn run(&self, kind: &'static str, object: Address, screen: Screen) -> Result<Answer, Failure> {
        self.chain.network()?;
        let wallet = self.wallet.open(screen)?;
        let target = if self.all { Target::All(object) } else { Target::Last(object) };
        let hashes = online(async { market::unpublish(&Remote::new(&self.chain)?, &wallet, kind, target).await })?;
        let rows: Vec<_> = hashes.iter().map(|hash| ("unpublished", hash.to_string())).collect();
        let text = table(&rows);
        match (self.all, hashes.first()) {
            (true, _) => Answer::new(&json!({ "unpublished": hashes }), text),
            (false, Some(hash)) => Answer::new(&json!({ "unpublished": hash }), text),
            (false, None) => Err(Failure::absent(format!("the market has no open order of the {kind} {object}"))
                .hint(format!("`iexec orderbook {kind} {object}` lists what it has"))),
        }
    }

    pub(crate) fn chain_id(&self) -> Result<u64, Failure> {
        Ok(self.chain.network()?.id)
    }
}
