//! What `app run` checks before anything is signed or paid: parameters, app, keys, orders, stake, storage.

use iexec_chain::view::Kind;
use iexec_protocol::{
    Address, U256,
    amount::Currency,
    call::{
        CallError,
        sms::{SecretExists, SecretId},
        storage::GetVersion,
    },
    image::split_args,
    order::Order,
    params::DealParams,
};

use crate::{
    asset, encryption_key,
    failure::Failure,
    remote::{Remote, Service},
    screen::Screen,
    selection::{Chosen, Offer, Wish},
};

/// Percent of its price that a workerpool's owner must have staked (`PoCo` `WORKERPOOL_STAKE_RATIO`).
const POOL_STAKE_PERCENT: u64 = 30;
/// Keys of deal parameters that SDKs write and that no pool of today reads.
const FOREIGN_PARAMS: [&str; 3] =
    ["iexec_developer_logger", "iexec_tee_post_compute_image", "iexec_tee_post_compute_fingerprint"];

/// A run that is to be checked.
pub(crate) struct Preflight<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) wish: &'a Wish,
    pub(crate) params: &'a DealParams,
    pub(crate) screen: Screen,
}

pub(crate) fn is_known_param(key: &str) -> bool {
    FOREIGN_PARAMS.contains(&key)
}

/// Reads `1=name`.
pub(crate) fn secret(text: &str) -> Result<(String, String), Failure> {
    let wrong =
        |why: &str| Failure::invalid(format!("--secret {text:?}: {why}")).hint("for example --secret 1=my-password");
    let (number, name) = text.split_once('=').ok_or_else(|| wrong("expected a number, `=` and a secret's name"))?;
    if number.parse::<u32>().map_or(true, |number| number == 0) {
        return Err(wrong("the number must be 1 or more"));
    }
    iexec_protocol::secret::check_key(name).map_err(|error| wrong(&error.to_string()))?;
    Ok((number.to_owned(), name.to_owned()))
}

/// Arguments and input files, before any network.
pub(crate) fn check_params(params: &DealParams) -> Result<(), Failure> {
    if let Some(args) = &params.iexec_args {
        split_args(args).map_err(|error| {
            Failure::invalid(format!("--args: {error}")).hint("close the quote, or escape it with \\")
        })?;
    }
    for (number, file) in (1..).zip(&params.iexec_input_files) {
        let url = url::Url::parse(file).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(Failure::invalid(format!("--input-files: {file:?} is not an http or https URL"))
                .hint("separate several URLs with commas; a comma inside one is written %2C"));
        };
        if url.password().is_some() || !url.username().is_empty() {
            return Err(Failure::invalid(format!("--input-files: URL {number} holds a user name or a password"))
                .hint("deal parameters are public for ever: use a link that needs neither"));
        }
    }
    match params.iexec_result_storage_provider.as_deref() {
        None | Some("ipfs") => Ok(()),
        Some(other) => Err(Failure::invalid(format!(
            "--params: iexec_result_storage_provider is {other:?}, and only \"ipfs\" is supported"
        ))
        .hint("leave it out, or write \"ipfs\"")),
    }
}

