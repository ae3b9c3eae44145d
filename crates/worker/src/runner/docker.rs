//! Any Docker-compatible socket: the image is loaded from the verified cache, started by the id that the engine gives
//! it, and held by the same limits as a bundle.

mod load;

use std::collections::HashMap;

use bollard::{
    Docker as Api,
    errors::Error,
    models::{
        ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountTmpfsOptions, MountType,
        ResourcesUlimits,
    },
    query_parameters::{
        AttachContainerOptions, CreateContainerOptions, ListContainersOptions, RemoveContainerOptions,
        WaitContainerOptions,
    },
};
use futures_util::StreamExt as _;
use iexec_protocol::id::TaskId;
use tokio::io::AsyncWriteExt as _;

use super::{
    Answer, CAPABILITIES, COMMAND, Container, ENVIRONMENT, MountOf, OPEN_FILES, RunFault, Runner, Running,
    container_id, seccomp,
};
use crate::image::AppImage;

const LABEL: &str = "iexec.worker";
/// Bytes on their way between the socket and the worker.
const PIPE: usize = 64 * 1024;
/// Bytes of memory in place of each volume that the image declares.
const VOLUME: i64 = 64 * 1024 * 1024;

/// A Docker-compatible engine.
pub struct Docker {
    api: Api,
    /// Marks this worker's containers among others.
    owner: String,
    unsafe_no_limits: bool,
}

impl Docker {
    /// Talks to the socket (`unix:///var/run/docker.sock` unless another is given). `owner` marks this worker's containers.
    pub fn new(socket: Option<&str>, owner: String, unsafe_no_limits: bool) -> Result<Self, RunFault> {
        let socket = socket.unwrap_or("unix:///var/run/docker.sock");
        let path = socket.strip_prefix("unix://").unwrap_or(socket);
        if !nix::unistd::geteuid().is_root() {
            let hint =
                "\nhint: start the worker as root: archives are written by the container's root and read by the worker";
            return Err(RunFault::NoEngine(format!("this worker does not run as root{hint}")));
        }
        let api = Api::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION).map_err(|error| {
            let hint = "\nhint: start Docker or Podman's socket, or use --engine runc";
            RunFault::NoEngine(format!("no Docker-compatible engine at {path}: {error}{hint}"))
        })?;
        Ok(Self { api, owner, unsafe_no_limits })
    }

    async fn remove_named(&self, name: &str) -> Result<(), RunFault> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match self.api.remove_container(name, Some(options)).await {
            // 409: its removal is under way.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }

    fn body(&self, container: &Container, image: &AppImage, id: String) -> Result<ContainerCreateBody, RunFault> {
        let documents = load::Documents::read(image)?;
        // A variable without `=` takes the image's away: the app's environment is the enclave's to set.
        let env = ENVIRONMENT.map(str::to_owned).into_iter().chain(documents.variables());
        Ok(ContainerCreateBody {
            image: Some(id),
            user: Some("0:0".into()),
            entrypoint: Some(vec![COMMAND[0].into()]),
            cmd: Some(COMMAND[1..].iter().map(|word| (*word).to_owned()).collect()),
            env: Some(env.collect()),
            working_dir: Some("/".into()),
            hostname: Some("iexec".into()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            tty: Some(false),
            network_disabled: Some(true),
            // An image's health check would start processes beside the enclave.
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
            labels: Some([(LABEL.to_owned(), self.owner.clone())].into()),
            host_config: Some(host_config(container, image, &documents)?),
            ..Default::default()
        })
    }
}

fn host_config(container: &Container, image: &AppImage, documents: &load::Documents) -> Result<HostConfig, RunFault> {
    let limits = container.limits;
    let seccomp = seccomp::profile().map_err(|error| RunFault::Engine(format!("the seccomp profile: {error}")))?;
    let (tmpfs, mut mounts) = mounts(container, image);
    mounts.extend(documents.volumes().filter(|path| !tmpfs.contains_key(path)).map(volume));
    let ulimit =
        |name: &str, value: i64| ResourcesUlimits { name: Some(name.into()), soft: Some(value), hard: Some(value) };
    Ok(HostConfig {
        network_mode: Some("none".into()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: Some(CAPABILITIES.map(str::to_owned).into()),
        security_opt: Some(vec!["no-new-privileges".into(), format!("seccomp={seccomp}")]),
        memory: Some(signed(limits.memory)),
        memory_swap: Some(signed(limits.memory)),
        nano_cpus: Some(signed(limits.millicpus.saturating_mul(1_000_000))),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(vec![ulimit("core", 0), ulimit("nofile", signed(OPEN_FILES))]),
        tmpfs: Some(tmpfs),
        mounts: Some(mounts),
        ipc_mode: Some("private".into()),
        init: Some(false),
        privileged: Some(false),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..Default::default()
    })
}

fn mounts(container: &Container, image: &AppImage) -> (HashMap<String, String>, Vec<Mount>) {
    let (mut tmpfs, mut mounts) = (HashMap::new(), Vec::new());
    for point in container.mount_points(image) {
        match point.of {
            MountOf::Memory { mode, size } => {
                let exec = if point.exec { "exec" } else { "noexec" };
                tmpfs.insert(point.at.to_owned(), format!("rw,nosuid,nodev,{exec},mode={mode},size={size}"));
            }
            MountOf::Host { path, writable } => mounts.push(bind(point.at, &path, !writable)),
        }
    }
    (tmpfs, mounts)
}

fn bind(at: &str, path: &std::path::Path, read_only: bool) -> Mount {
    Mount {
        target: Some(at.to_owned()),
        source: Some(path.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Default::default()
    }
}

/// Memory instead of the disk that Docker would give to a volume which the image declares.
fn volume(path: String) -> Mount {
    let options = MountTmpfsOptions { size_bytes: Some(VOLUME), ..Default::default() };
    Mount { target: Some(path), typ: Some(MountType::TMPFS), tmpfs_options: Some(options), ..Default::default() }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Runner for Docker {
    fn check(&self) -> Answer<'_, String> {
        Box::pin(async move {
            let info =
                self.api.info().await.map_err(|error| RunFault::NoEngine(format!("the Docker socket: {error}")))?;
            let held =
                [info.memory_limit, info.pids_limit, info.cpu_cfs_quota].iter().all(|limit| *limit == Some(true));
            if !held && !self.unsafe_no_limits {
                return Err(RunFault::NoLimits(
                    "this Docker engine cannot limit memory, processors and processes".into(),
                ));
            }
            let version = info.server_version.unwrap_or_default();
            Ok(format!("Docker {version}, {}", if held { "limits held by control groups" } else { "WITHOUT limits" }))
        })
    }

    fn prepare<'a>(&'a self, image: &'a AppImage) -> Answer<'a, ()> {
        Box::pin(async move {
            if load::id(&self.api, image).await?.is_some() {
                return Ok(());
            }
            load::load(&self.api, image).await?;
            let missing = || RunFault::Image("the engine does not show the image that it just loaded".into());
            load::id(&self.api, image).await?.map(drop).ok_or_else(missing)
        })
    }

    fn start<'a>(&'a self, container: &'a Container, image: &'a AppImage) -> Answer<'a, Running> {
        Box::pin(async move {
            let name = container_id(container.task);
            self.remove_named(&name).await?;
            let missing = || RunFault::Image("the engine no longer has the image".into());
            let id = load::id(&self.api, image).await?.ok_or_else(missing)?;
            let body = self.body(container, image, id)?;
            let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
            self.api.create_container(Some(options), body).await.map_err(|error| fault(&error))?;
            let options =
                AttachContainerOptions { stream: true, stdin: true, stdout: true, stderr: true, ..Default::default() };
            let attached = self.api.attach_container(&name, Some(options)).await.map_err(|error| fault(&error))?;
            let (stdout, stderr) = split(attached.output);
            self.api.start_container(&name, None).await.map_err(|error| fault(&error))?;
            let ended = ended(self.api.clone(), name);
            Ok(Running { stdin: Box::new(attached.input), stdout: Box::new(stdout), stderr: Box::new(stderr), ended })
        })
    }

    fn remove(&self, task: TaskId) -> Answer<'_, ()> {
        Box::pin(async move { self.remove_named(&container_id(task)).await })
    }

    fn remove_all(&self) -> Answer<'_, usize> {
        Box::pin(async move {
            let filters = HashMap::from([("label".to_owned(), vec![format!("{LABEL}={}", self.owner)])]);
            let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
            let left = self.api.list_containers(Some(options)).await.map_err(|error| fault(&error))?;
            for id in left.iter().filter_map(|container| container.id.as_deref()) {
                self.remove_named(id).await?;
            }
            Ok(left.len())
        })
    }
}

