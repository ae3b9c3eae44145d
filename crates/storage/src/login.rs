//! The result proxy's login (rules S10, S11), which SDKs up to 8.24 ask for in `storage init`.

use axum::body::Bytes;
use iexec_protocol::{Address, id::parse_address};
use iexec_service::{Problem, clock, login};
use serde_json::Value;

use crate::Storage;

/// Name of the challenges' domain.
const DOMAIN: &str = "iExec Result Repository";

/// `GET /results/challenge?chainId&address`.
pub(crate) async fn challenge(storage: &Storage, query: Option<&str>) -> Result<Value, Problem> {
    let address = check_chain(storage, query)?;
    let address = address.ok_or_else(|| Problem::bad_request("address is required"))?;
    let challenge = login::challenge(&storage.store, DOMAIN, storage.chain.chain_id(), address, clock::now()).await?;
    Ok(challenge.to_typed_data())
}

/// `POST /results/login?chainId` with the body `<hash>_<signature>_<address>`.
pub(crate) async fn token(storage: &Storage, query: Option<&str>, body: &Bytes) -> Result<String, Problem> {
    check_chain(storage, query)?;
    let text = std::str::from_utf8(body).map_err(|_| Problem::bad_request("the body must be text"))?;
    let now = clock::now();
    let address = login::answer(&storage.store, text, now).await?;
    Ok(storage.token_key.sign(address, now))
}

/// `chainId` must be ours; yields `address`, if given.
fn check_chain(storage: &Storage, query: Option<&str>) -> Result<Option<Address>, Problem> {
    let (mut chain, mut address) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "chainId" => chain = Some(value.into_owned()),
            "address" => {
                let read = parse_address(&value).map_err(|error| Problem::bad_request(format!("address: {error}")));
                address = Some(read?);
            }
            _ => (),
        }
    }
    let ours = storage.chain.chain_id();
    match chain.map(|text| text.parse::<u64>()) {
        Some(Ok(found)) if found == ours => Ok(address),
        Some(Ok(found)) => Err(Problem::bad_request(format!("chainId: this storage is for chain {ours}, not {found}"))),
        Some(Err(_)) => Err(Problem::bad_request("chainId must be an integer")),
        None => Err(Problem::bad_request("chainId is required")),
    }
}
