//! A PostgreSQL server for tests: a cluster in a temporary folder, of the server that the machine has installed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::store::DatabaseUrl;

pub(super) const PASSWORD: &str = "for-the-tests";

/// Starts the server, says so, and stops it and removes its folder when standard input closes: also when the tests die.
const GUARD: &str = r#"
"$BIN/postgres" -D "$DIR/data" -k "$DIR" -p "$PORT" -c listen_addresses=127.0.0.1 -c max_connections=90 \
    -c shared_buffers=32MB >"$DIR/log" 2>&1 &
until "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT"; do sleep 0.05; done
echo ready
read -r _
kill -QUIT "$(head -n 1 "$DIR/data/postmaster.pid")"
until [ ! -e "$DIR/data/postmaster.pid" ]; do sleep 0.05; done
rm -rf "$DIR"
"#;

/// A server that ends with the value, or with the process.
pub(super) struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    password: PathBuf,
    port: u16,
    guard: Child,
    stdin: Option<ChildStdin>,
    databases: AtomicU32,
}

impl Cluster {
    /// The one that all tests of this process share. `None`, with words, if no server is installed: then its tests did
    /// not run. With `CI=true` they must.
    pub(super) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server of one's own.
    pub(super) fn start() -> Option<Self> {
        let Some(bin) = installed() else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no PostgreSQL server is installed");
            eprintln!("not run: no PostgreSQL server is installed (apt-get install postgresql)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("sms-postgres-").tempdir().unwrap().keep();
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres"]).arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut initdb = as_server(&bin.join("initdb"));
        initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(&password);
        run(initdb.args(["-U", "sms", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]));
        let mut guard = as_server(Path::new("sh"));
        guard.args(["-c", GUARD]).env("BIN", &bin).env("DIR", &folder).env("PORT", port.to_string());
        let mut guard = guard.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let stdin = guard.stdin.take();
        Some(Self { bin, folder, password, port, guard, stdin, databases: AtomicU32::new(0) })
    }

    /// A database that no other test uses.
    pub(super) fn database(&self) -> DatabaseUrl {
        let name = format!("sms_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut psql = as_server(&self.bin.join("psql"));
        psql.args(["-q", "-h", "127.0.0.1", "-U", "sms", "-p", &self.port.to_string(), "-d", "postgres", "-c"]);
        run(psql.arg(format!("CREATE DATABASE {name}")).env("PGPASSWORD", PASSWORD));
        let url: DatabaseUrl = format!("postgres://sms@127.0.0.1:{}/{name}", self.port).parse().unwrap();
        url.password_file(Some(self.password.clone()))
    }

    /// Stops the server as a crash does, and starts it again.
    pub(super) fn restart(&self) {
        let mut ctl = as_server(&self.bin.join("pg_ctl"));
        ctl.args(["restart", "-w", "-s", "-m", "immediate", "-l"]).arg(self.folder.join("log"));
        run(ctl.arg("-D").arg(self.folder.join("data")));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stdin = self.stdin.take().unwrap();
        let _ = stdin.write_all(b"\n");
        drop(stdin);
        self.guard.wait().unwrap();
    }
}

fn is_root() -> bool {
    nix_uid() == "0"
}

fn nix_uid() -> String {
    let output = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The newest server of Debian's folders, or that of the path.
fn installed() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = folders
        .filter_map(|folder| Some((folder.file_name().to_str()?.parse().ok()?, folder.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").exists() && bin.join("initdb").exists())
        .collect();
    versions.sort();
    let path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| folder.join("initdb").exists());
    versions.pop().map(|(_, bin)| bin).or_else(path)
}

/// PostgreSQL refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
