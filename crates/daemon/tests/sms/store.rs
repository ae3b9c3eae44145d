//! The store's own PostgreSQL server for tests, for other tests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use iexec_sms::DatabaseUrl;

#[path = "../../../sms/src/store/tests/postgres.rs"]
mod postgres;

/// The password of the databases.
pub const PASSWORD: &str = postgres::PASSWORD;

/// A server with one database. `None`, with words, if none is installed.
pub struct Postgres {
    cluster: postgres::Cluster,
    pub url: String,
    pub password_file: PathBuf,
}

impl Postgres {
    /// Starts it; `folder` gets the file with the password.
    pub fn start(folder: &Path) -> Option<Self> {
        let cluster = postgres::Cluster::start()?;
        let url = cluster.database().to_string();
        let password_file = crate::process::private(&folder.join("database-password"), PASSWORD);
        Some(Self { cluster, url, password_file })
    }

    /// All of the database as text, by `pg_dump`: columns of bytes in hex.
    pub fn dump(&self) -> Vec<u8> {
        let mut dump = Command::new("pg_dump");
        dump.arg("--dbname").arg(&self.url).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        let output = dump.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Stops it as a crash does, and starts it again.
    pub fn restart(&self) {
        self.cluster.restart();
    }
}
