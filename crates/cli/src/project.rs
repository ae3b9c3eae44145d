//! A project's files: `iexec.json` (what it is), `deployed.json` (where it is), `orders.json` (what it signed last).
//!
//! Formats are the JavaScript SDK's. Unknown keys are errors that name key, line and column.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use iexec_protocol::{
    Address, B256,
    id::parse_address,
    order::{AppOrder, DatasetOrder, RequestOrder, Unverified, WorkerpoolOrder},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::{failure::Failure, files};

/// A folder with `iexec.json`, `deployed.json` and `orders.json`.
#[derive(Debug)]
pub(crate) struct Project {
    folder: PathBuf,
}

/// `iexec.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the file's own key")]
pub(crate) struct Description {
    description: String,
    license: String,
    author: String,
    social: Social,
    logo: String,
    #[serde(rename = "buyConf", skip_serializing_if = "Option::is_none")]
    buy_conf: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app: Option<AppSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dapps: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<DatasetSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workerpool: Option<WorkerpoolSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<OrderSection>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Social {
    website: String,
    github: String,
}

/// `iexec.json`: the app that `app deploy` deploys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppSection {
    #[serde(deserialize_with = "address")]
    pub(crate) owner: Address,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) multiaddr: String,
    #[serde(deserialize_with = "digest")]
    pub(crate) checksum: B256,
    /// Text (SDK 5) or object (SDK 6 to 8); apps of today have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mrenclave: Option<Value>,
}

/// `iexec.json`: the dataset that `dataset deploy` deploys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetSection {
    #[serde(deserialize_with = "address")]
    pub(crate) owner: Address,
    pub(crate) name: String,
    pub(crate) multiaddr: String,
    #[serde(deserialize_with = "digest")]
    pub(crate) checksum: B256,
}

/// `iexec.json`: the workerpool that `workerpool deploy` deploys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerpoolSection {
    #[serde(deserialize_with = "address")]
    pub(crate) owner: Address,
    pub(crate) description: String,
}

/// `iexec.json`: the orders that `order sign` signs; tags are arrays of names, params an object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderSection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) apporder: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) datasetorder: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workerpoolorder: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requestorder: Option<Value>,
}

/// `deployed.json`: the last object deployed of each kind, by chain id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployed {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "addresses")]
    pub(crate) app: BTreeMap<String, Address>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "addresses")]
    pub(crate) dataset: BTreeMap<String, Address>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "addresses")]
    pub(crate) workerpool: BTreeMap<String, Address>,
}

/// `orders.json`, one chain: the last order signed of each kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedOrders {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) apporder: Option<Unverified<AppOrder>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) datasetorder: Option<Unverified<DatasetOrder>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workerpoolorder: Option<Unverified<WorkerpoolOrder>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requestorder: Option<Unverified<RequestOrder>>,
}

/// An address, with a checksum that holds where it has one (EIP-55).
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_address(&text).map_err(D::Error::custom)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Address>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(chain, text): (String, String)| match parse_address(&text) {
        Ok(address) => Ok((chain, address)),
        Err(error) => Err(D::Error::custom(format!("{chain}: {error}"))),
    };
    texts.into_iter().map(read).collect()
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<B256, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = (text.len() == 66 && text.starts_with("0x")).then(|| text.parse().ok()).flatten();
    read.ok_or_else(|| D::Error::custom(format!("a digest must be 0x and 64 hex digits, got {text:?}")))
}

/// The description's file.
pub(crate) const DESCRIPTION_FILE: &str = "iexec.json";
const DEPLOYED_FILE: &str = "deployed.json";
const ORDERS_FILE: &str = "orders.json";

impl Project {
    /// The project of the working folder.
    pub(crate) fn here() -> Result<Self, Failure> {
        Ok(Self { folder: files::working_folder()? })
    }

    /// The project of a folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// `iexec.json`.
    pub(crate) fn description(&self) -> Result<Description, Failure> {
        let missing = || Failure::absent("there is no iexec.json in this folder").hint("make one with `iexec init`");
        files::read_json(&self.folder.join(DESCRIPTION_FILE))?.ok_or_else(missing)
    }

    /// Writes `iexec.json`.
    pub(crate) fn describe(&self, description: &Description) -> Result<(), Failure> {
        files::write_json(&self.folder.join(DESCRIPTION_FILE), description)
    }

    /// `deployed.json`; empty when there is none.
    pub(crate) fn deployed(&self) -> Result<Deployed, Failure> {
        Ok(files::read_json(&self.folder.join(DEPLOYED_FILE))?.unwrap_or_default())
    }

    /// Writes `deployed.json`.
    pub(crate) fn set_deployed(&self, deployed: &Deployed) -> Result<(), Failure> {
        files::write_json(&self.folder.join(DEPLOYED_FILE), deployed)
    }

    /// `orders.json` of one chain; empty when there is none.
    pub(crate) fn orders(&self, chain_id: u64) -> Result<SignedOrders, Failure> {
        Ok(self.all_orders()?.remove(&chain_id.to_string()).unwrap_or_default())
    }

    /// Writes one chain's part of `orders.json`.
    pub(crate) fn set_orders(&self, chain_id: u64, orders: SignedOrders) -> Result<(), Failure> {
        let mut all = self.all_orders()?;
        all.insert(chain_id.to_string(), orders);
        files::write_json(&self.folder.join(ORDERS_FILE), &all)
    }

    fn all_orders(&self) -> Result<BTreeMap<String, SignedOrders>, Failure> {
        Ok(files::read_json(&self.folder.join(ORDERS_FILE))?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, text: &str) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let project = Project::at(folder.path());
        (folder, project)
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let (_folder, project) = project("iexec.json", "{\n  \"app\": {\n    \"colour\": \"red\"\n  }\n}");
        let failure = project.description().unwrap_err();
        assert!(failure.message.starts_with("iexec.json: unknown field `colour`"), "{}", failure.message);
        assert!(failure.message.ends_with("at line 3 column 12"), "{}", failure.message);
    }

    #[test]
    fn malformed_json_is_an_error_with_line_and_column() {
        let (_folder, project) = project("deployed.json", "{\n  \"app\": }");
        assert_eq!(project.deployed().unwrap_err().message, "deployed.json: expected value at line 2 column 10");
    }

    #[test]
    fn what_a_project_writes_it_reads_again() {
        let (_folder, project) = project("iexec.json", "{}");
        let section = WorkerpoolSection { owner: Address::repeat_byte(1), description: "mine".into() };
        project.describe(&Description { workerpool: Some(section), ..Description::default() }).unwrap();
        assert_eq!(project.description().unwrap().workerpool.unwrap().description, "mine");
        let mut deployed = Deployed::default();
        deployed.app.insert("65535".into(), Address::repeat_byte(2));
        project.set_deployed(&deployed).unwrap();
        assert_eq!(project.deployed().unwrap().app["65535"], Address::repeat_byte(2));
    }
}
