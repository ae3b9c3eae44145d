use iexec_attestation::{
    Collateral, DcapCollateral, DcapPolicy, Expected, Policy, References, SimulatedReference, TcbStatus, TrustAnchors,
    verify,
};
use iexec_chain::view::{App, Dataset};
use iexec_protocol::{
    B256, U256,
    authorization::{TaskRef, WorkerpoolAuthorization},
    deal::{Deal, Resource},
    evidence::{Evidence, Nonce, Tee, image_event, report_data},
    id::DealId,
    key::SigningKey,
    tag::Tag,
    task::{ChainStatus, ChainTask},
};
use iexec_simulated_tee::{
    Td, measured,
    pki::{Pki, Terms},
};

use super::*;
use crate::description::{MAX_REQUESTER_SECRETS, Undescribed};

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn address(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn deal(params: &str) -> Deal {
    let resource = |byte| Resource { pointer: address(byte), owner: address(byte + 1), price: U256::ZERO };
    Deal {
        id: DealId(B256::repeat_byte(0xde)),
        app: resource(0x10),
        dataset: resource(0x20),
        workerpool: Resource { owner: key(3).address(), ..resource(0x30) },
        trust: 1,
        category: 0,
        tag: Tag::TEE,
        requester: address(0x41),
        beneficiary: address(0x42),
        callback: Address::ZERO,
        params: params.to_owned(),
        start_time: 1,
        bot_first: 5,
        bot_size: 3,
        worker_stake: U256::ZERO,
        scheduler_reward_ratio: 0,
        sponsor: Address::ZERO,
    }
}

fn task() -> ChainTask {
    let deal = deal("").id;
    ChainTask {
        id: deal.task(6),
        status: ChainStatus::Active,
        deal,
        index: 6,
        time_reference: 300,
        contribution_deadline: 0,
        reveal_deadline: 0,
        final_deadline: 0,
        consensus: B256::ZERO,
        reveal_counter: 0,
        winner_counter: 0,
        contributors: Vec::new(),
        result_digest: B256::ZERO,
        results: Vec::new().into(),
        results_timestamp: 0,
        results_callback: Vec::new().into(),
    }
}

fn describe(deal: Deal) -> Result<Description, Undescribed> {
    let app = App {
        owner: address(0x11),
        name: "app".into(),
        kind: "DOCKER".into(),
        multiaddr: b"registry.example/app:1".to_vec().into(),
        checksum: B256::repeat_byte(0xaa),
        mrenclave: Vec::new().into(),
    };
    let dataset = Dataset {
        owner: address(0x21),
        name: "cats".into(),
        multiaddr: b"/ipfs/QmCats".to_vec().into(),
        checksum: B256::repeat_byte(0xbb),
    };
    let dataset = deal.has_dataset().then_some(dataset);
    Description::new(task(), deal, app, dataset, 300)
}

fn secrets() -> Secrets {
    Secrets {
        challenge: ChallengeKey::of(&key(7)),
        dataset_key: Some(SecretText::new("the dataset key")),
        beneficiary_key: Some(SecretText::new("the beneficiary's key")),
        app_developer: None,
        requester: BTreeMap::new(),
        storage_token: None,
    }
}

fn authorized(challenge: Address) -> Authorized {
    let (task, worker) = (task(), key(4));
    let of = TaskRef { id: task.id, deal: task.deal, index: task.index };
    let authorization = WorkerpoolAuthorization::sign(&of, worker.address(), challenge, &key(3)).unwrap();
    let signature = worker.sign_personal(authorization.hash()).unwrap();
    authorization.authorize(&signature, &task, &deal("")).unwrap()
}

fn attested(task: TaskId, image: Sha256) -> Attested {
    const NOW: u64 = 1_790_000_000;
    let (nonce, signer, mrtd) = (Nonce(B256::repeat_byte(1)), address(6), measured(b"enclave"));
    let pki = Pki::from_secret(&[1; 32]).unwrap();
    let td = Td::new(mrtd, report_data(&[9; 32], signer, task, nonce, image)).extend(3, &image_event(image));
    let (quote, certificates) = (pki.platform().unwrap().quote(&td), Vec::new());
    let evidence = Evidence { tee: Tee::Simulated, key: B256::repeat_byte(9), signer, image, quote, certificates };
    let collateral = serde_json::to_vec(&pki.collateral(&Terms::sound(NOW, NOW + 60)).unwrap()).unwrap();
    let collateral = Collateral::Dcap(DcapCollateral::from_json(&collateral).unwrap());
    let simulated = vec![SimulatedReference { name: "enclave".into(), mrtd: mrtd.into() }];
    let policy = Policy {
        tees: vec![Tee::Simulated],
        references: References { simulated, ..References::default() },
        dcap: DcapPolicy { statuses: vec![TcbStatus::UpToDate], ..Policy::nothing().dcap },
        ..Policy::nothing()
    };
    let anchors = TrustAnchors::hardware().insecure_with_simulated(pki.root_der().to_vec()).unwrap();
    verify(&evidence, &Expected { task, nonce, image }, &collateral, &anchors, &policy, NOW).unwrap()
}

fn opened(deal: Deal, secrets: &Secrets) -> Result<Session, SessionError> {
    let description = describe(deal).unwrap();
    let attested = attested(task().id, description.image());
    open(authorized(key(7).address()), attested, &description, secrets, "name".into())
}

fn shown(session: &Session, service: &str) -> BTreeMap<String, String> {
    let environment = &session.service(service).unwrap().environment;
    environment.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_session_holds_iexecs_variables_and_no_others() {
    let params = r#"{"iexec_args":"a 'b c'","iexec_input_files":["https://example.com/x"],"iexec_secrets":{"3":"k"},"iexec_result_storage_provider":"ipfs","iexec_result_encryption":true}"#;
    let mut secrets = secrets();
    secrets.app_developer = Some(SecretText::new("the developer's secret"));
    secrets.requester.insert("3".into(), SecretText::new("the requester's secret"));
    let session = opened(deal(params), &secrets).unwrap();
    assert_eq!((session.name.as_str(), session.version.as_str(), session.time_limit), ("name", "0.1.0", 300));
    let (task, deal) = (task().id.to_string(), deal("").id.to_string());
    let dataset = "0x2020202020202020202020202020202020202020";
    let pre = map(&[
        ("IEXEC_TASK_ID", &task),
        ("IEXEC_DEAL_ID", &deal),
        ("IEXEC_TASK_INDEX", "6"),
        ("IEXEC_PRE_COMPUTE_OUT", "/iexec_in"),
        ("IS_DATASET_REQUIRED", "true"),
        ("IEXEC_DATASET_KEY", "the dataset key"),
        ("IEXEC_DATASET_URL", "/ipfs/QmCats"),
        ("IEXEC_DATASET_CHECKSUM", &format!("0x{}", "bb".repeat(32))),
        ("IEXEC_DATASET_FILENAME", dataset),
        ("IEXEC_INPUT_FILES_FOLDER", "/iexec_in"),
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILE_URL_1", "https://example.com/x"),
    ]);
    assert_eq!(shown(&session, "pre-compute"), pre);
    let app = map(&[
        ("IEXEC_TASK_ID", &task),
        ("IEXEC_DEAL_ID", &deal),
        ("IEXEC_TASK_INDEX", "6"),
        ("IEXEC_IN", "/iexec_in"),
        ("IEXEC_OUT", "/iexec_out"),
        ("IEXEC_DATASET_ADDRESS", dataset),
        ("IEXEC_DATASET_FILENAME", dataset),
        ("IEXEC_BOT_SIZE", "3"),
        ("IEXEC_BOT_FIRST_INDEX", "5"),
        ("IEXEC_BOT_TASK_INDEX", "6"),
        ("IEXEC_INPUT_FILES_FOLDER", "/iexec_in"),
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILE_NAME_1", &Sha256::of("https://example.com/x").to_string()),
        ("IEXEC_APP_DEVELOPER_SECRET", "the developer's secret"),
        ("IEXEC_APP_DEVELOPER_SECRET_1", "the developer's secret"),
        ("IEXEC_REQUESTER_SECRET_3", "the requester's secret"),
    ]);
    assert_eq!(shown(&session, "app"), app);
    let service = session.service("app").unwrap();
    let fingerprint = format!("0x{}", "aa".repeat(32));
    let expected = ("registry.example/app:1", fingerprint.as_str(), "a 'b c'");
    assert_eq!((service.image_name.as_str(), service.fingerprint.as_str(), service.command.as_str()), expected);
    let post = map(&[
        ("IEXEC_TASK_ID", &task),
        ("SIGN_WORKER_ADDRESS", &key(4).address().to_string()),
        ("SIGN_TEE_CHALLENGE_PRIVATE_KEY", &format!("0x{}", "07".repeat(32))),
        ("RESULT_ENCRYPTION", "true"),
        ("RESULT_ENCRYPTION_PUBLIC_KEY", "the beneficiary's key"),
        ("RESULT_STORAGE_CALLBACK", "false"),
        ("RESULT_STORAGE_PROVIDER", "ipfs"),
        ("RESULT_STORAGE_PROXY", ""),
        ("RESULT_STORAGE_TOKEN", ""),
    ]);
    assert_eq!(shown(&session, "post-compute"), post);
}

#[test]
fn the_plainest_deal_has_no_dataset_no_encryption_and_no_foreign_key() {
    let plain = Deal { dataset: Resource::default(), ..deal("") };
    let session = opened(plain, &Secrets { dataset_key: None, ..secrets() }).unwrap();
    let pre = shown(&session, "pre-compute");
    assert_eq!(pre["IS_DATASET_REQUIRED"], "false");
    assert!(!pre.keys().any(|name| name.starts_with("IEXEC_DATASET") || name.starts_with("SIGN_")));
    let app = shown(&session, "app");
    assert_eq!(app["IEXEC_DATASET_ADDRESS"], "0x0000000000000000000000000000000000000000");
    assert!(!app.contains_key("IEXEC_DATASET_FILENAME"));
    let post = shown(&session, "post-compute");
    assert_eq!((post["RESULT_ENCRYPTION"].as_str(), post["RESULT_ENCRYPTION_PUBLIC_KEY"].as_str()), ("false", ""));
}

#[test]
fn a_missing_beneficiary_key_fails_closed_under_iexecs_name() {
    let missing = Secrets { beneficiary_key: None, ..secrets() };
    let refused = opened(deal(r#"{"iexec_result_encryption":true}"#), &missing).err().unwrap();
    assert_eq!(refused, SessionError::BeneficiaryKey { beneficiary: address(0x42) });
    let name = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY";
    assert_eq!(refused.cause().name(), name);
}

#[test]
fn a_missing_dataset_key_fails_closed_under_iexecs_name() {
    let refused = opened(deal(""), &Secrets { dataset_key: None, ..secrets() }).err().unwrap();
    assert_eq!(refused, SessionError::DatasetKey { dataset: address(0x20) });
    assert_eq!(refused.cause().name(), "TEE_SESSION_GENERATION_PRE_COMPUTE_GET_DATASET_SECRET_FAILED");
}

#[test]
fn proofs_of_another_task_image_or_challenge_open_nothing() {
    let description = describe(deal("")).unwrap();
    let image = description.image();
    let of = |challenge, task, image| {
        open(authorized(challenge), attested(task, image), &description, &secrets(), "n".into()).err().unwrap()
    };
    let (mine, other) = (key(7).address(), TaskId(B256::ZERO));
    let expected = SessionError::OtherTask { authorized: task().id, attested: other, found: task().id };
    assert_eq!(of(mine, other, image), expected);
    let foreign = Sha256::of("another image");
    assert_eq!(of(mine, task().id, foreign), SessionError::Image { expected: image, found: foreign });
    let expected = SessionError::Challenge { expected: mine, found: key(8).address() };
    assert_eq!(of(key(8).address(), task().id, image), expected);
}

#[test]
fn parameters_that_are_unclear_or_that_nobody_carries_out_are_refused() {
    for unclear in [r#"{"iexec_result_encryption":"TRUE"}"#, r#"{"iexec_result_encryption":1}"#, "bare arguments"] {
        assert!(matches!(describe(deal(unclear)), Err(Undescribed::Params(_))), "{unclear}");
    }
    let refused = |deal| describe(deal).unwrap_err();
    assert_eq!(refused(deal(r#"{"bulk_cid":"Qm"}"#)), Undescribed::Bulk);
    let dropbox = r#"{"iexec_result_storage_provider":"dropbox"}"#;
    assert_eq!(refused(deal(dropbox)), Undescribed::Storage("dropbox".into()));
    let callback = Deal { callback: address(1), ..deal(r#"{"iexec_result_encryption":true}"#) };
    assert_eq!(refused(callback), Undescribed::EncryptedCallback);
    let many: BTreeMap<_, _> = (1..=101).map(|number| (number.to_string(), "k")).collect();
    let many = format!(r#"{{"iexec_secrets":{}}}"#, serde_json::to_string(&many).unwrap());
    assert_eq!(refused(deal(&many)), Undescribed::RequesterSecrets { count: MAX_REQUESTER_SECRETS + 1 });
}

#[test]
fn a_named_proxy_gets_its_own_token_or_there_is_no_session() {
    let named = || deal(r#"{"iexec_result_storage_proxy":"https://Proxy.example/v1"}"#);
    let refused = opened(named(), &secrets()).err().unwrap();
    assert_eq!(refused, SessionError::StorageToken { proxy: "https://proxy.example".into() });
    assert_eq!(refused.cause().name(), "TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED");
    let with = || Secrets { storage_token: Some(SecretText::new("the worker's token")), ..secrets() };
    let post = shown(&opened(named(), &with()).unwrap(), "post-compute");
    assert_eq!(post["RESULT_STORAGE_PROXY"], "https://proxy.example");
    assert_eq!(post["RESULT_STORAGE_TOKEN"], "the worker's token");
    for url in ["proxy.example", "ftp://proxy.example", "https://user@proxy.example"] {
        let malformed = format!(r#"{{"iexec_result_storage_proxy":"{url}"}}"#);
        assert_eq!(describe(deal(&malformed)).unwrap_err(), Undescribed::Proxy(url.into()));
    }
}

#[test]
fn a_callback_deal_names_no_storage() {
    let callback = Deal { callback: address(1), ..deal("") };
    let post = shown(&opened(callback, &secrets()).unwrap(), "post-compute");
    assert_eq!((post["RESULT_STORAGE_CALLBACK"].as_str(), post["RESULT_STORAGE_PROVIDER"].as_str()), ("true", ""));
}
