//! The published npm `iexec` drives the network unmodified: the tutorial, command for command, by the SDK itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::fs;

use iexec_e2e::{network::Network, page, sdk, shell::Shell, workspace};
use serde_json::Value;

#[test]
fn the_sdk_8_24_runs_the_tutorial_on_our_network() {
    let programs = sdk::installed("sdk").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let home = folder.path().join("home");
    fs::create_dir_all(&home).unwrap();
    let layout = workspace::hello_world();
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "0x");
    let mut variables = network.variables(&home);
    let text = |path: std::path::PathBuf| path.display().to_string();
    variables.extend([
        ("OURS".to_owned(), text(workspace::program("iexec"))),
        ("SDK_CHAIN_FILE".to_owned(), text(network.data.join("sdk-8/chain.json"))),
        ("APP_MULTIADDR".to_owned(), format!("oci:{}", layout.display())),
        ("APP_CHECKSUM".to_owned(), digest),
    ]);
    let markdown = fs::read_to_string(workspace::root().join("crates/e2e/pages/sdk-8.md")).unwrap();
    let mut shell = Shell::start(&home, &programs, &variables).unwrap();
    page::run(&markdown, &mut shell, |line| println!("{line}")).unwrap();
    drop(shell);
    network.stop().unwrap();
}
