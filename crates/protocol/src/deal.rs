//! A deal: four orders that matched on chain (`IexecLibCore_v5.Deal`).

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    id::{DealId, TaskId},
    params::{DealParams, ParamsError},
    tag::Tag,
    task::Deadlines,
};

/// `PoCo`'s constants: deadlines are these multiples of the category's time.
pub mod ratio {
    /// Contribution deadline.
    pub const CONTRIBUTION: u64 = 7;
    /// Final deadline.
    pub const FINAL: u64 = 10;
}

/// An asset of a deal with its owner at the time and its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The asset's contract; zero for «no dataset».
    pub pointer: Address,
    /// Owner when the deal was made.
    pub owner: Address,
    /// nRLC per task.
    #[serde(with = "crate::decimal")]
    pub price: U256,
}

/// A deal as the hub's `viewDeal` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// Its id.
    pub id: DealId,
    /// The app.
    pub app: Resource,
    /// The dataset, pointer zero if none.
    pub dataset: Resource,
    /// The workerpool.
    pub workerpool: Resource,
    /// Trust asked for; 0 counts as 1.
    pub trust: u64,
    /// Time category.
    pub category: u64,
    /// Requirements.
    pub tag: Tag,
    /// Who pays.
    pub requester: Address,
    /// Who may read the result.
    pub beneficiary: Address,
    /// Called with the result; zero for none.
    pub callback: Address,
    /// Parameters, as text.
    pub params: String,
    /// When it was made.
    pub start_time: Timestamp,
    /// Index of the first task.
    pub bot_first: u64,
    /// Number of tasks.
    pub bot_size: u64,
    /// nRLC that a worker locks.
    pub worker_stake: U256,
    /// Percent for the scheduler.
    pub scheduler_reward_ratio: u64,
    /// Who pays if not the requester.
    pub sponsor: Address,
}

impl Deal {
    /// Its tasks, with their indexes.
    pub fn tasks(&self) -> impl Iterator<Item = (u64, TaskId)> + '_ {
        (self.bot_first..self.bot_first.saturating_add(self.bot_size)).map(|index| (index, self.id.task(index)))
    }

    /// The parameters, read.
    pub fn params(&self) -> Result<DealParams, ParamsError> {
        DealParams::parse(&self.params)
    }

    /// Whether it has a dataset.
    pub fn has_dataset(&self) -> bool {
        !self.dataset.pointer.is_zero()
    }

    /// Whether the result goes to a contract instead of a storage.
    pub fn has_callback(&self) -> bool {
        !self.callback.is_zero()
    }

    /// After this, whoever wants may claim unfinished tasks.
    pub fn final_deadline(&self, category_seconds: u64) -> Timestamp {
        self.deadlines(category_seconds).claim
    }

    /// When its tasks' time is up; the hub computes the same when a task is initialised.
    pub fn deadlines(&self, category_seconds: u64) -> Deadlines {
        let after = |ratio| self.start_time.saturating_add(category_seconds.saturating_mul(ratio));
        Deadlines { contribution: after(ratio::CONTRIBUTION), claim: after(ratio::FINAL) }
    }
}
