//! Secrets kept by the SMS: their kinds, names and bounds, and what an owner signs to set one in iExec's API (iExec SMS,
//! `AuthorizationService`). What an owner signs in the second API is in [`crate::secret_request`].

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, keccak256};
use http::Uri;
use thiserror::Error;

/// Longest secret, in UTF-8 bytes.
pub const MAX_SECRET: usize = 4096;

/// Longest name of a web2 secret and of a result proxy, in bytes.
pub const MAX_NAME: usize = 255;

/// Name of a beneficiary's public key among its web2 secrets.
pub const RESULT_ENCRYPTION_KEY: &str = "iexec-result-encryption-public-key";
/// Name of a requester's token for the result proxy (SDKs up to 8.24).
pub const RESULT_STORAGE_TOKEN: &str = "iexec-result-iexec-ipfs-token";

/// What a secret is for, and so whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretKind {
    /// A wallet's own, such as a beneficiary's public key.
    Web2,
    /// A dataset's key.
    Web3,
    /// An app developer's.
    App,
    /// A requester's, for the apps that it runs.
    Requester,
    /// A worker's token for one result proxy.
    Storage,
}

impl SecretKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Web2, Self::Web3, Self::App, Self::Requester, Self::Storage];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web2 => "web2",
            Self::Web3 => "web3",
            Self::App => "app",
            Self::Requester => "requester",
            Self::Storage => "storage",
        }
    }

    /// Whether it belongs to a contract, whose owner on chain speaks for it, and not to a wallet.
    pub const fn is_of_asset(self) -> bool {
        matches!(self, Self::Web3 | Self::App)
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SecretKind {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(SecretError::Kind)
    }
}

/// `keccak256("IEXEC_SMS_DOMAIN")`, the prefix of every challenge.
fn domain() -> B256 {
    keccak256("IEXEC_SMS_DOMAIN")
}

/// What a wallet signs (EIP-191) to set or update a web2 secret.
pub fn web2_challenge(owner: Address, name: &str, value: &str) -> B256 {
    keccak256([domain().as_slice(), owner.as_slice(), keccak256(name).as_slice(), keccak256(value).as_slice()].concat())
}

/// What a dataset's owner signs to set its key.
pub fn web3_challenge(asset: Address, value: &str) -> B256 {
    keccak256([domain().as_slice(), asset.as_slice(), keccak256(value).as_slice()].concat())
}

/// What an app's owner signs to set the app developer secret (its index is always `1`).
pub fn app_challenge(app: Address, value: &str) -> B256 {
    web2_challenge(app, "1", value)
}

/// What a requester signs to set one of its secrets.
pub fn requester_challenge(requester: Address, key: &str, value: &str) -> B256 {
    web2_challenge(requester, key, value)
}

/// Checks a requester secret's key: `^[A-Za-z0-9_-]{1,64}$`.
pub fn check_key(key: &str) -> Result<(), SecretError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let good = (1..=64).contains(&key.len()) && key.bytes().all(allowed);
    if good { Ok(()) } else { Err(SecretError::Key) }
}

/// Checks a web2 secret's name: 1 to [`MAX_NAME`] bytes, none of them zero (PostgreSQL keeps no such text).
pub fn check_name(name: &str) -> Result<(), SecretError> {
    if name.contains('\0') {
        return Err(SecretError::Zero);
    }
    if (1..=MAX_NAME).contains(&name.len()) { Ok(()) } else { Err(SecretError::Name { bytes: name.len() }) }
}

