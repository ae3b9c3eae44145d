//! What the chain says about a task, with iExec's names for what it fails to say.

use iexec_chain::{
    Chain,
    view::{App, Dataset},
};
use iexec_protocol::{
    Address, B256, Timestamp,
    authorization::{Authorized, WorkerpoolAuthorization},
    call::sms::SecretId,
    deal::Deal,
    evidence::Nonce,
    id::TaskId,
    key::Signature,
    secret::RESULT_ENCRYPTION_KEY,
    task::{ChainStatus, ChainTask},
};
use rand::{Rng as _, TryRngCore as _, distr::Alphanumeric};

use super::Refusal;
use crate::{
    description::{Description, Undescribed},
    session::{Secrets, SessionError},
    store::Store,
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

/// The word that a worker may compute a task, checked (spec SMS-40). The hub may have named its TEE broker a minute ago; a
/// word is refused by what it says now.
pub(super) async fn authorize(
    chain: &Chain,
    authorization: WorkerpoolAuthorization,
    by_worker: &Signature,
    task: &ChainTask,
    deal: &Deal,
) -> Result<Authorized, Refusal> {
    let before = chain.recent_tee_broker().await.map_err(Refusal::GetDeal)?;
    let refused = match authorization.clone().authorize_under(before, by_worker, task, deal) {
        Ok(authorized) => return Ok(authorized),
        Err(refused) => refused,
    };
    let now = chain.tee_broker().await.map_err(Refusal::GetDeal)?;
    if now == before {
        return Err(refused.into());
    }
    Ok(authorization.authorize_under(now, by_worker, task, deal)?)
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
    let wanted = wanted(description, worker);
    let ids: Vec<&SecretId> = wanted.iter().map(|(_, id)| id).collect();
    let (own, found) = store.task_secrets(description.task.id, &ids).await?;
    let mut secrets = Secrets::of(own.ok_or(SessionError::NoChallenge { found: challenge })?);
    for ((purpose, _), value) in wanted.into_iter().zip(found) {
        match purpose {
            Purpose::Dataset => secrets.dataset_key = value,
            Purpose::Beneficiary => secrets.beneficiary_key = value,
            Purpose::App => secrets.app_developer = value,
            Purpose::Storage => secrets.storage_token = value,
            Purpose::Requester(number) => secrets.requester.extend(value.map(|value| (number, value))),
        }
    }
    Ok(secrets)
}

/// What a task needs a secret for.
enum Purpose {
    Dataset,
    Beneficiary,
    App,
    Storage,
    /// The number that the app reads it under.
    Requester(String),
}

/// The secrets that a task's deal entitles to.
fn wanted(description: &Description, worker: Address) -> Vec<(Purpose, SecretId)> {
    let deal = &description.deal;
    let mut wanted = vec![(Purpose::App, SecretId::App { app: deal.app.pointer })];
    if deal.has_dataset() {
        wanted.push((Purpose::Dataset, SecretId::Web3 { asset: deal.dataset.pointer }));
    }
    if description.params.encrypts() {
        let name = RESULT_ENCRYPTION_KEY.to_owned();
        wanted.push((Purpose::Beneficiary, SecretId::Web2 { owner: deal.beneficiary, name }));
    }
    if let Some(proxy) = &description.proxy {
        wanted.push((Purpose::Storage, SecretId::Storage { worker, proxy: proxy.clone() }));
    }
    for (number, key) in &description.params.iexec_secrets {
        let id = SecretId::Requester { requester: deal.requester, key: key.clone() };
        wanted.push((Purpose::Requester(number.clone()), id));
    }
    wanted
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
