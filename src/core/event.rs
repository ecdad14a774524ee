//! What can happen to a fact, as the evidence names it.

/// What can happen to a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The system accepted our act.
    Asked,
    /// Read back as true.
    Verified,
    /// Asked for, and nothing to read.
    Asserted,
    /// Somebody had said that it is done, and something newer shows that it is not.
    Reopened,
    /// Had been proven, and was undone by somebody else.
    Drifted,
    /// Something that was to be given back is gone, or somebody else has decided since.
    Gone,
    /// An answer carried another id than the bound one.
    IdentityMismatch,
    /// Others lost what only the leaver was to lose.
    OthersAffected,
    /// What it takes away was too large to be kept, or some of it.
    NotKept,
    /// More happened than is kept.
    Omitted,
}

impl Event {
    /// Its name in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "Asked",
            Self::Verified => "Verified",
            Self::Asserted => "Asserted",
            Self::Reopened => "Reopened",
            Self::Drifted => "Drifted",
            Self::Gone => "Gone",
            Self::IdentityMismatch => "IdentityMismatch",
            Self::OthersAffected => "OthersAffected",
            Self::NotKept => "NotKept",
            Self::Omitted => "Omitted",
        }
    }
}

/// What happened to one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// The fact.
    pub fact: String,
    /// What.
    pub event: Event,
}

impl Happened {
    /// `event` happened to `fact`.
    pub fn new(fact: &str, event: Event) -> Self {
        Self {
            fact: fact.to_owned(),
            event,
        }
    }
}
