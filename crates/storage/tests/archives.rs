//! The storage over HTTP, on a real chain, with real archives.
#![allow(clippy::unwrap_used)] // test helpers outside `#[test]` functions

use std::{io::Cursor, path::Path};

use futures_util::TryStreamExt as _;
use http::{HeaderMap, Method, Response, StatusCode};
use iexec_archive::{Encryptor, PrivateKey, write_plain};
use iexec_chain::{
    Chain, Wallet,
    anvil::{Anvil, Mining},
    devnet::DevAccount,
    toolchain::Toolchain,
    view::App,
    writer::Orders,
};
use iexec_protocol::{
    Address, B256, U256,
    authorization::{TaskRef, WorkerpoolAuthorization},
    call::{
        Call, CallError,
        storage::{GetLoginChallenge, Login, UploadHeader, read_stored, upload_path},
    },
    cid::Cid,
    id::{DealId, Sha256},
    order::{AppOrder, Order, RequestOrder, Signed, Unverified, WorkerpoolOrder},
    typed_data::LoginChallenge,
};
use iexec_service::{CancellationToken, Client, Listener};
use iexec_storage::{Config, run_on};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const MAX_ARCHIVE: u64 = 1 << 20;
const ENCRYPTED: &str = r#"{"iexec_result_encryption":true}"#;

/// A chain with an app and a workerpool, and a storage.
struct World {
    chain: Chain,
    client: Client,
    origin: String,
    app: Address,
    pool: Address,
    stop: CancellationToken,
    server: JoinHandle<anyhow::Result<()>>,
    data: TempDir,
    _anvil: Anvil,
}

fn account(account: DevAccount) -> Wallet {
    account.wallet().unwrap()
}

async fn start(chain: &Chain, data: &Path) -> (String, CancellationToken, JoinHandle<anyhow::Result<()>>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (origin, stop) = (listener.origin(), CancellationToken::new());
    let (listen, chain, data) = (listener.address(), chain.clone(), data.to_owned());
    let config = Config { listen: listen.into(), data, chain, max_archive: MAX_ARCHIVE };
    (origin, stop.clone(), tokio::spawn(run_on(listener, config, stop)))
}

async fn world() -> World {
    iexec_service::crypto::install();
    let tools = Toolchain::locate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet")).unwrap();
    let anvil = Anvil::ephemeral(&tools, Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    let app = App {
        owner: Address::ZERO,
        name: "hello".into(),
        kind: "DOCKER".into(),
        multiaddr: b"registry/hello:1".to_vec().into(),
        checksum: B256::repeat_byte(1),
        mrenclave: Vec::new().into(),
    };
    let requester = chain.with_wallet(account(DevAccount::Requester(0)));
    let app = requester.deploy_app(app).await.unwrap().address;
    let scheduler = chain.with_wallet(account(DevAccount::Scheduler));
    let pool = scheduler.deploy_workerpool("pool".into()).await.unwrap().address;
    let data = tempfile::tempdir().unwrap();
    let (origin, stop, server) = start(&chain, data.path()).await;
    World { chain, client: Client::new().unwrap(), origin, app, pool, stop, server, data, _anvil: anvil }
}

impl World {
    fn sign<T: Order>(&self, order: T, signer: DevAccount) -> Unverified<T> {
        Signed::sign(order, &self.chain.domain(), account(signer).key()).unwrap().to_unverified()
    }

    /// A deal of two tasks, the first of them ACTIVE.
    async fn deal(&self, params: &str, callback: Address) -> DealId {
        let (one, two, salt) = (U256::from(1), U256::from(2), B256::from(rand::random::<[u8; 32]>()));
        let requester = account(DevAccount::Requester(0));
        let app = AppOrder { app: self.app, volume: two, salt, ..Default::default() };
        let pool = WorkerpoolOrder { workerpool: self.pool, volume: two, trust: one, salt, ..Default::default() };
        let request = RequestOrder {
            app: self.app,
            requester: requester.address(),
            beneficiary: requester.address(),
            volume: two,
            params: params.into(),
            callback,
            salt,
            ..Default::default()
        };
        let orders = Orders {
            app: self.sign(app, DevAccount::Requester(0)),
            workerpool: self.sign(pool, DevAccount::Scheduler),
            request: self.sign(request, DevAccount::Requester(0)),
            ..Orders::default()
        };
        let deal = self.chain.with_wallet(requester).match_orders(orders).await.unwrap().deal;
        self.chain.with_wallet(account(DevAccount::Scheduler)).initialize(deal, 0).await.unwrap();
        deal
    }

    fn header(deal: DealId, index: u64, pool_signer: DevAccount, worker_signer: DevAccount) -> UploadHeader {
        let (task, worker) = (TaskRef { id: deal.task(index), deal, index }, account(DevAccount::Worker(0)));
        let challenge = Address::repeat_byte(5);
        let pool = account(pool_signer);
        let authorization = WorkerpoolAuthorization::sign(&task, worker.address(), challenge, pool.key()).unwrap();
        let signature = account(worker_signer).key().sign_personal(authorization.hash()).unwrap();
        UploadHeader { authorization, signature }
    }

    async fn upload_as(&self, header: &str, path: &str, bytes: &[u8]) -> Response<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, header.parse().unwrap())]);
        let url = format!("{}{path}", self.origin);
        self.client.upload_file(Method::PUT, &url, headers, file.path()).await.unwrap()
    }

    /// Uploads for the deal's first task as its worker.
    async fn upload(&self, deal: DealId, bytes: &[u8]) -> Result<String, CallError> {
        let header = Self::header(deal, 0, DevAccount::Scheduler, DevAccount::Worker(0)).to_text().unwrap();
        let answer = self.upload_as(&header, &upload_path(deal.task(0)), bytes).await;
        read_stored(answer).map(|stored| stored.location)
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Vec<u8>> {
        struct Raw(http::Request<Vec<u8>>);
        impl Call for Raw {
            type Reply = Response<Vec<u8>>;
            fn request(&self, _: &str) -> Result<http::Request<Vec<u8>>, CallError> {
                Ok(self.0.clone())
            }
            fn reply(&self, response: Response<Vec<u8>>) -> Result<Self::Reply, CallError> {
                Ok(response)
            }
        }
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send("", &Raw(request.body(Vec::new()).unwrap())).await.unwrap()
    }

    fn files(&self, folder: &str) -> usize {
        std::fs::read_dir(self.data.path().join(folder)).unwrap().count()
    }
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let key = PrivateKey::generate(2048).unwrap().public_key().unwrap();
    let mut writer = Encryptor::new(&key, &mut rand::rng(), Cursor::new(Vec::new())).unwrap();
    writer.add_file("my-result.txt", content).unwrap();
    writer.finish(|_| b"{}".to_vec()).unwrap().into_inner()
}

