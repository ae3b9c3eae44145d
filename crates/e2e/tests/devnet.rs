//! The local network as its user meets it: it leaves no process, goes on where it stopped, and says what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{fs, net::TcpListener, path::Path, process::Command, time::Duration};

use iexec_e2e::{network::Network, user::User, workspace};

/// Processes of a network: whatever has its data folder in the command line.
fn processes(data: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains(&data.display().to_string()) && !line.contains("defunct"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn ctrl_c_leaves_no_process_and_a_second_start_goes_on_with_its_deals() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("network");
    let network = Network::start(&data, &[]).unwrap();
    let home = folder.path().join("home");
    let user = User::new(&network, &home).unwrap().with_app(&workspace::hello_world()).unwrap();
    let (deal, task) = user.start_task("").unwrap();
    assert!(!processes(&data).is_empty());
    network.stop().unwrap();
    assert_eq!(processes(&data), Vec::<String>::new());

    let network = Network::start(&data, &[]).unwrap();
    let user = user.on(&network);
    user.wait_status(&task, "COMPLETED", Duration::from_mins(1)).unwrap();
    assert_eq!(user.ok(&format!("deal show {deal}")).unwrap()["deal"]["botSize"], "1");
    network.stop().unwrap();
}

#[test]
fn a_network_whose_owner_is_killed_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("network");
    let network = Network::start(&data, &[]).unwrap();
    network.kill_all().unwrap();
    let begun = std::time::Instant::now();
    while !processes(&data).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "left: {:?}", processes(&data));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs `iexecd devnet` where it must fail; yields what it says.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_network_on_the_same_data_is_one_clear_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(folder.path(), &[]).unwrap();
    let said = refusal(Network::command(folder.path(), &[]).unwrap());
    let data = folder.path().canonicalize().unwrap();
    let expected = format!(
        "error: another network runs on {}\nhint: stop it, or choose another folder with --data\n",
        data.display()
    );
    assert_eq!(said, expected);
    network.stop().unwrap();
}

#[test]
fn a_port_in_use_is_one_clear_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let command = Network::command(folder.path(), &[]).unwrap();
    let offset: u16 = {
        let arguments: Vec<String> =
            command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let at = arguments.iter().position(|argument| argument == "--port-offset").unwrap();
        arguments[at + 1].parse().unwrap()
    };
    let _taken = TcpListener::bind(("127.0.0.1", 13300 + offset)).unwrap();
    let expected = format!(
        "error: port {} (for the sms) is in use\nhint: stop what listens there, or choose other ports with --port-offset {}\n",
        13300 + offset,
        offset + 1000
    );
    assert_eq!(refusal(command), expected);
}

#[test]
fn a_missing_tool_is_one_clear_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let mut command = Network::command(&folder.path().join("data"), &[]).unwrap();
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let at = arguments.iter().position(|argument| argument == "--tools").unwrap();
    command = Command::new(workspace::program("iexecd"));
    command.args(&arguments[..=at]).arg(&empty).args(&arguments[at + 2..]);
    let said = refusal(command);
    assert!(said.starts_with("error: ") && said.contains("hint: run `cargo xtask setup`"), "{said}");
}
