//! What the chain says about a granted task. The scheduler's word is checked against it before anything is fetched.

use std::{future::Future, time::Duration};

use iexec_chain::{
    Chain, ChainError,
    view::{App, Dataset},
};
use iexec_protocol::{
    Address,
    authorization::WorkerpoolAuthorization,
    cause::Cause,
    deal::Deal,
    id::Sha256,
    params::DealParams,
    task::{ChainStatus, ChainTask},
};
use tokio::time::Instant;

use crate::failure::Failure;

/// A granted task, its deal and its app, read from the chain and found fit to be computed.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The task.
    pub task: ChainTask,
    /// Its deal.
    pub deal: Deal,
    /// The deal's parameters.
    pub params: DealParams,
    /// Its app.
    pub app: App,
    /// Its dataset, if it has one.
    pub dataset: Option<Dataset>,
    /// Seconds left for the contribution when this was read.
    pub seconds_left: u64,
}

impl Facts {
    /// The app image's digest.
    pub fn checksum(&self) -> Sha256 {
        Sha256(self.app.checksum)
    }
}

/// Reads all about the task and checks that this worker may and can compute it.
pub async fn read(chain: &Chain, authorization: &WorkerpoolAuthorization, me: Address) -> Result<Facts, Failure> {
    let id = authorization.deal_id;
    let (task, deal, now) = tokio::try_join!(
        patiently(|| chain.view_task(authorization.chain_task_id)),
        patiently(|| chain.view_deal(id)),
        patiently(|| chain.block_timestamp()),
    )?;
    let deal = deal.ok_or_else(|| Failure::new(Cause::TaskDescriptionInvalid, format!("deal {id} is not on chain")))?;
    check(authorization, &task, &deal, me, now)?;
    let params = deal.params().map_err(Failure::of(Cause::TaskDescriptionInvalid))?;
    let (app, dataset) = tokio::try_join!(patiently(|| chain.view_app(deal.app.pointer)), dataset(chain, &deal))?;
    let absent = || Failure::new(Cause::TaskDescriptionInvalid, format!("app {} is not on chain", deal.app.pointer));
    let app = app.ok_or_else(absent)?;
    let seconds_left = task.contribution_deadline.saturating_sub(now);
    Ok(Facts { task, deal, params, app, dataset, seconds_left })
}

async fn dataset(chain: &Chain, deal: &Deal) -> Result<Option<Dataset>, ChainError> {
    if !deal.has_dataset() {
        return Ok(None);
    }
    patiently(|| chain.view_dataset(deal.dataset.pointer)).await
}

fn check(
    authorization: &WorkerpoolAuthorization,
    task: &ChainTask,
    deal: &Deal,
    me: Address,
    now: u64,
) -> Result<(), Failure> {
    let refuse = |holds: bool, cause, text: String| if holds { Ok(()) } else { Err(Failure::new(cause, text)) };
    let signer = authorization.signature.value.signer_of_personal(authorization.hash());
    let (granted, pool) = (authorization.worker_wallet, deal.workerpool.owner);
    let status = task.status.name(false);
    refuse(
        granted == me,
        Cause::SessionInvalidAuthorization,
        format!("the grant is for worker {granted}, this one is {me}"),
    )?;
    refuse(
        task.deal == deal.id,
        Cause::TaskDescriptionInvalid,
        format!("task {} is of deal {}, not {}", task.id, task.deal, deal.id),
    )?;
    refuse(
        task.status == ChainStatus::Active,
        Cause::TaskNotActive,
        format!("the task must be ACTIVE on chain, it is {status}"),
    )?;
    refuse(
        signer == Some(pool),
        Cause::SessionInvalidSignature,
        format!("the grant is not signed by the workerpool owner {pool}"),
    )?;
    refuse(
        deal.tag.is_tee(),
        Cause::TeeNotSupported,
        format!("tag {} asks for no TEE; this worker computes TEE tasks only", deal.tag),
    )?;
    refuse(
        !authorization.enclave_challenge.is_zero(),
        Cause::SessionChallengeMismatch,
        "the grant names no enclave challenge".into(),
    )?;
    refuse(
        deal.trust <= 1,
        Cause::TrustNotOne,
        format!("the deal asks for trust {}; one transaction ends only deals of trust 1", deal.trust),
    )?;
    refuse(
        now < task.contribution_deadline,
        Cause::ContributionTimeout,
        format!("contributions ended at {}, it is {now}", task.contribution_deadline),
    )
}

