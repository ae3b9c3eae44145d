//! A real chain with a deal on it, and a real SMS beside it.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test binary uses a part"
)]

mod wire;

use std::path::{Path, PathBuf};

use iexec_attestation::Digest384;
use iexec_chain::{
    Chain, ChainWriter,
    anvil::{Anvil, Mining},
    devnet::{self, DevAccount},
    toolchain::Toolchain,
    view::{App, Dataset},
    writer::Orders,
};
use iexec_protocol::{
    Address, B256, U256,
    authorization::{TaskRef, WorkerpoolAuthorization, challenge_request_hash},
    call::{
        CallError,
        sms::{Attest, GetChallenge, OpenSession, SecretId, SessionOffer, SetSecret},
    },
    evidence::Evidence,
    id::{DealId, TaskId},
    key::SigningKey,
    order::{AppOrder, DatasetOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder},
    session::{SealedSession, SecretText},
    tag::Tag,
};
use iexec_service::{CancellationToken, Client};
use iexec_simulated_tee::{measured, pki};
use iexec_sms::{Config, Sms};
use tempfile::TempDir;

pub use wire::{Raw, enclave_key, evidence, image, refused};

pub const ENCRYPTED: &str = r#"{"iexec_result_encryption":true}"#;

/// A chain and the people on it.
pub struct Network {
    pub anvil: Anvil,
    pub chain: Chain,
    pub client: Client,
}

/// An SMS under test; stops when dropped.
pub struct Service {
    pub origin: String,
    pub stop: CancellationToken,
    pub done: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    pub async fn start(config: Config) -> Self {
        let sms = Sms::start(config).await.unwrap();
        let (origin, stop) = (sms.origin(), CancellationToken::new());
        let done = tokio::spawn(sms.serve(stop.clone()));
        Self { origin, stop, done }
    }

    /// Stops it and returns when it answers nobody any more, and left its store to others.
    pub async fn end(mut self) {
        self.stop.cancel();
        (&mut self.done).await.unwrap().unwrap();
    }
}

pub fn client() -> Client {
    iexec_service::crypto::install();
    Client::new().unwrap()
}

pub fn enclave() -> Digest384 {
    measured(b"the enclave program").into()
}

/// A policy file for simulated enclaves that run [`enclave`], with `more` at its end.
pub fn policy(folder: &TempDir, more: &str) -> PathBuf {
    let path = folder.path().join("policy.toml");
    let text = format!(
        "tees = [\"simulated\"]\n[dcap]\nstatuses = [\"UpToDate\"]\n[[reference.simulated]]\nname = \"enclave\"\nmrtd = \"{}\"\n{more}",
        const_hex::encode(enclave())
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Settings of an SMS on `chain_url`, believing in the simulated root of `folder`.
pub fn config(chain_url: &str, folder: &TempDir) -> Config {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let files = pki::setup(&folder.path().join("pki"), now, pki::VALIDITY).unwrap();
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        data: folder.path().join("sms"),
        database: None,
        kek: iexec_sms::KekSource::DataFolder,
        limits: iexec_sms::OwnerLimits::default(),
        chain_url: chain_url.to_owned(),
        chain_id: devnet::CHAIN_ID,
        hub: devnet::HUB,
        policy: Some(policy(folder, "")),
        collateral: iexec_sms::collateral::CollateralSources { urls: None, bundle: None },
        tee_broker: false,
        insecure_simulated_tee: Some(files.root),
    }
}

pub fn key(account: DevAccount) -> SigningKey {
    SigningKey::from_bytes(&account.wallet().unwrap().expose_secret()).unwrap()
}

pub fn rlc(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_u64)
}

/// What a deal is made of.
pub struct Terms {
    pub params: &'static str,
    pub tag: Tag,
    pub dataset: bool,
    /// What the app's owner registered as its `mrenclave`.
    pub mrenclave: String,
}

impl Default for Terms {
    fn default() -> Self {
        Self { params: ENCRYPTED, tag: Tag::TEE_TDX, dataset: false, mrenclave: String::new() }
    }
}

impl Network {
    pub async fn start() -> Self {
        let devnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet");
        let tools = Toolchain::locate(&devnet).unwrap_or_else(|missing| panic!("{missing}"));
        let anvil = Anvil::ephemeral(&tools, Mining::AtOnce).await.unwrap();
        let chain = anvil.chain().unwrap();
        let network = Self { anvil, chain, client: client() };
        let deployer = network.writer(DevAccount::Deployer);
        for account in [DevAccount::Scheduler, DevAccount::Requester(0)] {
            let account = network.writer(account);
            deployer.send_rlc(account.address(), rlc(1000)).await.unwrap();
            account.deposit(rlc(1000)).await.unwrap();
        }
        network
    }

    pub fn writer(&self, account: DevAccount) -> ChainWriter {
        self.chain.with_wallet(account.wallet().unwrap())
    }

    pub async fn app(&self) -> Address {
        self.app_of("").await
    }

