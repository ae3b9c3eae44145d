//! Exchanges with the market that several commands share: log in, publish, take out, find.

use std::marker::PhantomData;

use http::{Request, Response, StatusCode};
use iexec_chain::Wallet;
use iexec_protocol::{
    call::market::{
        FindOrders, GetMarketChallenge, Page, PublishOrder, Published, Target, UnpublishOrders, collection,
    },
    call::{Call, CallError, refusal},
    id::OrderHash,
    key::KeyError,
    order::{Order, Signed, Unverified},
    typed_data::{LoginChallenge, LoginHeader},
};

use crate::{
    failure::Failure,
    remote::{Remote, Service},
};

/// Signs an order with the wallet.
pub(crate) fn sign<T: Order>(remote: &Remote, wallet: &Wallet, order: T) -> Result<Signed<T>, Failure> {
    let signed = Signed::sign(order, &remote.chain.domain(), wallet.key());
    signed.map_err(|error: KeyError| Failure::ours("SigningError", error.to_string()))
}

/// Publishes a signed order.
pub(crate) async fn publish<T>(remote: &Remote, wallet: &Wallet, order: Unverified<T>) -> Result<OrderHash, Failure>
where
    T: Order + Send + Sync,
{
    let header = login(remote, wallet).await?;
    remote.send(Service::Market, &PublishOrder { chain_id: remote.network.id, order, header }).await
}

/// Takes orders out of the book.
pub(crate) async fn unpublish(
    remote: &Remote,
    wallet: &Wallet,
    kind: &'static str,
    target: Target,
) -> Result<Vec<OrderHash>, Failure> {
    let header = login(remote, wallet).await?;
    remote.send(Service::Market, &UnpublishOrders { kind, chain_id: remote.network.id, target, header }).await
}

/// The orders that fit, best first.
pub(crate) async fn find<T: Order>(
    remote: &Remote,
    filters: Vec<(&'static str, String)>,
) -> Result<Vec<Published<T>>, Failure> {
    let page = find_page(remote, T::KIND, filters).await?;
    let read = page.read::<T>();
    read.map_err(|error| {
        Remote::failure(Service::Market, remote.url_if_any(Service::Market).unwrap_or_default(), &error)
    })
}

/// The same, as the market writes them.
pub(crate) async fn find_page(
    remote: &Remote,
    kind: &'static str,
    filters: Vec<(&'static str, String)>,
) -> Result<Page, Failure> {
    remote.send(Service::Market, &FindOrders { kind, chain_id: remote.network.id, filters }).await
}

/// The market's order of this hash.
pub(crate) async fn find_one<T: Order + Send + Sync>(
    remote: &Remote,
    hash: OrderHash,
) -> Result<Published<T>, Failure> {
    let call = FindOrder::<T>::new(remote.network.id, hash);
    match remote.send(Service::Market, &call).await? {
        Some(found) => Ok(found),
        None => Err(Failure::absent(format!("the market has no {} order {hash}", T::KIND))
            .hint("publish it first, or check the hash and --chain")),
    }
}

/// Answers the market's challenge. Only a sentence under a domain without a contract is ever signed.
async fn login(remote: &Remote, wallet: &Wallet) -> Result<LoginHeader, Failure> {
    let asked = GetMarketChallenge { chain_id: remote.network.id, address: wallet.address() };
    let data = remote.send(Service::Market, &asked).await?;
    answer(&data, remote, wallet, Service::Market)
}

/// Signs a service's login challenge, if it is one and for this chain.
pub(crate) fn answer(
    data: &serde_json::Value,
    remote: &Remote,
    wallet: &Wallet,
    service: Service,
) -> Result<LoginHeader, Failure> {
    let url = remote.url(service)?;
    let strange = |what: String| Failure::ours("LoginError", format!("{url} {what}")).hint("nothing was signed");
    let challenge = LoginChallenge::from_typed_data(data).ok_or_else(|| strange("sent no login challenge".into()))?;
    if challenge.chain_id != remote.network.id {
        return Err(strange(format!(
            "asks for a login on chain {}, this is chain {}",
            challenge.chain_id, remote.network.id
        )));
    }
    challenge.answer(wallet.key()).map_err(|error| Failure::ours("SigningError", error.to_string()))
}

/// `GET /{kind}orders/{hash}`: one order; `None` when the market does not know it.
pub(crate) struct FindOrder<T> {
    chain_id: u64,
    hash: OrderHash,
    kind: PhantomData<fn() -> T>,
}

impl<T> FindOrder<T> {
    pub(crate) const fn new(chain_id: u64, hash: OrderHash) -> Self {
        Self { chain_id, hash, kind: PhantomData }
    }
}

impl<T: Order> Call for FindOrder<T> {
    type Reply = Option<Published<T>>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let Self { chain_id, hash, .. } = self;
        let url = format!("{}/{}/{hash}?chainId={chain_id}", base.trim_end_matches('/'), collection(T::KIND));
        Request::get(url).body(Vec::new()).map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Self::Reply, CallError> {
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => serde_json::from_slice(response.body())
                .map(Some)
                .map_err(|error| CallError::Malformed(error.to_string())),
            _ => Err(refusal(&response)),
        }
    }
}
