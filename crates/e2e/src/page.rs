//! A tutorial page as a test: every command in a `console` block is run, and what it prints is held against the page.
//!
//! * `$ command` begins a command; a trailing backslash continues it on the next line.
//! * The lines below are its output: `[..]` stands for anything in a line, `...` alone for any lines.
//! * ```` ```console fails ```` expects the block's last command to fail.
//! * `<!-- remember <name> after "words" -->` takes the `0x…` that follows the words in the output of the block before;
//!   from then on `<name>` in a command means it. The reader sees a placeholder, the test uses the value.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{Output, Shell};

/// A command may be silent for that long.
const LIMIT: Duration = Duration::from_mins(2);

/// One thing that a page asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A command, the output that the page promises, and whether it must fail.
    Run {
        /// The command, on one line.
        command: String,
        /// Promised lines.
        expected: Vec<String>,
        /// Whether a failure is promised.
        fails: bool,
    },
    /// A value to remember.
    Remember {
        /// The placeholder, with its angle brackets.
        name: String,
        /// What precedes the value in the output.
        after: String,
    },
}

/// Reads a page.
pub fn parse(markdown: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.trim().strip_prefix("<!-- remember ") {
            steps.push(remember(rest)?);
        } else if let Some(label) = line.strip_prefix("```console") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            steps.extend(commands(&block, label.trim() == "fails")?);
        }
    }
    Ok(steps)
}

fn remember(text: &str) -> Result<Step> {
    let (name, rest) = text.split_once(" after \"").context("`remember` needs ` after \"…\"`")?;
    let after = rest.strip_suffix("\" -->").context("`remember` must end in `\" -->`")?;
    Ok(Step::Remember { name: name.to_owned(), after: after.to_owned() })
}

fn commands(block: &[&str], fails: bool) -> Result<Vec<Step>> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = false;
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (None, Some((command, _))) if open => {
                command.push_str(line.trim().trim_end_matches('\\'));
            }
            (Some(command), _) => steps.push((command.trim_end_matches('\\').to_owned(), Vec::new())),
            (None, Some((_, expected))) => expected.push((*line).to_owned()),
            (None, None) => bail!("output before any command: {line:?}"),
        }
        open = line.ends_with('\\');
    }
    let last = steps.len().saturating_sub(1);
    let step = |(index, (command, expected))| Step::Run { command, expected, fails: fails && index == last };
    Ok(steps.into_iter().enumerate().map(step).collect())
}

/// Runs a page; `seen` gets each command (behind `$ `) and each line of output.
pub fn run(markdown: &str, shell: &mut Shell, mut seen: impl FnMut(&str)) -> Result<Output> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut output = Output { lines: Vec::new(), status: 0 };
    for step in parse(markdown)? {
        match step {
            Step::Remember { name, after } => {
                let value = value_after(&output.text(), &after)
                    .with_context(|| format!("no 0x… after {after:?} in:\n{}", output.text()))?;
                values.insert(name, value);
            }
            Step::Run { command, expected, fails } => {
                let command = values.iter().fold(command, |command, (name, value)| command.replace(name, value));
                seen(&format!("$ {command}"));
                output = shell.run(&command, LIMIT, &mut seen)?;
                ensure!(
                    (output.status != 0) == fails,
                    "`{command}` ended with status {}:\n{}",
                    output.status,
                    output.text()
                );
                let expected: Vec<String> = expected
                    .iter()
                    .map(|line| values.iter().fold(line.clone(), |line, (name, value)| line.replace(name, value)))
                    .collect();
                ensure!(
                    matches(&expected, &output.lines),
                    "`{command}` should print\n{}\nit printed\n{}",
                    expected.join("\n"),
                    output.text()
                );
            }
        }
    }
    Ok(output)
}

fn value_after(text: &str, words: &str) -> Option<String> {
    let at = text.rfind(words)? + words.len();
    let value: String = text[at..].trim_start().chars().take_while(char::is_ascii_alphanumeric).collect();
    value.starts_with("0x").then_some(value)
}

/// Whether the lines are those that the page promises; a page that promises nothing accepts anything.
fn matches(expected: &[String], found: &[String]) -> bool {
    fn rest(expected: &[String], found: &[String]) -> bool {
        match (expected.split_first(), found.split_first()) {
            (None, None) => true,
            (Some((first, more)), _) if first == "..." => (0..=found.len()).any(|skip| rest(more, &found[skip..])),
            (Some((first, more)), Some((line, others))) => line_matches(first, line) && rest(more, others),
            _ => false,
        }
    }
    expected.is_empty() || rest(expected, found)
}

fn line_matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.trim_end().split("[..]");
    let found = found.trim_end();
    let Some(mut left) = parts.next().and_then(|first| found.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# T\n```console\n$ echo task 0xab \\\n    more\ntask [..]\n```\n<!-- remember <id> after \"task \" -->\n```console\n$ X=1; echo <id>\n0xab\n$ echo $X; false\n```\n";

    #[test]
    fn a_page_is_its_commands_and_what_they_print() {
        let steps = parse(PAGE).unwrap();
        let command = "echo task 0xab more".to_owned();
        assert_eq!(steps[0], Step::Run { command, expected: vec!["task [..]".into()], fails: false });
        assert_eq!(steps[1], Step::Remember { name: "<id>".into(), after: "task ".into() });
    }

    #[test]
    fn a_page_runs_in_one_shell_and_fails_where_a_command_does() {
        let folder = tempfile::tempdir().unwrap();
        let run_page = |page: &str| {
            let mut shell = Shell::start(folder.path(), folder.path(), &[]).unwrap();
            run(page, &mut shell, |_| ())
        };
        let error = run_page(PAGE).unwrap_err().to_string();
        assert!(error.contains("status 1") && error.ends_with('1'), "{error}");
        assert!(run_page(&PAGE.replace("; false", "")).is_ok());
        let error = run_page(&PAGE.replace("task [..]", "other")).unwrap_err().to_string();
        assert!(error.contains("should print\nother"), "{error}");
    }

    #[test]
    fn wildcards_stand_for_parts_of_lines_and_for_lines() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(matches(&lines("a\n...\nb [..] d [..]"), &lines("a\nx\ny\nb c d e")));
        assert!(!matches(&lines("a\nb"), &lines("a\nb\nc")));
        assert!(!matches(&lines("...\nz"), &lines("a")));
    }
}
