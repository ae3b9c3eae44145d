//! Programs from the distribution: a container runtime for the network; age, openssl and PostgreSQL's server for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::command;

/// One package, how to see that it is there, and what is wrong without it.
struct Program {
    package: &'static str,
    /// One of them is in PATH.
    names: &'static [&'static str],
    without: &'static str,
}

const FOR_NETWORK: [Program; 2] = [
    Program {
        package: "runc",
        names: &["runc", "crun"],
        without: "neither runc nor crun is installed, which workers run apps with",
    },
    Program {
        package: "unzip",
        names: &["unzip"],
        without: "unzip is not installed, which the tutorial opens results with",
    },
];
const FOR_TESTS: [Program; 5] = [
    Program { package: "age", names: &["age"], without: "age is not installed, which the tests open archives with" },
    Program {
        package: "openssl",
        names: &["openssl"],
        without: "openssl is not installed, which the tests open archives with",
    },
    Program {
        package: POSTGRESQL,
        names: &["initdb"],
        without: "PostgreSQL's server is not installed, which the stores are tested on",
    },
    Program {
        package: "python3-venv",
        names: &["python3"],
        without: "python3 is not installed, which schemathesis runs on",
    },
    Program { package: "g++", names: &["c++", "g++"], without: "g++ is not installed, which libFuzzer is built with" },
];
const POSTGRESQL: &str = "postgresql";
/// Debian's place of PostgreSQL's programs, by version; they are not in PATH.
const POSTGRESQL_VERSIONS: &str = "/usr/lib/postgresql";
/// Read by the package when it is installed: with this, it makes no cluster of its own, so that no service starts.
const NO_CLUSTER: (&str, &str) = ("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n");

/// What the network runs on. Only Linux runs workers.
pub(super) fn for_network() -> Result<()> {
    if cfg!(target_os = "linux") { install(&FOR_NETWORK) } else { Ok(()) }
}

/// In CI all of it must be there. Elsewhere root gets it installed, and others hear what is not run.
pub(super) fn for_tests() -> Result<Vec<String>> {
    if command::in_ci() || is_root() {
        return install(&FOR_TESTS).map(|()| Vec::new());
    }
    Ok(missing(&FOR_TESTS).map(|program| format!("not run: {}", program.without)).collect())
}

fn install(table: &[Program]) -> Result<()> {
    let (packages, uses): (Vec<&str>, Vec<&str>) =
        missing(table).map(|program| (program.package, program.without)).unzip();
    if packages.is_empty() {
        return Ok(());
    }
    let (list, uses) = (packages.join(" "), uses.join(", "));
    ensure!(on_path("apt-get"), "{uses}; hint: install {list} with your system's package manager");
    ensure!(is_root(), "{uses}; hint: sudo apt-get install --no-install-recommends {list}");
    eprintln!("setup: installing {list}");
    if packages.contains(&POSTGRESQL) {
        no_cluster()?;
    }
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages.as_slice()].concat())
}

/// Unless the machine's owner has said something there already.
fn no_cluster() -> Result<()> {
    let (path, text) = (Path::new(NO_CLUSTER.0), NO_CLUSTER.1);
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    super::write(path, text.as_bytes())
}

fn missing(table: &[Program]) -> impl Iterator<Item = &Program> {
    table.iter().filter(|program| !program.names.iter().any(|name| on_path(name)))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").env("UCF_FORCE_CONFFOLD", "1").stdin(Stdio::null());
    let output = command.output().context("cannot run apt-get")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apt-get {} failed ({})\n{}", args.join(" "), output.status, words.trim_end());
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(POSTGRESQL_VERSIONS).into_iter().flatten().flatten();
    let further =
        ["/usr/sbin", "/sbin"].map(PathBuf::from).into_iter().chain(versions.map(|dir| dir.path().join("bin")));
    std::env::split_paths(&path).chain(further).any(|dir| dir.join(program).is_file())
}
