//! A pool on a real chain: anvil, the published contracts, deals, a worker's requests, and the scheduler as it runs.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test binary uses a part")]

use std::{path::Path, time::Duration};

use http::{Request, Response};
use iexec_chain::{
    Chain, ChainWriter,
    anvil::{Anvil, Mining},
    devnet::{CHAIN_ID, DevAccount, HUB},
    toolchain::Toolchain,
    view::App,
    writer::Orders,
};
use iexec_protocol::{
    Address, B256, U256,
    call::{
        Call, CallError,
        scheduler::{AskGrant, GetTask, Grant, Progress, Report, Verdict, WorkerHeader},
    },
    id::{DealId, TaskId},
    order::{AppOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder},
    tag::Tag,
};
use iexec_scheduler::Config;
use iexec_service::{CancellationToken, Client, Listener, clock};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn tools() -> Toolchain {
    let devnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet");
    Toolchain::locate(&devnet).unwrap_or_else(|missing| panic!("{missing}"))
}

pub fn rlc(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_u64)
}

/// A chain with a workerpool and money; nothing is matched yet.
pub struct Network {
    pub url: String,
    pub chain: Chain,
    pub workerpool: Address,
    app: Address,
    client: Client,
}

impl Network {
    /// On a node that mines at once; the node lives as long as the first half.
    pub async fn start() -> (Anvil, Self) {
        let anvil = Anvil::ephemeral(&tools(), Mining::AtOnce).await.unwrap();
        let network = Self::on(&anvil.url()).await;
        (anvil, network)
    }

    pub async fn on(url: &str) -> Self {
        iexec_service::crypto::install();
        let chain = Chain::new(url, CHAIN_ID, HUB).unwrap();
        let writer = |account: DevAccount| chain.with_wallet(account.wallet().unwrap());
        let (deployer, owner, requester) =
            (writer(DevAccount::Deployer), writer(DevAccount::Scheduler), writer(DevAccount::Requester(0)));
        for account in [&owner, &requester] {
            deployer.send_rlc(account.address(), rlc(1000)).await.unwrap();
            account.deposit(rlc(1000)).await.unwrap();
        }
        let app = App {
            owner: Address::ZERO,
            name: "hello".into(),
            kind: "DOCKER".into(),
            multiaddr: b"registry.example/hello:1".to_vec().into(),
            checksum: B256::repeat_byte(0xab),
            mrenclave: Vec::new().into(),
        };
        let app = requester.deploy_app(app).await.unwrap().address;
        let workerpool = owner.deploy_workerpool("pool".into()).await.unwrap().address;
        Self { url: url.to_owned(), chain: chain.clone(), workerpool, app, client: Client::new().unwrap() }
    }

    pub fn writer(&self, account: DevAccount) -> ChainWriter {
        self.chain.with_wallet(account.wallet().unwrap())
    }

    fn sign<T: Order>(&self, order: T, account: DevAccount) -> Unverified<T> {
        let wallet = account.wallet().unwrap();
        Signed::sign(order, &self.chain.domain(), wallet.key()).unwrap().to_unverified()
    }

    /// Matches a deal of `volume` tasks; `salt` tells it from others.
    pub async fn deal(&self, salt: u8, volume: u64, tag: Tag, trust: u64, params: &str) -> DealId {
        let (volume, salt, trust) = (U256::from(volume), B256::repeat_byte(salt), U256::from(trust));
        let (app, workerpool) = (self.app, self.workerpool);
        let requester = DevAccount::Requester(0).wallet().unwrap().address();
        let app_order = AppOrder { app, appprice: rlc(1), volume, tag, salt, ..AppOrder::default() };
        let pool_order = WorkerpoolOrder {
            workerpool,
            workerpoolprice: rlc(2),
            volume,
            tag,
            trust,
            salt,
            ..WorkerpoolOrder::default()
        };
        let request = RequestOrder {
            app,
            appmaxprice: rlc(1),
            workerpool,
            workerpoolmaxprice: rlc(2),
            requester,
            beneficiary: requester,
            volume,
            tag,
            trust,
            params: params.into(),
            salt,
            ..RequestOrder::default()
        };
        let orders = Orders {
            app: self.sign(app_order, DevAccount::Requester(0)),
            dataset: Unverified::default(),
            workerpool: self.sign(pool_order, DevAccount::Scheduler),
            request: self.sign(request, DevAccount::Requester(0)),
        };
        self.writer(DevAccount::Requester(0)).match_orders(orders).await.unwrap().deal
    }

