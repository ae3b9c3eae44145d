//! Rows of docs/performance.md.

use std::time::Duration;

use crate::{database::Database, exchange::Measured};

/// Head of the table of exchanges.
pub(crate) const HEAD: &str =
    "| database | what | connections | per second | p50 | p99 | CPU of the SMS, each |\n|---|---|---|---|---|---|---|";
/// Head of the table of floors.
pub(crate) const FLOORS: &str = "| floor on this machine | per second |\n|---|---|";

/// One line: of each figure the median of all rounds.
pub(crate) fn row(database: &Database, what: &str, connections: usize, rounds: &[Measured]) {
    let rate = median(rounds.iter().map(Measured::per_second));
    let [p50, p99] = [50, 99].map(|percent| median(rounds.iter().map(|round| millis(round.percentile(percent)))));
    let cpu = median(rounds.iter().map(|round| millis(round.cpu) * 1000.0 / count(round)));
    println!("| {} | {what} | {connections} | {rate:.0} | {p50:.2} ms | {p99:.2} ms | {cpu:.0} µs |", database.name());
}

/// Memory of the service before and after the load.
pub(crate) fn memory(database: &Database, stored: u64, idle: u64, loaded: u64) {
    let [idle, loaded] = [idle, loaded].map(|bytes| bytes / 1_000_000);
    println!(
        "| {} | memory (PSS), {stored} stored | | idle {idle} MB, after the load {loaded} MB | | | |",
        database.name()
    );
}

/// A floor.
pub(crate) fn floor(what: &str, per_second: f64) {
    println!("| {what} | {per_second:.0} |");
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵²")]
fn count(round: &Measured) -> f64 {
    round.latencies.len() as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
