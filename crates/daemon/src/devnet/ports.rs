//! Where the local network's services listen.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, bail};
use iexec_chain::devnet::port;

/// Ports on 127.0.0.1.
pub(crate) struct Ports {
    pub(crate) chain: u16,
    pub(crate) sms: u16,
    pub(crate) scheduler: u16,
    pub(crate) worker: u16,
    pub(crate) storage: u16,
    pub(crate) market: u16,
    pub(crate) faucet: u16,
    offset: u16,
}

impl Ports {
    /// The default ports, each plus `offset`.
    pub(crate) fn with_offset(offset: u16) -> Result<Self> {
        let at = |port: u16| {
            port.checked_add(offset)
                .with_context(|| format!("--port-offset {offset} is too large: at most {}", u16::MAX - port::FAUCET))
        };
        Ok(Self {
            chain: at(port::CHAIN)?,
            sms: at(port::SMS)?,
            scheduler: at(port::SCHEDULER)?,
            worker: at(port::WORKER)?,
            storage: at(port::STORAGE)?,
            market: at(port::MARKET)?,
            faucet: at(port::FAUCET)?,
            offset,
        })
    }

    /// Names and ports, in the order of the start.
    pub(crate) fn all(&self) -> [(&'static str, u16); 7] {
        [
            ("chain", self.chain),
            ("sms", self.sms),
            ("storage", self.storage),
            ("market", self.market),
            ("scheduler", self.scheduler),
            ("worker", self.worker),
            ("faucet", self.faucet),
        ]
    }

    /// The port of a service.
    pub(crate) fn of(&self, name: &str) -> Option<u16> {
        self.all().into_iter().find(|(service, _)| *service == name).map(|(_, port)| port)
    }

    /// Refuses to begin when something else listens on one of them.
    pub(crate) fn check_free(&self) -> Result<()> {
        for (service, port) in self.all() {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                bail!(
                    "port {port} (for the {service}) is in use\nhint: stop what listens there, or choose other ports with --port-offset {}",
                    self.offset.saturating_add(1000).min(30_000)
                );
            }
        }
        Ok(())
    }
}

/// The origin of a service on this machine.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
