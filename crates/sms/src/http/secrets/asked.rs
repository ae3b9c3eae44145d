//! Which secret a request of iExec's API is about: its query or path, once for code and description.

use axum::extract::{Query, rejection::QueryRejection};
use iexec_protocol::{call::sms::SecretId, secret::SecretKind};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Refusal, address};
use crate::http::{
    document::schema::{AddressText, RequesterKey, Web2Name},
    fault::Fault,
};

/// Query of `/secrets/web2`.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Web2 {
    /// The wallet, which signs what it changes
    #[param(value_type = AddressText, required = true)]
    owner_address: Option<String>,
    /// The secret's name; upper and lower case are the same
    #[param(value_type = Web2Name, required = true)]
    secret_name: Option<String>,
}

/// Query of `/secrets/web3`.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Web3 {
    /// The dataset, whose owner on chain signs what is kept
    #[param(value_type = AddressText, required = true)]
    secret_address: Option<String>,
}

/// Path of an app's secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct App {
    /// The app, whose owner on chain signs what is kept
    #[param(value_type = AddressText)]
    app: String,
}

/// Path of a requester's secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Requester {
    /// The requester's wallet, which signs what is kept
    #[param(value_type = AddressText)]
    requester: String,
    /// The secret's name
    #[param(value_type = RequesterKey)]
    key: String,
}

/// A query, or why there is none.
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

fn query<T>(asked: Asked<T>) -> Result<T, Fault> {
    asked.map(|Query(query)| query).map_err(|error| Fault::Malformed(error.body_text()))
}

/// The secret of a wallet.
pub(super) fn web2(asked: Asked<Web2>) -> Result<SecretId, Refusal> {
    let query = query(asked)?;
    let owner = address("ownerAddress", query.owner_address.as_deref()).map_err(Fault::Malformed)?;
    let name = query.secret_name.ok_or_else(|| Fault::Malformed("parameter secretName is missing".into()))?;
    Ok(SecretId::new(SecretKind::Web2, owner, &name)?)
}

/// The key of a dataset.
pub(super) fn web3(asked: Asked<Web3>) -> Result<SecretId, Refusal> {
    let asset = address("secretAddress", query(asked)?.secret_address.as_deref()).map_err(Fault::Malformed)?;
    Ok(SecretId::Web3 { asset })
}

/// The secret of an app's developer.
pub(super) fn app(path: &App) -> Result<SecretId, Refusal> {
    Ok(SecretId::App { app: address("appAddress", Some(&path.app)).map_err(Fault::Malformed)? })
}

/// The secret of a requester.
pub(super) fn requester(path: &Requester) -> Result<SecretId, Refusal> {
    let requester = address("requesterAddress", Some(&path.requester)).map_err(Fault::Malformed)?;
    Ok(SecretId::new(SecretKind::Requester, requester, &path.key)?)
}
