//! A Docker Engine for the tests: the machine's own `dockerd`, or in CI Debian's, unpacked beside the build. Private
//! folders and socket, no bridge, no firewall rules; stopped and removed when dropped.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Dockerd {
    process: Child,
    pub(crate) socket: String,
}

impl Dockerd {
    /// Starts one in `folder`, or says why not.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let bin = programs()?;
        let path = format!("{}:{}", bin, std::env::var("PATH").unwrap_or_default());
        let socket = folder.join("docker.sock");
        let log = fs::File::create(folder.join("dockerd.log")).map_err(|error| error.to_string())?;
        let option = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
        let process = Command::new("dockerd")
            .env("PATH", path)
            .args([option("data-root", "data"), option("exec-root", "exec"), option("pidfile", "dockerd.pid")])
            .arg(format!("--host=unix://{}", socket.display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("dockerd: {error}"))?;
        let mut dockerd = Self { process, socket: format!("unix://{}", socket.display()) };
        dockerd.wait(&socket, &folder.join("dockerd.log"));
        Ok(dockerd)
    }

    fn wait(&mut self, socket: &Path, log: &Path) {
        let begun = Instant::now();
        while UnixStream::connect(socket).is_err() {
            let ended = self.process.try_wait().unwrap();
            let said = || fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_mins(1), "dockerd does not start:\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Folders of `dockerd` and what it starts, as a part of PATH.
fn programs() -> Result<String, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can start a Docker Engine".into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/bin"]);
    if let Some(folder) = folders.into_iter().find(|folder| Path::new(folder).join("dockerd").exists()) {
        return Ok(folder.to_owned());
    }
    if std::env::var("CI").is_err() {
        return Err("no dockerd in PATH (with CI=true, Debian's is downloaded and unpacked for the tests)".into());
    }
    debian()
}

/// Debian's packages, downloaded once and unpacked; nothing is installed.
fn debian() -> Result<String, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("docker-engine");
    let place = |name: &str| folder.join("root").join(name);
    if !place("usr/sbin/dockerd").exists() {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        run(Command::new("apt-get").args(["download", "docker.io", "containerd"]).current_dir(&folder))?;
        let packages = fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
        for package in packages.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
            run(Command::new("dpkg").arg("-x").arg(package).arg(folder.join("root")))?;
        }
    }
    Ok(format!("{}:{}", place("usr/sbin").display(), place("usr/bin").display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
