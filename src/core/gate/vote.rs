//! What one person said, and which person that is.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Gate;
use crate::core::identity::folded;

/// Yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Yes.
    #[default]
    Approved,
    /// No.
    Denied,
    /// The task is done; the approver says so.
    Done,
}

/// What one person said, as the cluster vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vote {
    /// The durable id of the Approval.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What about.
    pub gate: Gate,
    /// The Connector, of a task or a waiver.
    pub connector: Option<String>,
    /// The fact, of a waiver.
    pub fact: Option<String>,
    /// The digest that was shown.
    pub plan: String,
    /// Who said it: a user name.
    pub approver: String,
    /// Which person that is, as people are known here; none where nothing maps user names to people.
    pub person: Option<String>,
    /// In whose place.
    pub on_behalf_of: Option<String>,
    /// Which person that is.
    pub principal: Option<String>,
    /// What.
    pub decision: Decision,
    /// When.
    pub at: Timestamp,
    /// Until when a waiver lasts.
    pub until: Option<Timestamp>,
}

impl Vote {
    /// Whether somebody who is known by `name` said it, or has it said in their place.
    pub fn is_of(&self, name: &str) -> bool {
        let users = [
            Some(&self.approver),
            self.person.as_ref(),
            self.on_behalf_of.as_ref(),
            self.principal.as_ref(),
        ];
        users.into_iter().flatten().any(|user| same_person(user, name))
    }

    /// Who it is as a voice: the person, else what the user name says of one.
    pub(super) fn human(&self) -> String {
        human(self.person.as_ref().unwrap_or(&self.approver))
    }
}

/// Whether a user name of the API server is a person who is known by `name` (an address, a number, a login name): letters'
/// case and what an API server or an identity provider puts before names make no difference.
pub fn same_person(user: &str, name: &str) -> bool {
    let name = folded(name);
    !name.is_empty() && (folded(user) == name || human(user) == name || human(user) == human(&name))
}

/// A user name without what may stand before it: `oidc:`, the address of an issuer and `#`, an ARN, a Windows domain.
pub fn bare(user: &str) -> &str {
    let name = user.rsplit([':', '#', '\\']).next().unwrap_or(user);
    // `arn:aws:sts::1234:assumed-role/admin/jane@corp.example`
    let name = name.rsplit('/').next().unwrap_or(name);
    if name.is_empty() { user } else { name }
}

/// The person behind a user name, as it is compared with others.
pub(super) fn human(user: &str) -> String {
    folded(bare(user))
}
