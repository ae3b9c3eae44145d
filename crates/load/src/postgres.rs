//! A PostgreSQL of Debian's, as it comes (every commit on disk), for as long as the measurement lasts.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::usage::Usage;

/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running cluster; stopped when dropped.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    /// PostgreSQL refuses to run as root: who it runs as then.
    user: Option<(u32, u32)>,
    port: u16,
}

impl Cluster {
    pub(crate) fn start() -> Result<Self> {
        // Another user has to reach it: not below the home of this one.
        let folder = tempfile::Builder::new().prefix("iexec-load-postgres-").tempdir_in("/var/tmp")?;
        let user = if id(&["-u"])? == 0 { Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let cluster = Self { programs: programs()?, folder, user, port };
        cluster.run("initdb", &["--username=sms", "--auth=trust", "--encoding=UTF8", "--locale=C"])?;
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        cluster.run("pg_ctl", &["start", "--wait", "--silent", "--log=/dev/null", "--options", &options])?;
        Ok(cluster)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://sms@127.0.0.1:{}/postgres", self.port)
    }

    /// What the server's processes use.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let file = fs::read_to_string(self.folder.path().join("data/postmaster.pid"))?;
        Usage::of_family(file.lines().next().context("no process")?.trim().parse()?)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let data = self.folder.path().join("data");
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).arg("--pgdata").arg(&data).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status = command.status().with_context(|| format!("cannot start {program}"))?;
        ensure!(status.success(), "{program} failed ({status})");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The folder goes in any case.
        let _ = self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=immediate"]);
    }
}

/// The newest version's.
fn programs() -> Result<PathBuf> {
    let versions =
        fs::read_dir(VERSIONS).with_context(|| format!("no PostgreSQL in {VERSIONS}: apt install postgresql"))?;
    let mut numbers: Vec<u32> = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    let newest = numbers.last().context("no version of PostgreSQL")?;
    Ok(Path::new(VERSIONS).join(newest.to_string()).join("bin"))
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    ensure!(output.status.success(), "`id {}` failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
