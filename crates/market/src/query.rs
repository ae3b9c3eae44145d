//! The parameters of a request: each is taken once, by name and form; what is left over is a mistake of the caller.

use std::collections::BTreeMap;

use iexec_protocol::{
    Address,
    id::{OrderHash, parse_address},
    tag::Tag,
};
use iexec_service::Problem;

/// Query parameters that were not taken yet.
#[derive(Debug)]
pub(crate) struct Params(BTreeMap<String, String>);

/// An address, or the word for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// `any`.
    Any,
    /// This one.
    Is(Address),
}

impl Params {
    /// Reads a query; `chainId` must be there and be `chain_id`. Empty values count as absent.
    pub(crate) fn read(query: Option<&str>, chain_id: u64) -> Result<Self, Problem> {
        let mut params = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if params.insert(name.to_string(), value.to_string()).is_some() {
                return Err(Problem::bad_request(format!("parameter {:?} is given twice", shortened(&name))));
            }
        }
        params.retain(|_, value| !value.is_empty());
        let mut params = Self(params);
        match params.number("chainId", 0, u64::MAX)? {
            Some(found) if found == chain_id => Ok(params),
            Some(found) => {
                Err(Problem::bad_request(format!("chainId: this market is for chain {chain_id}, not {found}")))
            }
            None => Err(Problem::bad_request("chainId is required")),
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let form = || format!("an integer from {least} to {most}");
        self.take(name, form, |text| text.parse().ok().filter(|number| (least..=most).contains(number)))
    }

    /// An address.
    pub(crate) fn address(&mut self, name: &str) -> Result<Option<Address>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        parse_address(&text).map(Some).map_err(|error| Problem::bad_request(format!("{name}: {error}")))
    }

    /// An address or `any`.
    pub(crate) fn party(&mut self, name: &str) -> Result<Option<Party>, Problem> {
        if self.0.get(name).is_some_and(|text| text == "any") {
            self.0.remove(name);
            return Ok(Some(Party::Any));
        }
        Ok(self.address(name)?.map(Party::Is))
    }

    /// 32 bytes of tag.
    pub(crate) fn tag(&mut self, name: &str) -> Result<Option<Tag>, Problem> {
        let form = || "0x and 64 hex digits".to_owned();
        self.take(name, form, |text| text.starts_with("0x").then(|| text.parse().ok()).flatten())
    }

    /// An order hash.
    pub(crate) fn hash(&mut self, name: &str) -> Result<Option<OrderHash>, Problem> {
        self.take(name, || "0x and 64 hex digits".to_owned(), |text| text.parse().ok())
    }

    /// `true` or `false`; absent is false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        Ok(self.take(name, || "true or false".to_owned(), |text| text.parse().ok())?.unwrap_or_default())
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            Some(name) => Err(Problem::bad_request(format!("unknown parameter {:?}", shortened(name)))),
            None => Ok(()),
        }
    }

    fn take<T>(
        &mut self,
        name: &str,
        form: impl FnOnce() -> String,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let refused = || Problem::bad_request(format!("{name} must be {}, got {:?}", form(), shortened(&text)));
        read(&text).map(Some).ok_or_else(refused)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        let read = Params::read(Some(query), 7).and_then(|mut params| {
            params.number("category", 0, 9)?;
            params.party("app")?;
            params.tag("minTag")?;
            params.flag("isAppStrict")?;
            params.finish()
        });
        read.err().map_or_else(String::new, |problem| problem.detail().to_owned())
    }

    #[test]
    fn a_parameter_that_is_malformed_foreign_or_unknown_is_named() {
        for (query, error) in [
            ("chainId=7&app=any&category=&isAppStrict=true", ""),
            ("", "chainId is required"),
            ("chainId=8", "chainId: this market is for chain 7, not 8"),
            ("chainId=x", "chainId must be an integer from 0 to 18446744073709551615, got \"x\""),
            ("chainId=7&category=-1", "category must be an integer from 0 to 9, got \"-1\""),
            ("chainId=7&app=0x12", "app: an address must be 0x and 40 hex digits, got \"0x12\""),
            ("chainId=7&minTag=tee", "minTag must be 0x and 64 hex digits, got \"tee\""),
            ("chainId=7&isAppStrict=1", "isAppStrict must be true or false, got \"1\""),
            ("chainId=7&foo=1", "unknown parameter \"foo\""),
            ("chainId=7&app=any&app=any", "parameter \"app\" is given twice"),
        ] {
            assert_eq!(refused(query), error, "{query}");
        }
    }
}
