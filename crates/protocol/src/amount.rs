//! Amounts of RLC, whose smallest unit is the nRLC (1 RLC = 10^9 nRLC), and of ether (1 ether = 10^18 wei).

use alloy_primitives::U256;
use thiserror::Error;

/// A currency's units, as powers of ten of its smallest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    /// `RLC` (default) and `nRLC`.
    Rlc,
    /// `ether`, `gwei` and `wei`.
    Ether,
}

impl Currency {
    const fn units(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Rlc => &[("RLC", 9), ("nRLC", 0)],
            Self::Ether => &[("ether", 18), ("eth", 18), ("gwei", 9), ("wei", 0)],
        }
    }

    /// Reads `amount` in `unit`; without a unit, `RLC` amounts are in nRLC as in the SDK's `account deposit`.
    pub fn parse(self, amount: &str, unit: Option<&str>) -> Result<U256, AmountError> {
        let unit = unit.unwrap_or(match self {
            Self::Rlc => "nRLC",
            Self::Ether => "wei",
        });
        let decimals = self
            .units()
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, decimals)| *decimals)
            .ok_or_else(|| AmountError::Unit { found: unit.to_owned(), known: self.names() })?;
        scaled(amount, decimals)
            .ok_or_else(|| AmountError::Amount { found: amount.chars().take(80).collect(), unit: unit.to_owned() })
    }

    /// Writes `amount` in the currency's main unit, without trailing zeros.
    pub fn format(self, amount: U256) -> String {
        let decimals = self.units()[0].1;
        let digits = format!("{amount:0>width$}", amount = amount.to_string(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }

    fn names(self) -> String {
        self.units().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

fn scaled(amount: &str, decimals: usize) -> Option<U256> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals || whole.len() > 60 {
        return None;
    }
    crate::decimal::parse(&format!("{whole}{fraction:0<decimals$}"))
}

/// An amount that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    /// Not a decimal number, or finer than the smallest unit.
    #[error("{found:?} is not an amount of {unit} (digits, at most one point, no finer than the smallest unit)")]
    Amount {
        /// As given.
        found: String,
        /// The unit that was asked for.
        unit: String,
    },
    /// No such unit.
    #[error("unknown unit {found:?}; known: {known}")]
    Unit {
        /// As given.
        found: String,
        /// Names of the units.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_in_their_unit() {
        assert_eq!(Currency::Rlc.parse("1.5", Some("RLC")), Ok(U256::from(1_500_000_000u64)));
        assert_eq!(Currency::Rlc.parse("200", None), Ok(U256::from(200)));
        assert_eq!(Currency::Ether.parse("1", Some("ether")), Ok(U256::from(10).pow(U256::from(18))));
    }

    #[test]
    fn amounts_that_are_no_numbers_are_refused() {
        for bad in ["", "-1", "1e9", "1.2.3", "0x10", " 1", "1.0000000001", "٣"] {
            assert!(Currency::Rlc.parse(bad, Some("RLC")).is_err(), "{bad:?}");
        }
        assert!(Currency::Rlc.parse("1", Some("doge")).is_err());
    }

    #[test]
    fn amounts_print_in_their_main_unit() {
        assert_eq!(Currency::Rlc.format(U256::from(1_500_000_000u64)), "1.5");
        assert_eq!(Currency::Rlc.format(U256::from(1)), "0.000000001");
        assert_eq!(Currency::Rlc.format(U256::ZERO), "0");
    }
}
