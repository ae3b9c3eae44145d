//! Attacks on the secrets of apps and datasets, on a real chain.

use iexec_chain::devnet::DevAccount;
use iexec_protocol::{Address, call::sms::SecretId};

use crate::{
    common::{Network, Service, config, key},
    request::{Ask, Raw, answer},
};

/// The same with the signature of another account.
fn by(ask: &Ask, account: DevAccount) -> Raw {
    let header = ask.terms.clone().sign(&ask.subject, ask.chain_id, &key(account)).unwrap();
    ask.tampered(|sent| sent.authorization = Some(header.to_string()))
}

#[tokio::test]
async fn only_the_owner_on_chain_of_a_registered_asset_speaks_for_it() {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sms = Service::start(config(&network.anvil.url(), &folder)).await;
    let (app, asset) = (network.app().await, network.dataset().await);
    let pool = network.writer(DevAccount::Scheduler).deploy_workerpool("pool".into()).await.unwrap().address;
    let (app_owner, dataset_owner) = (DevAccount::Requester(0), DevAccount::Requester(1));
    let put = |id: &SecretId, version| Ask::put(&sms, id, "v", version);
    let of_app = |app| SecretId::App { app };
    let of_dataset = |asset| SecretId::Web3 { asset };
    let wallet = key(app_owner).address();
    for (name, request, cause) in [
        ("another wallet for an app", by(&put(&of_app(app), 1), dataset_owner), "401 signer"),
        ("another wallet for a dataset", by(&put(&of_dataset(asset), 1), app_owner), "401 signer"),
        ("a dataset as an app", by(&put(&of_app(asset), 1), dataset_owner), "404 unregistered"),
        ("an app as a dataset", by(&put(&of_dataset(app), 1), app_owner), "404 unregistered"),
        (
            "a contract with an owner that is neither",
            by(&put(&of_app(pool), 1), DevAccount::Scheduler),
            "404 unregistered",
        ),
        ("a wallet as an app", by(&put(&of_app(wallet), 1), app_owner), "404 unregistered"),
        ("nothing as a dataset", by(&put(&of_dataset(Address::ZERO), 1), app_owner), "404 unregistered"),
        ("the owner for its app", by(&put(&of_app(app), 1), app_owner), "200"),
        ("the owner for its dataset", by(&put(&of_dataset(asset), 1), dataset_owner), "200"),
        ("another wallet's delete", by(&Ask::delete(&sms, &of_app(app), 1), dataset_owner), "401 signer"),
        (
            "another wallet's list",
            by(&Ask::list(&sms, app, Some(iexec_protocol::secret::SecretKind::App)), dataset_owner),
            "401 signer",
        ),
        ("a list of an app without its kind", by(&Ask::list(&sms, app, None), app_owner), "401 signer"),
        ("the owner's rotation", by(&put(&of_app(app), 2), app_owner), "200"),
        ("the owner's delete", by(&Ask::delete(&sms, &of_app(app), 2), app_owner), "204"),
    ] {
        assert_eq!(answer(&network.client, &sms, &request).await, cause, "{name}");
    }
}
