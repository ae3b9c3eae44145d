//! The command tree's top: which nouns there are. Each noun's own file holds its verbs.

use clap::{Args, Parser, Subcommand};

use crate::{
    account, app, category, completions, dataset, deal, failure::Failure, info, init, order, orderbook, result,
    screen::Answer, screen::Screen, secret, storage, task, wallet, workerpool,
};

/// Run confidential computations on iExec: wallets, apps, orders, deals, tasks, results
#[derive(Parser)]
#[command(
    name = "iexec",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  iexec init\n  iexec app run 0x… --tag tee --encrypt-result --watch\n  iexec task show 0x… --download --decrypt"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How every command answers.
#[derive(Args)]
pub(crate) struct OutputOptions {
    /// Answer with one line of JSON and never ask
    #[arg(long, global = true, overrides_with = "raw", help_heading = "Output")]
    pub(crate) raw: bool,
    /// Say nothing but the answer, warnings and errors
    #[arg(long, global = true, overrides_with = "quiet", help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    #[command(subcommand)]
    Account(account::AccountCommand),
    #[command(subcommand)]
    App(app::AppCommand),
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    #[command(subcommand)]
    Workerpool(workerpool::WorkerpoolCommand),
    #[command(subcommand)]
    Order(order::OrderCommand),
    #[command(subcommand)]
    Orderbook(orderbook::OrderbookCommand),
    #[command(subcommand)]
    Deal(deal::DealCommand),
    #[command(subcommand)]
    Task(task::TaskCommand),
    #[command(subcommand)]
    Result(result::ResultCommand),
    #[command(subcommand)]
    Requester(secret::RequesterCommand),
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    #[command(subcommand)]
    Category(category::CategoryCommand),
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    Info(info::Info),
    Completions(completions::Completions),
}

impl Command {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Init(command) => command.run(screen),
            Self::Wallet(command) => command.run(screen),
            Self::Account(command) => command.run(screen),
            Self::App(command) => command.run(screen),
            Self::Dataset(command) => command.run(screen),
            Self::Workerpool(command) => command.run(screen),
            Self::Order(command) => command.run(screen),
            Self::Orderbook(command) => command.run(screen),
            Self::Deal(command) => command.run(screen),
            Self::Task(command) => command.run(screen),
            Self::Result(command) => command.run(screen),
            Self::Requester(command) => command.run(screen),
            Self::Secret(command) => command.run(screen),
            Self::Category(command) => command.run(),
            Self::Storage(command) => command.run(screen),
            Self::Info(command) => command.run(screen),
            Self::Completions(command) => command.run(),
        }
    }
}
