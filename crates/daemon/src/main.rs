//! `iexecd`: runs one of the services, or all of them as a local network.
//!
//! What it is not: there is no logic in here. Each arm reads its flags into the service's configuration and calls it.

mod common;
mod devnet;
mod market;
mod report;
mod scheduler;
mod sms;
mod storage;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run any service of a confidential-computing network, or a whole network
#[derive(Parser)]
#[command(name = "iexecd", version, after_help = "Example, a whole network on this machine:\n  iexecd devnet")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Run the SMS: it keeps secrets and gives them to attested enclaves
    Sms(sms::Sms),
    /// Run the scheduler: it watches a workerpool's deals and grants their tasks to workers
    Scheduler(scheduler::Flags),
    /// Run a worker: it runs apps with the enclave and contributes their results
    Worker(worker::Flags),
    /// Run the storage: it keeps result archives
    Storage(storage::Flags),
    /// Run the market: it keeps the order book
    Market(market::Flags),
    /// Run a whole network on this machine
    Devnet(devnet::Flags),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    iexec_service::crypto::install();
    let result = match cli.role {
        Role::Sms(sms) => sms::start(sms),
        Role::Scheduler(flags) => common::run(&flags.common.clone(), |stop| scheduler::run(flags, stop)),
        Role::Worker(flags) => common::run(&flags.common.clone(), |stop| worker::run(flags, stop)),
        Role::Storage(flags) => common::run(&flags.common.clone(), |stop| storage::run(flags, stop)),
        Role::Market(flags) => common::run(&flags.common.clone(), |stop| market::run(flags, stop)),
        Role::Devnet(flags) => devnet::run(flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}
