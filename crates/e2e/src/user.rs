//! A person with a wallet, a deployed app and a pushed key: what most tests begin with.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{network::Network, workspace};

/// Somebody at a keyboard; their folder holds wallet, project and keys.
pub struct User {
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Answer {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl User {
    /// A new one, with a wallet, some ether, and a project.
    pub fn new(network: &Network, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let user = Self { folder: folder.to_owned(), variables: network.variables(folder) };
        user.ok("wallet create")?;
        user.ok("init --skip-wallet")?;
        user.ok("wallet getETH")?;
        Ok(user)
    }

    /// Deploys the sample app from this image, makes a key pair and pushes its public half.
    pub fn with_app(self, image: &Path) -> Result<Self> {
        self.command(&["app", "init", "--image", &format!("oci:{}", image.display()), "--raw"])?.success()?;
        self.ok("app deploy")?;
        self.ok("result generate-encryption-keypair")?;
        self.ok("result push-encryption-key")?;
        Ok(self)
    }

    /// The same person, on a network that was started again.
    #[must_use]
    pub fn on(self, network: &Network) -> Self {
        let variables = network.variables(&self.folder);
        Self { variables, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `iexec` with words separated by blanks, and `--raw`; yields the JSON of its answer.
    pub fn ok(&self, words: &str) -> Result<Value> {
        self.run(words)?.success()
    }

    /// The same, again and again while it fails: a service may just be starting again.
    pub fn eventually(&self, words: &str, limit: Duration) -> Result<Value> {
        let begun = Instant::now();
        loop {
            match self.ok(words) {
                Err(_) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(100)),
                answer => return answer,
            }
        }
    }

    /// Runs `iexec` with words separated by blanks, and `--raw`.
    pub fn run(&self, words: &str) -> Result<Answer> {
        self.command(&words.split(' ').chain(["--raw"]).collect::<Vec<_>>())
    }

    /// Runs `iexec` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.prepared(arguments).output().context("cannot start iexec")?;
        Ok(Answer::of(&output))
    }

    /// `iexec` with these arguments, to be started.
    pub fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(workspace::program("iexec"));
        command.args(arguments).current_dir(&self.folder).envs(self.variables.iter().cloned());
        command
    }

    /// Runs the app encrypted, without waiting; yields deal and task.
    pub fn start_task(&self, more: &str) -> Result<(String, String)> {
        let answer = self.ok(format!("app run --tag tee --encrypt-result --force {more}").trim_end())?;
        let deal = answer["deals"][0]["dealid"].as_str().with_context(|| format!("no deal in {answer}"))?.to_owned();
        let shown = self.ok(&format!("deal show {deal}"))?;
        let tasks = &shown["deal"]["tasks"];
        let task = tasks[0].as_str().or_else(|| tasks["0"].as_str()).with_context(|| format!("no task in {shown}"))?;
        Ok((deal, task.to_owned()))
    }

    /// Waits until the task on chain has this status; yields `task show`'s answer.
    pub fn wait_status(&self, task: &str, status: &str, limit: Duration) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let answer = self.run(&format!("task show {task}"))?;
            let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
            let found = json["task"]["statusName"].as_str().unwrap_or_default();
            if found == status {
                return Ok(json);
            }
            if begun.elapsed() > limit {
                bail!("task {task} is {found:?} after {} s, not {status}: {answer:?}", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the scheduler says of a task (`task debug`); null before it knows it.
    pub fn debug(&self, task: &str) -> Result<Value> {
        let answer = self.run(&format!("task debug {task}"))?;
        Ok(serde_json::from_str(&answer.stdout).unwrap_or_default())
    }

    /// Waits until the scheduler's word on a task satisfies `seen`.
    pub fn wait_debug(&self, task: &str, limit: Duration, seen: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let debug = self.debug(task)?;
            if seen(&debug) {
                return Ok(debug);
            }
            ensure!(begun.elapsed() < limit, "not seen within {} s; the scheduler says {debug:#}", limit.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Answer {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The JSON of a success.
    pub fn success(self) -> Result<Value> {
        ensure!(self.status == 0, "status {}: {}{}", self.status, self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}", self.stdout))
    }

    /// The error's text of a failure with status 1.
    pub fn failure(&self) -> Result<String> {
        ensure!(self.status == 1, "status {} instead of 1: {}{}", self.status, self.stdout, self.stderr);
        let last = self.stderr.lines().last().unwrap_or_default();
        let json: Value =
            serde_json::from_str(last).with_context(|| format!("no JSON on standard error: {}", self.stderr))?;
        json["error"]["message"].as_str().map(str::to_owned).with_context(|| format!("no message in {json}"))
    }
}
