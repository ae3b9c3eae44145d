//! What a chain.json may say, and what each SDK accepts of ours.

use super::*;

fn parse(text: &str) -> Result<ChainFile, NetworkError> {
    text.parse()
}

#[test]
fn an_initial_file_has_the_local_network_as_default_and_the_public_ones() {
    let text = ChainFile::initial().render(Dialect::Iexec);
    assert!(text.starts_with("{\n  \"") && !text.ends_with('\n'));
    let file = parse(&text).unwrap();
    assert_eq!(file.select(None).unwrap(), devnet());
    assert_eq!(file.select(Some("421614")).unwrap(), arbitrum_sepolia());
    assert_eq!(
        file.select(Some("arbitrum-mainnet")).unwrap().hub.to_string(),
        "0x098bFCb1E50ebcA0BaA92C12eA0c3F045A1aD9f0"
    );
}

#[test]
fn an_entry_overrides_what_is_built_in_for_its_id() {
    let file = parse(r#"{"default":"mine","chains":{"mine":{"id":65535,"host":"http://10.0.0.1:8601"}}}"#).unwrap();
    let expected = Network { name: "mine".into(), host: "http://10.0.0.1:8601".into(), ..devnet() };
    assert_eq!(file.select(None).unwrap(), expected);
}

#[test]
fn networks_of_the_past_say_so_unless_somebody_runs_one() {
    for name in ["goerli", "viviani", "bellecour", "134"] {
        let message = ChainFile::initial().select(Some(name)).unwrap_err().to_string();
        assert!(message.contains("was shut down") && message.contains("arbitrum-sepolia-testnet"), "{message}");
    }
    assert!(matches!(
        parse(r#"{"chains":{"goerli":{}}}"#).unwrap().select(Some("goerli")),
        Err(NetworkError::ShutDown { .. })
    ));
    let hub = "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707";
    let own = format!(r#"{{"chains":{{"goerli":{{"id":"5","host":"http://127.0.0.1:8601","hub":"{hub}"}}}}}}"#);
    assert_eq!(parse(&own).unwrap().select(Some("goerli")).unwrap().id, 5);
}

#[test]
fn faults_name_the_key_and_the_place() {
    let cases = [
        ("{", "chain.json: EOF"),
        ("[]", "the file is [], expected an object"),
        (r#"{"chain":{}}"#, r#"unknown key "chain" in the file (known: default, chains"#),
        (r#"{"chains":{"devnet":{"smss":""}}}"#, r#"unknown key "smss" in chains.devnet"#),
        (r#"{"chains":{"devnet":{"id":"x"}}}"#, r#"chains.devnet.id is "x", expected a chain id"#),
        (r#"{"chains":{"devnet":{"hub":"0x12"}}}"#, "chains.devnet.hub is"),
        (r#"{"chains":{"devnet":{"sms":"ftp://a"}}}"#, "chains.devnet.sms is \"ftp://a\", expected an http"),
        (r#"{"chains":{"devnet":{"sms":{"sgx":"http://a"}}}}"#, r#"unknown key "sgx" in chains.devnet.sms"#),
        (r#"{"chains":{"devnet":{"sms":{}}}}"#, "chains.devnet.sms is {}"),
        (r#"{"chains":{"devnet":7}}"#, "chains.devnet is 7, expected an object"),
        (r#"{"default":7}"#, "default is 7, expected a text"),
    ];
    for (text, part) in cases {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
    assert!(matches!(parse(&" ".repeat(MAX_BYTES + 1)), Err(NetworkError::TooLarge { .. })));
    let unknown = parse(r#"{"chains":{"a":{},"b":{}}}"#).unwrap().select(Some("c")).unwrap_err();
    assert_eq!(unknown.to_string(), "chain.json has no chain \"c\" (it has: a, b)");
    let bare = parse(r#"{"chains":{"a":{}}}"#).unwrap().select(Some("a")).unwrap_err();
    assert!(bare.to_string().contains("chains.a has no id"));
}

#[test]
fn each_sdk_gets_the_keys_it_accepts_and_no_other() {
    let file = ChainFile::of(&devnet());
    let keys = |dialect| {
        let file: Value = serde_json::from_str(&file.render(dialect)).unwrap();
        let entry = file["chains"]["devnet"].as_object().unwrap().clone();
        (entry.keys().cloned().collect::<std::collections::BTreeSet<_>>(), entry)
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let common = ["id", "host", "hub", "sms", "ipfsGateway", "iexecGateway"];
    assert_eq!(keys(Dialect::SdkTo7).0, set(&[&common[..], &["resultProxy"]].concat()));
    assert_eq!(keys(Dialect::Sdk8).0, set(&[&common[..], &["resultProxy", "compass"]].concat()));
    assert_eq!(keys(Dialect::Sdk9).0, set(&[&common[..], &["compass"]].concat()));
    assert_eq!(keys(Dialect::Sdk8).1["sms"]["tdx"], "http://127.0.0.1:13300");
    assert_eq!(keys(Dialect::Sdk9).1["sms"], "http://127.0.0.1:13300");
    assert_eq!(keys(Dialect::Sdk9).1["id"], "65535");
    for dialect in [Dialect::Iexec, Dialect::SdkTo7, Dialect::Sdk8, Dialect::Sdk9] {
        assert_eq!(parse(&file.render(dialect)).unwrap().select(None).unwrap(), devnet());
    }
}
