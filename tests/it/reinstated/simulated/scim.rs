//! SCIM 2.0.

use std::collections::BTreeSet;

use offboard_simulators::scim::Scim;
use serde_json::json;

use super::super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, back, out, stories, within};
use crate::{leaver::Leaver, trial::Setup};

const JANE: &str = "jane@example.com";

struct Application {
    scim: Scim,
    jane: String,
    sue: String,
    /// Ids of the groups, in the order of the alphabet.
    groups: [String; 4],
    patch: bool,
}

impl Application {
    async fn new() -> Self {
        let scim = Scim::start().await.unwrap();
        let jane = scim.add_user(JANE, None, "old password");
        let sue = scim.add_user("sue@example.com", None, "hers");
        let groups = ["a", "b", "c", "d"].map(|name| {
            let all = [jane.as_str(), sue.as_str()];
            scim.add_group(name, if name == GIVEN_AFTER { &all[1..] } else { &all })
        });
        Self {
            scim,
            jane,
            sue,
            groups,
            patch: true,
        }
    }

    fn id(&self, group: &str) -> &str {
        let labels = [KEPT[0], KEPT[1], TAKEN_BEFORE, GIVEN_AFTER];
        &self.groups[labels.iter().position(|label| *label == group).unwrap()]
    }
}

impl Place for Application {
    const GROUPS: &str = "GroupsRemoved";
    const LOST: &[&str] = &[];
    const AHEAD: bool = true;

    fn leaver(&self) -> Leaver {
        let mut inputs = json!({"url": self.scim.base()});
        if !self.patch {
            inputs["patch"] = json!(false);
        }
        let setup = Setup::new("scim", inputs, ("token", self.scim.token()), JANE);
        super::leaver(&setup, &json!({}))
    }

    fn has(&self) -> BTreeSet<String> {
        let mut has = BTreeSet::new();
        if self.scim.is_active(&self.jane) == Some(true) {
            has.insert("open".to_owned());
        }
        for label in ["a", "b", "c", "d"] {
            let members = self.scim.members(self.id(label));
            if members.contains(&self.jane) {
                has.insert(within(label));
            }
        }
        has
    }

    async fn admits(&self) -> bool {
        self.scim.is_active(&self.jane) == Some(true)
    }

    fn give(&self, group: &str) {
        self.scim
            .set_members(self.id(group), Some(&[&self.sue, &self.jane]));
    }

    fn take(&self, group: &str) {
        self.scim.set_members(self.id(group), Some(&[&self.sue]));
    }

    fn delete(&self, group: &str) {
        self.scim.set_members(self.id(group), None);
    }
}

stories!(Application::new().await);

#[tokio::test]
async fn groups_are_given_back_as_a_whole_where_they_cannot_be_changed_in_part() {
    let mut place = Application::new().await;
    place.patch = false;
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    back(&place, leaver).await;
    assert_eq!(place.has(), before);
}
