//! What the chain tells: accounts, deals, tasks, categories, and the objects that are for sale.

use alloy::consensus::BlockHeader;
use alloy::eips::BlockNumberOrTag;
use alloy::network::BlockResponse;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use iexec_protocol::deal::{Deal, Resource};
use iexec_protocol::id::{DealId, OrderHash, TaskId};
use iexec_protocol::order::Domain;
use iexec_protocol::tag::Tag;
use iexec_protocol::task::{ChainStatus, ChainTask};

use crate::client::{Answer, Chain};
use crate::contracts::{self, Hub, Registry, Rlc};
use crate::error::ChainError;

/// What an address holds outside the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balances {
    /// Ether, in wei.
    pub wei: U256,
    /// RLC, in nRLC.
    pub nrlc: U256,
}

/// What an address holds in the hub, in nRLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Free to spend or withdraw.
    pub stake: U256,
    /// Held by open deals.
    pub locked: U256,
}

/// How long a task may take, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its number.
    pub id: u64,
    /// Such as `XS`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Seconds; deadlines are multiples of it.
    pub seconds: u64,
}

/// An app as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Who may sell it.
    pub owner: Address,
    /// Its name.
    pub name: String,
    /// `DOCKER`.
    pub kind: String,
    /// Where its image is: a binary multiaddr, or UTF-8 text.
    pub multiaddr: Bytes,
    /// SHA-256 of the image.
    pub checksum: B256,
    /// What older frameworks measured; empty for TDX apps.
    pub mrenclave: Bytes,
}

/// A dataset as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Who may sell it.
    pub owner: Address,
    /// Its name.
    pub name: String,
    /// Where it is: a binary multiaddr, or UTF-8 text.
    pub multiaddr: Bytes,
    /// SHA-256 of the encrypted bytes.
    pub checksum: B256,
}

/// A workerpool as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workerpool {
    /// The scheduler: signs orders and authorizations.
    pub owner: Address,
    /// Its description.
    pub description: String,
    /// Percent of the price that a contributing worker locks.
    pub worker_stake_ratio: u64,
    /// Percent of the price that the scheduler keeps.
    pub scheduler_reward_ratio: u64,
}

/// A worker's contribution to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainContribution {
    /// 0 unset, 1 contributed, 2 proved, 3 rejected.
    pub status: u8,
    /// `keccak256(taskid ‖ resultDigest)`.
    pub result_hash: B256,
    /// `keccak256(worker ‖ taskid ‖ resultDigest)`.
    pub result_seal: B256,
    /// Whose signature vouches for the enclave.
    pub challenge: Address,
}

/// The hub told a workerpool of a deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// The new deal.
    pub deal: DealId,
    /// The block it was made in.
    pub block: u64,
}

/// The kinds of objects that have a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Apps.
    App,
    /// Datasets.
    Dataset,
    /// Workerpools.
    Workerpool,
}