impl Preflight<'_> {
    /// Checks everything; yields the orders to match.
    pub(crate) async fn run(&self, skip_services: bool) -> Result<Chosen, Failure> {
        let app_owner = self.app_owner().await?;
        let dataset_owner = self.dataset_owner().await?;
        let pool_owner = self.pool_owner().await?;
        if !skip_services {
            self.check_secrets().await?;
            self.check_storage().await?;
        }
        let owners = [app_owner, dataset_owner.unwrap_or_default(), pool_owner.unwrap_or_default()];
        let chosen = self.orders(owners).await?;
        self.check_volumes(&chosen).await?;
        self.check_stakes(&chosen).await?;
        self.check_fee().await?;
        Ok(chosen)
    }

    async fn app_owner(&self) -> Result<Address, Failure> {
        let app = self.remote.chain.view_app(self.wish.app).await?;
        Ok(app.ok_or_else(|| asset::unknown(Kind::App, self.wish.app, self.remote))?.owner)
    }

    async fn dataset_owner(&self) -> Result<Option<Address>, Failure> {
        if self.wish.dataset.is_zero() {
            return Ok(None);
        }
        let dataset = self.remote.chain.view_dataset(self.wish.dataset).await?;
        Ok(Some(dataset.ok_or_else(|| asset::unknown(Kind::Dataset, self.wish.dataset, self.remote))?.owner))
    }

    async fn pool_owner(&self) -> Result<Option<Address>, Failure> {
        if self.wish.workerpool.is_zero() {
            return Ok(None);
        }
        let pool = self.remote.chain.view_workerpool(self.wish.workerpool).await?;
        Ok(Some(pool.ok_or_else(|| asset::unknown(Kind::Workerpool, self.wish.workerpool, self.remote))?.owner))
    }

    async fn check_secrets(&self) -> Result<(), Failure> {
        let beneficiary = self.wish.beneficiary;
        if self.params.encrypts() && !encryption_key::is_set(self.remote, beneficiary).await? {
            let message = format!(
                "the beneficiary {beneficiary} has no result encryption key in the SMS, so its result could not be encrypted"
            );
            return Err(Failure::user("EncryptionKeyNotSet", message).hint(
                "the beneficiary runs `iexec result generate-encryption-keypair`, then `iexec result push-encryption-key`",
            ));
        }
        if self.wish.tag.is_tee() && !self.wish.dataset.is_zero() {
            let asset = self.wish.dataset;
            let hint = "its owner runs `iexec dataset push-secret`";
            self.require(SecretId::Web3 { asset }, format!("the dataset {asset} has no key in the SMS"), hint).await?;
        }
        for (number, name) in &self.params.iexec_secrets {
            let id = SecretId::Requester { requester: self.wish.requester, key: name.clone() };
            let message =
                format!("--secret {number}={name}: {} has no secret of that name in the SMS", self.wish.requester);
            self.require(id, message, &format!("push it with `iexec requester push-secret {name}`")).await?;
        }
        Ok(())
    }

    async fn require(&self, id: SecretId, message: String, hint: &str) -> Result<(), Failure> {
        if self.remote.send(Service::Sms, &SecretExists(id)).await? {
            return Ok(());
        }
        Err(Failure::user("SecretNotSet", message).hint(hint))
    }

    /// Any answer will do: gateways other than ours have no version to tell.
    async fn check_storage(&self) -> Result<(), Failure> {
        if !self.wish.callback.is_zero() {
            return Ok(());
        }
        let url = self.remote.url(Service::Gateway)?;
        match self.remote.client.send(url, &GetVersion).await {
            Ok(_) | Err(CallError::Malformed(_)) => Ok(()),
            Err(CallError::Refused { status, .. }) if status < 500 => Ok(()),
            Err(error) => Err(Remote::failure(Service::Gateway, url, &error)),
        }
    }

    /// The market may lag behind the chain.
    async fn check_volumes(&self, chosen: &Chosen) -> Result<(), Failure> {
        self.check_volume(&chosen.app).await?;
        if !self.wish.dataset.is_zero() {
            self.check_volume(&chosen.dataset).await?;
        }
        self.check_volume(&chosen.workerpool).await
    }

    async fn check_volume<T: Order>(&self, offer: &Offer<T>) -> Result<(), Failure> {
        let Offer::Market(signed) = offer else { return Ok(()) };
        let hash = signed.order.hash(&self.remote.chain.domain());
        let consumed = self.remote.chain.view_consumed(hash).await?;
        if consumed < signed.order.volume() {
            return Ok(());
        }
        let message =
            format!("the {} order {hash} is used up: {consumed} of its volume of {}", T::KIND, signed.order.volume());
        Err(Failure::user("NoMatchingOrder", message).hint("run again: the market will have noticed by then"))
    }

    async fn check_stakes(&self, chosen: &Chosen) -> Result<(), Failure> {
        let stake = self.remote.chain.view_account(self.wish.requester).await?.stake;
        let cost = chosen.cost.per_task;
        if stake < cost {
            let missing = cost - stake;
            let message = format!(
                "the task costs {} RLC and the account has a free stake of {} RLC: {} RLC are missing",
                Currency::Rlc.format(cost),
                Currency::Rlc.format(stake),
                Currency::Rlc.format(missing)
            );
            return Err(
                Failure::user("InsufficientStake", message).hint(format!("`iexec account deposit {missing} nRLC`"))
            );
        }
        let order = chosen.workerpool.order();
        let needed = order.workerpoolprice * U256::from(POOL_STAKE_PERCENT) / U256::from(100);
        if needed.is_zero() {
            return Ok(());
        }
        let pool = self.remote.chain.view_workerpool(order.workerpool).await?;
        let pool = pool.ok_or_else(|| asset::unknown(Kind::Workerpool, order.workerpool, self.remote))?;
        let held = self.remote.chain.view_account(pool.owner).await?.stake;
        if held >= needed {
            return Ok(());
        }
        let message = format!(
            "the owner of the workerpool {} has a free stake of {} RLC, and this task needs {} RLC of it",
            order.workerpool,
            Currency::Rlc.format(held),
            Currency::Rlc.format(needed)
        );
        Err(Failure::user("InsufficientStake", message).hint("choose another pool with --workerpool"))
    }

    async fn check_fee(&self) -> Result<(), Failure> {
        if !self.remote.chain.balances(self.wish.requester).await?.wei.is_zero() {
            return Ok(());
        }
        self.screen.note("Checked: app, keys, storage, orders and stake.");
        let message = format!("the wallet {} has no ether to pay the transaction's fee with", self.wish.requester);
        Err(Failure::user("InsufficientFunds", message).hint("on a local network: `iexec wallet getETH`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_urls_are_checked_before_any_network() {
        let with = |args: Option<&str>, files: &[&str]| DealParams {
            iexec_args: args.map(str::to_owned),
            iexec_input_files: files.iter().map(|file| (*file).to_owned()).collect(),
            ..DealParams::default()
        };
        assert!(check_params(&with(Some("a 'b c'"), &["https://x.org/a", "http://127.0.0.1:1/b"])).is_ok());
        for (args, files) in
            [(Some("'open"), &[][..]), (None, &["ftp://x.org/a"][..]), (None, &["x"]), (None, &["https://"])]
        {
            assert_eq!(check_params(&with(args, files)).unwrap_err().name, "ValidationError");
        }
    }

    #[test]
    fn a_secret_is_a_positive_number_and_a_name() {
        assert_eq!(secret("1=my-key").unwrap(), ("1".to_owned(), "my-key".to_owned()));
        for bad in ["", "1", "0=a", "x=a", "1=a b", "-1=a"] {
            assert!(secret(bad).is_err(), "{bad:?}");
        }
    }
}