    /// An app whose owner registered this `mrenclave`.
    async fn app_of(&self, mrenclave: &str) -> Address {
        let app = App {
            owner: Address::ZERO,
            name: "hello".into(),
            kind: "DOCKER".into(),
            multiaddr: b"registry.example/hello:1".to_vec().into(),
            checksum: image().0,
            mrenclave: mrenclave.as_bytes().to_vec().into(),
        };
        self.writer(DevAccount::Requester(0)).deploy_app(app).await.unwrap().address
    }

    pub async fn dataset(&self) -> Address {
        let dataset = Dataset {
            owner: Address::ZERO,
            name: "cats".into(),
            multiaddr: b"http://example.org/cats".to_vec().into(),
            checksum: B256::repeat_byte(1),
        };
        self.writer(DevAccount::Requester(1)).deploy_dataset(dataset).await.unwrap().address
    }

    /// Makes a deal of one task; returns the task's reference, not yet initialised.
    pub async fn deal(&self, terms: Terms) -> TaskRef {
        self.deal_and_request(terms).await.0
    }

    /// The same, with the requester's order.
    pub async fn deal_and_request(&self, terms: Terms) -> (TaskRef, RequestOrder) {
        let (owner, pool_owner) = (self.writer(DevAccount::Requester(0)), self.writer(DevAccount::Scheduler));
        let (tag, volume) = (terms.tag, U256::from(1));
        let app = self.app_of(&terms.mrenclave).await;
        let workerpool = pool_owner.deploy_workerpool("pool".into()).await.unwrap().address;
        let salt = B256::from(rand::random::<[u8; 32]>());
        let dataset = if terms.dataset { self.dataset().await } else { Address::ZERO };
        let dataset_order = DatasetOrder { dataset, volume, salt, ..DatasetOrder::default() };
        let request = RequestOrder {
            app,
            appmaxprice: rlc(1),
            dataset,
            workerpool,
            workerpoolmaxprice: rlc(2),
            requester: owner.address(),
            beneficiary: key(DevAccount::Requester(2)).address(),
            volume,
            tag,
            params: terms.params.into(),
            salt,
            ..RequestOrder::default()
        };
        let app = AppOrder { app, appprice: rlc(1), volume, tag, salt, ..AppOrder::default() };
        let pool =
            WorkerpoolOrder { workerpool, workerpoolprice: rlc(2), volume, tag, salt, ..WorkerpoolOrder::default() };
        let orders = Orders {
            app: sign(app, &owner),
            dataset: if terms.dataset {
                sign(dataset_order, &self.writer(DevAccount::Requester(1)))
            } else {
                Unverified::default()
            },
            workerpool: sign(pool, &pool_owner),
            request: sign(request.clone(), &owner),
        };
        let deal: DealId = owner.match_orders(orders).await.unwrap().deal;
        (TaskRef { id: deal.task(0), deal, index: 0 }, request)
    }

    /// Makes a deal and initialises its task.
    pub async fn task(&self, terms: Terms) -> TaskRef {
        let task = self.deal(terms).await;
        self.writer(DevAccount::Scheduler).initialize(task.deal, task.index).await.unwrap();
        task
    }

    pub async fn challenge(&self, sms: &Service, task: TaskId, by: DevAccount) -> Result<Address, CallError> {
        let signature = key(by).sign_personal(challenge_request_hash(task)).unwrap();
        self.client.send(&sms.origin, &GetChallenge { task, signature }).await
    }

    pub async fn offer(&self, sms: &Service, task: &TaskRef, challenge: Address) -> Result<SessionOffer, CallError> {
        self.client.send(&sms.origin, &authorization(task, challenge)).await
    }

    pub async fn attest(&self, offer: &SessionOffer, evidence: Evidence) -> Result<SealedSession, CallError> {
        let attest = Attest { session_id: offer.session_id.clone(), evidence };
        self.client.send(&offer.secret_provisioning_url, &attest).await
    }

    pub async fn set(&self, sms: &Service, id: &SecretId, value: &str, by: &SigningKey) -> Result<(), CallError> {
        self.client.send(&sms.origin, &set(id, value, by, false)).await
    }

    pub async fn push_beneficiary_key(&self, sms: &Service, value: &str) {
        let key = key(DevAccount::Requester(2));
        let name = iexec_protocol::secret::RESULT_ENCRYPTION_KEY.to_owned();
        self.set(sms, &SecretId::Web2 { owner: key.address(), name }, value, &key).await.unwrap();
    }
}

fn sign<T: Order>(order: T, by: &ChainWriter) -> Unverified<T> {
    Signed::sign(order, &by.chain().domain(), by.wallet().key()).unwrap().to_unverified()
}

pub fn set(id: &SecretId, value: &str, by: &SigningKey, update: bool) -> SetSecret {
    let signature = by.sign_personal(id.challenge(value)).unwrap();
    SetSecret { id: id.clone(), value: SecretText::new(value), signature, update }
}

/// The workerpool's authorization of worker 0, signed by both.
pub fn authorization(task: &TaskRef, challenge: Address) -> OpenSession {
    let worker = key(DevAccount::Worker(0));
    let authorization =
        WorkerpoolAuthorization::sign(task, worker.address(), challenge, &key(DevAccount::Scheduler)).unwrap();
    let signature = worker.sign_personal(authorization.hash()).unwrap();
    OpenSession { authorization, signature }
}