impl Chain {
    /// The EIP-712 domain of this hub's orders.
    pub fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id(), hub: self.hub() }
    }

    /// Ether and RLC outside the hub.
    pub fn balances(&self, address: Address) -> Answer<'_, Balances> {
        Box::pin(async move {
            let token = self.contracts().await?.token;
            let wei = self.timed("eth_getBalance", async { self.provider().get_balance(address).await }).await?;
            Ok(Balances { wei, nrlc: self.read(token, &Rlc::balanceOfCall { owner: address }).await? })
        })
    }

    /// RLC inside the hub.
    pub fn view_account(&self, address: Address) -> Answer<'_, Account> {
        Box::pin(async move {
            let account = self.read(self.hub(), &Hub::viewAccountCall { account: address }).await?;
            Ok(Account { stake: account.stake, locked: account.locked })
        })
    }

    /// A deal; `None` when no orders were matched into this id.
    pub fn view_deal(&self, id: DealId) -> Answer<'_, Option<Deal>> {
        Box::pin(async move {
            let deal = self.read(self.hub(), &Hub::viewDealCall { id: id.0 }).await?;
            Ok((!deal.botSize.is_zero()).then(|| deal_of(id, deal)))
        })
    }

    /// A task; status [`ChainStatus::Unset`] as long as nobody initialised it.
    pub fn view_task(&self, id: TaskId) -> Answer<'_, ChainTask> {
        Box::pin(async move {
            let task = self.read(self.hub(), &Hub::viewTaskCall { id: id.0 }).await?;
            task_of(id, task).map_err(|code| ChainError::Answer {
                call: "viewTask",
                contract: self.hub(),
                cause: format!("status {code}, expected 0 to 4"),
            })
        })
    }

    /// A category; `None` beyond the last.
    pub fn view_category(&self, id: u64) -> Answer<'_, Option<Category>> {
        Box::pin(async move {
            if id >= self.count_categories().await? {
                return Ok(None);
            }
            let found = self.read(self.hub(), &Hub::viewCategoryCall { catid: U256::from(id) }).await?;
            let seconds = found.workClockTimeRef.saturating_to();
            Ok(Some(Category { id, name: found.name, description: found.description, seconds }))
        })
    }

    /// How many categories there are; their numbers begin at 0.
    pub fn count_categories(&self) -> Answer<'_, u64> {
        Box::pin(async move { Ok(self.read(self.hub(), &Hub::countCategoryCall {}).await?.saturating_to()) })
    }

    /// How much of an order's volume is used up (or closed, then all of it).
    pub fn view_consumed(&self, order: OrderHash) -> Answer<'_, U256> {
        Box::pin(async move { self.read(self.hub(), &Hub::viewConsumedCall { id: order.0 }).await })
    }

    /// What a worker contributed to a task.
    pub fn view_contribution(&self, task: TaskId, worker: Address) -> Answer<'_, ChainContribution> {
        Box::pin(async move {
            let call = Hub::viewContributionCall { taskid: task.0, worker };
            let found = self.read(self.hub(), &call).await?;
            Ok(ChainContribution {
                status: found.status,
                result_hash: found.resultHash,
                result_seal: found.resultSeal,
                challenge: found.enclaveChallenge,
            })
        })
    }

    /// Whether the hub accepts a signature over a hash from an identity (a key, or a contract by ERC-1271).
    pub fn verify_signature(&self, identity: Address, hash: B256, signature: Bytes) -> Answer<'_, bool> {
        Box::pin(async move { self.read(self.hub(), &Hub::verifySignatureCall { identity, hash, signature }).await })
    }

    /// An app; `None` when the registry does not know the address.
    pub fn view_app(&self, address: Address) -> Answer<'_, Option<App>> {
        Box::pin(async move {
            if !self.is_registered(Kind::App, address).await? {
                return Ok(None);
            }
            let app = self.read(self.hub(), &Hub::viewAppCall { app: address }).await?;
            Ok(Some(App {
                owner: app.owner,
                name: app.m_appName,
                kind: app.m_appType,
                multiaddr: app.m_appMultiaddr,
                checksum: app.m_appChecksum,
                mrenclave: app.m_appMREnclave,
            }))
        })
    }

    /// A dataset; `None` when the registry does not know the address.
    pub fn view_dataset(&self, address: Address) -> Answer<'_, Option<Dataset>> {
        Box::pin(async move {
            if !self.is_registered(Kind::Dataset, address).await? {
                return Ok(None);
            }
            let dataset = self.read(self.hub(), &Hub::viewDatasetCall { dataset: address }).await?;
            Ok(Some(Dataset {
                owner: dataset.owner,
                name: dataset.m_datasetName,
                multiaddr: dataset.m_datasetMultiaddr,
                checksum: dataset.m_datasetChecksum,
            }))
        })
    }

    /// A workerpool; `None` when the registry does not know the address.
    pub fn view_workerpool(&self, address: Address) -> Answer<'_, Option<Workerpool>> {
        Box::pin(async move {
            if !self.is_registered(Kind::Workerpool, address).await? {
                return Ok(None);
            }
            let pool = self.read(self.hub(), &Hub::viewWorkerpoolCall { workerpool: address }).await?;
            Ok(Some(Workerpool {
                owner: pool.owner,
                description: pool.m_workerpoolDescription,
                worker_stake_ratio: pool.m_workerStakeRatioPolicy.saturating_to(),
                scheduler_reward_ratio: pool.m_schedulerRewardRatioPolicy.saturating_to(),
            }))
        })
    }

    /// Whether an object of this kind was created at this address.
    pub fn is_registered(&self, kind: Kind, entry: Address) -> Answer<'_, bool> {
        Box::pin(async move { self.read(self.registry(kind).await?, &Registry::isRegisteredCall { entry }).await })
    }

    /// How many objects of this kind an account owns.
    pub fn count_owned(&self, kind: Kind, owner: Address) -> Answer<'_, u64> {
        Box::pin(async move {
            let count = self.read(self.registry(kind).await?, &Registry::balanceOfCall { owner }).await?;
            Ok(count.saturating_to())
        })
    }

    /// The address of an account's object by its place, from 0; `None` beyond the last.
    pub fn owned(&self, kind: Kind, owner: Address, index: u64) -> Answer<'_, Option<Address>> {
        Box::pin(async move {
            if index >= self.count_owned(kind, owner).await? {
                return Ok(None);
            }
            let call = Registry::tokenOfOwnerByIndexCall { owner, index: U256::from(index) };
            let token: U256 = self.read(self.registry(kind).await?, &call).await?;
            Ok(Some(Address::from_word(token.into())))
        })
    }

    /// Deals announced to a workerpool in these blocks, both included, in the order of the chain.
    pub fn notices(&self, workerpool: Address, from: u64, to: u64) -> Answer<'_, Vec<Notice>> {
        Box::pin(async move {
            let filter = Filter::new()
                .address(self.hub())
                .event_signature(Hub::SchedulerNotice::SIGNATURE_HASH)
                .topic1(workerpool.into_word())
                .from_block(from)
                .to_block(to);
            let logs = self.timed("eth_getLogs", async { self.provider().get_logs(&filter).await }).await?;
            logs.iter()
                .map(|log| {
                    let notice = Hub::SchedulerNotice::decode_log(&log.inner).map_err(|cause| ChainError::Answer {
                        call: "SchedulerNotice",
                        contract: self.hub(),
                        cause: cause.to_string(),
                    })?;
                    Ok(Notice { deal: DealId(notice.dealid), block: log.block_number.unwrap_or(to) })
                })
                .collect()
        })
    }

    /// Who must sign authorizations that name an enclave challenge, instead of workerpools' owners; `None` for a hub without
    /// a TEE broker.
    pub fn tee_broker(&self) -> Answer<'_, Option<Address>> {
        Box::pin(async move {
            let broker = self.read(self.hub(), &Hub::teebrokerCall {}).await?;
            Ok(Some(broker).filter(|broker| !broker.is_zero()))
        })
    }

    /// The newest block.
    pub fn block_number(&self) -> Answer<'_, u64> {
        Box::pin(async move { self.timed("eth_blockNumber", async { self.provider().get_block_number().await }).await })
    }

    /// The newest block's time in Unix seconds: the clock that deadlines on chain go by.
    pub fn block_timestamp(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let newest = async { self.provider().get_block_by_number(BlockNumberOrTag::Latest).await };
            let block = self.timed("eth_getBlockByNumber", newest).await?;
            block.map(|block| block.header().timestamp()).ok_or_else(|| ChainError::Refused {
                url: self.url().to_owned(),
                call: "eth_getBlockByNumber",
                message: "there is no newest block".into(),
            })
        })
    }

    pub(crate) async fn registry(&self, kind: Kind) -> Result<Address, ChainError> {
        let contracts = self.contracts().await?;
        Ok(match kind {
            Kind::App => contracts.apps,
            Kind::Dataset => contracts.datasets,
            Kind::Workerpool => contracts.workerpools,
        })
    }
}

