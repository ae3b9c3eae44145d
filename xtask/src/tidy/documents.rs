//! Documents that must hold: links lead somewhere, claims name a test that exists, files stay small.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use iexec_e2e::workspace;

/// A source file longer than this before its tests is two nouns.
const LONGEST_FILE: usize = 400;

/// Everything wrong with them.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = workspace::root();
    let sources = sources(&root)?;
    let mut faults = Vec::new();
    for file in files_below(&root, &["md"])? {
        faults.extend(broken_links(&root, &file)?);
    }
    faults.extend(claims_without_test(&root, &sources)?);
    faults.extend(long_files(&root, &sources));
    Ok(faults)
}

fn sources(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let files = files_below(root, &["rs"])?;
    files.into_iter().map(|file| Ok((file.clone(), fs::read_to_string(&file)?))).collect()
}

fn broken_links(root: &Path, file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file)?;
    let folder = file.parent().context("a file has a folder")?;
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '));
    let missing =
        local.map(|target| target.split('#').next().unwrap_or_default()).filter(|target| !folder.join(target).exists());
    let name = file.strip_prefix(root).unwrap_or(file).display();
    Ok(missing.map(|target| format!("{name}: the link to {target} leads nowhere")).collect())
}

/// SECURITY.md names tests as `test: some_name`; each must be a function somewhere.
fn claims_without_test(root: &Path, sources: &[(PathBuf, String)]) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("SECURITY.md")).context("SECURITY.md")?;
    let names = text.split("`test: ").skip(1).filter_map(|rest| rest.split('`').next());
    let exists = |name: &str| sources.iter().any(|(_, source)| source.contains(&format!("fn {name}(")));
    Ok(names
        .filter(|name| !exists(name))
        .map(|name| format!("SECURITY.md names the test {name}, which does not exist"))
        .collect())
}

fn long_files(root: &Path, sources: &[(PathBuf, String)]) -> Vec<String> {
    let own_lines = |source: &str| source.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let is_test = |file: &Path| file.components().any(|part| part.as_os_str() == "tests");
    let long = sources.iter().filter(|(file, source)| !is_test(file) && own_lines(source) > LONGEST_FILE);
    long.map(|(file, source)| {
        format!(
            "{}: {} lines before its tests, at most {LONGEST_FILE}",
            file.strip_prefix(root).unwrap_or(file).display(),
            own_lines(source)
        )
    })
    .collect()
}

/// The files with one of these endings below `folder`, generated and foreign folders left out; sorted.
pub(crate) fn files_below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    const FOREIGN: &[&str] = &["target", "node_modules", ".git", ".cache", ".devnet"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !path.is_symlink() && !FOREIGN.contains(&name.as_str()) {
            found.extend(files_below(&path, endings)?);
        } else if path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
