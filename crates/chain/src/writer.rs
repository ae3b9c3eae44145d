//! A chain and the wallet that signs for it: everything that changes the chain's state.
//!
//! How a transaction gets there is [`crate::transaction`]'s. Clones of one [`Chain`] share the order of nonces.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolEvent};
use iexec_protocol::authorization::WorkerpoolAuthorization;
use iexec_protocol::id::{DealId, TaskId};
use iexec_protocol::order::{AppOrder, DatasetOrder, RequestOrder, Unverified, WorkerpoolOrder};
use iexec_protocol::result::{ResultLink, SignedContribution};

use crate::client::{Chain, Turn, name_of};
use crate::contracts::{AppRegistry, DatasetRegistry, Hub, Registry, Rlc, Workerpool as Pool, WorkerpoolRegistry};
use crate::error::ChainError;
use crate::transaction::{Outgoing, Sender};
use crate::view::{App, Dataset, Kind};
use crate::wallet::Wallet;
use crate::{Answer, contracts};

/// A chain, signing as one account.
#[derive(Clone, Debug)]
pub struct ChainWriter {
    sender: Sender,
}

/// A mined transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub transaction: B256,
    /// The block it is in.
    pub block: u64,
    /// What it cost, in gas.
    pub gas_used: u64,
}

/// An object at its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed {
    /// Where it is.
    pub address: Address,
    /// The transaction that created it; `None`: the very same object was there already.
    pub receipt: Option<Receipt>,
}

/// Four orders became a deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// The new deal.
    pub deal: DealId,
    /// How many tasks it has.
    pub volume: u64,
    /// Its transaction.
    pub receipt: Receipt,
}

/// The four orders of a deal, as signed. Without a dataset, `dataset` is the default: all zero, unsigned.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Of the app's owner.
    pub app: Unverified<AppOrder>,
    /// Of the dataset's owner.
    pub dataset: Unverified<DatasetOrder>,
    /// Of the workerpool's owner.
    pub workerpool: Unverified<WorkerpoolOrder>,
    /// Of the requester.
    pub request: Unverified<RequestOrder>,
}

/// What a worker hands in (`IexecPoco2Facet.contributeAndFinalize`).
#[derive(Debug, Clone)]
pub struct ContributionCall {
    /// The task.
    pub task: TaskId,
    /// Digest of the deterministic output.
    pub result_digest: B256,
    /// The result link, UTF-8 JSON.
    pub results: Bytes,
    /// For the callback contract; empty without one.
    pub results_callback: Bytes,
    /// The enclave's address; zero without TEE.
    pub enclave_challenge: Address,
    /// Made by the enclave; empty without TEE.
    pub enclave_signature: Bytes,
    /// Made by the workerpool's owner.
    pub authorization: Bytes,
}

impl ContributionCall {
    /// What a worker of a TEE deal hands in: the enclave's contribution, what allows it, and where the result lies.
    pub fn new(signed: &SignedContribution, allowed: &WorkerpoolAuthorization, link: &ResultLink) -> Self {
        let SignedContribution { contribution, enclave_signature } = signed;
        let tee = !allowed.enclave_challenge.is_zero();
        Self {
            task: contribution.task,
            result_digest: contribution.result_digest,
            results: link.to_bytes().into(),
            results_callback: contribution.callback.clone(),
            enclave_challenge: allowed.enclave_challenge,
            enclave_signature: if tee { enclave_signature.to_bytes().into() } else { Bytes::new() },
            authorization: allowed.signature.value.to_bytes().into(),
        }
    }
}

impl ChainWriter {
    pub(crate) fn new(chain: Chain, wallet: Wallet, turn: Turn) -> Self {
        Self { sender: Sender { chain, wallet, turn, confirmations: 1 } }
    }

    /// The same, waiting for this many blocks (the transaction's own counts, so at least 1).
    #[must_use]
    pub fn confirming(self, confirmations: u64) -> Self {
        Self { sender: Sender { confirmations: confirmations.max(1), ..self.sender } }
    }

    /// The chain, to read from.
    pub fn chain(&self) -> &Chain {
        &self.sender.chain
    }

    /// The wallet that signs.
    pub fn wallet(&self) -> &Wallet {
        &self.sender.wallet
    }

    /// The account that signs.
    pub fn address(&self) -> Address {
        self.sender.wallet.address()
    }