fn readable() -> Vec<u8> {
    write_plain([("computed.json", &b"{}"[..]), ("my-result.txt", b"Hello, world!")], Vec::new()).unwrap().0
}

fn refused<T: std::fmt::Debug>(result: Result<T, CallError>) -> (u16, String) {
    match result {
        Err(CallError::Refused { status, message }) => (status, message),
        other => (0, format!("{other:?}")),
    }
}

#[tokio::test]
async fn an_archive_is_kept_under_the_identifier_of_its_bytes_and_survives_a_restart() {
    let mut world = world().await;
    let (deal, bytes) = (world.deal(ENCRYPTED, Address::ZERO).await, sealed(&vec![7; 300_000]));
    let location = world.upload(deal, &bytes).await.unwrap();
    let cid = Cid::new(Sha256::of(&bytes));
    assert_eq!(location, format!("/ipfs/{cid}"));
    assert_eq!(world.upload(deal, &bytes).await.unwrap(), location, "the same again changes nothing");
    let other = world.upload(deal, &sealed(b"another attempt")).await.unwrap();
    assert_eq!(world.files("archives/tmp"), 0);

    world.stop.cancel();
    world.server.await.unwrap().unwrap();
    std::fs::write(world.data.path().join("archives/tmp/upload-cut"), b"half").unwrap();
    (world.origin, world.stop, world.server) = start(&world.chain, world.data.path()).await;

    let whole = world.client.download(&format!("{}{location}", world.origin), None).await.unwrap();
    assert_eq!(whole.size, Some(bytes.len() as u64));
    let chunks: Vec<bytes::Bytes> = whole.stream.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), bytes);
    let known: serde_json::Value =
        serde_json::from_slice(world.call(Method::GET, &upload_path(deal.task(0)), &[]).await.body()).unwrap();
    assert_eq!(known["locations"], serde_json::json!([location, other]));
    let newest = world.call(Method::GET, &format!("{}/ipfshash", upload_path(deal.task(0))), &[]).await;
    assert_eq!(format!("/ipfs/{}", String::from_utf8_lossy(newest.body())), other);
    assert_eq!(world.call(Method::HEAD, &upload_path(deal.task(0)), &[]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(world.call(Method::HEAD, &upload_path(deal.task(1)), &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.files("archives/tmp"), 0, "what was not finished is removed at the start");
}

#[tokio::test]
async fn the_gateway_answers_ranges_and_caches_as_http_has_them() {
    let world = world().await;
    let (deal, bytes) = (world.deal("", Address::ZERO).await, readable());
    let path = world.upload(deal, &bytes).await.unwrap();
    let head = world.call(Method::HEAD, &path, &[]).await;
    assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    assert_eq!(head.headers()["content-type"], "application/zip");
    let etag = head.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", path.trim_start_matches("/ipfs/")));
    let part = world.call(Method::GET, &path, &[("range", "bytes=2-5")]).await;
    assert_eq!((part.status(), part.body().as_slice()), (StatusCode::PARTIAL_CONTENT, &bytes[2..6]));
    assert_eq!(part.headers()["content-range"], format!("bytes 2-5/{}", bytes.len()).as_str());
    let beyond = world.call(Method::GET, &path, &[("range", "bytes=99999-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", bytes.len()).as_str());
    let old = world.call(Method::GET, &path, &[("range", "bytes=2-5"), ("if-range", "\"other\"")]).await;
    assert_eq!((old.status(), old.body()), (StatusCode::OK, &bytes));
    assert_eq!(world.call(Method::GET, &path, &[("if-none-match", &etag)]).await.status(), StatusCode::NOT_MODIFIED);
    let unknown = Cid::new(Sha256::of("unknown"));
    assert_eq!(world.call(Method::GET, &format!("/ipfs/{unknown}"), &[]).await.status(), StatusCode::NOT_FOUND);
    for bad in ["/ipfs/..%2Fstorage.sqlite", "/ipfs/tmp", "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"] {
        assert_eq!(world.call(Method::GET, bad, &[]).await.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn plaintext_for_a_deal_that_asks_for_encryption_is_not_kept() {
    let world = world().await;
    for params in [ENCRYPTED, r#"{"iexec_result_encryption":"perhaps"}"#] {
        let deal = world.deal(params, Address::ZERO).await;
        let (status, error) = refused(world.upload(deal, &readable()).await);
        let expected = "the deal asks for an encrypted result, this archive is plain (not encrypted); nothing was kept";
        assert_eq!((status, error.as_str()), (422, expected));
        assert_eq!(refused(world.upload(deal, b"Hello, world!").await).0, 422);
    }
    assert_eq!((world.files("archives"), world.files("archives/tmp")), (1, 0), "only the folder tmp");
}

#[tokio::test]
async fn only_the_worker_of_an_active_task_may_upload() {
    let world = world().await;
    let (deal, bytes) = (world.deal(ENCRYPTED, Address::ZERO).await, sealed(b"x"));
    let (scheduler, worker) = (DevAccount::Scheduler, DevAccount::Worker(0));
    let send = |header: UploadHeader, index| {
        let (world, bytes, path) = (&world, &bytes, upload_path(deal.task(index)));
        async move { refused(read_stored(world.upload_as(&header.to_text().unwrap(), &path, bytes).await)) }
    };
    for (header, index, status, words) in [
        (World::header(deal, 0, scheduler, DevAccount::Worker(1)), 0, 401, "must be signed by the worker"),
        (World::header(deal, 0, worker, worker), 0, 401, "must be signed by the workerpool owner"),
        (World::header(deal, 0, scheduler, worker), 1, 403, "the authorization is for task"),
        (World::header(deal, 1, scheduler, worker), 1, 404, "is not initialised on chain"),
    ] {
        let (found, error) = send(header, index).await;
        assert!(found == status && error.contains(words), "{found} {error}");
    }
    let path = upload_path(deal.task(0));
    for bad in ["", "iexec ", "iexec bm8", "Bearer x"] {
        assert_eq!(world.upload_as(bad, &path, &bytes).await.status(), StatusCode::UNAUTHORIZED, "{bad:?}");
    }
    let callback = world.deal("{}", Address::repeat_byte(3)).await;
    assert_eq!(refused(world.upload(callback, &bytes).await).0, 409);
    let large = vec![0; usize::try_from(MAX_ARCHIVE).unwrap() + 1];
    let (status, error) = refused(world.upload(deal, &large).await);
    assert_eq!((status, error.as_str()), (413, "an archive may have at most 1048576 bytes here"));
    assert_eq!((world.files("archives"), world.files("archives/tmp")), (1, 0));
}

#[tokio::test]
async fn the_login_of_the_result_proxy_yields_a_token_once() {
    let world = world().await;
    let wallet = account(DevAccount::Requester(2));
    let (chain_id, address) = (world.chain.chain_id(), wallet.address());
    let data = world.client.send(&world.origin, &GetLoginChallenge { chain_id, address }).await.unwrap();
    let header = LoginChallenge::from_typed_data(&data).unwrap().answer(wallet.key()).unwrap();
    let token = world.client.send(&world.origin, &Login { chain_id, header: header.clone() }).await.unwrap();
    assert_eq!(token.split('.').count(), 3);
    let again = world.client.send(&world.origin, &Login { chain_id, header: header.clone() }).await;
    assert_eq!(refused(again).0, 401);
    let elsewhere = world.client.send(&world.origin, &Login { chain_id: 1, header }).await;
    assert_eq!(refused(elsewhere), (400, "chainId: this storage is for chain 65535, not 1".into()));
}
