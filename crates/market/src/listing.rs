//! An order as the book keeps it: the terms that are searched, and the JSON that is shown.

use iexec_protocol::{
    Address, U256, decimal,
    id::parse_address,
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Unverified, WorkerpoolOrder},
    params::MAX_PARAMS,
    tag::Tag,
};
use iexec_service::Problem;
use serde_json::{Value, json};

/// Largest number in an order: what JavaScript's clients read from JSON without loss.
pub(crate) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Longest signature: contracts may ask for more than a key's 65 bytes (ERC-1271).
const MAX_SIGN: usize = 4096;

/// The four collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    App,
    Dataset,
    Workerpool,
    Request,
}

impl Kind {
    /// Lower-case name, as in [`Order::KIND`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::App => AppOrder::KIND,
            Self::Dataset => DatasetOrder::KIND,
            Self::Workerpool => WorkerpoolOrder::KIND,
            Self::Request => RequestOrder::KIND,
        }
    }

    /// The column of the asset that orders of this kind are about, or of the requester.
    pub(crate) const fn own_column(self) -> &'static str {
        match self {
            Self::Request => "requester",
            seller => seller.name(),
        }
    }
}

/// What is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub price: U256,
    pub category: Option<U256>,
    pub trust: Option<U256>,
    pub app: Address,
    pub dataset: Address,
    pub workerpool: Address,
    pub requester: Address,
    pub beneficiary: Address,
}

/// An order that the book has a collection for.
pub(crate) trait Listed: Order + Send + Sync + 'static {
    /// Its collection.
    const COLLECTION: Kind;
    /// Fields that hold amounts and numbers.
    const NUMBERS: &'static [&'static str];
    /// Fields that hold addresses.
    const ADDRESSES: &'static [&'static str];

    /// What is searched.
    fn terms(&self) -> Terms;

    /// The asset it is about, or the requester.
    fn own(&self) -> Address;
}

impl Listed for AppOrder {
    const COLLECTION: Kind = Kind::App;
    const NUMBERS: &'static [&'static str] = &["appprice", "volume"];
    const ADDRESSES: &'static [&'static str] = &["app", "datasetrestrict", "workerpoolrestrict", "requesterrestrict"];

    fn terms(&self) -> Terms {
        Terms {
            price: self.appprice,
            app: self.app,
            dataset: self.datasetrestrict,
            workerpool: self.workerpoolrestrict,
            requester: self.requesterrestrict,
            ..Terms::default()
        }
    }

    fn own(&self) -> Address {
        self.app
    }
}

impl Listed for DatasetOrder {
    const COLLECTION: Kind = Kind::Dataset;
    const NUMBERS: &'static [&'static str] = &["datasetprice", "volume"];
    const ADDRESSES: &'static [&'static str] = &["dataset", "apprestrict", "workerpoolrestrict", "requesterrestrict"];

    fn terms(&self) -> Terms {
        Terms {
            price: self.datasetprice,
            app: self.apprestrict,
            dataset: self.dataset,
            workerpool: self.workerpoolrestrict,
            requester: self.requesterrestrict,
            ..Terms::default()
        }
    }

    fn own(&self) -> Address {
        self.dataset
    }
}

impl Listed for WorkerpoolOrder {
    const COLLECTION: Kind = Kind::Workerpool;
    const NUMBERS: &'static [&'static str] = &["workerpoolprice", "volume", "category", "trust"];
    const ADDRESSES: &'static [&'static str] = &["workerpool", "apprestrict", "datasetrestrict", "requesterrestrict"];

    fn terms(&self) -> Terms {
        Terms {
            price: self.workerpoolprice,
            category: Some(self.category),
            trust: Some(self.trust),
            app: self.apprestrict,
            dataset: self.datasetrestrict,
            workerpool: self.workerpool,
            requester: self.requesterrestrict,
            ..Terms::default()
        }
    }

    fn own(&self) -> Address {
        self.workerpool
    }
}

impl Listed for RequestOrder {
    const COLLECTION: Kind = Kind::Request;
    const NUMBERS: &'static [&'static str] =
        &["appmaxprice", "datasetmaxprice", "workerpoolmaxprice", "volume", "category", "trust"];
    const ADDRESSES: &'static [&'static str] =
        &["app", "dataset", "workerpool", "requester", "beneficiary", "callback"];

    fn terms(&self) -> Terms {
        Terms {
            price: self.workerpoolmaxprice,
            category: Some(self.category),
            trust: Some(self.trust),
            app: self.app,
            dataset: self.dataset,
            workerpool: self.workerpool,
            requester: self.requester,
            beneficiary: self.beneficiary,
        }
    }

    fn own(&self) -> Address {
        self.requester
    }
}

/// Reads `{"order": …}`; a field out of its form or bounds is named.
pub(crate) fn read_order<T: Listed>(body: &Value) -> Result<Unverified<T>, Problem> {
    let order = body.get("order").filter(|order| order.is_object());
    let order = order.ok_or_else(|| Problem::bad_request("the body must be {\"order\": {…}}"))?;
    let field =
        |name: &'static str| order.get(name).ok_or_else(|| Problem::bad_request(format!("order.{name} is required")));
    for name in T::NUMBERS {
        check_number(name, field(name)?)?;
    }
    for name in T::ADDRESSES {
        check_text(name, field(name)?, |text| parse_address(text).map(drop).map_err(|error| error.to_string()))?;
    }
    for name in ["tag", "salt"] {
        check_text(name, field(name)?, bytes32)?;
    }
    check_text("sign", field("sign")?, sign)?;
    if T::COLLECTION == Kind::Request {
        check_text("params", field("params")?, params)?;
    }
    if order["volume"].as_str().is_some_and(|text| decimal::parse(text) == Some(U256::ZERO)) || order["volume"] == 0 {
        return Err(Problem::bad_request("order.volume must be at least 1"));
    }
    serde_json::from_value(order.clone()).map_err(|error| Problem::bad_request(format!("order: {error}")))
}

