//! Calls to the order book (iExec market API) and its workerpool look-up (Compass).

use alloy_primitives::Address;
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};

use super::{Call, CallError, bare, json, success_json};
use crate::{
    id::OrderHash,
    order::{Order, Unverified},
    typed_data::LoginHeader,
};

/// The plural in the path: `apporders`, `datasetorders`, `workerpoolorders`, `requestorders`.
pub fn collection(kind: &str) -> String {
    format!("{kind}orders")
}

/// An order as the book shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published<T> {
    /// Its hash.
    pub order_hash: OrderHash,
    /// The order, numbers as JSON numbers.
    pub order: Unverified<T>,
    /// `open`, `filled`, `canceled` or `dead`.
    pub status: String,
    /// Volume not yet used.
    pub remaining: u64,
    /// Who signed.
    pub signer: Address,
    /// ISO 8601.
    pub publication_timestamp: String,
}

/// `GET /{kind}orders`: the open orders that fit, best first.
#[derive(Clone, Debug)]
pub struct FindOrders {
    /// `app`, `dataset`, `workerpool` or `request`.
    pub kind: &'static str,
    /// Chain.
    pub chain_id: u64,
    /// Further query parameters, as `("app", "0x…")`.
    pub filters: Vec<(&'static str, String)>,
}

/// A page of orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// How many fit in all.
    pub count: u64,
    /// This page's, as JSON.
    pub orders: Vec<Value>,
}

impl Page {
    /// The page's orders, read.
    pub fn read<T: Order>(self) -> Result<Vec<Published<T>>, CallError> {
        let read = |order| serde_json::from_value(order).map_err(|error| CallError::Malformed(error.to_string()));
        self.orders.into_iter().map(read).collect()
    }
}

impl Call for FindOrders {
    type Reply = Page;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let filters =
            self.filters.iter().fold(String::new(), |filters, (name, value)| filters + "&" + name + "=" + value);
        bare(Method::GET, base, &format!("/{}?chainId={}{filters}", collection(self.kind), self.chain_id), None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Page, CallError> {
        success_json(response)
    }
}

/// `GET /challenge`: typed data to log in with; the answer goes into one write call's header.
#[derive(Clone, Copy, Debug)]
pub struct GetMarketChallenge {
    /// Chain.
    pub chain_id: u64,
    /// Who logs in.
    pub address: Address,
}

impl Call for GetMarketChallenge {
    type Reply = Value;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::GET, base, &format!("/challenge?chainId={}&address={}", self.chain_id, self.address), None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Value, CallError> {
        success_json::<Value>(response).map(|mut body| body["data"].take())
    }
}

/// `POST /{kind}orders`: publish an order.
#[derive(Clone, Debug)]
pub struct PublishOrder<T> {
    /// Chain.
    pub chain_id: u64,
    /// The signed order.
    pub order: Unverified<T>,
    /// The answered challenge.
    pub header: LoginHeader,
}

impl<T: Order> Call for PublishOrder<T> {
    type Reply = OrderHash;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let path = format!("/{}?chainId={}", collection(T::KIND), self.chain_id);
        json(Method::POST, base, &path, Some(self.header.to_string()), &value!({ "order": self.order }))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<OrderHash, CallError> {
        let body: Value = success_json(response)?;
        serde_json::from_value(body["published"]["orderHash"].clone())
            .map_err(|error| CallError::Malformed(error.to_string()))
    }
}

/// `PUT /{kind}orders`: take orders out of the book.
#[derive(Clone, Debug)]
pub struct UnpublishOrders {
    /// `app`, `dataset`, `workerpool` or `request`.
    pub kind: &'static str,
    /// Chain.
    pub chain_id: u64,
    /// Which.
    pub target: Target,
    /// The answered challenge.
    pub header: LoginHeader,
}

/// Which orders to take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Hash(OrderHash),
    /// The newest of this asset (or requester).
    Last(Address),
    /// All of this asset (or requester).
    All(Address),
}

impl Call for UnpublishOrders {
    type Reply = Vec<OrderHash>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let owner = if self.kind == "request" { "requester" } else { self.kind };
        let body = match self.target {
            Target::Hash(hash) => value!({"target": "unpublish_orderHash", "orderHash": hash}),
            Target::Last(asset) => value!({"target": "unpublish_last", owner: asset}),
            Target::All(asset) => value!({"target": "unpublish_all", owner: asset}),
        };
        let path = format!("/{}?chainId={}", collection(self.kind), self.chain_id);
        json(Method::PUT, base, &path, Some(self.header.to_string()), &body)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Vec<OrderHash>, CallError> {
        let body: Value = success_json(response)?;
        serde_json::from_value(body["unpublished"].clone()).map_err(|error| CallError::Malformed(error.to_string()))
    }
}

/// `GET /{chainId}/workerpools/{address}`: the scheduler of a workerpool (Compass).
#[derive(Clone, Copy, Debug)]
pub struct FindScheduler {
    /// Chain.
    pub chain_id: u64,
    /// The workerpool contract.
    pub workerpool: Address,
}

impl Call for FindScheduler {
    type Reply = String;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        bare(Method::GET, base, &format!("/{}/workerpools/{}", self.chain_id, self.workerpool), None)
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<String, CallError> {
        let body: Value = success_json(response)?;
        body["apiUrl"].as_str().map(str::to_owned).ok_or_else(|| CallError::Malformed("no apiUrl".into()))
    }
}
