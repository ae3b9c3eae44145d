//! `iexec category`: how long tasks may take.

use clap::Subcommand;
use serde_json::json;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    remote::{Remote, online},
    screen::{Answer, table},
};

/// Show the categories, which say how long tasks may take
#[derive(Subcommand)]
pub(crate) enum CategoryCommand {
    /// Show a category
    #[command(after_help = "Example:\n  iexec category show 0")]
    Show {
        /// Its number, from 0
        index: u64,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Count the categories
    #[command(after_help = "Example:\n  iexec category count")]
    Count {
        #[command(flatten)]
        chain: ChainOptions,
    },
}

impl CategoryCommand {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Show { index, chain } => show(index, &chain),
            Self::Count { chain } => {
                let count =
                    online(async { Ok(Remote::connect(&chain).await?.chain.count_categories().await?.to_string()) })?;
                Answer::new(&json!({ "count": count }), table(&[("categories", count.clone())]))
            }
        }
    }
}

fn show(index: u64, chain: &ChainOptions) -> Result<Answer, Failure> {
    let found = online(async {
        let remote = Remote::connect(chain).await?;
        let absent = || {
            Failure::absent(format!("the chain {:?} has no category {index}", remote.network.name))
                .hint("numbers begin at 0; `iexec category count` tells how many there are")
        };
        remote.chain.view_category(index).await?.ok_or_else(absent)
    })?;
    let text = table(&[
        ("category", index.to_string()),
        ("name", found.name.clone()),
        ("description", found.description.clone()),
        ("reference time", format!("{} s; a task may take ten times as long", found.seconds)),
    ]);
    let category = json!({
        "name": found.name, "description": found.description, "workClockTimeRef": found.seconds.to_string(),
    });
    Answer::new(&json!({ "index": index.to_string(), "category": category }), text)
}