fn check_number(name: &str, value: &Value) -> Result<(), Problem> {
    let number = value.as_u64().map(U256::from).or_else(|| decimal::parse(value.as_str()?));
    match number {
        Some(number) if number <= U256::from(MAX_NUMBER) => Ok(()),
        _ => Err(Problem::bad_request(format!(
            "order.{name} must be an integer from 0 to {MAX_NUMBER}, got {}",
            value.to_string().chars().take(80).collect::<String>()
        ))),
    }
}

fn check_text(name: &str, value: &Value, check: impl FnOnce(&str) -> Result<(), String>) -> Result<(), Problem> {
    let text = value.as_str().ok_or_else(|| Problem::bad_request(format!("order.{name} must be a string")))?;
    check(text).map_err(|why| Problem::bad_request(format!("order.{name}: {why}")))
}

fn hex_digits(text: &str) -> Option<&str> {
    text.strip_prefix("0x").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn bytes32(text: &str) -> Result<(), String> {
    match hex_digits(text) {
        Some(hex) if hex.len() == 64 => Ok(()),
        _ => Err("must be 0x and 64 hex digits".to_owned()),
    }
}

fn sign(text: &str) -> Result<(), String> {
    match hex_digits(text) {
        Some(hex) if hex.len() <= 2 * MAX_SIGN && hex.len().is_multiple_of(2) => Ok(()),
        _ => Err(format!("must be 0x and the hex digits of at most {MAX_SIGN} bytes")),
    }
}

fn params(text: &str) -> Result<(), String> {
    if text.len() <= MAX_PARAMS { Ok(()) } else { Err(format!("of {} bytes; at most {MAX_PARAMS}", text.len())) }
}

/// The order as it is shown: numbers as JSON numbers, addresses with their checksum (EIP-55).
pub(crate) fn shown<T: Listed>(order: &Unverified<T>) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(order).map_err(Problem::internal)?;
    for name in T::NUMBERS {
        let number = value[*name].as_str().and_then(|text| text.parse::<u64>().ok());
        value[*name] = json!(number.ok_or_else(|| Problem::internal(format!("a stored {name} beyond its bound")))?);
    }
    for name in T::ADDRESSES {
        let address = value[*name].as_str().and_then(|text| text.parse::<Address>().ok()).unwrap_or_default();
        value[*name] = json!(address.to_string());
    }
    Ok(value)
}

/// The tag as four words, the highest first; the bits are what counts, so a word may be negative.
pub(crate) fn words(tag: Tag) -> [i64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(tag.0.as_chunks::<8>().0) {
        *word = i64::from_be_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Value {
        let order =
            Unverified { order: AppOrder { volume: U256::from(5), ..Default::default() }, sign: [1; 65].into() };
        json!({ "order": order })
    }

    #[test]
    fn a_field_that_is_missing_malformed_or_out_of_bounds_is_named() {
        for (field, value, error) in [
            ("volume", json!("0"), "order.volume must be at least 1"),
            ("volume", json!(0), "order.volume must be at least 1"),
            (
                "appprice",
                json!("9007199254740992"),
                "order.appprice must be an integer from 0 to 9007199254740991, got \"9007199254740992\"",
            ),
            ("appprice", json!(-1), "order.appprice must be an integer from 0 to 9007199254740991, got -1"),
            ("app", json!("0x1"), "order.app: an address must be 0x and 40 hex digits, got \"0x1\""),
            ("tag", json!(["tee"]), "order.tag must be a string"),
            ("salt", json!("0x00"), "order.salt: must be 0x and 64 hex digits"),
            ("sign", json!("0xabc"), "order.sign: must be 0x and the hex digits of at most 4096 bytes"),
        ] {
            let mut body = order();
            body["order"][field] = value;
            let refused = read_order::<AppOrder>(&body).unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.detail()), (400, error));
            body["order"].as_object_mut().unwrap().remove(field);
            assert_eq!(read_order::<AppOrder>(&body).unwrap_err().detail(), format!("order.{field} is required"));
        }
        assert_eq!(read_order::<AppOrder>(&json!([])).unwrap_err().detail(), "the body must be {\"order\": {…}}");
    }

    #[test]
    fn an_order_is_shown_with_numbers_and_checksummed_addresses_and_reads_back() {
        let mut body = order();
        body["order"]["app"] = json!("0x90f79bf6eb2c4f870365e785982e1f101e93b906");
        let read = read_order::<AppOrder>(&body).unwrap();
        let shown = shown(&read).unwrap();
        assert_eq!(shown["volume"], 5);
        assert_eq!(shown["app"], "0x90F79bf6EB2c4f870365E785982E1f101E93b906");
        assert_eq!(serde_json::from_value::<Unverified<AppOrder>>(shown).unwrap(), read);
    }

    #[test]
    fn a_tags_bits_stay_in_their_words() {
        let mut tag = Tag::TEE_TDX;
        tag.0.0[0] = 0x80;
        assert_eq!(words(tag), [i64::MIN, 0, 0, 9]);
    }
}
