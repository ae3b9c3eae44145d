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
mod quotes;
mod report;
mod requests;
mod scene;
mod secrets;
mod service;
mod sessions;
mod usage;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum};

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
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["secrets", "sessions", "floors"])]
    what: Vec<What>,
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
    /// Secrets stored in the small and in the large store, which are measured by turns
    #[arg(long, value_delimiter = ',', default_values = ["1000", "1000000"])]
    stored: Vec<u64>,
    /// Tasks whose challenge is asked for the first time in one measurement
    #[arg(long, default_value_t = 300)]
    challenges: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Checks and pushes of secrets; no chain
    Secrets,
    /// Challenges, offers and releases of sessions on a local chain
    Sessions,
    /// What the machine could do at best
    Floors,
}

impl Flags {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> Result<()> {
    iexec_service::crypto::install();
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&flags))
}

async fn measure(flags: &Flags) -> Result<()> {
    let scene = if flags.what.contains(&What::Sessions) { Some(sessions::scene(flags).await?) } else { None };
    println!("{}", report::HEAD);
    for kind in &flags.databases {
        if flags.what.contains(&What::Secrets) {
            secrets::measure(flags, *kind).await?;
        }
        if let Some(scene) = &scene {
            sessions::measure(flags, *kind, scene).await?;
        }
    }
    if flags.what.contains(&What::Floors) {
        println!("\n{}", report::FLOORS);
        floors::print()?;
    }
    Ok(())
}

/// One measurement, with the processor time that the service and its database spent on it.
async fn one(service: &Service, database: &Database, load: &Load<'_>) -> Result<Measured> {
    let (before, database_before) = (service.usage()?.cpu, database.usage()?.cpu);
    let measured = exchange::run(service.address(), load).await?;
    Ok(Measured {
        cpu: service.usage()?.cpu.saturating_sub(before),
        database_cpu: database.usage()?.cpu.saturating_sub(database_before),
        ..measured
    })
}
