use std::fs;

use axum::{Router, extract::Request, response::IntoResponse as _};

use super::*;

/// A web server and gateway: `/ipfs/x`, `/big`, `/away` (a redirect), `/round` (one to itself).
async fn server() -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let answer = |request: Request| async move {
        match request.uri().path() {
            "/ipfs/x" | "/plain" => "contents".into_response(),
            "/big" => vec![0; 2000].into_response(),
            "/away" => axum::response::Redirect::temporary("/plain").into_response(),
            "/round" => axum::response::Redirect::temporary("/round").into_response(),
            "/inside" => axum::response::Redirect::temporary("http://169.254.169.254/secret").into_response(),
            _ => http::StatusCode::NOT_FOUND.into_response(),
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    url
}

async fn fetcher(reach: Reach) -> (Fetcher, Url) {
    iexec_service::crypto::install();
    let url = server().await;
    let rules = FetchRules { gateway: Some(url.clone()), reach, max_bytes: 1000, time: Duration::from_secs(5) };
    (Fetcher::new(rules).unwrap(), url)
}

#[tokio::test]
async fn a_dataset_comes_from_the_gateway_or_a_url_and_is_compared_with_its_checksum() {
    let (fetcher, url) = fetcher(Reach::Loopback).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("dataset");
    for address in ["/ipfs/x".to_owned(), "ipfs://x".into(), format!("{url}plain"), format!("{url}away")] {
        fetcher.dataset(address.as_bytes(), Sha256::of("contents"), &to).await.unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "contents");
    }
    let error = fetcher.dataset(b"/ipfs/x", Sha256::of("other"), &to).await.unwrap_err();
    assert_eq!(error.cause, Cause::DatasetFileBadChecksum);
}

#[tokio::test]
async fn input_files_are_numbered_in_the_deals_order_and_a_failure_names_its_number() {
    let (fetcher, url) = fetcher(Reach::Loopback).await;
    let folder = tempfile::tempdir().unwrap();
    let plain = format!("{url}plain");
    fetcher.inputs(&[plain.clone(), plain.clone()], folder.path()).await.unwrap();
    assert!(folder.path().join("input-2").exists());
    for (bad, words) in [
        ("missing", "404"),
        ("big", "more than 1000 bytes"),
        ("round", "redirects more than"),
        ("inside", "private network"),
    ] {
        let error = fetcher.inputs(&[plain.clone(), format!("{url}{bad}")], folder.path()).await.unwrap_err();
        assert_eq!(error.cause, Cause::InputFilesDownloadFailed);
        assert!(error.message.contains("input file 2") && error.message.contains(words), "{error}");
    }
    let many = vec![plain; MAX_INPUTS + 1];
    assert!(fetcher.inputs(&many, folder.path()).await.is_err());
}

#[tokio::test]
async fn this_machine_is_not_fetched_from_unless_the_operator_allows_it() {
    let (fetcher, url) = fetcher(Reach::Public).await;
    let folder = tempfile::tempdir().unwrap();
    let error = fetcher.inputs(&[format!("{url}plain")], folder.path()).await.unwrap_err();
    assert!(error.message.contains("private network"), "{error}");
    // The gateway is the operator's own.
    fetcher.dataset(b"/ipfs/x", Sha256::of("contents"), &folder.path().join("dataset")).await.unwrap();
}

#[tokio::test]
async fn an_ipfs_address_cannot_leave_the_gateways_folder() {
    let (fetcher, _) = fetcher(Reach::Loopback).await;
    for bad in ["/ipfs/../plain", "/ipfs/x/../../plain", "/ipfs/", "/ipfs/x?y", "/ipfs//plain", "/ipfs/%2e%2e/plain"] {
        assert!(fetcher.locate(bad).is_err(), "{bad}");
    }
}

/// The CID of "hello world\n" in its first version, as iExec's SDK writes it on chain.
#[test]
fn a_binary_multiaddr_reads_as_its_ipfs_address() {
    let bytes = "a50322122046d44814b9c5af141c3aaab7c05dc5e844ead5f91f12858b021eba45768b4c0e";
    let bytes = const_hex::decode(bytes).unwrap();
    assert_eq!(address(&bytes), Ok("/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o".into()));
    assert_eq!(address(b"/ipfs/QmX"), Ok("/ipfs/QmX".into()));
    assert!(address(&[0xff, 0xfe]).is_err());
    assert!(address(&[b'a'; 3000]).is_err());
}