// Counters and times are saturated, not refused: a value beyond 2^64 is as far away as any other.
fn deal_of(id: DealId, deal: contracts::Deal) -> Deal {
    Deal {
        id,
        app: resource_of(&deal.app),
        dataset: resource_of(&deal.dataset),
        workerpool: resource_of(&deal.workerpool),
        trust: deal.trust.saturating_to(),
        category: deal.category.saturating_to(),
        tag: Tag(deal.tag),
        requester: deal.requester,
        beneficiary: deal.beneficiary,
        callback: deal.callback,
        params: deal.params,
        start_time: deal.startTime.saturating_to(),
        bot_first: deal.botFirst.saturating_to(),
        bot_size: deal.botSize.saturating_to(),
        worker_stake: deal.workerStake,
        scheduler_reward_ratio: deal.schedulerRewardRatio.saturating_to(),
        sponsor: deal.sponsor,
    }
}

fn resource_of(resource: &contracts::Resource) -> Resource {
    Resource { pointer: resource.pointer, owner: resource.owner, price: resource.price }
}

fn task_of(id: TaskId, task: contracts::Task) -> Result<ChainTask, u8> {
    Ok(ChainTask {
        id,
        status: ChainStatus::from_code(task.status).ok_or(task.status)?,
        deal: DealId(task.dealid),
        index: task.idx.saturating_to(),
        time_reference: task.timeref.saturating_to(),
        contribution_deadline: task.contributionDeadline.saturating_to(),
        reveal_deadline: task.revealDeadline.saturating_to(),
        final_deadline: task.finalDeadline.saturating_to(),
        consensus: task.consensusValue,
        reveal_counter: task.revealCounter.saturating_to(),
        winner_counter: task.winnerCounter.saturating_to(),
        contributors: task.contributors,
        result_digest: task.resultDigest,
        results: task.results,
        results_timestamp: task.resultsTimestamp.saturating_to(),
        results_callback: task.resultsCallback,
    })
}
