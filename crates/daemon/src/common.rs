//! Flags and set-up that every service shares.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use iexec_chain::{client::Chain, keystore, wallet::Wallet};
use iexec_protocol::Address;
use iexec_service::{
    BoxFuture, CancellationToken, Listen,
    limit::Rate,
    listen::{CONNECTIONS, GRACE},
    logging,
    tls::TlsFiles,
};
use ipnet::IpNet;

/// Flags of every service.
#[derive(Args, Clone)]
pub(crate) struct Common {
    #[command(flatten)]
    port: PortFlags,
    /// Folder for what the service keeps
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// URL of the chain's JSON-RPC endpoint
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) rpc: String,
    /// The chain's id
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: u64,
    /// Address of the PoCo hub
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) hub: Address,
    /// What to log, in the form of `RUST_LOG`
    #[arg(long, value_name = "FILTER", env = "IEXECD_LOG", default_value = "info")]
    log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Threads that answer requests; as many as the machine has cores, and at least 2, if absent
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Stop when standard input closes
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

/// Where and how a service listens.
#[derive(Args, Clone)]
#[command(next_help_heading = "Listening")]
struct PortFlags {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = socket)]
    listen: SocketAddr,
    /// Certificate chain as PEM: HTTPS instead of HTTP. It is read again when it changes, and on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate as PEM, readable by its owner alone
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Connections that are open at once; more wait
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS)]
    max_connections: usize,
    /// Requests that one client may make, as 50/s, 600/m or 50/s:200 (at once); any number if absent
    #[arg(long, value_name = "RATE[:BURST]", value_parser = str::parse::<Rate>)]
    rate_limit: Option<Rate>,
    /// A proxy, or a network of them, whose X-Forwarded-For says who the client is (may be repeated)
    #[arg(long = "trusted-proxy", value_name = "ADDRESS[/BITS]", value_parser = network)]
    trusted_proxies: Vec<IpNet>,
    /// Seconds that open requests have to end when the service is told to stop
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE.as_secs())]
    grace: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Common {
    /// The port, as the flags have it.
    pub(crate) fn listen(&self) -> Listen {
        let port = self.port.clone();
        let tls = port.tls_cert.zip(port.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        Listen {
            address: port.listen,
            tls,
            connections: port.max_connections.max(1),
            rate: port.rate_limit,
            trusted_proxies: port.trusted_proxies,
            grace: Duration::from_secs(port.grace),
        }
    }

    /// The chain, checked to be the one that the flags name.
    pub(crate) async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(&self.rpc, self.chain_id, self.hub).await?)
    }
}

/// Runs a service until a signal or, if so asked, until the parent goes.
pub(crate) fn run<F>(common: &Common, service: F) -> Result<()>
where
    F: FnOnce(CancellationToken) -> BoxFuture<'static, Result<()>>,
{
    let format = match common.log_format {
        LogFormat::Text => logging::Format::Text,
        LogFormat::Json => logging::Format::Json,
    };
    logging::init(&common.log, format)?;
    let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2);
    let threads = common.threads.map_or(cores, NonZeroUsize::get);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).max_blocking_threads(16).enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = iexec_service::serve::stop_on_signal()?;
        if common.stop_with_parent {
            stop_with_parent(stop.clone());
        }
        service(stop).await
    });
    runtime.shutdown_background();
    result
}

/// The parent holds the other end of our standard input; when it dies, in whatever way, the pipe closes.
fn stop_with_parent(stop: CancellationToken) {
    std::thread::spawn(move || {
        // Whatever ends the reading means that nobody holds the pipe any more.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stop.cancel();
    });
}

/// Reads an address flag.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    iexec_protocol::id::parse_address(text).map_err(|error| error.to_string())
}

/// Reads where to listen.
fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("expected an address and a port, as 127.0.0.1:13300, got {text:?}"))
}

/// Reads an address, or a network of them.
fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| one())
        .map_err(|_| format!("expected an address or a network, as 10.0.0.0/8, got {text:?}"))
}

/// Reads the URL of a service or node.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    let good = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if good { Ok(text.to_owned()) } else { Err(format!("expected an http or https URL, got {text:?}")) }
}

/// Reads a wallet file: a keystore V3 (its password in `password_file`) or a bare private key in hex.
pub(crate) fn wallet(path: &Path, password_file: Option<&Path>) -> Result<Wallet> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read the wallet {}\nhint: --wallet names a keystore file, or a file with a private key",
            path.display()
        )
    })?;
    if !text.trim_start().starts_with('{') {
        return Wallet::from_hex(text.trim()).with_context(|| format!("the wallet {}", path.display()));
    }
    let file = password_file.context("the wallet is encrypted\nhint: give --password-file")?;
    let password = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    keystore::open(&text, password.trim_end_matches(['\r', '\n']))
        .with_context(|| format!("the wallet {}", path.display()))
}