/// A result proxy's origin, as a storage token's name: scheme, host and port in lower case, without the scheme's own port.
/// Path and query are left away.
pub fn proxy_origin(url: &str) -> Result<String, SecretError> {
    let uri: Uri = url.parse().map_err(|_| SecretError::Proxy)?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(SecretError::Proxy)?;
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(SecretError::Proxy),
    };
    let host = authority.host().to_ascii_lowercase();
    // What is left after the host is a port or nothing; `http` passes over one that is no number.
    let rest = authority.as_str().strip_prefix(authority.host());
    let port = rest.is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some());
    if !port || host.is_empty() || url.len() > MAX_NAME {
        return Err(SecretError::Proxy);
    }
    Ok(match authority.port_u16().filter(|port| *port != own_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// Checks a secret's size.
pub fn check_value(value: &str) -> Result<(), SecretError> {
    if value.len() > MAX_SECRET { Err(SecretError::TooLarge { bytes: value.len() }) } else { Ok(()) }
}

/// A secret that is not kept. The texts of the first two are iExec's.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// A requester secret's key.
    #[error("Secret key should contain at most 64 characters from [0-9A-Za-z-_]")]
    Key,
    /// A web2 secret's name.
    #[error("a secret's name must have 1 to {MAX_NAME} bytes, this one has {bytes}")]
    Name {
        /// Its size.
        bytes: usize,
    },
    /// A character that no database keeps.
    #[error("a secret's name must not hold U+0000")]
    Zero,
    /// A name for what has none.
    #[error("a dataset or an app has one secret, which has no name")]
    Nameless,
    /// A result proxy.
    #[error(
        "a storage token's name must be its result proxy's origin, as https://proxy.example: lower case, without path, user or the scheme's own port"
    )]
    Proxy,
    /// An unknown kind.
    #[error("a secret's kind must be web2, web3, app, requester or storage")]
    Kind,
    /// Longer than [`MAX_SECRET`].
    #[error("Secret size should not exceed 4 Kb (this one has {bytes} bytes)")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Signature, SigningKey};

    #[test]
    fn challenges_equal_those_of_the_sms() {
        let owner = Address::repeat_byte(0x11);
        let shown = |hash: B256| hash.to_string();
        assert_eq!(
            shown(web2_challenge(owner, RESULT_ENCRYPTION_KEY, "secret-value")),
            "0xf7feb05eafe15df7a584fc9d84f141fcd64a6a5eb2653dee4f645797b83c3151"
        );
        assert_eq!(
            shown(web3_challenge(owner, "secret-value")),
            "0xb14a4fd43c18cbb546e2a939698e7e1d475671d2307ac9cb270b6dcc9e61ce59"
        );
        assert_eq!(
            shown(app_challenge(owner, "secret-value")),
            "0x4dd5cc949dbb4826ff0ce7c8f143b77a218a5663522bf4153e9df674665e51a8"
        );
        assert_eq!(
            shown(app_challenge(owner, "hello")),
            "0xa01fb79260886e74f0ca73fcfbea850569d49a738566ca32e172c892cb5c8f3c"
        );
    }

    #[test]
    fn a_signed_challenge_equals_the_sdks() {
        let key = SigningKey::from_hex("0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407").unwrap();
        assert_eq!(key.address().to_string(), "0x7bd4783FDCAD405A28052a0d1f11236A741da593");
        let challenge = web2_challenge(key.address(), RESULT_ENCRYPTION_KEY, "hello");
        assert_eq!(challenge.to_string(), "0x5d3d47ab5828c450bd65c17ece2d68c9340a0a40089567a33f8d76ad7a358df3");
        let sdk: Signature = "0xb7636d443228e16fd1d2a6d850770beb2e8ee20baa31fdd7dc99213ac4ceda6a780b42b72a2d060c4886dcb172193374d4d859ced3372318454661a45c749bd81c".parse().unwrap();
        assert_eq!(key.sign_personal(challenge).unwrap(), sdk);
    }

    #[test]
    fn a_proxys_origin_has_one_spelling() {
        for (url, origin) in [
            ("https://Proxy.Example/v1/results", "https://proxy.example"),
            ("https://proxy.example:443", "https://proxy.example"),
            ("http://10.0.0.1:13200/", "http://10.0.0.1:13200"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(proxy_origin(url).as_deref(), Ok(origin), "{url}");
            assert_eq!(proxy_origin(origin).as_deref(), Ok(origin));
        }
        let long = format!("https://{}", "a".repeat(MAX_NAME));
        for bad in [
            "",
            "proxy.example",
            "/path",
            "ftp://a",
            "https://u:p@a",
            "https://",
            "https://a:",
            "https://a:99999",
            &long,
        ] {
            assert_eq!(proxy_origin(bad), Err(SecretError::Proxy), "{bad}");
        }
    }

    #[test]
    fn keys_and_values_are_bounded() {
        assert!(check_key("a-B_9").is_ok());
        for bad in ["", "a b", "é", &"x".repeat(65)] {
            assert_eq!(check_key(bad), Err(SecretError::Key));
        }
        assert!(check_value(&"x".repeat(4096)).is_ok());
        assert!(check_value(&"é".repeat(2049)).is_err());
    }
}
