//! A stored enum is documented once; the SQL `CHECK` and docs/spec/task.md must name the same states.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use iexec_e2e::workspace;

/// Differences between the enum of `protocol::task`, the scheduler's schema and the specification.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = workspace::root();
    let in_code = states_in_code(&root.join("crates/protocol/src/task/state.rs"))?;
    let in_schema = states_in_schema(&root.join("crates/scheduler"))?;
    let in_spec = states_in_spec(&root.join("docs/spec/task.md"))?;
    let differ = |place: &str, found: &BTreeSet<String>| {
        (found != &in_code).then(|| format!("task states differ: protocol has {in_code:?}, {place} has {found:?}"))
    };
    Ok([differ("the scheduler's CHECK", &in_schema), differ("docs/spec/task.md", &in_spec)]
        .into_iter()
        .flatten()
        .collect())
}

/// The names that `Task::name` gives.
fn states_in_code(path: &Path) -> Result<BTreeSet<String>> {
    let text = read(path)?;
    let body = text.split("pub const fn name(&self)").nth(1).context("protocol::task has no Task::name")?;
    let body = body.split("\n    }\n").next().unwrap_or_default();
    Ok(body.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).map(str::to_owned).collect())
}

/// The names in the first `CHECK (state IN (…))` of the crate's sources.
fn states_in_schema(folder: &Path) -> Result<BTreeSet<String>> {
    let files = crate::tidy::documents::files_below(folder, &["rs", "sql"])?;
    for file in files {
        let text = read(&file)?;
        if let Some(list) = text.split("CHECK (state IN (").nth(1).and_then(|rest| rest.split("))").next()) {
            return Ok(list.split(',').map(|name| name.trim().trim_matches('\'').to_owned()).collect());
        }
    }
    anyhow::bail!("no CHECK (state IN (…)) below {}", folder.display())
}

/// The names in the first column of the specification's table of states: `| `NAME` | …`.
fn states_in_spec(path: &Path) -> Result<BTreeSet<String>> {
    let text = read(path)?;
    let name =
        |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")).map(|(name, _)| name.to_owned());
    let upper = |name: &String| name.chars().all(|c| c.is_ascii_uppercase());
    Ok(text.lines().filter_map(name).filter(upper).collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
