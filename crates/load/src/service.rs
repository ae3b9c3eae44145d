//! The SMS under load: a process of its own, and what the kernel says about it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{database::Database, scene::Scene, usage::Usage};

const START_TIME: Duration = Duration::from_secs(30);
/// Of a chain that is not there.
const NO_CHAIN: [&str; 6] =
    ["--chain-id", "31337", "--rpc", "http://127.0.0.1:1", "--hub", "0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f"];

/// A running SMS; killed when dropped.
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts it and waits until it answers. Without a scene there is no chain: nothing that is measured then asks it.
    pub(crate) async fn start(iexecd: &Path, database: &Database, scene: Option<&Scene>) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = database.folder().join("sms.log");
        let child = Command::new(iexecd)
            .args(["sms", "--listen", &address.to_string(), "--data"])
            .arg(database.folder().join("sms"))
            .args(scene.map_or_else(|| Ok(NO_CHAIN.map(str::to_owned).to_vec()), Scene::flags)?)
            .args(database.flags())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", iexecd.display()))?;
        let mut service = Self { child, address, log: log.clone() };
        let deadline = Instant::now() + START_TIME;
        while !alive(address) {
            if let Some(status) = service.child.try_wait()? {
                bail!("the SMS ended ({status}):\n{}", fs::read_to_string(&log)?);
            }
            ensure!(Instant::now() < deadline, "the SMS does not listen:\n{}", fs::read_to_string(&log)?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(service)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it uses.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Tells it to stop, and insists that it ends well.
    pub(crate) fn stop(mut self) -> Result<()> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(told.success(), "the SMS cannot be stopped");
        let status = self.child.wait()?;
        ensure!(status.success(), "the SMS ended with {status}:\n{}", fs::read_to_string(&self.log)?);
        Ok(())
    }
}

/// Whether it answers: the port is taken before the store is open.
fn alive(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<[u8; 12]> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START_TIME))?;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    ask().is_ok_and(|status| &status == b"HTTP/1.1 200")
}