/// Waits from now on: a container that is removed meanwhile is not there to be asked later.
fn ended(api: Api, name: String) -> futures_util::future::BoxFuture<'static, Result<i64, RunFault>> {
    let waiting = tokio::spawn(async move {
        let options = WaitContainerOptions { condition: "not-running".into() };
        let ended = api.wait_container(&name, Some(options)).next().await;
        match ended {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(fault(&error)),
            None => Err(RunFault::Engine("the engine no longer knows the container".into())),
        }
    });
    Box::pin(async move { waiting.await.unwrap_or_else(|error| Err(RunFault::Engine(error.to_string()))) })
}

type Output = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<bollard::container::LogOutput, Error>> + Send>>;

/// One stream of marked pieces into two pipes. A reader that stopped reading does not hold up the other.
fn split(mut output: Output) -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
    use bollard::container::LogOutput;
    let (mut to_stdout, stdout) = tokio::io::duplex(PIPE);
    let (mut to_stderr, stderr) = tokio::io::duplex(PIPE);
    tokio::spawn(async move {
        while let Some(Ok(piece)) = output.next().await {
            let (to, bytes) = match piece {
                LogOutput::StdOut { message } => (&mut to_stdout, message),
                LogOutput::StdErr { message } => (&mut to_stderr, message),
                LogOutput::StdIn { .. } | LogOutput::Console { .. } => continue,
            };
            // A broken pipe: that side is not read any more.
            let _ = to.write_all(&bytes).await;
        }
    });
    (stdout, stderr)
}

fn fault(error: &Error) -> RunFault {
    RunFault::Engine(error.to_string().chars().take(500).collect())
}
