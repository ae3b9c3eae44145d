//! runc or crun, run directly on an OCI bundle: no daemon, the container is this worker's grandchild.

use std::{
    io::{self, Write as _},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use iexec_protocol::id::{Sha256, TaskId};
use tokio::process::Command;

use super::{Answer, Container, RunFault, Runner, Running, bundle, bundle::Controls, container_id};
use crate::image::{
    AppImage,
    unpack::{self, Compression},
};

const CGROUPS: &str = "/sys/fs/cgroup";

/// A runtime program with its state folder.
#[derive(Clone, Debug)]
pub struct Runc {
    program: PathBuf,
    state: PathBuf,
    controls: Controls,
}

impl Runc {
    /// The given program, or the first of runc and crun in PATH. Its state lies in `state`, this worker's alone.
    pub fn new(program: Option<PathBuf>, state: PathBuf, unsafe_no_limits: bool) -> Result<Self, RunFault> {
        if !nix::unistd::geteuid().is_root() {
            let hint = "\nhint: start the worker as root: only root can give a container its namespaces and limits";
            return Err(RunFault::NoEngine(format!("this worker does not run as root{hint}")));
        }
        let program = program.map_or_else(found, Ok)?;
        let controls = controls(Path::new(CGROUPS));
        if !controls.limits && !unsafe_no_limits {
            return Err(RunFault::NoLimits(format!(
                "memory, processor and process limits cannot be held: {CGROUPS} has no writable control groups for them"
            )));
        }
        std::fs::create_dir_all(&state)
            .and_then(|()| std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)))
            .map_err(|error| RunFault::disk(&state, &error))?;
        Ok(Self { program, state, controls })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.arg("--root").arg(&self.state).args(arguments);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output, RunFault> {
        let output = self.command(arguments).stdin(Stdio::null()).output().await;
        output.map_err(|error| RunFault::NoEngine(format!("{} cannot be run: {error}", self.program.display())))
    }

    async fn delete(&self, id: &str) -> Result<(), RunFault> {
        let output = self.run(&["delete", "--force", id]).await?;
        if output.status.success() || said(&output).contains("does not exist") {
            return Ok(());
        }
        // crun says only on a second look that it is gone.
        let list = self.list().await?;
        if list.iter().any(|other| other == id) { Err(RunFault::Engine(said(&output))) } else { Ok(()) }
    }

    async fn list(&self) -> Result<Vec<String>, RunFault> {
        let output = self.run(&["list", "-q"]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(RunFault::Engine(said(&output)));
        }
        Ok(text.lines().map(str::trim).filter(|id| id.starts_with("iexec-")).map(str::to_owned).collect())
    }
}

impl Runner for Runc {
    fn check(&self) -> Answer<'_, String> {
        Box::pin(async move {
            let output = self.run(&["--version"]).await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() || text.trim().is_empty() {
                return Err(RunFault::NoEngine(format!("{} --version: {}", self.program.display(), said(&output))));
            }
            let limits = if self.controls.limits { "limits held by control groups" } else { "WITHOUT limits" };
            Ok(format!("{} ({}), {limits}", self.program.display(), text.lines().next().unwrap_or_default()))
        })
    }

    fn prepare<'a>(&'a self, image: &'a AppImage) -> Answer<'a, ()> {
        let image = image.clone();
        Box::pin(async move {
            let unpacked = tokio::task::spawn_blocking(move || unpack_once(&image)).await;
            unpacked.map_err(|error| RunFault::Image(error.to_string()))?
        })
    }

    fn start<'a>(&'a self, container: &'a Container, image: &'a AppImage) -> Answer<'a, Running> {
        Box::pin(async move {
            let id = container_id(container.task);
            self.delete(&id).await?;
            let config = bundle::config(container, image, &rootfs(image), self.controls)?;
            let folder = &container.folder;
            std::fs::create_dir_all(folder).map_err(|error| RunFault::disk(folder, &error))?;
            let path = folder.join("config.json");
            std::fs::write(&path, config.to_string()).map_err(|error| RunFault::disk(&path, &error))?;
            let mut command = self.command(&["run", "--bundle"]);
            command.arg(folder).arg(&id).kill_on_drop(true);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let mut child = child
                .map_err(|error| RunFault::NoEngine(format!("{} cannot be run: {error}", self.program.display())))?;
            let missing = || RunFault::Engine("a pipe is missing".into());
            Ok(Running {
                stdin: Box::new(child.stdin.take().ok_or_else(missing)?),
                stdout: Box::new(child.stdout.take().ok_or_else(missing)?),
                stderr: Box::new(child.stderr.take().ok_or_else(missing)?),
                ended: Box::pin(async move {
                    let status = child.wait().await.map_err(|error| RunFault::Engine(error.to_string()))?;
                    let signal = status.signal().map_or(-1, |signal| i64::from(signal) + 128);
                    Ok(status.code().map_or(signal, i64::from))
                }),
            })
        })
    }

    fn remove(&self, task: TaskId) -> Answer<'_, ()> {
        Box::pin(async move { self.delete(&container_id(task)).await })
    }

    fn remove_all(&self) -> Answer<'_, usize> {
        Box::pin(async move {
            let left = self.list().await?;
            for id in &left {
                self.delete(id).await?;
            }
            Ok(left.len())
        })
    }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.trim().lines().last().unwrap_or("it says nothing").chars().take(300).collect()
}

