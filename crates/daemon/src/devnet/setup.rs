//! What a network needs besides running processes: keys, a workerpool, its orders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use iexec_chain::{
    client::Chain,
    devnet::{CHAIN_ID, DevAccount, HUB},
    view::Kind,
    wallet::Wallet,
};
use iexec_protocol::{
    Address, B256, U256,
    call::market::{FindOrders, GetMarketChallenge, PublishOrder, Published},
    id::Sha256,
    order::{Signed, WorkerpoolOrder},
    tag::Tag,
    typed_data::LoginChallenge,
};
use iexec_service::client::Client;

use super::{
    Flags,
    ports::{Ports, url},
    process::ServiceCommand,
};

/// One order per tag, since SDKs refuse orders that mix frameworks.
const TAGS: [Tag; 4] = [Tag::TEE, Tag::TEE_SCONE, Tag::TEE_GRAMINE, Tag::TEE_TDX];
const VOLUME: u64 = 1_000_000;
const CATEGORIES: u64 = 5;

/// The network's workerpool, deployed on the first start.
pub(crate) async fn workerpool(chain: &Chain) -> Result<Address> {
    let owner = DevAccount::Scheduler.wallet()?;
    if let Some(pool) = chain.owned(Kind::Workerpool, owner.address(), 0).await? {
        return Ok(pool);
    }
    let writer = chain.with_wallet(owner);
    let deployed = writer.deploy_workerpool("local network".into()).await?;
    // Workers lock nothing, and the scheduler keeps one percent.
    writer.change_policy(deployed.address, 0, 1).await?;
    Ok(deployed.address)
}

/// Publishes the orders that are not in the book yet.
pub(crate) async fn publish_orders(chain: &Chain, ports: &Ports, pool: Address) -> Result<()> {
    let (client, market, owner) = (Client::new()?, url(ports.market), DevAccount::Scheduler.wallet()?);
    for category in 0..CATEGORIES {
        let find = FindOrders {
            kind: "workerpool",
            chain_id: CHAIN_ID,
            filters: vec![
                ("workerpool", pool.to_string()),
                ("category", category.to_string()),
                ("pageSize", "100".into()),
            ],
        };
        let open: Vec<Published<WorkerpoolOrder>> = client.send(&market, &find).await?.read()?;
        for tag in TAGS.into_iter().filter(|tag| !open.iter().any(|found| found.order.order.tag == *tag)) {
            let order = WorkerpoolOrder {
                workerpool: pool,
                volume: U256::from(VOLUME),
                tag,
                category: U256::from(category),
                salt: B256::from(rand::random::<[u8; 32]>()),
                ..WorkerpoolOrder::default()
            };
            let signed = Signed::sign(order, &chain.domain(), owner.key())?;
            publish(&client, &market, &owner, signed).await?;
        }
    }
    Ok(())
}

async fn publish(client: &Client, market: &str, owner: &Wallet, signed: Signed<WorkerpoolOrder>) -> Result<()> {
    let typed = client.send(market, &GetMarketChallenge { chain_id: CHAIN_ID, address: owner.address() }).await?;
    let challenge = LoginChallenge::from_typed_data(&typed).context("the market's challenge is malformed")?;
    let header = challenge.answer(owner.key())?;
    client.send(market, &PublishOrder { chain_id: CHAIN_ID, order: signed.to_unverified(), header }).await?;
    Ok(())
}

/// How each service is started, in this order.
pub(crate) fn commands(flags: &Flags, ports: &Ports, pool: Address) -> Result<Vec<ServiceCommand>> {
    let data = &flags.data;
    let keys = data.join("keys");
    fs::create_dir_all(&keys).with_context(|| format!("cannot make {}", keys.display()))?;
    let scheduler_key = key_file(&keys, "scheduler", &DevAccount::Scheduler.wallet()?)?;
    let worker = DevAccount::Worker(0).wallet()?;
    let worker_key = key_file(&keys, "worker", &worker)?;
    let enclave = installed_enclave(flags)?;
    let pki = iexec_sms::simulated_pki::prepare(&data.join("simulated-tee"))?;
    let common = |name: &str, port: u16| -> Vec<String> {
        let folder = data.join(name).display().to_string();
        let listen = format!("127.0.0.1:{port}");
        [
            ("--listen", listen),
            ("--data", folder),
            ("--rpc", url(ports.chain)),
            ("--chain-id", CHAIN_ID.to_string()),
            ("--hub", HUB.to_string()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    };
    let with = |name: &'static str, port: u16, more: Vec<(&str, String)>| {
        let more = more.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        ServiceCommand { name, arguments: common(name, port).into_iter().chain(more).collect() }
    };
    let measurement = Sha256::of(fs::read(&enclave)?).to_string();
    let mut sms = vec![("--url", url(ports.sms)), ("--enclave-measurement", measurement)];
    if !flags.without_simulated_tee {
        sms.push(("--insecure-simulated-tee", pki.root.to_string()));
    }
    Ok(vec![
        with("sms", ports.sms, sms),
        with("storage", ports.storage, vec![]),
        with("market", ports.market, vec![("--scheduler", format!("{pool}={}", url(ports.scheduler)))]),
        with(
            "scheduler",
            ports.scheduler,
            vec![
                ("--workerpool", pool.to_string()),
                ("--wallet", scheduler_key),
                ("--sms", url(ports.sms)),
                ("--storage", url(ports.storage)),
                ("--worker", worker.address().to_string()),
            ],
        ),
        with(
            "worker",
            ports.worker,
            vec![
                ("--scheduler", url(ports.scheduler)),
                ("--wallet", worker_key),
                ("--enclave", enclave.display().to_string()),
                ("--gateway", url(ports.storage)),
                ("--images", absolute(&flags.images)?.display().to_string()),
                ("--engine", flags.engine.name().to_owned()),
                ("--simulated-platform", pki.platform.display().to_string()),
                ("--reach", "loopback".to_owned()),
            ],
        ),
    ])
}

/// The enclave program is copied once a start, so that rebuilding it does not change what runs.
fn installed_enclave(flags: &Flags) -> Result<PathBuf> {
    let folder = flags.data.join("enclave");
    fs::create_dir_all(&folder)?;
    let (path, part) = (folder.join("iexec-enclave"), folder.join("iexec-enclave.part"));
    fs::copy(&flags.enclave, &part).with_context(|| format!("cannot copy {}", flags.enclave.display()))?;
    fs::rename(&part, &path)?;
    Ok(path)
}

fn key_file(folder: &Path, name: &str, wallet: &Wallet) -> Result<String> {
    use std::io::Write as _;
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
