//! What became of a change that somebody asked for.

/// Whether a secret was kept for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is kept now.
    Kept,
    /// There is one already; nothing changed.
    Exists,
    /// It was deleted, and had this value before: nothing changed.
    Returned,
    /// The value was kept by the same signature as a secret of another kind: nothing changed.
    OtherKind,
    /// The owner has as many as it may have: nothing changed.
    Full,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The value is kept now, or was the current one.
    Kept,
    /// There is none to update.
    Absent,
    /// The value was replaced before: nothing changed.
    Returned,
    /// The value was kept by the same signature as a secret of another kind: nothing changed.
    OtherKind,
}

/// What became of a value that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is kept, as this version.
    Kept(u64),
    /// It is at this version, not at the expected one: nothing changed. 0: it was never there.
    Version(u64),
    /// The owner has as many as it may have: nothing changed.
    Full,
    /// The nonce was used before: nothing changed.
    NonceUsed,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone; the deletion is this version.
    Gone(u64),
    /// There is none.
    Absent,
    /// It is at this version, not at the expected one: nothing changed.
    Version(u64),
    /// The nonce was used before: nothing changed.
    NonceUsed,
}

/// What became of a value, whichever rule it came under.
pub(super) enum Outcome {
    Kept(u64),
    Unchanged,
    Exists,
    Absent,
    Returned,
    OtherKind,
    Version(u64),
    Full,
    NonceUsed,
}

impl Outcome {
    /// Why nothing was written.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Kept(_) | Self::Unchanged => None,
            Self::Exists => Some("exists"),
            Self::Absent => Some("absent"),
            Self::Returned => Some("value returned"),
            Self::OtherKind => Some("signature of another kind"),
            Self::Version(_) => Some("version"),
            Self::Full => Some("quota"),
            Self::NonceUsed => Some("nonce used"),
        }
    }
}
