//! The options by which a command is told its chain, and how its transactions are sent.

use std::path::{Path, PathBuf};

use clap::Args;
use iexec_chain::network::{ChainFile, Network, NetworkError};
use iexec_protocol::{U256, amount::Currency};

use crate::{failure::Failure, files, screen::Screen};

/// The file that says which chains there are.
pub(crate) const CHAIN_FILE: &str = "chain.json";

/// The variable that names another one, whatever the folder.
const CHAIN_FILE_VARIABLE: &str = "IEXEC_CHAIN_FILE";

/// Which chain a command talks to.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ChainOptions {
    /// Name or id of a chain in chain.json (or in the file that `IEXEC_CHAIN_FILE` names); its `default` if not given
    #[arg(long, value_name = "NAME", help_heading = "Chain")]
    pub(crate) chain: Option<String>,
}

impl ChainOptions {
    /// Whether a chain was chosen by anyone: by the option, the variable or a chain.json.
    pub(crate) fn is_configured(&self) -> Result<bool, Failure> {
        let named = std::env::var_os(CHAIN_FILE_VARIABLE).is_some_and(|name| !name.is_empty());
        Ok(named || self.chain.is_some() || files::working_folder()?.join(CHAIN_FILE).exists())
    }

    /// The chain; without a chain.json, the ones that `iexec init` would write.
    pub(crate) fn network(&self) -> Result<Network, Failure> {
        let named = std::env::var_os(CHAIN_FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let path = files::working_folder()?.join(named.as_deref().unwrap_or(Path::new(CHAIN_FILE)));
        let file = match files::read_text(&path, iexec_chain::network::MAX_BYTES)? {
            Some(text) => text.parse().map_err(|error| of_file(error, named.as_deref()))?,
            None if named.is_none() => ChainFile::initial(),
            None => {
                let message = format!("{CHAIN_FILE_VARIABLE} names {}, and there is no such file", path.display());
                return Err(Failure::user("ConfigurationError", message).hint("correct the variable, or unset it"));
            }
        };
        file.select(self.chain.as_deref()).map_err(|error| of_file(error, named.as_deref()))
    }
}

/// The errors of a file that the variable names are not those of the chain.json of this folder.
fn of_file(error: NetworkError, named: Option<&Path>) -> Failure {
    let failure = Failure::from(error);
    match (named, failure.message.strip_prefix(CHAIN_FILE)) {
        (Some(path), Some(rest)) => {
            let message = format!("{}{rest}", path.display());
            Failure { message, ..failure }.hint(format!("correct that file, or unset {CHAIN_FILE_VARIABLE}"))
        }
        _ => failure,
    }
}

/// How transactions are sent.
#[derive(Args, Clone, Debug)]
pub(crate) struct TransactionOptions {
    /// No effect, fees are estimated for each transaction (for scripts of the JavaScript SDK)
    #[arg(long, value_names = ["AMOUNT", "UNIT"], num_args = 1..=2, help_heading = "Chain")]
    gas_price: Option<Vec<String>>,
    /// Blocks to wait for after a transaction
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), help_heading = "Chain")]
    pub(crate) confirms: u64,
}

impl TransactionOptions {
    /// Says that a gas price is not used, and refuses one that is none.
    pub(crate) fn check(&self, screen: Screen) -> Result<(), Failure> {
        if let Some(words) = &self.gas_price {
            amount(Currency::Ether, "--gas-price", words, "wei")?;
            screen.warn("--gas-price is not used: fees are estimated for each transaction (EIP-1559)");
        }
        Ok(())
    }
}

/// Reads `<amount> [unit]`; `place` names the option or argument in errors.
pub(crate) fn amount(currency: Currency, place: &str, words: &[String], unit: &str) -> Result<U256, Failure> {
    let (amount, unit) = match words {
        [amount] => (amount.as_str(), unit),
        [amount, unit] => (amount.as_str(), unit.as_str()),
        _ => return Err(Failure::invalid(format!("{place}: expected an amount and, if you like, a unit"))),
    };
    let example = match currency {
        Currency::Rlc => "1.5 RLC` or `1500000000 nRLC",
        Currency::Ether => "0.1 ether` or `100000000 gwei",
    };
    let read = currency.parse(amount, Some(unit));
    read.map_err(|error| Failure::invalid(format!("{place}: {error}")).hint(format!("write it as `{example}`")))
}