/// How long a chain that is away is asked again.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks again, with growing pauses, while the chain is away.
pub async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, ChainError>
where
    F: Future<Output = Result<T, ChainError>>,
{
    let (deadline, mut pause) = (Instant::now() + PATIENCE, Duration::from_millis(200));
    loop {
        match ask().await {
            Err(error) if error.is_transient() && Instant::now() + pause < deadline => {
                tracing::debug!("{error}; again in {pause:?}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iexec_protocol::{
        B256,
        authorization::TaskRef,
        deal::Resource,
        id::{DealId, TaskId},
        key::SigningKey,
        tag::Tag,
    };

    const ME: Address = Address::repeat_byte(4);

    fn pool() -> SigningKey {
        SigningKey::from_bytes(&[7; 32]).unwrap()
    }

    fn fit() -> (WorkerpoolAuthorization, ChainTask, Deal) {
        let id = DealId(B256::repeat_byte(2));
        let reference = TaskRef { id: id.task(0), deal: id, index: 0 };
        let authorization = WorkerpoolAuthorization::sign(&reference, ME, Address::repeat_byte(5), &pool()).unwrap();
        let task = ChainTask {
            id: reference.id,
            status: ChainStatus::Active,
            deal: id,
            index: 0,
            time_reference: 300,
            contribution_deadline: 2000,
            reveal_deadline: 2000,
            final_deadline: 3000,
            consensus: B256::ZERO,
            reveal_counter: 0,
            winner_counter: 0,
            contributors: vec![],
            result_digest: B256::ZERO,
            results: vec![].into(),
            results_timestamp: 0,
            results_callback: vec![].into(),
        };
        let deal = Deal {
            id,
            app: Resource::default(),
            dataset: Resource::default(),
            workerpool: Resource { owner: pool().address(), ..Resource::default() },
            trust: 1,
            category: 0,
            tag: Tag::TEE,
            requester: Address::ZERO,
            beneficiary: Address::ZERO,
            callback: Address::ZERO,
            params: String::new(),
            start_time: 0,
            bot_first: 0,
            bot_size: 1,
            worker_stake: iexec_protocol::U256::ZERO,
            scheduler_reward_ratio: 0,
            sponsor: Address::ZERO,
        };
        (authorization, task, deal)
    }

    #[test]
    fn a_task_is_computed_only_when_the_chain_agrees_with_the_grant() {
        type Case = (fn(&mut WorkerpoolAuthorization, &mut ChainTask, &mut Deal), Cause);
        let cases: [Case; 8] = [
            (|a, _, _| a.worker_wallet = Address::ZERO, Cause::SessionInvalidAuthorization),
            (|_, t, _| t.deal = DealId::default(), Cause::TaskDescriptionInvalid),
            (|_, t, _| t.status = ChainStatus::Completed, Cause::TaskNotActive),
            (|a, _, _| a.chain_task_id = TaskId::default(), Cause::SessionInvalidSignature),
            (|_, _, d| d.workerpool.owner = Address::ZERO, Cause::SessionInvalidSignature),
            (|_, _, d| d.tag = Tag::NONE, Cause::TeeNotSupported),
            (|_, _, d| d.trust = 2, Cause::TrustNotOne),
            (|_, t, _| t.contribution_deadline = 1000, Cause::ContributionTimeout),
        ];
        let (authorization, task, deal) = fit();
        assert_eq!(check(&authorization, &task, &deal, ME, 1000), Ok(()));
        for (spoil, cause) in cases {
            let (mut authorization, mut task, mut deal) = fit();
            spoil(&mut authorization, &mut task, &mut deal);
            assert_eq!(check(&authorization, &task, &deal, ME, 1000).unwrap_err().cause, cause);
        }
    }
}
