//! A value of `chain.json` and where it stands, so that every fault names both.

use alloy::primitives::Address;
use serde_json::{Map, Value};

use super::{NetworkError, join};

/// A value and the path to it, for errors.
pub(super) struct Place<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Place<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    pub(super) fn object(&self, known: &[&str]) -> Result<&Self, NetworkError> {
        let fields = self.fields()?;
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(self),
            Some(key) => Err(NetworkError::UnknownKey {
                key: key.chars().take(80).collect(),
                place: if self.path.is_empty() { "the file".into() } else { self.path.clone() },
                known: join(known.iter().copied()),
            }),
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<(String, Self)>, NetworkError> {
        Ok(self.fields()?.iter().map(|(key, value)| (key.clone(), self.at(key, value))).collect())
    }

    pub(super) fn field(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(self.at(key, value))
    }

    fn at(&self, key: &str, value: &'a Value) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{}", self.path, key.chars().take(80).collect::<String>()), value }
    }

    fn fields(&self) -> Result<&'a Map<String, Value>, NetworkError> {
        self.value.as_object().ok_or_else(|| self.fault("an object"))
    }

    pub(super) fn text(&self) -> Result<String, NetworkError> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.fault("a text"))
    }

    pub(super) fn id(&self) -> Result<u64, NetworkError> {
        let text = self.value.as_str().map(str::parse).and_then(Result::ok);
        self.value.as_u64().or(text).ok_or_else(|| self.fault("a chain id in decimal"))
    }

    pub(super) fn url(&self) -> Result<String, NetworkError> {
        let text = self.text()?;
        let web = url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if web { Ok(text) } else { Err(self.fault("an http or https URL")) }
    }

    pub(super) fn address(&self) -> Result<Address, NetworkError> {
        iexec_protocol::id::parse_address(&self.text()?).map_err(|_| self.fault("an address (0x and 40 hex digits)"))
    }

    /// One URL, or one for each framework: the first of tdx, scone, gramine is used.
    pub(super) fn sms(&self) -> Result<String, NetworkError> {
        if self.value.is_string() {
            return self.url();
        }
        let frameworks = ["tdx", "scone", "gramine"];
        let listed = self.object(&frameworks)?;
        let mut urls = frameworks.iter().filter_map(|key| listed.field(key)).map(|place| place.url());
        urls.next().unwrap_or_else(|| Err(self.fault("a URL or an object with one of tdx, scone, gramine")))
    }

    fn fault(&self, expected: &'static str) -> NetworkError {
        let found: String = self.value.to_string().chars().take(80).collect();
        let place = if self.path.is_empty() { "the file".into() } else { self.path.clone() };
        NetworkError::Field { place, found, expected }
    }
}