    /// Registers an app owned by this account (`app.owner` is not read). Registering it twice changes nothing.
    pub fn deploy_app(&self, app: App) -> Answer<'_, Deployed> {
        let owner = self.address();
        let App { name, kind, multiaddr, checksum, mrenclave, .. } = app;
        let predict = AppRegistry::predictAppCall {
            owner,
            name: name.clone(),
            kind: kind.clone(),
            multiaddr: multiaddr.clone(),
            checksum,
            mrenclave: mrenclave.clone(),
        };
        let create = AppRegistry::createAppCall { owner, name, kind, multiaddr, checksum, mrenclave };
        self.deploy(Kind::App, predict, create)
    }

    /// Registers a dataset owned by this account (`dataset.owner` is not read). Registering it twice changes nothing.
    pub fn deploy_dataset(&self, dataset: Dataset) -> Answer<'_, Deployed> {
        let owner = self.address();
        let Dataset { name, multiaddr, checksum, .. } = dataset;
        let predict =
            DatasetRegistry::predictDatasetCall { owner, name: name.clone(), multiaddr: multiaddr.clone(), checksum };
        let create = DatasetRegistry::createDatasetCall { owner, name, multiaddr, checksum };
        self.deploy(Kind::Dataset, predict, create)
    }

    /// Registers a workerpool owned by this account. Registering it twice changes nothing.
    pub fn deploy_workerpool(&self, description: String) -> Answer<'_, Deployed> {
        let owner = self.address();
        let predict = WorkerpoolRegistry::predictWorkerpoolCall { owner, description: description.clone() };
        let create = WorkerpoolRegistry::createWorkerpoolCall { owner, description };
        self.deploy(Kind::Workerpool, predict, create)
    }

    /// Sets what workers stake and what the scheduler keeps, both in percent of the price.
    pub fn change_policy(&self, workerpool: Address, stake_ratio: u64, reward_ratio: u64) -> Answer<'_, Receipt> {
        self.send(
            workerpool,
            &Pool::changePolicyCall {
                newWorkerStakeRatioPolicy: U256::from(stake_ratio),
                newSchedulerRewardRatioPolicy: U256::from(reward_ratio),
            },
        )
    }

    /// Matches four orders into a deal.
    pub fn match_orders(&self, orders: Orders) -> Answer<'_, Matched> {
        let call = Hub::matchOrdersCall {
            app: orders.app.into(),
            dataset: orders.dataset.into(),
            workerpool: orders.workerpool.into(),
            request: orders.request.into(),
        };
        Box::pin(async move {
            let mined = self.transact("matchOrders", self.chain().hub(), call.abi_encode(), U256::ZERO).await?;
            let event: Hub::OrdersMatched = self.event(&mined)?;
            let volume = event.volume.saturating_to();
            Ok(Matched { deal: DealId(event.dealid), volume, receipt: receipt_of(&mined) })
        })
    }

    /// Closes an order for good: what remains of its volume cannot be matched.
    pub fn close_app_order(&self, order: Unverified<AppOrder>) -> Answer<'_, Receipt> {
        let operation = contracts::AppOrderOperation { order: order.into(), operation: CLOSE, sign: Bytes::new() };
        self.send(self.chain().hub(), &Hub::manageAppOrderCall { operation })
    }

    /// Closes an order for good.
    pub fn close_dataset_order(&self, order: Unverified<DatasetOrder>) -> Answer<'_, Receipt> {
        let operation = contracts::DatasetOrderOperation { order: order.into(), operation: CLOSE, sign: Bytes::new() };
        self.send(self.chain().hub(), &Hub::manageDatasetOrderCall { operation })
    }

    /// Closes an order for good.
    pub fn close_workerpool_order(&self, order: Unverified<WorkerpoolOrder>) -> Answer<'_, Receipt> {
        let operation =
            contracts::WorkerpoolOrderOperation { order: order.into(), operation: CLOSE, sign: Bytes::new() };
        self.send(self.chain().hub(), &Hub::manageWorkerpoolOrderCall { operation })
    }

    /// Closes an order for good.
    pub fn close_request_order(&self, order: Unverified<RequestOrder>) -> Answer<'_, Receipt> {
        let operation = contracts::RequestOrderOperation { order: order.into(), operation: CLOSE, sign: Bytes::new() };
        self.send(self.chain().hub(), &Hub::manageRequestOrderCall { operation })
    }

    /// Starts a deal's task; its id is `deal.task(index)`. Anyone may.
    pub fn initialize(&self, deal: DealId, index: u64) -> Answer<'_, Receipt> {
        self.send(self.chain().hub(), &Hub::initializeCall { dealid: deal.0, idx: U256::from(index) })
    }

    /// Hands in a task's result and ends the task, paid.
    pub fn contribute_and_finalize(&self, call: ContributionCall) -> Answer<'_, Receipt> {
        self.send(
            self.chain().hub(),
            &Hub::contributeAndFinalizeCall {
                taskid: call.task.0,
                resultDigest: call.result_digest,
                results: call.results,
                resultsCallback: call.results_callback,
                enclaveChallenge: call.enclave_challenge,
                enclaveSign: call.enclave_signature,
                authorizationSign: call.authorization,
            },
        )
    }

    /// Ends an initialised task that is past its final deadline: failed, and the requester's stake given back.
    pub fn claim(&self, task: TaskId) -> Answer<'_, Receipt> {
        self.send(self.chain().hub(), &Hub::claimCall { taskid: task.0 })
    }

    /// The same for tasks that were never initialised.
    pub fn initialize_and_claim(&self, deal: DealId, indexes: &[u64]) -> Answer<'_, Receipt> {
        let indexes: Vec<_> = indexes.iter().copied().map(U256::from).collect();
        let call = Hub::initializeAndClaimArrayCall { dealids: vec![deal.0; indexes.len()], indexes };
        self.send(self.chain().hub(), &call)
    }

    /// Moves RLC from this account into the hub (nRLC), in one transaction and without a prior approval.
    pub fn deposit(&self, amount: U256) -> Answer<'_, Receipt> {
        Box::pin(async move {
            let token = self.chain().contracts().await?.token;
            let call = Rlc::approveAndCallCall { spender: self.chain().hub(), amount, extra: Bytes::new() };
            self.send(token, &call).await
        })
    }

    /// Moves free RLC out of the hub (nRLC).
    pub fn withdraw(&self, amount: U256) -> Answer<'_, Receipt> {
        self.send(self.chain().hub(), &Hub::withdrawCall { amount })
    }

    /// Sends ether (wei).
    pub fn send_ether(&self, to: Address, wei: U256) -> Answer<'_, Receipt> {
        Box::pin(async move { Ok(receipt_of(&self.transact("send ether", to, Vec::new(), wei).await?)) })
    }

    /// Sends RLC held outside the hub (nRLC).
    pub fn send_rlc(&self, to: Address, amount: U256) -> Answer<'_, Receipt> {
        Box::pin(async move {
            let token = self.chain().contracts().await?.token;
            self.send(token, &Rlc::transferCall { to, amount }).await
        })
    }

    /// Adds a category of tasks that take this many seconds; the hub's owner only.
    pub fn create_category(&self, name: String, description: String, seconds: u64) -> Answer<'_, Receipt> {
        let call = Hub::createCategoryCall { name, description, workClockTimeRef: U256::from(seconds) };
        self.send(self.chain().hub(), &call)
    }

    /// Names the hub's TEE broker, zero for none; the hub's owner only.
    pub fn set_tee_broker(&self, broker: Address) -> Answer<'_, Receipt> {
        self.send(self.chain().hub(), &Hub::setTeeBrokerCall { broker })
    }

    fn deploy<P, C>(&self, kind: Kind, predict: P, create: C) -> Answer<'_, Deployed>
    where
        P: SolCall<Return = Address> + Send + Sync + 'static,
        C: SolCall + Send + 'static,
    {
        Box::pin(async move {
            let registry = self.chain().registry(kind).await?;
            let address = self.chain().read(registry, &predict).await?;
            if self.chain().is_registered(kind, address).await? {
                return Ok(Deployed { address, receipt: None });
            }
            let mined = self.transact(name_of::<C>(), registry, create.abi_encode(), U256::ZERO).await?;
            let created: Registry::Transfer = self.event(&mined)?;
            let address = Address::from_word(created.tokenId.into());
            Ok(Deployed { address, receipt: Some(receipt_of(&mined)) })
        })
    }

    fn send<C: SolCall>(&self, to: Address, call: &C) -> Answer<'_, Receipt> {
        let input = call.abi_encode();
        Box::pin(async move { Ok(receipt_of(&self.transact(name_of::<C>(), to, input, U256::ZERO).await?)) })
    }

    fn transact(&self, call: &'static str, to: Address, input: Vec<u8>, value: U256) -> Answer<'_, TransactionReceipt> {
        self.sender.transact(Outgoing { call, to, input: input.into(), value })
    }

    fn event<E: SolEvent>(&self, mined: &TransactionReceipt) -> Result<E, ChainError> {
        let found = mined.logs().iter().find_map(|log| E::decode_log(&log.inner).ok());
        found.map(|log| log.data).ok_or_else(|| ChainError::Answer {
            call: E::SIGNATURE.split('(').next().unwrap_or(E::SIGNATURE),
            contract: mined.to.unwrap_or(self.chain().hub()),
            cause: format!("no such event in transaction {}", mined.transaction_hash),
        })
    }
}

/// Operation of `manage…Order`: 0 would sign the order on chain.
const CLOSE: u8 = 1;

fn receipt_of(mined: &TransactionReceipt) -> Receipt {
    Receipt {
        transaction: mined.transaction_hash,
        block: mined.block_number.unwrap_or_default(),
        gas_used: mined.gas_used,
    }
}
