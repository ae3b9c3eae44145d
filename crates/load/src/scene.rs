//! A chain with one deal of many tasks, and a machine with a simulated TEE: what challenges and sessions need.
//!
//! The simulation's quotes are TDX quotes byte for byte, and verified as such (docs/spec/attestation.md).

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use iexec_chain::{
    ChainWriter,
    anvil::{Anvil, Mining},
    devnet::{CHAIN_ID, DevAccount, HUB},
    toolchain::Toolchain,
    view::App,
    writer::Orders,
};
use iexec_protocol::{
    Address, B256, U256,
    authorization::{TaskRef, WorkerpoolAuthorization, challenge_request_hash},
    call::sms::{Attest, Data, GetChallenge, OpenSession, SecretId, SessionOffer, SetSecret},
    evidence::{Evidence, Tee, image_event, report_data},
    id::{DealId, Sha256},
    key::SigningKey,
    order::{AppOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder},
    secret::RESULT_ENCRYPTION_KEY,
    session::{EphemeralKey, SecretText},
    tag::Tag,
};
use iexec_service::clock;
use iexec_simulated_tee::{Platform, Td, measured, pki};
use tempfile::TempDir;

use crate::requests::bytes;

/// Transactions that wait at once.
const WAITING: usize = 64;
/// Of the simulated platform's collateral.
const VALIDITY: Duration = Duration::from_hours(24);

/// The chain, and all whose signatures are needed.
pub(crate) struct Scene {
    anvil: Anvil,
    folder: TempDir,
    platform: Platform,
    deal: DealId,
    key: EphemeralKey,
    scheduler: SigningKey,
    worker: SigningKey,
    beneficiary: SigningKey,
}

impl Scene {
    /// A deal of `tasks` tasks, all of them initialised.
    pub(crate) async fn set(tasks: u64) -> Result<Self> {
        let anvil = Anvil::ephemeral(&Toolchain::locate("devnet".as_ref())?, Mining::AtOnce).await?;
        let chain = anvil.chain()?;
        let [owner, pool] = [DevAccount::Requester(0), DevAccount::Scheduler].map(DevAccount::wallet);
        let [owner, pool] = [chain.with_wallet(owner?), chain.with_wallet(pool?)];
        let beneficiary = key(DevAccount::Requester(2))?;
        let deal = deal(&owner, &pool, beneficiary.address(), tasks).await?;
        let initialised = stream::iter(0..tasks).map(|index| pool.initialize(deal, index)).buffer_unordered(WAITING);
        initialised.try_for_each(|_| async { Ok(()) }).await?;
        let folder = tempfile::Builder::new().prefix("iexec-load-tee-").tempdir_in("target")?;
        let files = pki::setup(&folder.path().join("pki"), clock::now(), VALIDITY)?;
        let platform = Platform::from_json(&fs::read(&files.platform)?)?;
        fs::write(folder.path().join("policy.toml"), policy())?;
        let key_of_enclave = EphemeralKey::generate(&mut rand::rng());
        let [scheduler, worker] = [key(DevAccount::Scheduler)?, key(DevAccount::Worker(0))?];
        Ok(Self { anvil, folder, platform, deal, key: key_of_enclave, scheduler, worker, beneficiary })
    }

    /// What the SMS is told about it.
    pub(crate) fn flags(&self) -> Result<Vec<String>> {
        let path = |name: &str| Ok(fs::canonicalize(self.folder.path().join(name))?.display().to_string());
        let flags = ["--rpc", &self.anvil.url(), "--chain-id", &CHAIN_ID.to_string(), "--hub", &HUB.to_string()];
        let simulated = format!("pki/{}", pki::ROOT);
        let (policy, root): (Result<String>, Result<String>) = (path("policy.toml"), path(&simulated));
        let trust = ["--policy".to_owned(), policy?, "--insecure-simulated-tee".to_owned(), root?];
        Ok(flags.map(str::to_owned).into_iter().chain(trust).collect())
    }

    /// The beneficiary's public key, which every session holds.
    pub(crate) fn beneficiary_key(&self, origin: &str) -> Result<Arc<[u8]>> {
        let id = SecretId::Web2 { owner: self.beneficiary.address(), name: RESULT_ENCRYPTION_KEY.to_owned() };
        let value = "x".repeat(600);
        let signature = self.beneficiary.sign_personal(id.challenge(&value))?;
        bytes(origin, &SetSecret { id, value: SecretText::new(value), signature, update: false })
    }

