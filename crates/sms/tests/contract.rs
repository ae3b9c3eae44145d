//! The OpenAPI document: it is the one in docs/spec, and what a running SMS answers is what it says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::{path::Path, process::Command};

use common::{Network, Service, config};
use iexec_sms::OwnerLimits;

/// To write it anew: `UPDATE_OPENAPI=1 cargo test -p iexec-sms --test contract`.
#[test]
fn the_document_in_docs_is_the_one_that_the_routes_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/sms-openapi.json");
    let made = iexec_sms::openapi().unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/spec/sms-openapi.json is out of date: UPDATE_OPENAPI=1 writes it");
}

/// schemathesis makes up requests from the document, good ones and bad ones, and holds every answer against it.
#[tokio::test]
async fn a_running_sms_answers_what_the_document_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python/bin/schemathesis");
    if !program.is_file() {
        eprintln!("not run: schemathesis is not installed (`cargo xtask setup`)");
        return;
    }
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let limits = OwnerLimits { rate: None, ..OwnerLimits::default() };
    let sms = Service::start(iexec_sms::Config { limits, ..config(&network.anvil.url(), &folder) }).await;
    let mut command = Command::new(program);
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis.toml");
    command
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(settings)
        .arg("run")
        .arg(format!("{}/openapi.json", sms.origin));
    command.args(["--checks", "all", "--max-examples", "25", "--seed", "1", "--workers", "1", "--no-color"]);
    command.args(["--generation-database", "none", "--suppress-health-check", "all"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    sms.end().await;
}
