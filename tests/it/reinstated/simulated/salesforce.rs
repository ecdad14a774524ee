//! Salesforce.

use std::collections::BTreeSet;

use offboard_simulators::salesforce::Salesforce;
use serde_json::json;

use super::super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, stories, within};
use crate::{
    leaver::Leaver,
    salesforce::log_in,
    trial::{Setup, person},
};

const JANE: &str = "jane@corp.test";
const SAM: &str = "sam@corp.test";

/// A user in groups, with permission sets and a licence for one.
struct Org {
    org: Salesforce,
    jane: String,
    /// Ids of the groups, in the order of the alphabet.
    groups: [String; 4],
}

impl Org {
    async fn new() -> Self {
        let org = Salesforce::start().await.unwrap();
        let jane = org.add_user(JANE, JANE, "old password");
        org.add_user(SAM, SAM, "sam's");
        org.add("Account", json!({"Name": "A", "OwnerId": jane}));
        org.assign_permission_set(&jane, "Standard", true);
        org.assign_permission_set(&jane, "Sales", false);
        let licence = org.add("PermissionSetLicense", json!({"DeveloperName": "Cpq"}));
        org.add(
            "PermissionSetLicenseAssign",
            json!({"AssigneeId": jane, "PermissionSetLicenseId": licence}),
        );
        let group = |name: &str| {
            org.add(
                "Group",
                json!({"Name": name, "DeveloperName": name, "Type": "Queue"}),
            )
        };
        let groups = ["a", "b", "c", "d"].map(group);
        let place = Self { org, jane, groups };
        for group in [KEPT[0], KEPT[1], TAKEN_BEFORE] {
            place.give(group);
        }
        place
    }

    fn id(&self, group: &str) -> &str {
        let labels = [KEPT[0], KEPT[1], TAKEN_BEFORE, GIVEN_AFTER];
        &self.groups[labels.iter().position(|label| *label == group).unwrap()]
    }
}

impl Place for Org {
    const GROUPS: &str = "GroupsRemoved";
    const LOST: &[&str] = &["RecordsHandedOver", "SessionsEnded"];
    const AHEAD: bool = true;

    fn leaver(&self) -> Leaver {
        let inputs = json!({"url": self.org.url(), "clientId": self.org.client_id()});
        let mut setup = Setup::new(
            "salesforce",
            inputs,
            ("clientSecret", self.org.client_secret()),
            JANE,
        );
        setup.successor = Some(person(SAM));
        super::leaver(
            &setup,
            &json!({"timeline": [{"want": ["Licenses"], "at": "cutoff"}]}),
        )
    }

    fn has(&self) -> BTreeSet<String> {
        let mut has = BTreeSet::new();
        if self.org.field("User", &self.jane, "IsActive") == true && !self.org.is_frozen(&self.jane) {
            has.insert("open".to_owned());
        }
        let groups = self
            .org
            .values("GroupMember", "UserOrGroupId", &self.jane, "GroupId");
        for group in groups {
            let label = ["a", "b", "c", "d"]
                .into_iter()
                .find(|label| self.id(label) == group);
            has.insert(label.map_or(group, within));
        }
        for (object, field) in [
            ("PermissionSetAssignment", "PermissionSetId"),
            ("PermissionSetLicenseAssign", "PermissionSetLicenseId"),
        ] {
            let given = self.org.values(object, "AssigneeId", &self.jane, field);
            has.extend(given.into_iter().map(|id| format!("{field} {id}")));
        }
        has
    }

    async fn admits(&self) -> bool {
        // The password was never changed.
        log_in(&self.org, JANE, "old password").await.is_some()
    }

    fn give(&self, group: &str) {
        let given = self
            .org
            .values("GroupMember", "UserOrGroupId", &self.jane, "GroupId");
        if !given.contains(&self.id(group).to_owned()) {
            self.org.add(
                "GroupMember",
                json!({"GroupId": self.id(group), "UserOrGroupId": self.jane}),
            );
        }
    }

    fn take(&self, group: &str) {
        self.org.remove("GroupMember", "GroupId", self.id(group));
    }

    fn delete(&self, group: &str) {
        self.org.remove("GroupMember", "GroupId", self.id(group));
        self.org.remove("Group", "Id", self.id(group));
    }
}

stories!(Org::new().await);
