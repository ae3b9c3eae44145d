//! What a request of the second API is about: its path and query, once for code and description.

use axum::extract::{Query, rejection::QueryRejection};
use iexec_protocol::{Address, call::sms::SecretId, secret::SecretKind};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Refusal, address};
use crate::http::{
    document::schema::{AddressText, Kind, Name},
    fault::Fault,
};

/// Path of a secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct At {
    /// What it is for
    #[param(value_type = Kind)]
    pub(super) kind: String,
    /// The wallet that signs, or the app or dataset whose owner on chain signs
    #[param(value_type = AddressText)]
    pub(super) owner: String,
}

/// Query of a secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// The secret's name; absent for apps and datasets; for a storage token its proxy's origin
    #[param(value_type = Option<Name>)]
    name: Option<String>,
}

/// Path of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Of {
    /// The wallet that signs, or the app or dataset whose owner on chain signs
    #[param(value_type = AddressText)]
    pub(super) owner: String,
}

/// Query of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Pages {
    /// This kind alone; `app` or `web3` where the owner is a contract
    #[param(value_type = Option<Kind>)]
    kind: Option<String>,
    /// `next` of the page before; every page is a request of its own, with its own nonce
    #[param(value_type = Option<String>)]
    after: Option<String>,
}

/// A query, or why there is none.
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

fn query<T>(asked: Asked<T>) -> Result<T, Fault> {
    asked.map(|Query(query)| query).map_err(|error| Fault::Malformed(error.body_text()))
}

fn owner_of(text: &str) -> Result<Address, Fault> {
    address("owner", Some(text)).map_err(Fault::Malformed)
}

/// The secret of path and query.
pub(super) fn secret(at: &At, named: Asked<Named>) -> Result<SecretId, Refusal> {
    let kind: SecretKind = at.kind.parse()?;
    let owner = owner_of(&at.owner)?;
    Ok(SecretId::new(kind, owner, query(named)?.name.as_deref().unwrap_or_default())?)
}

/// The owner, the kind, and where the page begins.
pub(super) fn page(of: &Of, pages: Asked<Pages>) -> Result<(Address, Option<SecretKind>, Option<String>), Refusal> {
    let owner = owner_of(&of.owner)?;
    let Pages { kind, after } = query(pages)?;
    Ok((owner, kind.map(|kind| kind.parse()).transpose()?, after))
}
