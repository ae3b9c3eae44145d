//! An SMS as a whole, in one process, without a chain.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use iexec_protocol::evidence::{Evidence, MAX_CERTIFICATES, MAX_JSON, MAX_QUOTE};
use iexec_protocol::{B256, id::Sha256};
use iexec_service::Listen;

use super::*;
use crate::store::tests::Rig;

fn config(at: &Location) -> Config {
    Config {
        listen: Listen { grace: Duration::from_millis(200), .."127.0.0.1:0".parse().unwrap() },
        public_url: None,
        data: at.data.clone(),
        database: at.database.clone(),
        kek: at.kek.clone(),
        limits: OwnerLimits::default(),
        chain_url: "http://127.0.0.1:1".to_owned(),
        chain_id: 31337,
        hub: Address::ZERO,
        policy: None,
        collateral: CollateralSources { urls: None, bundle: None },
        tee_broker: false,
        insecure_simulated_tee: None,
    }
}

/// A running one: its origin, and how to end it.
async fn run(at: &Location) -> (String, CancellationToken, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let sms = Sms::start(config(at)).await.unwrap();
    let (address, stop) = (sms.origin().replace("http://", ""), CancellationToken::new());
    (address, stop.clone(), tokio::spawn(sms.serve(stop)))
}

/// Status of the answer.
fn post(address: &str, path: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

const SECRET: &str = "/secrets/web2?ownerAddress=0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f&secretName=a";

async fn starts_again_in_the_same_process(rig: Rig) {
    for round in 0..5 {
        let (address, stop, done) = run(&rig.at).await;
        // A connection that stays open, and a refusal that is counted or told, whatever the end does to both.
        let _idle = TcpStream::connect(&address).unwrap();
        let asking = address.clone();
        let status = tokio::task::spawn_blocking(move || post(&asking, SECRET, b"v")).await.unwrap();
        assert_eq!(status, 401);
        stop.cancel();
        done.await.unwrap().unwrap();
        let head = admin::verify_audit(rig.at.clone(), 1, None).await.unwrap();
        assert_eq!(head.seq, round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_that_ended_left_its_file_to_the_next_in_the_same_process() {
    starts_again_in_the_same_process(Rig::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_that_ended_left_its_database_to_the_next_in_the_same_process() {
    if let Some(rig) = Rig::postgres() {
        starts_again_in_the_same_process(rig).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_without_signatures_is_in_the_log_and_does_not_fill_it() {
    let rig = Rig::sqlite();
    let (address, stop, done) = run(&rig.at).await;
    let flood = move || (0..130).map(|_| post(&address, SECRET, b"v")).all(|status| status == 401);
    assert!(tokio::task::spawn_blocking(flood).await.unwrap());
    stop.cancel();
    done.await.unwrap().unwrap();
    let all = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&all);
    let show = move |line: &str| {
        told.lock().unwrap().push(line.to_owned());
        Ok(())
    };
    admin::show_audit(rig.at.clone(), 1, show).await.unwrap();
    let all = all.lock().unwrap();
    let words = r#"{"cause":"unsigned","count":"#;
    let counted = all.iter().filter(|line| line.starts_with(words)).map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["count"].as_u64().unwrap()
    });
    let counted: u64 = counted.sum();
    let word_by_word = all.iter().filter(|line| !line.starts_with(words)).count() as u64;
    assert_eq!(word_by_word + counted, 130);
    assert!((50..56).contains(&word_by_word), "{word_by_word}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_evidence_is_read_and_one_byte_more_is_not() {
    let rig = Rig::sqlite();
    let (address, stop, done) = run(&rig.at).await;
    let evidence = Evidence {
        tee: Tee::Simulated,
        key: B256::repeat_byte(255),
        signer: Address::repeat_byte(255),
        image: Sha256(B256::repeat_byte(255)),
        quote: vec![255; MAX_QUOTE],
        certificates: vec![255; MAX_CERTIFICATES],
    };
    let mut body = serde_json::to_vec(&evidence).unwrap();
    assert!(body.len() <= MAX_JSON, "{} of {MAX_JSON}", body.len());
    for (length, session, collateral) in [(MAX_JSON, 503, 422), (MAX_JSON + 1, 413, 413)] {
        body.resize(length, b' ');
        let (address, body) = (address.clone(), body.clone());
        let ask = move || ["/tee/sessions/x/evidence", "/v2/collateral"].map(|path| post(&address, path, &body));
        // Without a chain a session is 503, after its evidence was read.
        assert_eq!(tokio::task::spawn_blocking(ask).await.unwrap(), [session, collateral], "{length}");
    }
    stop.cancel();
    done.await.unwrap().unwrap();
}
