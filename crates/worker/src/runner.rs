//! Runs an app's image with the enclave as its entrypoint, shut off from everything but its pipes.
//!
//! Two engines give the same container: [`runc`] runs an OCI bundle by a program and no daemon, [`docker`] asks a
//! Docker-compatible socket. What a container may do is decided here, once.

pub mod bundle;
pub mod docker;
pub mod runc;
pub mod seccomp;

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use iexec_protocol::{id::TaskId, session::paths};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::image::AppImage;

/// What every engine call returns: its body is compiled here.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, RunFault>>;

/// A way to run containers.
pub trait Runner: Send + Sync {
    /// Whether it is there and can hold the limits; yields a line about it for the log.
    fn check(&self) -> Answer<'_, String>;

    /// Makes the image ready to be started.
    fn prepare<'a>(&'a self, image: &'a AppImage) -> Answer<'a, ()>;

    /// Starts the container of a task, whose image was prepared.
    fn start<'a>(&'a self, container: &'a Container, image: &'a AppImage) -> Answer<'a, Running>;

    /// Kills and removes the container of a task, if there is one.
    fn remove(&self, task: TaskId) -> Answer<'_, ()>;

    /// Kills and removes every container that this worker left behind; yields their number.
    fn remove_all(&self) -> Answer<'_, usize>;
}

/// One container to be.
#[derive(Clone, Debug)]
pub struct Container {
    /// The task.
    pub task: TaskId,
    /// Folder for the engine's own files.
    pub folder: PathBuf,
    /// What is mounted from the host.
    pub mounts: Mounts,
    /// What it may use.
    pub limits: Limits,
}

/// What is mounted from the host.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// The enclave program.
    pub enclave: PathBuf,
    /// What the worker fetched.
    pub fetched: PathBuf,
    /// Where the archive goes: an empty folder, root's alone.
    pub archive: PathBuf,
    /// The simulated platform's key, for the simulated TEE.
    pub simulated_platform: Option<PathBuf>,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, files in memory included; no swap beyond it.
    pub memory: u64,
    /// Thousandths of a processor.
    pub millicpus: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of files in each of `/iexec_in`, `/iexec_out` and `/tmp`: memory is their disk.
    pub disk: u64,
    /// Run even where memory, processors and processes cannot be limited.
    pub unsafe_no_limits: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 2 << 30, millicpus: 1000, pids: 256, disk: 512 << 20, unsafe_no_limits: false }
    }
}

/// A started container.
pub struct Running {
    /// To the enclave.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// From the enclave.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// The enclave's log.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Ready when the container ended: its exit code (128 and the signal's number if it was killed).
    pub ended: BoxFuture<'static, Result<i64, RunFault>>,
}

/// The name of a task's container.
pub fn container_id(task: TaskId) -> String {
    format!("iexec-{}", const_hex::encode(task.0))
}

/// The container's command.
pub const COMMAND: [&str; 2] = [paths::ENCLAVE, "run"];
/// The container's whole environment.
pub const ENVIRONMENT: [&str; 1] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
/// For the supervisor: to start the app under another uid, and to end it.
pub const CAPABILITIES: [&str; 3] = ["SETUID", "SETGID", "KILL"];
/// Open files of a process.
pub const OPEN_FILES: u64 = 1024;

/// A folder or file of the host, or memory, in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Where in the container.
    pub at: &'static str,
    /// What.
    pub of: MountOf,
    /// May programs be started from it?
    pub exec: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountOf {
    /// Something of the host.
    Host {
        /// Its path there.
        path: PathBuf,
        /// May it be written?
        writable: bool,
    },
    /// Memory.
    Memory {
        /// Octal mode of the folder.
        mode: &'static str,
        /// Bytes.
        size: u64,
    },
}

impl Container {
    /// All mounts, in order. `/iexec_out` and `/tmp` are the app's too (sticky); programs start only from `/tmp`, where
    /// runtimes unpack libraries.
    pub fn mount_points(&self, image: &AppImage) -> Vec<MountPoint> {
        let size = self.limits.disk;
        let memory = |at, mode, exec| MountPoint { at, of: MountOf::Memory { mode, size }, exec };
        let host = |at, path: &PathBuf, writable, exec| MountPoint {
            at,
            of: MountOf::Host { path: path.clone(), writable },
            exec,
        };
        let mut all = vec![
            memory("/tmp", "1777", true),
            memory(paths::IN, "0755", false),
            memory(paths::OUT, "1777", false),
            host(paths::ENCLAVE, &self.mounts.enclave, false, true),
            host(DOCUMENTS, &image.documents(), false, false),
            host(paths::FETCHED, &self.mounts.fetched, false, false),
            host(paths::ARCHIVE, &self.mounts.archive, true, false),
        ];
        match &self.mounts.simulated_platform {
            Some(path) => all.push(host(paths::SIMULATED_PLATFORM, path, false, false)),
            // What Linux shows on a confidential guest alone, writable for root: not for the app.
            None => all.extend(
                [paths::TSM_REPORTS, paths::TDX_RTMR3]
                    .map(|at| (at, PathBuf::from(at)))
                    .iter()
                    .filter(|(_, path)| path.exists())
                    .map(|(at, path)| host(at, path, true, false)),
            ),
        }
        all
    }
}

/// Folder of [`paths::MANIFEST`] and [`paths::CONFIG`].
const DOCUMENTS: &str = "/iexec/image";

/// A container that does not run.
#[derive(Debug, Error)]
pub enum RunFault {
    /// The engine is not there.
    #[error("{0}")]
    NoEngine(String),
    /// Limits cannot be held on this machine.
    #[error("{0}\nhint: run where control groups can be written, or accept unlimited apps with --unsafe-no-limits")]
    NoLimits(String),
    /// The image cannot be made ready.
    #[error("the app's image cannot be made ready: {0}")]
    Image(String),
    /// The engine failed.
    #[error("the container engine failed: {0}")]
    Engine(String),
    /// The worker's disk.
    #[error("cannot write {0}")]
    Disk(String),
}

impl RunFault {
    fn disk(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Disk(format!("{}: {error}", path.display()))
    }
}
