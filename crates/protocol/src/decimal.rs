//! Serde form of the unsigned integers in iExec's JSON: written as decimal strings, read as strings or numbers.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes `value` as a decimal string.
pub fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a decimal string, a `0x` hex string or a JSON number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    match Integer::deserialize(deserializer)? {
        Integer::Number(number) => Ok(U256::from(number)),
        Integer::Text(text) => parse(&text).ok_or_else(|| {
            D::Error::custom(format!("not an unsigned integer: {:?}", text.chars().take(80).collect::<String>()))
        }),
    }
}

/// Reads a decimal or `0x` hex integer below 2^256.
pub fn parse(text: &str) -> Option<U256> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.is_empty() && hex.len() <= 64 => U256::from_str_radix(hex, 16).ok(),
        None if !text.is_empty() && text.len() <= 78 && text.bytes().all(|b| b.is_ascii_digit()) => {
            U256::from_str_radix(text, 10).ok()
        }
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Integer {
    Number(u64),
    Text(String),
}
