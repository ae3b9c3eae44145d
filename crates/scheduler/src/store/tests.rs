//! The store's promises, on a real file.

use iexec_protocol::{
    Address,
    cause::Cause,
    id::TaskId,
    task::{ChainStatus, Deadlines, Event, Task},
};
use tempfile::TempDir;

use super::{NewDeal, Store};
use crate::{
    admit::tests::deal,
    history::{Entry, Modifier},
};

const WORKER: Address = Address::repeat_byte(3);
const DEADLINES: Deadlines = Deadlines { contribution: 700, claim: 1000 };

async fn store(folder: &TempDir) -> Store {
    Store::open(&folder.path().join("scheduler.sqlite"), "pool A", 5).await.unwrap()
}

fn new_deal(first: Task) -> NewDeal {
    NewDeal { deal: deal(), block: 7, deadlines: DEADLINES, first, message: None }
}

fn first_task() -> TaskId {
    deal().id.task(0)
}

/// Steps the stored task as the driver does.
async fn step(store: &Store, now: u64, event: &Event) {
    let row = store.task(first_task()).await.unwrap().unwrap();
    let (next, _) = row.task.clone().step(now, row.deadlines, event);
    assert!(store.advance(&row, &next, event, Some("words")).await.unwrap());
}

async fn granted(store: &Store) {
    store.keep_deals(&[new_deal(Task::Received)], 8).await.unwrap();
    step(store, 101, &Event::Observed(ChainStatus::Active)).await;
    step(store, 102, &Event::Challenge(Address::ZERO)).await;
    step(store, 103, &Event::Asked { worker: WORKER }).await;
}

#[tokio::test]
async fn the_cursor_starts_where_told_and_moves_with_the_deals_and_a_repeated_deal_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    assert_eq!(store.next_block().await.unwrap(), 5);
    assert_eq!(store.keep_deals(&[new_deal(Task::Received)], 8).await.unwrap(), 1);
    step(&store, 101, &Event::Observed(ChainStatus::Active)).await;
    assert_eq!(store.keep_deals(&[new_deal(Task::Received)], 9).await.unwrap(), 0);
    assert_eq!(store.next_block().await.unwrap(), 9);
    assert_eq!(store.task(first_task()).await.unwrap().unwrap().task, Task::Initialized);
    assert_eq!(store.unfinished().await.unwrap().len(), 2);
    assert_eq!(store.requester(deal().id).await.unwrap(), Some(deal().requester));
    assert!(store.has_deal(deal().id).await.unwrap());
}

#[tokio::test]
async fn a_deal_that_cannot_be_stored_leaves_the_cursor_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut twice = new_deal(Task::Received);
    twice.deal.id = iexec_protocol::id::DealId(iexec_protocol::B256::repeat_byte(2));
    sqlx::query("CREATE TRIGGER full BEFORE INSERT ON tasks WHEN NEW.idx = 1 BEGIN SELECT RAISE(ABORT, 'full'); END")
        .execute(store.sqlite.pool())
        .await
        .unwrap();
    assert!(store.keep_deals(&[new_deal(Task::Received), twice], 8).await.is_err());
    assert_eq!(store.next_block().await.unwrap(), 5);
    assert!(!store.has_deal(deal().id).await.unwrap());
    assert!(store.unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_two_writers_that_read_the_same_version_one_wins_and_the_other_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    granted(&store).await;
    let row = store.task(first_task()).await.unwrap().unwrap();
    let completed = Event::Observed(ChainStatus::Completed);
    assert!(store.advance(&row, &Task::Completed, &completed, None).await.unwrap());
    let failing = Task::Failing { cause: Cause::Unknown };
    assert!(!store.advance(&row, &failing, &Event::Tick, None).await.unwrap());
    assert_eq!(store.task(first_task()).await.unwrap().unwrap().task, Task::Completed);
    let last = store.report(first_task()).await.unwrap().lines.pop().unwrap();
    assert_eq!(last.status, "COMPLETED");
}

#[tokio::test]
async fn a_task_survives_closing_the_store_with_its_state_holder_and_history() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    granted(&first).await;
    let row = first.task(first_task()).await.unwrap();
    first.close().await;
    drop(first);
    let second = store(&folder).await;
    assert_eq!(second.task(first_task()).await.unwrap(), row);
    assert_eq!(second.held_by(WORKER).await.unwrap(), Vec::from_iter(row));
    let lines = second.report(first_task()).await.unwrap().lines;
    let statuses: Vec<_> = lines.iter().map(|line| line.status.as_str()).collect();
    assert_eq!(statuses, ["RECEIVED", "INITIALIZED", "CREATED", "RUNNING"]);
    assert!(lines[0].date.starts_with("20") && lines[0].date.ends_with('Z'), "{}", lines[0].date);
    assert_eq!(lines[2].worker, Some(WORKER));
}

#[tokio::test]
async fn only_ready_tasks_in_time_are_grantable_and_the_most_urgent_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let ready = |not_before| Task::Ready { challenge: Address::ZERO, attempts: 0, not_before };
    let deal_of = |byte: u8, claim, first| {
        let mut new = new_deal(first);
        new.deal.id = iexec_protocol::id::DealId(iexec_protocol::B256::repeat_byte(byte));
        new.deal.bot_size = 1;
        new.deadlines = Deadlines { contribution: claim - 300, claim };
        new
    };
    let deals = [
        deal_of(1, 2000, ready(0)),
        deal_of(2, 1500, ready(0)),
        deal_of(3, 1200, ready(500)),
        deal_of(4, 700, ready(0)),
    ];
    store.keep_deals(&deals, 8).await.unwrap();
    let at = async |now| {
        let rows = store.grantable(now).await.unwrap();
        rows.iter().map(|row| row.deal.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(at(100).await, [4, 2, 1]);
    assert_eq!(at(499).await, [2, 1]);
    assert_eq!(at(500).await, [3, 2, 1]);
}

#[tokio::test]
async fn history_repeats_nothing_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    granted(&store).await;
    for _ in 0..3 {
        store.note(first_task(), &Entry::of_worker(WORKER, "COMPUTING", Modifier::Worker)).await.unwrap();
    }
    assert_eq!(store.report(first_task()).await.unwrap().lines.len(), 5);
    for number in 0..1100 {
        let status = format!("S{number}");
        store.note(first_task(), &Entry::of_worker(WORKER, &status, Modifier::Worker)).await.unwrap();
    }
    assert_eq!(store.report(first_task()).await.unwrap().lines.len(), 1000);
    assert!(store.was_held_by(first_task(), WORKER).await.unwrap());
    assert!(!store.was_held_by(first_task(), Address::ZERO).await.unwrap());
}

#[tokio::test]
async fn a_store_of_another_workerpool_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    first.close().await;
    drop(first);
    let error = Store::open(&folder.path().join("scheduler.sqlite"), "pool B", 5).await.unwrap_err().to_string();
    assert!(error.contains("is of pool A, the configuration says pool B\nhint: "), "{error}");
}

/// What `xtask tidy` compares too: the states of the code and those that the schema lets in.
#[tokio::test]
async fn the_schema_lets_in_every_state_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    store.keep_deals(&[new_deal(Task::Received)], 8).await.unwrap();
    let set =
        async |state: &str| sqlx::query("UPDATE tasks SET state = ?").bind(state).execute(store.sqlite.pool()).await;
    for state in Task::STATES {
        set(state).await.unwrap();
    }
    assert!(set("RUNNING").await.is_err());
}