    /// A deal without TEE, of one task.
    pub async fn simple_deal(&self, salt: u8) -> (DealId, TaskId) {
        let deal = self.deal(salt, 1, Tag::NONE, 1, "").await;
        (deal, deal.task(0))
    }

    /// A call to the node itself.
    pub async fn rpc(&self, method: &'static str, params: Value) -> Value {
        self.client.send(&self.url, &Rpc { method, params }).await.unwrap()
    }

    /// Moves the chain's clock on and mines a block.
    pub async fn pass(&self, seconds: u64) {
        self.rpc("evm_increaseTime", json!([seconds])).await;
        self.rpc("evm_mine", json!([])).await;
    }

    pub fn config(&self, folder: &TempDir) -> Config {
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().join("scheduler"),
            chain_url: self.url.clone(),
            chain_id: CHAIN_ID,
            hub: HUB,
            workerpool: self.workerpool,
            wallet: DevAccount::Scheduler.wallet().unwrap(),
            sms_url: None,
            storage_url: "http://127.0.0.1:13200".into(),
            start_block: 0,
            workers: Vec::new(),
            capacity: 1,
        }
    }
}

struct Rpc {
    method: &'static str,
    params: Value,
}

impl Call for Rpc {
    type Reply = Value;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": self.params});
        let request = Request::post(base).header("content-type", "application/json");
        request.body(body.to_string().into_bytes()).map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Value, CallError> {
        let mut reply: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(reply["error"].is_null(), "{}: {reply}", self.method);
        Ok(reply["result"].take())
    }
}

/// A JSON body sent on as it is; the reply's body.
pub struct Forward(pub Vec<u8>);

impl Call for Forward {
    type Reply = Vec<u8>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let request = Request::post(base).header("content-type", "application/json").body(self.0.clone());
        request.map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Vec<u8>, CallError> {
        Ok(response.into_body())
    }
}

/// A scheduler that runs.
pub struct Running {
    pub origin: String,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), String>>,
    client: Client,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        iexec_service::crypto::install();
        let listener = Listener::bind(config.listen.clone()).await.unwrap();
        let (origin, stop) = (listener.origin(), CancellationToken::new());
        let run = iexec_scheduler::run_on(listener, config, stop.clone());
        let ended = tokio::spawn(async move { run.await.map_err(|error| format!("{error:#}")) });
        Self { origin, stop, ended, client: Client::new().unwrap() }
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }

    /// Ends it as a kill does: at whatever it was doing.
    pub async fn kill(self) {
        self.ended.abort();
        assert!(self.ended.await.unwrap_err().is_cancelled());
    }

    /// Why it ended by itself.
    pub async fn failure(self) -> String {
        tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap().unwrap_err()
    }

    pub async fn send<C: Call + Sync>(&self, call: &C) -> Result<C::Reply, CallError>
    where
        C::Reply: Send,
    {
        self.client.send(&self.origin, call).await
    }

    pub async fn ask(&self, worker: DevAccount) -> Result<Option<Grant>, CallError> {
        let wallet = worker.wallet().unwrap();
        let header = WorkerHeader::sign(wallet.key(), clock::now(), AskGrant::PATH, b"").unwrap();
        self.send(&AskGrant { header }).await
    }

    /// Asks until there is a task.
    pub async fn granted(&self, worker: DevAccount) -> Grant {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(grant) = self.ask(worker).await.unwrap() {
                return grant;
            }
        }
        panic!("no task for {worker:?} within {PATIENCE:?}");
    }

    pub async fn report(&self, worker: DevAccount, task: TaskId, progress: Progress) -> Result<bool, CallError> {
        let (wallet, body) = (worker.wallet().unwrap(), Report::body(&progress).unwrap());
        let header = WorkerHeader::sign(wallet.key(), clock::now(), &Report::path(task), &body).unwrap();
        self.send(&Report { task, progress, header }).await.map(|Verdict { go_on }| go_on)
    }

    pub async fn task(&self, task: TaskId) -> Result<Value, CallError> {
        self.send(&GetTask(task)).await
    }

    /// Looks at a task until it is in this state.
    pub async fn until(&self, task: TaskId, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.task(task).await;
            if let Ok(shown) = &seen
                && shown["state"] == state
            {
                return shown.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "not {state} within {PATIENCE:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The statuses of a list of changes.
pub fn statuses(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|change| change["status"].as_str().unwrap()).collect()
}
