//! A task as the SDK's `task show` prints it, and as people read it.

use iexec_protocol::{
    Address, Timestamp,
    id::{DealId, TaskId},
    result::ResultLink,
    task::{ChainStatus, ChainTask},
};
use serde::Serialize;

/// The SDK's task object; numbers but the status are decimal strings.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskView {
    pub(crate) taskid: TaskId,
    status: u8,
    pub(crate) status_name: &'static str,
    pub(crate) dealid: DealId,
    idx: String,
    timeref: String,
    contribution_deadline: String,
    reveal_deadline: String,
    final_deadline: String,
    consensus_value: String,
    reveal_counter: String,
    winner_counter: String,
    contributors: Vec<Address>,
    result_digest: String,
    results: Results,
    results_timestamp: String,
    results_callback: String,
    pub(crate) task_timed_out: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Results {
    storage: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    location: String,
}

/// A task that nobody initialised has neither deal nor deadlines on chain: those of its deal stand in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfDeal {
    pub(crate) deal: DealId,
    pub(crate) index: u64,
    pub(crate) final_deadline: Timestamp,
}

/// Whether an unfinished task is past its deadline.
pub(crate) fn timed_out(task: &ChainTask, deadline: Timestamp, now: Timestamp) -> bool {
    let unfinished = matches!(task.status, ChainStatus::Unset | ChainStatus::Active | ChainStatus::Revealing);
    unfinished && deadline > 0 && now >= deadline
}

impl TaskView {
    pub(crate) fn new(task: &ChainTask, of_deal: Option<OfDeal>, now: Timestamp) -> Self {
        let unset = task.status == ChainStatus::Unset;
        let of_deal = of_deal.filter(|_| unset);
        let final_deadline = of_deal.map_or(task.final_deadline, |of_deal| of_deal.final_deadline);
        let task_timed_out = timed_out(task, final_deadline, now);
        let (storage, location) = ResultLink::from_bytes(&task.results).parts();
        Self {
            taskid: task.id,
            status: task.status.code(),
            status_name: task.status.name(task_timed_out),
            dealid: of_deal.map_or(task.deal, |of_deal| of_deal.deal),
            idx: of_deal.map_or(task.index, |of_deal| of_deal.index).to_string(),
            timeref: task.time_reference.to_string(),
            contribution_deadline: task.contribution_deadline.to_string(),
            reveal_deadline: task.reveal_deadline.to_string(),
            final_deadline: final_deadline.to_string(),
            consensus_value: task.consensus.to_string(),
            reveal_counter: task.reveal_counter.to_string(),
            winner_counter: task.winner_counter.to_string(),
            contributors: task.contributors.clone(),
            result_digest: task.result_digest.to_string(),
            results: Results { storage, location },
            results_timestamp: task.results_timestamp.to_string(),
            results_callback: task.results_callback.to_string(),
            task_timed_out,
        }
    }

    /// Whether `task claim` gives the requester's stake back now.
    pub(crate) fn is_claimable(&self) -> bool {
        self.task_timed_out
    }

    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("task", self.taskid.to_string()),
            ("status", self.status_name.to_owned()),
            ("deal", self.dealid.to_string()),
            ("index", self.idx.clone()),
            ("final deadline", moment(&self.final_deadline)),
        ];
        rows.extend(self.contributors.iter().map(|worker| ("contributor", worker.to_string())));
        if self.results.storage != "none" {
            rows.push(("result", format!("{} {}", self.results.storage, self.results.location)));
            rows.push(("result digest", self.result_digest.clone()));
        }
        rows
    }
}

/// A Unix time in UTC.
fn moment(seconds: &str) -> String {
    match seconds.parse::<i64>() {
        Ok(0) | Err(_) => "not set".into(),
        Ok(seconds) => utc(seconds),
    }
}

/// `2026-01-02 03:04:05 UTC` (proleptic Gregorian calendar; days counted from 0000-03-01).
pub(crate) fn utc(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(1_795_388_420), "2026-11-22 23:00:20 UTC");
    }
}
