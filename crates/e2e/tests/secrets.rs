//! `iexec secret` against the network's own SMS: what an owner lists, replaces and deletes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::{Value, json};

/// Kind, name, version and whether it was deleted, of each.
fn listed(answer: &Value) -> Vec<(String, String, u64, bool)> {
    let text = |secret: &Value, key: &str| secret[key].as_str().unwrap().to_owned();
    let row = |secret: &Value| {
        let deleted = secret["deleted"].as_bool().unwrap();
        (text(secret, "kind"), text(secret, "name"), secret["version"].as_u64().unwrap(), deleted)
    };
    answer["secrets"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn an_owner_lists_replaces_and_deletes_what_it_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let list = || {
        let all = listed(&user.ok("secret list").unwrap());
        all.into_iter().filter(|(kind, ..)| kind != "web2").collect::<Vec<_>>()
    };
    fs::write(user.folder().join("one.txt"), "planted-one\n").unwrap();
    fs::write(user.folder().join("two.txt"), "planted-two\n").unwrap();
    let row = |kind: &str, name: &str, version, deleted| (kind.to_owned(), name.to_owned(), version, deleted);
    assert_eq!(list(), []);

    let pushed = user.ok("secret push requester my-password --secret-path one.txt").unwrap();
    assert_eq!((&pushed["version"], &pushed["name"]), (&json!(1), &json!("my-password")));
    user.ok("requester check-secret my-password").unwrap();
    let again = user.run("secret push requester my-password --secret-path two.txt").unwrap().failure().unwrap();
    assert!(again.contains("is in the SMS already"), "{again}");
    assert_eq!(user.ok("secret rotate requester my-password --secret-path two.txt").unwrap()["version"], 2);
    // An older value may come back: its owner signs for it.
    assert_eq!(user.ok("secret rotate requester my-password --secret-path one.txt").unwrap()["version"], 3);
    user.ok("secret push storage https://Proxy.example/v1 --secret-path one.txt").unwrap();
    assert_eq!(list(), [row("requester", "my-password", 3, false), row("storage", "https://proxy.example", 1, false)]);

    let declined = user.run("secret delete requester my-password").unwrap().failure().unwrap();
    assert!(declined.contains("this needs a confirmation: Delete requester my-password"), "{declined}");
    user.ok("secret delete requester my-password --force").unwrap();
    assert!(user.run("requester check-secret my-password").unwrap().success().is_err());
    let absent = user.run("secret rotate requester my-password --secret-path one.txt").unwrap().failure().unwrap();
    assert!(absent.contains("is not in the SMS"), "{absent}");
    assert_eq!(list()[0], row("requester", "my-password", 4, true));
    assert_eq!(user.ok("secret push requester my-password --secret-path two.txt").unwrap()["version"], 5);

    let apps: Value = serde_json::from_slice(&fs::read(user.folder().join("deployed.json")).unwrap()).unwrap();
    let app = apps["app"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    assert_eq!(user.ok(&format!("secret push app {app} --secret-path one.txt")).unwrap()["version"], 1);
    assert_eq!(listed(&user.ok(&format!("secret list --app {app}")).unwrap()), [row("app", "", 1, false)]);
    let foreign = format!("secret list --dataset {app}");
    let unknown = user.run(&foreign).unwrap().failure().unwrap();
    assert!(unknown.contains("no dataset that is registered"), "{unknown}");
    assert!(!network.log().contains("planted-"), "a secret is in the network's log");
    network.stop().unwrap();
}
