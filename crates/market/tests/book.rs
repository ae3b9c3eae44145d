//! The market over HTTP, on a real chain.
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::{collections::HashMap, path::Path};

use iexec_chain::{
    Chain, ChainWriter, Wallet,
    anvil::{Anvil, Mining},
    devnet::DevAccount,
    toolchain::Toolchain,
    view::App,
    writer::Orders,
};
use iexec_market::{Config, MAX_OPEN, run_on};
use iexec_protocol::{
    Address, B256, U256,
    call::{
        Call, CallError,
        market::{FindOrders, FindScheduler, GetMarketChallenge, PublishOrder, Published, Target, UnpublishOrders},
    },
    id::OrderHash,
    order::{AppOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder},
    tag::Tag,
    typed_data::{LoginChallenge, LoginHeader},
};
use iexec_service::{CancellationToken, Client, Listener};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::DropGuard;

/// A market on a fresh chain, with an app and a workerpool of different owners.
struct World {
    chain: Chain,
    client: Client,
    origin: String,
    seller: Wallet,
    pool_owner: Wallet,
    requester: Wallet,
    app: Address,
    pool: Address,
    _anvil: Anvil,
    _stop: DropGuard,
    _data: TempDir,
}

fn account(account: DevAccount) -> Wallet {
    account.wallet().unwrap()
}

