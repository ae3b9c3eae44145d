//! A deal's `params`: the JSON text by which a requester tells what to run and what to do with the result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest `params` text read, in bytes.
pub const MAX_PARAMS: usize = 64 * 1024;

/// Deal parameters; keys and order are the SDK's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealParams {
    /// Arguments appended to the app's command, split like a shell splits words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iexec_args: Option<String>,
    /// Public URLs fetched into `$IEXEC_IN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub iexec_input_files: Vec<String>,
    /// Requester secrets by the number that the app reads them under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub iexec_secrets: BTreeMap<String, String>,
    /// `ipfs`, or absent with a callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iexec_result_storage_provider: Option<String>,
    /// Result proxy of SDKs up to 8.12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iexec_result_storage_proxy: Option<String>,
    /// Whether the result is encrypted to the beneficiary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iexec_result_encryption: Option<Encryption>,
    /// Whatever else the requester wrote; SDK 5 adds post-compute images that no pool reads any more.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Whether encryption is asked for. Exactly `true`, `false`, or the strings `true`, `false`, `yes`, `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Encryption(pub bool);

impl Encryption {
    /// Reads the environment form; anything unclear is an error, never «no» (spec T-ENC: encryption fails closed).
    pub fn from_text(text: &str) -> Result<Self, EncryptionUnclear> {
        match text {
            "true" | "yes" => Ok(Self(true)),
            "false" | "no" => Ok(Self(false)),
            _ => Err(EncryptionUnclear(text.chars().take(40).collect())),
        }
    }
}

impl<'de> Deserialize<'de> for Encryption {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Bool(bool),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Bool(asked) => Ok(Self(asked)),
            Form::Text(text) => Self::from_text(&text).map_err(serde::de::Error::custom),
        }
    }
}

/// It cannot be told whether the requester asks for encryption.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("result encryption must be true or false, got {0:?}; an unclear wish is never taken for «no»")]
pub struct EncryptionUnclear(String);

impl DealParams {
    /// Reads a deal's `params`. SDKs before 4 wrote the bare arguments instead of JSON; those are refused too.
    pub fn parse(text: &str) -> Result<Self, ParamsError> {
        if text.len() > MAX_PARAMS {
            return Err(ParamsError::TooLong(text.len()));
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        let params: Self = serde_json::from_str(text).map_err(|error| ParamsError::Json(error.to_string()))?;
        let numbered = |key: &String| key.parse::<u32>().is_ok_and(|number| number > 0);
        match params.iexec_secrets.keys().find(|key| !numbered(key)) {
            Some(key) => Err(ParamsError::SecretKey(key.clone())),
            None => Ok(params),
        }
    }

    /// Whether the result must be encrypted.
    pub fn encrypts(&self) -> bool {
        self.iexec_result_encryption == Some(Encryption(true))
    }

    /// The JSON text for an order.
    pub fn to_text(&self) -> Result<String, ParamsError> {
        serde_json::to_string(self).map_err(|error| ParamsError::Json(error.to_string()))
    }
}

/// Parameters that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParamsError {
    /// Longer than [`MAX_PARAMS`].
    #[error("deal parameters of {0} bytes; at most {MAX_PARAMS} are read")]
    TooLong(usize),
    /// Not the JSON object that is asked for.
    #[error("deal parameters: {0}")]
    Json(String),
    /// `iexec_secrets` keys are positive integers.
    #[error("deal parameters: iexec_secrets key {0:?} must be a positive integer")]
    SecretKey(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_of_every_sdk_are_read() {
        let new = r#"{"iexec_result_storage_provider":"ipfs","iexec_result_encryption":true}"#;
        assert!(DealParams::parse(new).unwrap().encrypts());
        assert_eq!(DealParams::parse(new).unwrap().to_text().unwrap(), new);
        let old = r#"{"iexec_tee_post_compute_image":"x","iexec_result_storage_proxy":"http://p","iexec_result_encryption":true}"#;
        assert!(DealParams::parse(old).unwrap().encrypts());
        assert!(!DealParams::parse("").unwrap().encrypts());
    }

    #[test]
    fn an_unclear_wish_for_encryption_is_an_error_and_never_no() {
        for unclear in [r#""TRUE""#, "1", "null1", r#""oui""#, r#"{"a":1}"#] {
            assert!(DealParams::parse(&format!(r#"{{"iexec_result_encryption":{unclear}}}"#)).is_err(), "{unclear}");
        }
        assert!(DealParams::parse(r#"{"iexec_result_encryption":"yes"}"#).unwrap().encrypts());
    }

    #[test]
    fn secrets_are_numbered_from_one() {
        assert!(DealParams::parse(r#"{"iexec_secrets":{"1":"a"}}"#).is_ok());
        assert!(DealParams::parse(r#"{"iexec_secrets":{"0":"a"}}"#).is_err());
        assert!(DealParams::parse(r#"{"iexec_secrets":{"x":"a"}}"#).is_err());
    }
}
