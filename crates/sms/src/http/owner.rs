//! Who speaks for a secret: the wallet itself, or the owner on chain of a registered dataset or app (spec SMS-11). That a
//! contract merely has an `owner()` is not enough: `PoCo`'s registry must have made it.

use iexec_chain::ChainError;
use iexec_protocol::{Address, secret::SecretKind};
use thiserror::Error;

use super::Context;

/// Nobody speaks for it, as far as is known.
#[derive(Debug, Error)]
pub(super) enum OwnerError {
    /// Not of the registry.
    #[error("the address is no {0} that is registered on this chain")]
    NoAsset(&'static str),
    /// Nobody tells.
    #[error("the chain does not answer: {0}")]
    Chain(#[from] ChainError),
}

/// Whose signature counts for the secrets of this kind of `owner`. The chain is asked for assets alone.
pub(super) async fn speaker(sms: &Context, kind: SecretKind, owner: Address) -> Result<Address, OwnerError> {
    match kind {
        SecretKind::Web2 | SecretKind::Requester | SecretKind::Storage => Ok(owner),
        SecretKind::App => {
            let app = sms.chain().await?.view_app(owner).await?;
            app.map(|app| app.owner).ok_or(OwnerError::NoAsset("app"))
        }
        SecretKind::Web3 => {
            let dataset = sms.chain().await?.view_dataset(owner).await?;
            dataset.map(|dataset| dataset.owner).ok_or(OwnerError::NoAsset("dataset"))
        }
    }
}