async fn world() -> World {
    iexec_service::crypto::install();
    let tools = Toolchain::locate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet")).unwrap();
    let anvil = Anvil::ephemeral(&tools, Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    let (seller, pool_owner) = (account(DevAccount::Requester(0)), account(DevAccount::Scheduler));
    let app = App {
        owner: seller.address(),
        name: "hello".into(),
        kind: "DOCKER".into(),
        multiaddr: b"registry/hello:1".to_vec().into(),
        checksum: B256::repeat_byte(1),
        mrenclave: Vec::new().into(),
    };
    let app = chain.with_wallet(seller.clone()).deploy_app(app).await.unwrap().address;
    let pool = chain.with_wallet(pool_owner.clone()).deploy_workerpool("pool".into()).await.unwrap().address;
    let data = tempfile::tempdir().unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (origin, stop) = (listener.origin(), CancellationToken::new());
    let config = Config {
        listen: listener.address().into(),
        data: data.path().to_owned(),
        chain: chain.clone(),
        schedulers: HashMap::from([(pool, "http://127.0.0.1:13000".to_owned())]),
    };
    tokio::spawn(run_on(listener, config, stop.clone()));
    World {
        chain,
        client: Client::new().unwrap(),
        origin,
        seller,
        pool_owner,
        requester: account(DevAccount::Requester(1)),
        app,
        pool,
        _anvil: anvil,
        _stop: stop.drop_guard(),
        _data: data,
    }
}

impl World {
    async fn login(&self, wallet: &Wallet) -> LoginHeader {
        let call = GetMarketChallenge { chain_id: self.chain.chain_id(), address: wallet.address() };
        let data = self.client.send(&self.origin, &call).await.unwrap();
        LoginChallenge::from_typed_data(&data).unwrap().answer(wallet.key()).unwrap()
    }

    fn sign<T: Order>(&self, order: T, wallet: &Wallet) -> Unverified<T> {
        Signed::sign(order, &self.chain.domain(), wallet.key()).unwrap().to_unverified()
    }

    async fn publish<T: Order + Send + Sync>(
        &self,
        order: Unverified<T>,
        wallet: &Wallet,
    ) -> Result<OrderHash, CallError> {
        let header = self.login(wallet).await;
        let call = PublishOrder { chain_id: self.chain.chain_id(), order, header };
        self.client.send(&self.origin, &call).await
    }

    async fn find<T: Order>(&self, filters: &[(&'static str, String)]) -> Result<(u64, Vec<Published<T>>), CallError> {
        let call = FindOrders { kind: T::KIND, chain_id: self.chain.chain_id(), filters: filters.to_vec() };
        let page = self.client.send(&self.origin, &call).await?;
        Ok((page.count, page.read::<T>()?))
    }

    fn app_order(&self, price: u64, salt: u8) -> AppOrder {
        AppOrder {
            app: self.app,
            appprice: U256::from(price),
            volume: U256::from(10),
            tag: Tag::TEE_TDX,
            salt: B256::repeat_byte(salt),
            ..Default::default()
        }
    }

    /// Prices of the app orders found.
    async fn prices(&self, filters: &[(&'static str, String)]) -> Vec<u64> {
        let (count, orders) = self.find::<AppOrder>(filters).await.unwrap();
        assert_eq!(count, orders.len() as u64);
        orders.iter().map(|found| found.order.order.appprice.to()).collect()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.download(&format!("{}{path}", self.origin), None).await;
        match answer {
            Ok(download) => {
                use futures_util::TryStreamExt as _;
                let bytes: Vec<bytes::Bytes> = download.stream.try_collect().await.unwrap();
                (200, serde_json::from_slice(&bytes.concat()).unwrap())
            }
            Err(error) => (error.status().unwrap(), Value::String(error.to_string())),
        }
    }
}

fn refused<T>(result: Result<T, CallError>) -> (u16, String) {
    match result.err() {
        Some(CallError::Refused { status, message }) => (status, message),
        other => (0, format!("{other:?}")),
    }
}

#[tokio::test]
async fn orders_are_listed_best_first_and_found_by_what_they_allow() {
    let world = world().await;
    let only_for = |order: AppOrder, requester| AppOrder { requesterrestrict: requester, ..order };
    let (me, app) = (world.requester.address().to_string(), world.app.to_string());
    for order in [
        world.app_order(30, 1),
        world.app_order(10, 2),
        only_for(world.app_order(5, 3), world.requester.address()),
        only_for(world.app_order(1, 4), Address::repeat_byte(9)),
        AppOrder { tag: Tag::TEE_SCONE, volume: U256::from(3), ..world.app_order(20, 5) },
    ] {
        world.publish(world.sign(order, &world.seller), &world.seller).await.unwrap();
    }
    let of_app = |more: &[(&'static str, &str)]| {
        let mut filters = vec![("app", app.clone())];
        filters.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        filters
    };
    let tdx = Tag::TEE_TDX.0.to_string();
    for (filters, prices) in [
        (of_app(&[]), vec![10, 20, 30]),
        (of_app(&[("requester", &me)]), vec![5, 10, 20, 30]),
        (of_app(&[("requester", &me), ("isRequesterStrict", "true")]), vec![5]),
        (of_app(&[("requester", "any")]), vec![1, 5, 10, 20, 30]),
        (of_app(&[("minTag", &tdx)]), vec![10, 30]),
        (of_app(&[("maxTag", &tdx)]), vec![10, 30]),
        (of_app(&[("maxTag", &B256::ZERO.to_string())]), vec![]),
        (of_app(&[("minVolume", "4")]), vec![10, 30]),
        (vec![("appOwner", world.seller.address().to_string())], vec![10, 20, 30]),
        (vec![("app", "any".into()), ("appOwner", me.clone())], vec![]),
        (vec![("appOwner", "any".into())], vec![10, 20, 30]),
        (vec![("app", Address::repeat_byte(8).to_string())], vec![]),
    ] {
        assert_eq!(world.prices(&filters).await, prices, "{filters:?}");
    }
    assert_eq!(refused(world.find::<AppOrder>(&[]).await), (400, "app or appOwner is required".into()));
    let unknown = world.find::<AppOrder>(&of_app(&[("colour", "red")])).await;
    assert_eq!(refused(unknown), (400, "unknown parameter \"colour\"".into()));
}

#[tokio::test]
async fn an_order_enters_only_if_its_owner_signed_it_and_logged_in() {
    let world = world().await;
    let good = world.sign(world.app_order(1, 1), &world.seller);
    let foreign = world.publish(good.clone(), &world.requester).await;
    assert_eq!(refused(foreign).0, 403);
    let mut changed = good.clone();
    changed.order.appprice = U256::from(2);
    let (status, error) = refused(world.publish(changed, &world.seller).await);
    assert!(status == 400 && error.starts_with("order.sign is not a signature of"), "{error}");
    let forged = world.sign(world.app_order(1, 1), &world.requester);
    assert_eq!(refused(world.publish(forged, &world.seller).await).0, 400);
    let cut = Unverified { sign: vec![1, 2].into(), ..good.clone() };
    assert_eq!(refused(world.publish(cut, &world.seller).await).0, 400);
    let nowhere = AppOrder { app: Address::repeat_byte(7), ..world.app_order(1, 1) };
    let (status, error) = refused(world.publish(world.sign(nowhere, &world.seller), &world.seller).await);
    assert!(status == 400 && error.starts_with("order.app: no app is deployed at"), "{error}");
    let no_category = WorkerpoolOrder {
        workerpool: world.pool,
        volume: U256::from(1),
        category: U256::from(5),
        ..Default::default()
    };
    let (_, error) = refused(world.publish(world.sign(no_category, &world.pool_owner), &world.pool_owner).await);
    assert_eq!(error, "order.category 5 does not exist on chain, which has 5 categories");

    let header = world.login(&world.seller).await;
    let call = PublishOrder { chain_id: world.chain.chain_id(), order: good.clone(), header };
    world.client.send(&world.origin, &call).await.unwrap();
    assert_eq!(refused(world.client.send(&world.origin, &call).await).0, 401, "a challenge is used once");
    let (status, error) = refused(world.publish(good, &world.seller).await);
    assert_eq!((status, error.as_str()), (409, "this app order is published already (open)"));
    let other_chain = PublishOrder { chain_id: 1, ..call };
    let (status, error) = refused(world.client.send(&world.origin, &other_chain).await);
    assert_eq!((status, error.as_str()), (400, "chainId: this market is for chain 65535, not 1"));
}

#[tokio::test]
async fn a_wallet_has_at_most_fifty_open_orders_and_takes_them_out_again() {
    let world = world().await;
    let hash = world.publish(world.sign(world.app_order(7, 0), &world.seller), &world.seller).await.unwrap();
    for salt in 1..u8::try_from(MAX_OPEN).unwrap() {
        world.publish(world.sign(world.app_order(9, salt), &world.seller), &world.seller).await.unwrap();
    }
    let more = || world.publish(world.sign(world.app_order(1, 200), &world.seller), &world.seller);
    assert_eq!(refused(more().await).0, 409);
    let all = [("app", world.app.to_string())];
    let (count, first) = world.find::<AppOrder>(&all).await.unwrap();
    assert_eq!((count, first.len()), (50, 20));
    let page = [all[0].clone(), ("pageSize", "30".into()), ("pageIndex", "1".into())];
    assert_eq!(world.find::<AppOrder>(&page).await.unwrap().1.len(), 20);

    let take_out = |target, wallet: Wallet| {
        let world = &world;
        async move {
            let header = world.login(&wallet).await;
            let call = UnpublishOrders { kind: "app", chain_id: world.chain.chain_id(), target, header };
            world.client.send(&world.origin, &call).await
        }
    };
    let seller = || world.seller.clone();
    assert_eq!(refused(take_out(Target::Hash(hash), world.requester.clone()).await).0, 404);
    assert_eq!(take_out(Target::Hash(hash), seller()).await.unwrap(), [hash]);
    assert_eq!(world.prices(&[all[0].clone(), ("pageSize", "100".into())]).await, [9; 49]);
    let newest = take_out(Target::Last(world.app), seller()).await.unwrap();
    assert_eq!(newest.len(), 1);
    assert_eq!(take_out(Target::All(world.app), seller()).await.unwrap().len(), 48);
    assert_eq!(refused(take_out(Target::All(world.app), seller()).await).0, 404);
    let again = more().await.unwrap();
    let (status, shown) = world.get(&format!("/apporders/{again}?chainId=65535")).await;
    assert_eq!((status, &shown["ok"], &shown["order"]["appprice"]), (200, &json!(true), &json!(1)));
    assert_eq!((&shown["status"], &shown["remaining"]), (&json!("open"), &json!(10)));
    assert_eq!(world.get(&format!("/apporders/{hash}?chainId=65535")).await.1["status"], "dead");
}

#[tokio::test]
async fn an_order_used_up_on_chain_leaves_the_list() {
    let world = world().await;
    let app = world.sign(AppOrder { volume: U256::from(2), tag: Tag::NONE, ..world.app_order(0, 1) }, &world.seller);
    let pool = WorkerpoolOrder { workerpool: world.pool, volume: U256::from(1), ..Default::default() };
    let pool = world.sign(pool, &world.pool_owner);
    let requester = world.requester.address();
    let request =
        RequestOrder { app: world.app, requester, volume: U256::from(2), beneficiary: requester, ..Default::default() };
    let request = world.sign(request, &world.requester);
    let app_hash = world.publish(app.clone(), &world.seller).await.unwrap();
    world.publish(pool.clone(), &world.pool_owner).await.unwrap();
    let request_hash = world.publish(request.clone(), &world.requester).await.unwrap();
    assert_eq!(world.find::<WorkerpoolOrder>(&[("category", "0".into())]).await.unwrap().0, 1);
    assert_eq!(world.find::<RequestOrder>(&[]).await.unwrap().0, 1);

    let writer: ChainWriter = world.chain.with_wallet(world.requester.clone());
    let orders = Orders { app, workerpool: pool.clone(), request, ..Orders::default() };
    let matched = writer.match_orders(orders).await.unwrap();
    // What is known may be a second old; the clock is the market's own.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.find::<WorkerpoolOrder>(&[]).await.unwrap().0 != 0 {
        assert!(tokio::time::Instant::now() < deadline, "the used order is still listed");
        tokio::task::yield_now().await;
    }
    let (_, apps) = world.find::<AppOrder>(&[("app", world.app.to_string())]).await.unwrap();
    assert_eq!((apps.len(), apps[0].order_hash, apps[0].remaining), (1, app_hash, 1));
    let (status, error) = refused(world.publish(pool, &world.pool_owner).await);
    assert_eq!((status, error.as_str()), (400, "the order's volume of 1 is used up or the order is canceled"));
    let (_, deals) = world.get(&format!("/deals?chainId=65535&requestorderHash={request_hash}")).await;
    assert_eq!((&deals["count"], &deals["deals"][0]["dealid"]), (&json!(1), &json!(matched.deal)));
}

#[tokio::test]
async fn categories_and_schedulers_are_looked_up() {
    let world = world().await;
    let (_, categories) = world.get("/categories?chainId=65535").await;
    assert_eq!(categories["count"], 5);
    let (_, first) = world.get("/categories/0?chainId=65535").await;
    assert_eq!((&first["name"], &first["workClockTimeRef"]), (&json!("XS"), &json!(300)));
    assert_eq!(world.get("/categories/5?chainId=65535").await.0, 404);
    let find = |workerpool| {
        let call = FindScheduler { chain_id: world.chain.chain_id(), workerpool };
        let world = &world;
        async move { world.client.send(&world.origin, &call).await }
    };
    assert_eq!(find(world.pool).await.unwrap(), "http://127.0.0.1:13000");
    assert_eq!(refused(find(world.app).await).0, 404);

    let tell = |wallet: Wallet, url: &'static str| {
        let world = &world;
        async move {
            let header = world.login(&wallet).await;
            world.client.send(&world.origin, &TellScheduler { workerpool: world.pool, url, header }).await
        }
    };
    let owner = || world.pool_owner.clone();
    assert_eq!(refused(tell(world.seller.clone(), "http://evil").await).0, 403);
    assert_eq!(refused(tell(owner(), "http://pool/with/path").await).0, 400);
    tell(owner(), "https://pool.example").await.unwrap();
    assert_eq!(find(world.pool).await.unwrap(), "https://pool.example");
}

/// `PUT /{chainId}/workerpools/{address}`.
struct TellScheduler {
    workerpool: Address,
    url: &'static str,
    header: LoginHeader,
}

impl Call for TellScheduler {
    type Reply = ();

    fn request(&self, base: &str) -> Result<http::Request<Vec<u8>>, CallError> {
        let request = http::Request::put(format!("{base}/65535/workerpools/{}", self.workerpool));
        let request = request.header("authorization", self.header.to_string());
        Ok(request.body(json!({ "apiUrl": self.url }).to_string().into_bytes()).unwrap())
    }

    fn reply(&self, response: http::Response<Vec<u8>>) -> Result<(), CallError> {
        if response.status().is_success() { Ok(()) } else { Err(iexec_protocol::call::refusal(&response)) }
    }
}
