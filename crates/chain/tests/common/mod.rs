//! A deal on the local network, from nothing to matched.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test binary uses a part")]

use std::path::Path;

use alloy::primitives::{Address, B256, Bytes, U256};
use iexec_chain::devnet::DevAccount;
use iexec_chain::toolchain::Toolchain;
use iexec_chain::view::App;
use iexec_chain::writer::{Matched, Orders};
use iexec_chain::{Chain, ChainWriter};
use iexec_protocol::order::{AppOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder};
use iexec_protocol::tag::Tag;

pub fn tools() -> Toolchain {
    let devnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet");
    Toolchain::locate(&devnet).unwrap_or_else(|missing| panic!("{missing}"))
}

pub fn writer(chain: &Chain, account: DevAccount) -> ChainWriter {
    chain.with_wallet(account.wallet().unwrap())
}

pub fn rlc(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_u64)
}

pub fn sample_app() -> App {
    App {
        owner: Address::ZERO,
        name: "hello".into(),
        kind: "DOCKER".into(),
        multiaddr: Bytes::from_static(b"registry.example/hello:1"),
        checksum: B256::repeat_byte(0xab),
        mrenclave: Bytes::new(),
    }
}

pub fn sign<T: Order>(order: T, by: &ChainWriter) -> Unverified<T> {
    Signed::sign(order, &by.chain().domain(), by.wallet().key()).unwrap().to_unverified()
}

/// A funded requester's TEE deal for an app (1 RLC) on a pool (2 RLC), `volume` tasks.
pub async fn orders(chain: &Chain, volume: u64) -> Orders {
    let deployer = writer(chain, DevAccount::Deployer);
    let (pool_owner, requester) = (writer(chain, DevAccount::Scheduler), writer(chain, DevAccount::Requester(0)));
    for account in [&pool_owner, &requester] {
        deployer.send_rlc(account.address(), rlc(100)).await.unwrap();
        account.deposit(rlc(100)).await.unwrap();
    }
    let app = requester.deploy_app(sample_app()).await.unwrap().address;
    let workerpool = pool_owner.deploy_workerpool("devnet".into()).await.unwrap().address;
    let (tag, volume) = (Tag::TEE_TDX, U256::from(volume));
    let app_order = AppOrder { app, appprice: rlc(1), volume, tag, ..AppOrder::default() };
    let pool_order = WorkerpoolOrder { workerpool, workerpoolprice: rlc(2), volume, tag, ..WorkerpoolOrder::default() };
    let request = RequestOrder {
        app,
        appmaxprice: rlc(1),
        workerpool,
        workerpoolmaxprice: rlc(2),
        requester: requester.address(),
        beneficiary: requester.address(),
        volume,
        tag,
        params: r#"{"iexec_result_encryption":true}"#.into(),
        ..RequestOrder::default()
    };
    Orders {
        app: sign(app_order, &requester),
        dataset: Unverified::default(),
        workerpool: sign(pool_order, &pool_owner),
        request: sign(request, &requester),
    }
}

pub async fn deal(chain: &Chain) -> (Orders, Matched) {
    let orders = orders(chain, 2).await;
    let matched = writer(chain, DevAccount::Requester(0)).match_orders(orders.clone()).await.unwrap();
    (orders, matched)
}
