//! `iexec wallet`: make, import and show a wallet; send what it holds; ask a local network's faucet.

use std::{io::Read as _, path::Path};

use clap::Subcommand;
use iexec_chain::Wallet;
use iexec_protocol::{
    Address, U256,
    amount::Currency,
    call::faucet::{Coin, Drip},
    id::parse_address,
};
use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    chain_options::{self, ChainOptions, TransactionOptions},
    failure::Failure,
    files,
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::{NewWalletOptions, WalletOptions},
};

/// Make, import and show wallets; send ether and RLC
#[derive(Subcommand)]
pub(crate) enum WalletCommand {
    /// Make a new wallet
    #[command(
        after_help = "Examples:\n  iexec wallet create\n  iexec wallet create --keystoredir local --password-file secret.txt"
    )]
    Create {
        #[command(flatten)]
        new: NewWalletOptions,
        /// Replace an existing ./wallet.json
        #[arg(long)]
        force: bool,
    },
    /// Make a wallet of a private key that you have
    #[command(
        after_help = "Examples:\n  iexec wallet import - < private-key.txt\n  iexec wallet import 0x564a9d… --keystoredir local"
    )]
    Import {
        /// The private key, 64 hex digits; `-` reads it from stdin, where no other user of this machine sees it
        private_key: String,
        #[command(flatten)]
        new: NewWalletOptions,
        /// Replace an existing ./wallet.json
        #[arg(long)]
        force: bool,
    },
    /// Show a wallet and what it holds
    #[command(
        after_help = "Examples:\n  iexec wallet show\n  iexec wallet show 0x7bd4783FDCAD405A28052a0d1f11236A741da593 --raw"
    )]
    Show {
        /// Address whose balance is shown; the wallet's if not given
        #[arg(value_parser = parse_address)]
        address: Option<Address>,
        /// Show the private key, too
        #[arg(long)]
        show_private_key: bool,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Ask the local network's faucet for RLC
    #[command(name = "getRLC", visible_aliases = ["get-RLC", "get-rlc"], after_help = "Example:\n  iexec wallet getRLC")]
    GetRlc {
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Ask the local network's faucet for ether
    #[command(name = "getETH", visible_aliases = ["get-ether", "get-ETH", "get-eth"], after_help = "Example:\n  iexec wallet getETH")]
    GetEther {
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Send ether
    #[command(
        name = "send-ether",
        visible_alias = "sendETH",
        after_help = "Example:\n  iexec wallet send-ether 0.1 --to 0x7bd4783FDCAD405A28052a0d1f11236A741da593"
    )]
    SendEther(Sending),
    /// Send RLC
    #[command(name = "send-RLC", visible_aliases = ["sendRLC", "send-rlc"], after_help = "Examples:\n  iexec wallet send-RLC 5 --to 0x7bd4783FDCAD405A28052a0d1f11236A741da593\n  iexec wallet send-RLC 200 nRLC --to 0x7bd4783FDCAD405A28052a0d1f11236A741da593")]
    SendRlc(Sending),
}

#[derive(clap::Args)]
pub(crate) struct Sending {
    /// Amount, in whole coins unless a unit follows
    amount: String,
    /// Unit of the amount: ether, gwei or wei; RLC or nRLC
    unit: Option<String>,
    /// Who receives
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    to: Address,
    /// Do not ask for a confirmation
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
    #[command(flatten)]
    transaction: TransactionOptions,
}

impl WalletCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Create { new, force } => keep(&Wallet::random()?, &new, screen, force),
            Self::Import { private_key, new, force } => keep(&import(private_key)?, &new, screen, force),
            Self::Show { address, show_private_key, wallet, chain } => {
                show(address, show_private_key, &wallet, &chain, screen)
            }
            Self::GetRlc { wallet, chain } => drip(Coin::Rlc, &wallet, &chain, screen),
            Self::GetEther { wallet, chain } => drip(Coin::Ether, &wallet, &chain, screen),
            Self::SendEther(sending) => sending.run(Coin::Ether, screen),
            Self::SendRlc(sending) => sending.run(Coin::Rlc, screen),
        }
    }
}

/// A wallet's file as raw answers show it; the private key of an unencrypted one stays in its file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    wallet: Box<RawValue>,
    pub(crate) file_name: String,
    pub(crate) address: Address,
}

/// Writes a new wallet's file.
pub(crate) fn store(wallet: &Wallet, new: &NewWalletOptions, screen: Screen, force: bool) -> Result<Kept, Failure> {
    let path = new.store(wallet, screen, force)?;
    let json = if new.unencrypted {
        let public = iexec_protocol::key::SigningKey::public_key(wallet.key());
        let public = const_hex::encode_prefixed(public);
        format!("{{\"publicKey\":\"{public}\",\"address\":\"{}\"}}", wallet.address())
    } else {
        files::read_text(&path, iexec_chain::keystore::MAX_BYTES)?.unwrap_or_default()
    };
    let wallet_json = RawValue::from_string(json).map_err(|error| Failure::ours("InternalError", error.to_string()))?;
    Ok(Kept { wallet: wallet_json, file_name: shown(&path), address: wallet.address() })
}

