//! `iexec account`: the RLC that a wallet has staked in the hub, out of which tasks are paid.

use clap::{Args, Subcommand};
use iexec_protocol::{Address, U256, amount::Currency, id::parse_address};
use serde::Serialize;

use crate::{
    chain_options::{self, ChainOptions, TransactionOptions},
    failure::Failure,
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Deposit, withdraw and show the RLC that pays for tasks
#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Move RLC from the wallet to the account
    #[command(after_help = "Examples:\n  iexec account deposit 5 RLC\n  iexec account deposit 1000000")]
    Deposit(Move),
    /// Move free RLC from the account to the wallet
    #[command(after_help = "Example:\n  iexec account withdraw 5 RLC")]
    Withdraw(Move),
    /// Show an account
    #[command(after_help = "Example:\n  iexec account show --raw")]
    Show {
        /// Whose account; the wallet's if not given
        #[arg(value_parser = parse_address)]
        address: Option<Address>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
}

#[derive(Args)]
pub(crate) struct Move {
    /// Amount, in nRLC unless a unit follows
    amount: String,
    /// Unit of the amount: RLC or nRLC
    unit: Option<String>,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
    #[command(flatten)]
    transaction: TransactionOptions,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl AccountCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Deposit(moved) => moved.run(Way::In, screen),
            Self::Withdraw(moved) => moved.run(Way::Out, screen),
            Self::Show { address, wallet, chain } => {
                chain.network()?;
                show(address.map_or_else(|| wallet.address(), Ok)?, &chain)
            }
        }
    }
}

impl Move {
    fn run(self, way: Way, screen: Screen) -> Result<Answer, Failure> {
        let words: Vec<String> = std::iter::once(self.amount.clone()).chain(self.unit.clone()).collect();
        let amount = chain_options::amount(Currency::Rlc, "amount", &words, "nRLC")?;
        if amount.is_zero() {
            return Err(Failure::invalid("amount: nothing would be moved").hint("give an amount above 0"));
        }
        self.transaction.check(screen)?;
        self.chain.network()?;
        let wallet = self.wallet.open(screen)?;
        let tx_hash = online(async {
            let remote = Remote::connect(&self.chain).await?;
            way.check(&remote, wallet.address(), amount).await?;
            let writer = remote.writer(wallet, &self.transaction);
            let receipt = match way {
                Way::In => writer.deposit(amount).await?,
                Way::Out => writer.withdraw(amount).await?,
            };
            Ok(receipt.transaction.to_string())
        })?;
        let done = if way == Way::In { "deposited" } else { "withdrawn" };
        let json = Moved { amount: amount.to_string(), tx_hash: tx_hash.clone() };
        Answer::new(&json, table(&[(done, format!("{} RLC", Currency::Rlc.format(amount))), ("transaction", tx_hash)]))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Moved {
    amount: String,
    tx_hash: String,
}

impl Way {
    /// Is there as much as is moved?
    async fn check(self, remote: &Remote, owner: Address, amount: U256) -> Result<(), Failure> {
        let (place, held) = match self {
            Self::In => ("wallet holds", remote.chain.balances(owner).await?.nrlc),
            Self::Out => ("account has a free stake of", remote.chain.view_account(owner).await?.stake),
        };
        if held >= amount {
            return Ok(());
        }
        let (held, wanted) = (Currency::Rlc.format(held), Currency::Rlc.format(amount));
        let hint = match self {
            Self::In => "on a local network, `iexec wallet getRLC` gives some",
            Self::Out => "what is locked becomes free when its deals end; `iexec account show`",
        };
        Err(Failure::user("InsufficientFunds", format!("the {place} {held} RLC, not {wanted} RLC")).hint(hint))
    }
}

fn show(address: Address, chain: &ChainOptions) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Balance {
        stake: String,
        locked: String,
    }
    #[derive(Serialize)]
    struct Shown {
        balance: Balance,
    }
    let account = online(async { Ok(Remote::connect(chain).await?.chain.view_account(address).await?) })?;
    let rlc = |amount| format!("{} RLC", Currency::Rlc.format(amount));
    let text =
        table(&[("address", address.to_string()), ("stake", rlc(account.stake)), ("locked", rlc(account.locked))]);
    let balance = Balance { stake: account.stake.to_string(), locked: account.locked.to_string() };
    Answer::new(&Shown { balance }, text)
}
