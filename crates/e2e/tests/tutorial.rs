//! Every tutorial page runs, command by command, and prints what it says it prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use iexec_e2e::{network::Network, page, workspace};

#[test]
fn every_page_of_the_tutorial_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let pages = fs::read_dir(workspace::root().join("docs/tutorial")).unwrap();
    let mut pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    pages.sort();
    for page in pages {
        println!("== {}", page.display());
        let markdown = fs::read_to_string(&page).unwrap();
        // A home for each: a page is read by somebody who begins.
        let home = folder.path().join(page.file_stem().unwrap());
        let mut shell = network.shell(&home).unwrap();
        let last = page::run(&markdown, &mut shell, |line| println!("{line}")).unwrap();
        assert_eq!(last.text(), "Hello, world!");
    }
    network.stop().unwrap();
}
