//! Whether a deal can be computed by this pool at all, decided once when it is read (spec T3).

use iexec_protocol::{Address, cause::Cause, deal::Deal, task::Task};

/// What this pool can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// Who signs its authorizations.
    pub(crate) owner: Address,
    /// Whether it has an SMS.
    pub(crate) has_sms: bool,
}

/// The first state of a deal's tasks, and the reason in words when nobody will compute them.
pub(crate) fn admit(deal: &Deal, pool: Pool) -> (Task, Option<String>) {
    match refusal(deal, pool) {
        Some((cause, why)) => (Task::Failing { cause }, Some(why)),
        None => (Task::Received, None),
    }
}

fn refusal(deal: &Deal, pool: Pool) -> Option<(Cause, String)> {
    check_trust(deal)
        .or_else(|| check_params(deal))
        .or_else(|| check_tag(deal, pool))
        .or_else(|| check_owner(deal, pool))
}

fn check_trust(deal: &Deal) -> Option<(Cause, String)> {
    let why = || format!("the deal asks for trust {}; this pool finalises deals of trust 0 or 1", deal.trust);
    (deal.trust > 1).then(|| (Cause::TrustNotOne, why()))
}

fn check_params(deal: &Deal) -> Option<(Cause, String)> {
    deal.params().err().map(|error| (Cause::TaskDescriptionInvalid, error.to_string()))
}

fn check_tag(deal: &Deal, pool: Pool) -> Option<(Cause, String)> {
    if let Err(error) = deal.tag.framework() {
        return Some((Cause::SessionNoMatchOnchainType, error.to_string()));
    }
    let why = || format!("the deal's tag is {}; this pool has no SMS and no enclaves", deal.tag);
    (deal.tag.is_tee() && !pool.has_sms).then(|| (Cause::TeeNotSupported, why()))
}

fn check_owner(deal: &Deal, pool: Pool) -> Option<(Cause, String)> {
    let (expected, owner) = (deal.workerpool.owner, pool.owner);
    let why = || format!("the deal was made when {expected} owned the workerpool; this scheduler signs as {owner}");
    (expected != owner).then(|| (Cause::SessionInvalidSignature, why()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use iexec_protocol::{B256, U256, deal::Resource, id::DealId, tag::Tag};

    const OWNER: Address = Address::repeat_byte(9);
    const POOL: Pool = Pool { owner: OWNER, has_sms: true };

    pub(crate) fn deal() -> Deal {
        let resource = Resource { owner: OWNER, ..Resource::default() };
        Deal {
            id: DealId(B256::repeat_byte(1)),
            app: resource,
            dataset: Resource::default(),
            workerpool: resource,
            trust: 1,
            category: 0,
            tag: Tag::TEE,
            requester: Address::repeat_byte(5),
            beneficiary: Address::repeat_byte(5),
            callback: Address::ZERO,
            params: r#"{"iexec_args":"x"}"#.into(),
            start_time: 100,
            bot_first: 0,
            bot_size: 2,
            worker_stake: U256::ZERO,
            scheduler_reward_ratio: 1,
            sponsor: Address::ZERO,
        }
    }

    fn refused(change: impl FnOnce(&mut Deal), pool: Pool) -> Option<Cause> {
        let mut deal = deal();
        change(&mut deal);
        let (task, why) = admit(&deal, pool);
        assert_eq!(task.cause().is_some(), why.is_some());
        task.cause()
    }

    #[test]
    fn a_deal_that_no_worker_could_finish_fails_before_it_is_initialised_and_says_why() {
        assert_eq!(refused(|_| (), POOL), None);
        assert_eq!(refused(|deal| deal.trust = 0, POOL), None);
        assert_eq!(refused(|deal| deal.params = String::new(), POOL), None);
        assert_eq!(refused(|deal| deal.trust = 2, POOL), Some(Cause::TrustNotOne));
        let unclear = r#"{"iexec_result_encryption":"maybe"}"#;
        assert_eq!(refused(|deal| deal.params = unclear.into(), POOL), Some(Cause::TaskDescriptionInvalid));
        let mut two = Tag::TEE_SCONE;
        two.0.0[31] |= 0b1000;
        assert_eq!(refused(|deal| deal.tag = two, POOL), Some(Cause::SessionNoMatchOnchainType));
        let none = Pool { has_sms: false, ..POOL };
        assert_eq!(refused(|_| (), none), Some(Cause::TeeNotSupported));
        assert_eq!(refused(|deal| deal.tag = Tag::NONE, none), None);
        let sold = Pool { owner: Address::ZERO, ..POOL };
        assert_eq!(refused(|_| (), sold), Some(Cause::SessionInvalidSignature));
    }
}
