//! What the chain says about a task, with iExec's names for what it fails to say.

use iexec_chain::{
    Chain,
    view::{App, Dataset},
};
use iexec_protocol::{
    Address, B256, Timestamp,
    call::sms::SecretId,
    deal::Deal,
    evidence::Nonce,
    id::TaskId,
    secret::RESULT_ENCRYPTION_KEY,
    session::SecretText,
    task::{ChainStatus, ChainTask},
};
use rand::{Rng as _, TryRngCore as _, distr::Alphanumeric};

use super::Refusal;
use crate::{
    description::{Description, Undescribed},
    session::{Secrets, SessionError},
    store::{Store, StoreError},
};

/// The task and its deal (spec SMS-31): a task that was initialised, of a deal that asks for a TEE.
pub(crate) async fn task_and_deal(chain: &Chain, id: TaskId) -> Result<(ChainTask, Deal), Refusal> {
    let task = chain.view_task(id).await.map_err(Refusal::GetTask)?;
    if task.status == ChainStatus::Unset {
        return Err(Refusal::NotActive { status: task.status.name(false) });
    }
    let deal = chain.recent_deal(task.deal).await.map_err(Refusal::GetDeal)?;
    let deal = deal.ok_or(Refusal::NoDeal { task: id, deal: task.deal })?;
    if !deal.tag.is_tee() || deal.tag.framework().is_err() {
        return Err(Refusal::Tag(deal.tag));
    }
    Ok((task, deal))
}

/// The hub's TEE broker, if it has one.
pub(super) async fn broker(chain: &Chain) -> Result<Option<Address>, Refusal> {
    chain.tee_broker().await.map_err(Refusal::GetDeal)
}

/// All that a session says beside secrets.
pub(crate) async fn describe(chain: &Chain, task: ChainTask, deal: Deal) -> Result<Description, Refusal> {
    let app: Option<App> = chain.recent_app(deal.app.pointer).await.map_err(Refusal::GetDeal)?;
    let app = app.ok_or(Undescribed::Unregistered("app"))?;
    let dataset = dataset(chain, &deal).await?;
    let category = chain.recent_category(deal.category).await.map_err(Refusal::GetDeal)?;
    let time_limit = category.ok_or(Undescribed::Unregistered("category"))?.seconds;
    Ok(Description::new(task, deal, app, dataset, time_limit)?)
}

async fn dataset(chain: &Chain, deal: &Deal) -> Result<Option<Dataset>, Refusal> {
    if !deal.has_dataset() {
        return Ok(None);
    }
    let dataset = chain.recent_dataset(deal.dataset.pointer).await.map_err(Refusal::GetDeal)?;
    Ok(Some(dataset.ok_or(Undescribed::Unregistered("dataset"))?))
}

/// The task's secrets, as far as they are kept here. Requester and app secrets that are missing stay out, as with iExec.
pub(super) async fn secrets(
    store: &Store,
    description: &Description,
    challenge: Address,
    worker: Address,
) -> Result<Secrets, Refusal> {
    let deal = &description.deal;
    let own = store.challenge(description.task.id).await?;
    let own = own.ok_or(SessionError::NoChallenge { found: challenge })?;
    let mut requester = std::collections::BTreeMap::new();
    for (number, key) in &description.params.iexec_secrets {
        let id = SecretId::Requester { requester: deal.requester, key: key.clone() };
        if let Some(secret) = store.secret(&id).await? {
            requester.insert(number.clone(), secret);
        }
    }
    let beneficiary = SecretId::Web2 { owner: deal.beneficiary, name: RESULT_ENCRYPTION_KEY.to_owned() };
    let storage_token = match &description.proxy {
        Some(proxy) => store.secret(&SecretId::Storage { worker, proxy: proxy.clone() }).await?,
        None => None,
    };
    Ok(Secrets {
        challenge: own,
        dataset_key: only_if(deal.has_dataset(), store, SecretId::Web3 { asset: deal.dataset.pointer }).await?,
        beneficiary_key: only_if(description.params.encrypts(), store, beneficiary).await?,
        app_developer: store.secret(&SecretId::App { app: deal.app.pointer }).await?,
        requester,
        storage_token,
    })
}

async fn only_if(needed: bool, store: &Store, id: SecretId) -> Result<Option<SecretText>, StoreError> {
    if needed { store.secret(&id).await } else { Ok(None) }
}

/// Seconds in which an offered session must be opened.
pub(super) const SESSION_TIME: Timestamp = 300;

/// A session's id (ten random characters, `0000`, the task) and nonce.
pub(super) fn fresh_session(task: TaskId) -> Result<(String, Nonce), Refusal> {
    let random: String = rand::rng().sample_iter(Alphanumeric).take(10).map(char::from).collect();
    let mut nonce = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut nonce).map_err(|error| Refusal::Internal(error.into()))?;
    Ok((format!("{random}0000{task}"), Nonce(B256::from(nonce))))
}
