//! What `iexec` says on a running network when something is wrong: one line, a hint, a true exit code, nothing changed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{fs, path::Path};

use iexec_e2e::{
    network::Network,
    user::{Answer, User},
    workspace,
};

/// Name, message and hint of a failure, whose exit code is `status`; nothing is on stdout.
fn refused(answer: &Answer, status: i32) -> (String, String, String) {
    assert_eq!((answer.status, answer.stdout.as_str()), (status, ""), "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    let json: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!(json["ok"], false);
    let text = |key: &str| json["error"][key].as_str().unwrap_or_default().to_owned();
    (text("name"), text("message"), text("hint"))
}

fn says(user: &User, words: &str, status: i32) -> (String, String) {
    let (name, message, hint) = refused(&user.run(words).unwrap(), status);
    assert!(!hint.is_empty(), "{words}: {message} has no hint");
    (name, message)
}

#[test]
fn whatever_is_wrong_is_one_line_with_a_hint_and_makes_no_deal() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap();
    let user = user.with_app(&workspace::hello_world()).unwrap();
    a_run_is_refused_before_it_costs_anything(&user);
    unknown_things_are_named(&user);
    a_service_that_is_down_is_named_with_its_url(&network, &user);
    a_foreign_chain_file_is_named_by_its_path(&user, folder.path());
}

fn a_run_is_refused_before_it_costs_anything(user: &User) {
    let stranger = "0x1111111111111111111111111111111111111111";
    for (words, expected) in [
        ("--tag tee --category 9", "--category: the chain has no category 9, only 0 to 4"),
        (
            "--tag tee --trust 5",
            "no orders match; the nearest ones fail at: workerpool order: trust is 0, the request order has at least 5",
        ),
        (
            "--tag gpu",
            "no orders match; the nearest ones fail at: workerpool order: tag is tee, the request order has gpu",
        ),
        ("--tag tee --secret 1=unknown", "--secret 1=unknown: "),
        ("--tag tee --dataset 0x1111111111111111111111111111111111111111", "there is no dataset at 0x1111"),
        ("--tag tee --workerpool 0x1111111111111111111111111111111111111111", "there is no workerpool at 0x1111"),
        (
            "--tag tee --input-files http://ada:secret@example.com/a",
            "--input-files: URL 1 holds a user name or a password",
        ),
        ("--tag tee --params []", "--params: invalid type: sequence, expected a JSON object"),
    ] {
        let (_, message) = says(user, &format!("app run {words}"), 1);
        assert!(message.starts_with(expected), "{words}: {message}");
        assert!(!message.contains("ada:secret"), "{message}");
    }
    let (name, _) = says(user, &format!("app run --tag tee --encrypt-result --beneficiary {stranger}"), 1);
    assert_eq!(name, "EncryptionKeyNotSet");
    let (name, message) = says(user, "account deposit 1 RLC", 1);
    assert_eq!((name.as_str(), message.as_str()), ("InsufficientFunds", "the wallet holds 0 RLC, not 1 RLC"));
}

fn unknown_things_are_named(user: &User) {
    let id = format!("0x{}", "11".repeat(32));
    for words in ["deal show", "task show", "task debug", "deal claim", "order unpublish --app"] {
        let (_, message) = says(user, &format!("{words} {id}"), 1);
        assert!(message.contains(&id) || words.starts_with("order"), "{words}: {message}");
    }
    let (_, message) = says(user, "app show 7", 1);
    assert!(message.ends_with(" has no app number 7"), "{message}");
}

fn a_service_that_is_down_is_named_with_its_url(network: &Network, user: &User) {
    let chain = fs::read_to_string(network.data.join("chain.json")).unwrap();
    let sms = network.port("sms").unwrap();
    let closed = chain.replace(&format!("127.0.0.1:{sms}"), "127.0.0.1:1");
    let path = user.folder().join("closed.json");
    fs::write(&path, closed).unwrap();
    let mut command = user.prepared(&["app", "run", "--tag", "tee", "--encrypt-result", "--raw"]);
    let output = command.env("IEXEC_CHAIN_FILE", &path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the SMS at http://127.0.0.1:1/secrets/web2 cannot be reached"), "{text}");
}

fn a_foreign_chain_file_is_named_by_its_path(user: &User, folder: &Path) {
    let path = folder.join("mine.json");
    fs::write(&path, r#"{"default": "there", "chains": {}}"#).unwrap();
    let output = user.prepared(&["info"]).env("IEXEC_CHAIN_FILE", &path).output().unwrap();
    let expected = format!(
        "error: {} has no chain \"there\" (it has: none)\nhint: correct that file, or unset IEXEC_CHAIN_FILE\n",
        path.display()
    );
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), expected.as_str()));
}