fn keep(wallet: &Wallet, new: &NewWalletOptions, screen: Screen, force: bool) -> Result<Answer, Failure> {
    let kept = store(wallet, new, screen, force)?;
    if new.unencrypted {
        screen.warn("the private key in this file is not encrypted: whoever reads it owns the wallet");
    }
    screen.note("Back this file up: there is no other way to the wallet.");
    Answer::new(&kept, table(&[("address", kept.address.to_string()), ("file", kept.file_name.clone())]))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn import(argument: String) -> Result<Wallet, Failure> {
    let mut text = Zeroizing::new(argument);
    if *text == "-" {
        text.clear();
        let read = std::io::stdin().lock().take(256).read_to_string(&mut text);
        read.map_err(|error| {
            Failure::user("FileError", format!("the private key cannot be read from stdin: {error}"))
        })?;
    }
    Wallet::from_hex(text.trim()).map_err(Failure::from)
}

#[derive(Serialize)]
struct Shown<'a> {
    balance: Balance,
    wallet: Keys<'a>,
}

#[derive(Serialize)]
struct Balance {
    ether: String,
    #[serde(rename = "RLC")]
    rlc: String,
    #[serde(rename = "nRLC")]
    nrlc: String,
    wei: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys<'a> {
    address: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
}

fn show(
    address: Option<Address>,
    show_private_key: bool,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let private_key = match (show_private_key, address) {
        (true, Some(_)) => {
            return Err(Failure::invalid("--show-private-key shows the wallet's own key, and an address was given")
                .hint("choose the wallet with --wallet-address instead"));
        }
        (true, None) => Some(hex_of(&wallet.open(screen)?)),
        (false, _) => None,
    };
    let address = address.map_or_else(|| wallet.address(), Ok)?;
    let held = online(async { Ok(Remote::connect(chain).await?.chain.balances(address).await?) })?;
    let (ether, rlc) = (Currency::Ether.format(held.wei), Currency::Rlc.format(held.nrlc));
    let mut rows = vec![("address", address.to_string()), ("ether", ether.clone()), ("RLC", rlc.clone())];
    if let Some(key) = &private_key {
        rows.push(("private key", key.to_string()));
    }
    let balance = Balance { ether, rlc, nrlc: held.nrlc.to_string(), wei: held.wei.to_string() };
    let text = table(&rows);
    Answer::new(
        &Shown { balance, wallet: Keys { address, private_key: private_key.as_ref().map(|key| key.as_str()) } },
        text,
    )
}

fn hex_of(wallet: &Wallet) -> Zeroizing<String> {
    let secret = wallet.expose_secret();
    Zeroizing::new(const_hex::encode_prefixed(secret.as_slice()))
}

fn drip(coin: Coin, wallet: &WalletOptions, chain: &ChainOptions, screen: Screen) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Received {
        amount: String,
        tx_hash: String,
    }
    let network = chain.network()?;
    if network.services.faucet.is_none() {
        let message = format!("the chain {:?} has no faucet; only local networks have one", network.name);
        return Err(Failure::user("ConfigurationError", message)
            .hint("buy the coins, or use --chain devnet, whose coins are worth nothing"));
    }
    let address = wallet.address()?;
    let dripped = online(async { Remote::new(chain)?.send(Service::Faucet, &Drip { address, coin }).await })?;
    let (currency, unit) = currency_of(coin);
    screen.note(format!("{address} receives {} {unit}.", currency.format(dripped.amount)));
    let tx_hash = dripped.tx_hash.to_string();
    let text =
        table(&[("amount", format!("{} {unit}", currency.format(dripped.amount))), ("transaction", tx_hash.clone())]);
    Answer::new(&Received { amount: dripped.amount.to_string(), tx_hash }, text)
}

const fn currency_of(coin: Coin) -> (Currency, &'static str) {
    match coin {
        Coin::Ether => (Currency::Ether, "ether"),
        Coin::Rlc => (Currency::Rlc, "RLC"),
    }
}

impl Sending {
    fn run(self, coin: Coin, screen: Screen) -> Result<Answer, Failure> {
        let (currency, unit) = currency_of(coin);
        let words: Vec<String> = std::iter::once(self.amount.clone()).chain(self.unit.clone()).collect();
        let amount = chain_options::amount(currency, "amount", &words, unit)?;
        self.transaction.check(screen)?;
        let from = self.wallet.address()?;
        let worthless = self.chain.network()?.services.faucet.is_some();
        screen.confirm(
            &format!("Send {} {unit} from {from} to {}?", currency.format(amount), self.to),
            self.force || worthless,
        )?;
        let wallet = self.wallet.open(screen)?;
        let tx_hash = online(async {
            let remote = Remote::connect(&self.chain).await?;
            self.check_balance(&remote, coin, from, amount).await?;
            let writer = remote.writer(wallet, &self.transaction);
            let receipt = match coin {
                Coin::Ether => writer.send_ether(self.to, amount).await?,
                Coin::Rlc => writer.send_rlc(self.to, amount).await?,
            };
            Ok(receipt.transaction.to_string())
        })?;
        let amount_key = match coin {
            Coin::Ether => "wei",
            Coin::Rlc => "nRLC",
        };
        let json = serde_json::json!({ "amount": amount.to_string(), "unit": amount_key, "from": from, "to": self.to, "txHash": tx_hash });
        Answer::new(
            &json,
            table(&[
                ("sent", format!("{} {unit}", currency.format(amount))),
                ("to", self.to.to_string()),
                ("transaction", tx_hash),
            ]),
        )
    }

    async fn check_balance(&self, remote: &Remote, coin: Coin, from: Address, amount: U256) -> Result<(), Failure> {
        let held = remote.chain.balances(from).await?;
        let (held, (currency, unit)) = (if coin == Coin::Rlc { held.nrlc } else { held.wei }, currency_of(coin));
        if held >= amount {
            return Ok(());
        }
        let message = format!("the wallet holds {} {unit}, not {}", currency.format(held), currency.format(amount));
        Err(Failure::user("InsufficientFunds", message).hint("`iexec wallet show` tells what a wallet holds"))
    }
}
