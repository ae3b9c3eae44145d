//! Where the SMS keeps things: its own file, or a PostgreSQL that lives as long as the measurement.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use tempfile::TempDir;

use crate::{postgres::Cluster, usage::Usage};

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database, in a folder of its own on the disk of the build.
pub(crate) struct Database {
    kind: Kind,
    // Stopped before its folder goes.
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl Database {
    pub(crate) fn make(kind: Kind) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("iexec-load-").tempdir_in("target")?;
        let cluster = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(Cluster::start()?),
        };
        Ok(Self { kind, cluster, folder })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the SMS is told about it.
    pub(crate) fn flags(&self) -> Vec<String> {
        match &self.cluster {
            None => Vec::new(),
            Some(cluster) => vec!["--database-url".to_owned(), cluster.url()],
        }
    }

    /// What a server uses; nothing for a file.
    pub(crate) fn usage(&self) -> Result<Usage> {
        self.cluster.as_ref().map_or_else(|| Ok(Usage::default()), Cluster::usage)
    }

    /// What this program reaches it by.
    pub(crate) fn url(&self) -> String {
        match &self.cluster {
            None => format!("sqlite://{}", self.folder().join("sms/sms.sqlite").display()),
            Some(cluster) => cluster.url(),
        }
    }
}
