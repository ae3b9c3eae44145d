//! Rows of docs/performance.md.

use std::time::Duration;

use crate::{database::Database, exchange::Measured, usage::Usage};

/// Head of the table of exchanges.
pub(crate) const HEAD: &str = "| database | what | connections | per second | p50 | p99 | CPU of the SMS / of PostgreSQL, each |\n|---|---|---|---|---|---|---|";
/// Head of the table of floors.
pub(crate) const FLOORS: &str = "| floor on this machine | per second |\n|---|---|";

/// One line: of each figure the median of all rounds.
pub(crate) fn row(database: &Database, what: &str, connections: usize, rounds: &[Measured]) {
    let rate = median(rounds.iter().map(Measured::per_second));
    let [p50, p99] = [50, 99].map(|percent| median(rounds.iter().map(|round| millis(round.percentile(percent)))));
    let [cpu, database_cpu] = [|round: &Measured| round.cpu, |round: &Measured| round.database_cpu]
        .map(|cpu| median(rounds.iter().map(|round| millis(cpu(round)) * 1000.0 / count(round))));
    let name = database.name();
    println!(
        "| {name} | {what} | {connections} | {rate:.0} | {p50:.2} ms | {p99:.2} ms | {cpu:.0} / {database_cpu:.0} µs |"
    );
}

/// How often in a second both can be done, one after the other.
pub(crate) fn both(database: &Database, what: &str, connections: usize, first: &[Measured], then: &[Measured]) {
    let rates = first.iter().zip(then).map(|(first, then)| 1.0 / (1.0 / first.per_second() + 1.0 / then.per_second()));
    println!("| {} | {what} | {connections} | {:.0} | | | |", database.name(), median(rates));
}

/// Memory of the service, and of a database beside it.
pub(crate) fn memory(database: &Database, what: &str, service: Usage, server: Usage) {
    let [service, server] = [service, server].map(|usage| usage.memory / 1_000_000);
    println!("| {} | {what} (PSS): SMS / PostgreSQL | | {service} MB / {server} MB | | | |", database.name());
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