    /// The scheduler's request for a task's challenge.
    pub(crate) fn challenge(&self, origin: &str, index: u64) -> Result<Arc<[u8]>> {
        let task = self.deal.task(index);
        let signature = self.scheduler.sign_personal(challenge_request_hash(task))?;
        bytes(origin, &GetChallenge { task, signature })
    }

    /// The worker's request for a session of a task whose challenge the SMS told.
    pub(crate) fn session(&self, origin: &str, index: u64, challenge: &[u8]) -> Result<Arc<[u8]>> {
        let challenge: Address = std::str::from_utf8(challenge)?.parse().context("a challenge")?;
        let task = TaskRef { id: self.deal.task(index), deal: self.deal, index };
        let authorization = WorkerpoolAuthorization::sign(&task, self.worker.address(), challenge, &self.scheduler)?;
        let signature = self.worker.sign_personal(authorization.hash())?;
        bytes(origin, &OpenSession { authorization, signature })
    }

    /// The enclave's evidence for an offered session of a task: one P-256 signature by the simulated machine.
    pub(crate) fn evidence(&self, origin: &str, index: u64, offer: &[u8]) -> Result<Arc<[u8]>> {
        let SessionOffer { session_id, nonce, .. } = serde_json::from_slice::<Data<SessionOffer>>(offer)?.data;
        let (task, signer, image) = (self.deal.task(index), Address::repeat_byte(6), image());
        let data = report_data(self.key.public(), signer, task, nonce, image);
        let quote = self.platform.quote(&Td::new(enclave(), data).extend(3, &image_event(image)));
        let key = B256::from(*self.key.public());
        let evidence = Evidence { tee: Tee::Simulated, key, signer, image, quote, certificates: Vec::new() };
        bytes(origin, &Attest { session_id, evidence })
    }
}

async fn deal(owner: &ChainWriter, pool: &ChainWriter, beneficiary: Address, tasks: u64) -> Result<DealId> {
    let image = image();
    let app = App {
        owner: Address::ZERO,
        name: "load".into(),
        kind: "DOCKER".into(),
        multiaddr: b"registry.example/load:1".to_vec().into(),
        checksum: image.0,
        mrenclave: Vec::new().into(),
    };
    let app = owner.deploy_app(app).await?.address;
    let workerpool = pool.deploy_workerpool("load".into()).await?.address;
    let (volume, salt, tag) = (U256::from(tasks), B256::from(rand::random::<[u8; 32]>()), Tag::TEE_TDX);
    let request = RequestOrder {
        app,
        workerpool,
        requester: owner.address(),
        beneficiary,
        volume,
        tag,
        params: r#"{"iexec_result_encryption":true}"#.into(),
        salt,
        ..RequestOrder::default()
    };
    let app = AppOrder { app, volume, tag, salt, ..AppOrder::default() };
    let workerpool = WorkerpoolOrder { workerpool, volume, tag, salt, ..WorkerpoolOrder::default() };
    let orders = Orders {
        app: sign(app, owner)?,
        dataset: Unverified::default(),
        workerpool: sign(workerpool, pool)?,
        request: sign(request, owner)?,
    };
    let matched = owner.match_orders(orders).await?;
    ensure!(matched.volume == tasks, "a deal of {} tasks, not {tasks}", matched.volume);
    Ok(matched.deal)
}

fn sign<T: Order>(order: T, by: &ChainWriter) -> Result<Unverified<T>> {
    Ok(Signed::sign(order, &by.chain().domain(), by.wallet().key())?.to_unverified())
}

fn key(account: DevAccount) -> Result<SigningKey> {
    Ok(SigningKey::from_bytes(&account.wallet()?.expose_secret())?)
}

fn image() -> Sha256 {
    Sha256(B256::repeat_byte(0xab))
}

fn enclave() -> [u8; 48] {
    measured(b"the enclave program")
}

fn policy() -> String {
    let mrtd = const_hex::encode(enclave());
    format!(
        "tees = [\"simulated\"]\n[dcap]\nstatuses = [\"UpToDate\"]\n[[reference.simulated]]\nname = \"enclave\"\nmrtd = \"{mrtd}\"\n"
    )
}
