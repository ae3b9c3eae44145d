//! Every tutorial page runs, command by command, and prints what it says it prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use iexec_e2e::{network::Network, page, workspace};

#[test]
fn the_tutorial_protect_result_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let markdown = fs::read_to_string(workspace::root().join("docs/tutorial/protect-result.md")).unwrap();
    let mut shell = network.shell(&folder.path().join("home")).unwrap();
    let last = page::run(&markdown, &mut shell, |line| println!("{line}")).unwrap();
    assert_eq!(last.text(), "Hello, world!");
    drop(shell);
    network.stop().unwrap();
}
