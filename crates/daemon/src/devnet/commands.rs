//! How each service of the network is started: its flags, its keys, its copy of the enclave program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use iexec_chain::{
    devnet::{CHAIN_ID, DevAccount, HUB},
    wallet::Wallet,
};
use iexec_protocol::Address;
use sha2::{Digest as _, Sha384};

use super::{
    Flags,
    ports::{Ports, url},
    process::ServiceCommand,
    simulated_tee::SimulatedTee,
};

type FlagList = Vec<(&'static str, String)>;

/// The services' commands, in the order of their start.
pub(crate) fn commands(flags: &Flags, ports: &Ports, pool: Address, tee: &SimulatedTee) -> Result<Vec<ServiceCommand>> {
    let enclave = installed_enclave(flags)?;
    let directory = vec![("--scheduler", format!("{pool}={}", url(ports.scheduler)))];
    let all = [
        ("sms", ports.sms, sms(flags, ports, &enclave, tee)?),
        ("storage", ports.storage, vec![]),
        ("market", ports.market, directory),
        ("scheduler", ports.scheduler, scheduler(flags, ports, pool)?),
        ("worker", ports.worker, worker(flags, ports, &enclave, tee)?),
    ];
    Ok(all.map(|(name, port, more)| command(flags, ports, name, port, more)).into())
}

fn command(flags: &Flags, ports: &Ports, name: &'static str, port: u16, more: FlagList) -> ServiceCommand {
    let common = [
        ("--listen", format!("127.0.0.1:{port}")),
        ("--data", flags.data.join(name).display().to_string()),
        ("--rpc", url(ports.chain)),
        ("--chain-id", CHAIN_ID.to_string()),
        ("--hub", HUB.to_string()),
    ];
    let words = common.into_iter().chain(more).flat_map(|(flag, value)| [flag.to_owned(), value]);
    ServiceCommand { name, arguments: words.collect() }
}

fn sms(flags: &Flags, ports: &Ports, enclave: &Path, tee: &SimulatedTee) -> Result<FlagList> {
    let program = fs::read(enclave).with_context(|| format!("cannot read {}", enclave.display()))?;
    let mut list = vec![("--url", url(ports.sms))];
    if !flags.without_simulated_tee {
        list.push(("--policy", policy(flags, &Sha384::digest(program))?));
        list.push(("--insecure-simulated-tee", tee.root.display().to_string()));
    }
    Ok(list)
}

/// The one enclave program of the network, simulated, and nothing else.
fn policy(flags: &Flags, measurement: &[u8]) -> Result<String> {
    let path = flags.data.join("policy.toml");
    let text = format!(
        "# Written at each start of the local network: the enclave program that it installed, and no other.\n\
         tees = [\"simulated\"]\n\n[dcap]\nstatuses = [\"UpToDate\"]\n\n\
         [[reference.simulated]]\nname = \"enclave of the local network\"\nmrtd = \"{}\"\n",
        const_hex::encode(measurement)
    );
    let part = path.with_extension("toml.part");
    fs::write(&part, text).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, &path)?;
    Ok(path.display().to_string())
}

fn scheduler(flags: &Flags, ports: &Ports, pool: Address) -> Result<FlagList> {
    Ok(vec![
        ("--workerpool", pool.to_string()),
        ("--wallet", key_file(flags, "scheduler", &DevAccount::Scheduler.wallet()?)?),
        ("--sms", url(ports.sms)),
        ("--storage", url(ports.storage)),
        ("--worker", DevAccount::Worker(0).wallet()?.address().to_string()),
        // For a second worker, started by hand.
        ("--worker", DevAccount::Worker(1).wallet()?.address().to_string()),
    ])
}

fn worker(flags: &Flags, ports: &Ports, enclave: &Path, tee: &SimulatedTee) -> Result<FlagList> {
    let mut list = vec![
        ("--scheduler", url(ports.scheduler)),
        ("--wallet", key_file(flags, "worker", &DevAccount::Worker(0).wallet()?)?),
        ("--enclave", enclave.display().to_string()),
        ("--gateway", url(ports.storage)),
        ("--images", absolute(&flags.images())?.display().to_string()),
        ("--engine", flags.engine.name().to_owned()),
        ("--simulated-platform", tee.platform.display().to_string()),
        ("--reach", "loopback".to_owned()),
    ];
    list.extend(flags.runtime.iter().map(|program| ("--runtime", program.display().to_string())));
    Ok(list)
}

/// The enclave program is copied once a start, so that rebuilding it does not change what runs.
fn installed_enclave(flags: &Flags) -> Result<PathBuf> {
    let folder = flags.data.join("enclave");
    fs::create_dir_all(&folder)?;
    let (path, part) = (folder.join("iexec-enclave"), folder.join("iexec-enclave.part"));
    fs::copy(flags.enclave(), &part)
        .with_context(|| format!("cannot copy {} to {}", flags.enclave().display(), part.display()))?;
    fs::rename(&part, &path)?;
    Ok(path)
}

fn key_file(flags: &Flags, name: &str, wallet: &Wallet) -> Result<String> {
    use std::io::Write as _;
    let folder = flags.data.join("keys");
    iexec_service::store::private_folder(&folder)?;
    let path = folder.join(format!("{name}.key"));
    let mut file = iexec_service::store::private_file(&path)?;
    file.set_len(0)?;
    file.write_all(format!("0x{}", const_hex::encode(wallet.expose_secret().as_slice())).as_bytes())?;
    Ok(path.display().to_string())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    path.canonicalize().with_context(|| format!("cannot use {}", path.display()))
}