fn found() -> Result<PathBuf, RunFault> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders: Vec<_> = std::env::split_paths(&folders).chain(sbin).collect();
    let candidates = ["runc", "crun"].iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let runs =
        |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    candidates.into_iter().find(runs).ok_or_else(|| {
        let hint = "\nhint: install runc (apt-get install runc), or use a Docker socket with --engine docker";
        RunFault::NoEngine(format!("neither runc nor crun is in PATH{hint}"))
    })
}

/// Looks at version 1 (a folder per controller) and version 2 (one tree, its controllers named in a file).
fn controls(cgroups: &Path) -> Controls {
    let unified = std::fs::read_to_string(cgroups.join("cgroup.controllers")).unwrap_or_default();
    let writable = |path: &Path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok();
    let names: Vec<_> = unified.split_whitespace().collect();
    let needed = ["memory", "pids", "cpu"];
    if needed.iter().all(|name| names.contains(name)) {
        return Controls { limits: writable(cgroups), swap: true };
    }
    let limits = needed.iter().all(|name| cgroups.join(name).join("tasks").exists() && writable(&cgroups.join(name)));
    Controls { limits, swap: cgroups.join("memory/memory.memsw.limit_in_bytes").exists() }
}

fn rootfs(image: &AppImage) -> PathBuf {
    image.folder().join("rootfs")
}

/// Unpacks the image unless it is there and untouched: a root folder that changed since it was sealed is made anew.
fn unpack_once(image: &AppImage) -> Result<(), RunFault> {
    let (root, seal) = (rootfs(image), image.folder().join("seal"));
    let sealed = std::fs::read_to_string(&seal).ok().and_then(|text| text.trim().parse::<Sha256>().ok());
    if sealed.is_some() && unpack::seal(&root).ok() == sealed {
        return Ok(());
    }
    if sealed.is_some() {
        tracing::warn!(image = %image.digest(), "the unpacked image was changed; unpacking it again");
    }
    let fresh = image.folder().join("rootfs.partial");
    for old in [&root, &fresh] {
        match std::fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(RunFault::disk(old, &error)),
            _ => (),
        }
    }
    std::fs::create_dir(&fresh)
        .and_then(|()| std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)))
        .map_err(|error| RunFault::disk(&fresh, &error))?;
    let layers =
        image.image().layers().iter().map(|layer| Ok((image.blob(layer.digest), Compression::of(&layer.media_type)?)));
    let layers: Vec<_> =
        layers.collect::<Result<_, unpack::UnpackFault>>().map_err(|fault| RunFault::Image(fault.to_string()))?;
    image.verify_blobs().map_err(|fault| RunFault::Image(fault.to_string()))?;
    unpack::unpack(&layers, &fresh, image.max_unpacked()).map_err(|fault| RunFault::Image(fault.to_string()))?;
    std::fs::rename(&fresh, &root).map_err(|error| RunFault::disk(&root, &error))?;
    let mark = || {
        let digest = unpack::seal(&root)?;
        let mut file = std::fs::File::create(&seal)?;
        file.write_all(digest.to_string().as_bytes())?;
        file.sync_all()
    };
    mark().map_err(|error| RunFault::disk(&seal, &error))
}
