//! What goes into an app: arguments and input files reach it, and each fault of an input has its cause.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    thread,
    time::Duration,
};

use iexec_e2e::{network::Network, user::User, workspace};

const LIMIT: Duration = Duration::from_mins(1);
const TEXT: &str = "the first line\nthe second line\n";

/// Serves `TEXT` at `/input.txt` on this machine, and 404 elsewhere; yields the origin.
fn file_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let found = String::from_utf8_lossy(&request[..read]).starts_with("GET /input.txt ");
            let (status, body) = if found { ("200 OK", TEXT) } else { ("404 Not Found", "no") };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    origin
}

/// The app's result of a finished task.
fn result(user: &User, task: &str) -> String {
    user.wait_status(task, "COMPLETED", LIMIT).unwrap();
    user.ok(&format!("task show {task} --download")).unwrap();
    user.ok(&format!("result decrypt {task}.zip --force")).unwrap();
    let output = Command::new("unzip").args(["-p", "results.zip", "my-result.txt"]).current_dir(user.folder()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn arguments_and_input_files_reach_the_app_and_a_missing_file_has_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let origin = file_server();

    let (_, task) = user.start_task(&format!("--args Ada --input-files {origin}/input.txt")).unwrap();
    let text = result(&user, &task);
    assert!(text.starts_with("Hello, Ada!\n"), "{text}");
    assert!(text.contains(&format!("{} bytes, begins with \"the first line\"", TEXT.len())), "{text}");

    let (_, task) = user.start_task(&format!("--input-files {origin}/missing.txt")).unwrap();
    let seen = |debug: &serde_json::Value| debug["offchainData"]["cause"].is_string();
    let debug = user.wait_debug(&task, LIMIT, seen).unwrap();
    assert_eq!(debug["offchainData"]["cause"], "INPUT_FILES_DOWNLOAD_FAILED");
    network.stop().unwrap();
}

#[test]
fn the_output_of_an_encrypted_task_is_nowhere_on_the_hosts_disk() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("network"), &[]).unwrap();
    let user = User::new(&network, &folder.path().join("home")).unwrap().with_app(&workspace::hello_world()).unwrap();
    let (_, task) = user.start_task("").unwrap();
    user.wait_status(&task, "COMPLETED", LIMIT).unwrap();
    let found = Command::new("grep").args(["-rl", "--binary-files=text", "Hello, world!"]).arg(&network.data).output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    // The app's own program holds the words, in the image that the worker keeps.
    let elsewhere: Vec<&str> = found.lines().filter(|file| !file.contains("/worker/images/")).collect();
    assert_eq!(elsewhere, Vec::<&str>::new());
    assert_eq!(result(&user, &task), "Hello, world!\n");
    fs::remove_file(user.folder().join("results.zip")).unwrap();
    network.stop().unwrap();
}
