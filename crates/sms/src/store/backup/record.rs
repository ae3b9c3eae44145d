//! The lines of a backup.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

/// What the first line says that the file is.
pub(super) const FORMAT: &str = "iexec sms backup v1";
/// Longest line, in bytes: a secret of 4 KiB, sealed, in hex, or an authorization, with room.
pub(super) const MAX_LINE: u64 = 64 * 1024;

/// Bytes, in hex.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Hex {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(const_hex::encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        const_hex::decode(text.as_str()).map(Self::from).map_err(|_| D::Error::custom("expected hex digits"))
    }
}

/// A line: the row of a table.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record {
    /// The first line.
    Header {
        format: String,
        created: u64,
    },
    /// A data key, bare.
    DataKey {
        id: i64,
        purpose: String,
        state: String,
        created: i64,
        key: Hex,
    },
    Secret {
        kind: String,
        owner: Hex,
        name: String,
        sealed: Option<Hex>,
        key_id: i64,
        version: i64,
        created: i64,
        updated: i64,
    },
    Mark {
        kind: String,
        owner: Hex,
        name: String,
        mark: Hex,
    },
    Challenge {
        task: Hex,
        sealed: Hex,
        key_id: i64,
        deadline: i64,
    },
    Session {
        id: String,
        nonce: Hex,
        workerpool_authorization: String,
        worker_signature: String,
        expires: i64,
        state: String,
    },
    Nonce {
        signer: Hex,
        nonce: Hex,
        deadline: i64,
    },
    /// Where the audit log begins, if it was pruned; before its first entry.
    AuditAnchor {
        seq: i64,
        hash: Hex,
    },
    Audit {
        seq: i64,
        entry: String,
    },
    /// The last line.
    End {
        counts: BackupCounts,
        audit_head: Hex,
    },
}

/// How much is in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupCounts {
    /// Data keys.
    pub data_keys: u64,
    /// Secrets, deleted ones among them.
    pub secrets: u64,
    /// Marks of the values that secrets had.
    pub marks: u64,
    /// Tasks' challenge keys.
    pub challenges: u64,
    /// Sessions.
    pub sessions: u64,
    /// Used nonces.
    pub nonces: u64,
    /// Entries of the audit log.
    pub audit: u64,
}

impl BackupCounts {
    pub(super) fn count(&mut self, record: &Record) {
        let counter = match record {
            Record::Header { .. } | Record::AuditAnchor { .. } | Record::End { .. } => return,
            Record::DataKey { .. } => &mut self.data_keys,
            Record::Secret { .. } => &mut self.secrets,
            Record::Mark { .. } => &mut self.marks,
            Record::Challenge { .. } => &mut self.challenges,
            Record::Session { .. } => &mut self.sessions,
            Record::Nonce { .. } => &mut self.nonces,
            Record::Audit { .. } => &mut self.audit,
        };
        *counter += 1;
    }
}

impl fmt::Display for BackupCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} secrets, {} challenges, {} sessions, {} audit entries",
            self.secrets, self.challenges, self.sessions, self.audit
        )
    }
}
