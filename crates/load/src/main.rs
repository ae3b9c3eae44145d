//! Measures the SMS under load: a child process of its own on each database, asked over kept connections.
//!
//! The load is made by one thread, with requests that were signed before the clock started; on a machine of two cores
//! the other one is the service's. What it is not: no test; an answer that is not the expected one ends it.

#![allow(clippy::print_stdout, reason = "the table is the answer")]

mod database;
mod exchange;
mod fill;
mod floors;
mod postgres;
mod report;
mod requests;
mod service;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;

use crate::{
    database::{Database, Kind},
    exchange::{Load, Measured},
    service::Service,
};

/// Measure an SMS under load, and print a table
#[derive(Parser)]
struct Flags {
    /// The program `iexecd`, built for release
    iexecd: PathBuf,
    /// Databases to measure on
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sqlite", "postgres"])]
    databases: Vec<Kind>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Repetitions, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that are open at once
    #[arg(long, value_delimiter = ',', default_values = ["1", "64", "1024"])]
    connections: Vec<usize>,
    /// Secrets stored in the small and in the large store
    #[arg(long, value_delimiter = ',', default_values = ["1000", "1000000"])]
    stored: Vec<u64>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&flags))
}

async fn measure(flags: &Flags) -> Result<()> {
    println!("{}", report::HEAD);
    for kind in &flags.databases {
        let database = Database::make(*kind)?;
        // Makes the schema.
        Service::start(&flags.iexecd, &database).await?.stop()?;
        for stored in &flags.stored {
            fill::fill(&database, *stored).await?;
            at_size(flags, &database, *stored).await?;
        }
    }
    println!("\n{}", report::FLOORS);
    floors::print()
}

async fn at_size(flags: &Flags, database: &Database, stored: u64) -> Result<()> {
    let service = Service::start(&flags.iexecd, database).await?;
    let idle = service.memory()?;
    let checks = requests::checks(stored, &service)?;
    for connections in &flags.connections {
        let load = Load { requests: &checks, once: false, connections: *connections, expected: 204, time: time(flags) };
        rounds(flags, &service, &format!("check, {stored} stored"), *connections, database, || Ok(load)).await?;
    }
    for connections in &flags.connections {
        // One connection waits for the disk each time.
        let most = if *connections == 1 { 2_000 } else { 8_000 } * usize::try_from(flags.seconds)?;
        let what = format!("push, {stored} stored before");
        let mut all = (0..flags.rounds).map(|_| requests::pushes(most, &service)).collect::<Result<Vec<_>>>()?;
        let mut done = Vec::new();
        for pushes in &mut all {
            let load =
                Load { requests: pushes, once: true, connections: *connections, expected: 204, time: time(flags) };
            done.push(one(&service, &load).await?);
        }
        report::row(database, &what, *connections, &done);
    }
    report::memory(database, stored, idle, service.memory()?);
    service.stop()
}

async fn rounds<'a>(
    flags: &Flags,
    service: &Service,
    what: &str,
    connections: usize,
    database: &Database,
    load: impl Fn() -> Result<Load<'a>>,
) -> Result<()> {
    let mut done = Vec::new();
    for _ in 0..flags.rounds {
        done.push(one(service, &load()?).await?);
    }
    report::row(database, what, connections, &done);
    Ok(())
}

/// One measurement, with the processor time that the service spent on it.
async fn one(service: &Service, load: &Load<'_>) -> Result<Measured> {
    let before = service.cpu()?;
    let measured = exchange::run(service.address(), load).await?;
    Ok(Measured { cpu: service.cpu()?.saturating_sub(before), ..measured })
}

fn time(flags: &Flags) -> Duration {
    Duration::from_secs(flags.seconds)
}
