//! Secrets and orders from the command line: kept once, ended for good, and a Ctrl-C that loses no deal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use iexec_e2e::{network::Network, user::User, workspace};
use serde_json::Value;

#[test]
fn secrets_are_kept_once_orders_end_for_good_and_an_interrupted_run_names_its_deal() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap();
    let user = user.with_app(&workspace::hello_world()).unwrap();
    a_secret_is_kept_once(&user);
    an_order_ends_for_good(&user);
    an_interrupted_run_names_its_deal(&user);
    categories_are_shown(&user);
}

fn a_secret_is_kept_once(user: &User) {
    assert_eq!(user.run("requester check-secret mine").unwrap().status, 1);
    fs::write(user.folder().join("secret.txt"), "hunter2\n").unwrap();
    let pushed = user.ok("requester push-secret mine --secret-path secret.txt").unwrap();
    assert_eq!((&pushed["isPushed"], &pushed["name"]), (&Value::from(true), &Value::from("mine")));
    assert_eq!(user.ok("requester check-secret mine").unwrap()["isSet"], true);
    let refused = user.run("requester push-secret mine --secret-path secret.txt").unwrap().failure().unwrap();
    assert!(refused.contains("already exists") && !refused.contains("hunter2"), "{refused}");

    assert_eq!(user.run("app check-secret").unwrap().status, 1);
    user.ok("app push-secret --secret-path secret.txt").unwrap();
    assert_eq!(user.ok("app check-secret").unwrap()["isSecretSet"], true);
    let done = user.ok("app run --tag tee --secret 1=mine --watch").unwrap();
    assert_eq!(done["tasks"][0]["statusName"], "COMPLETED");
}

fn an_order_ends_for_good(user: &User) {
    user.ok("order init --app").unwrap();
    user.ok("order sign --app").unwrap();
    let hash = user.ok("order publish --app").unwrap()["apporder"]["orderHash"].clone();
    assert_eq!(user.ok("order show --app").unwrap()["apporder"]["orderHash"], hash);
    assert_eq!(user.ok("order unpublish --app").unwrap()["apporder"]["orderHash"], hash);
    let refused = user.run("order cancel --app").unwrap().failure().unwrap();
    assert!(refused.starts_with("this needs a confirmation"), "{refused}");
    let cancelled = user.ok("order cancel --app --force").unwrap();
    assert!(cancelled["apporder"]["txHash"].as_str().unwrap().starts_with("0x"), "{cancelled}");
    let refused = user.run("order cancel --app --force").unwrap().failure().unwrap();
    assert!(refused.ends_with("is used up or cancelled already"), "{refused}");
    let refused = user.run("order publish --app").unwrap().failure().unwrap();
    assert!(refused.contains("canceled"), "{refused}");
}

/// A block takes up to a second: the Ctrl-C comes while the deal is on its way and has no number yet.
fn an_interrupted_run_names_its_deal(user: &User) {
    let mut command = user.prepared(&["app", "run", "--tag", "tee", "--watch"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.starts_with("Sending the deal")));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let named = rest.iter().find_map(|line| line.split("`iexec deal show ").nth(1)).unwrap();
    let deal = named.split(' ').next().unwrap();
    assert_eq!(user.ok(&format!("deal show {deal}")).unwrap()["deal"]["botSize"], "1");
}

fn categories_are_shown(user: &User) {
    assert_eq!(user.ok("category count").unwrap()["count"], "5");
    assert_eq!(user.ok("category show 0").unwrap()["category"]["workClockTimeRef"], "300");
    let refused = user.run("category show 5").unwrap().failure().unwrap();
    assert_eq!(refused, "the chain \"devnet\" has no category 5");
}
