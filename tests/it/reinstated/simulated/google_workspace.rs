//! Google Workspace.

use std::collections::BTreeSet;

use offboard_simulators::google::state::Member;
use serde_json::json;

use super::super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, back, out, stories, within};
use crate::{
    google_workspace::{
        scene::{LEA, Scene},
        vendor,
    },
    leaver::Leaver,
};

struct Domain {
    scene: Scene,
    include: &'static [&'static str],
    unit: &'static str,
}

impl Domain {
    async fn new() -> Self {
        let scene = Scene::new().await;
        scene.google.seed(|domain| {
            for group in [KEPT[0], KEPT[1], TAKEN_BEFORE] {
                domain.add_group(group, &[(&scene.lea, "MANAGER"), (&scene.sue, "OWNER")]);
            }
            domain.add_group(GIVEN_AFTER, &[(&scene.sue, "OWNER")]);
        });
        Self {
            scene,
            include: &[],
            unit: "/",
        }
    }

    fn member(&self, group: &str, role: Option<&str>) {
        self.scene.google.seed(|domain| {
            let group = domain
                .groups
                .values_mut()
                .find(|there| there.name == group)
                .unwrap();
            match role {
                Some(role) => {
                    let member = Member {
                        role: role.to_owned(),
                        kind: "USER".to_owned(),
                    };
                    group.members.insert(self.scene.lea.clone(), member);
                }
                None => drop(group.members.remove(&self.scene.lea)),
            }
        });
    }
}

impl Place for Domain {
    const GROUPS: &str = "GroupsLeft";
    const LOST: &[&str] = &[
        "AppPasswordsDeleted",
        "BackupCodesInvalidated",
        "CalendarHandedOver",
        "DriveHandedOver",
        "PasswordRandomised",
        "SessionsSignedOut",
        "TokensDeleted",
    ];
    const AHEAD: bool = true;

    fn leaver(&self) -> Leaver {
        let mut setup = self.scene.setup();
        setup.include = self.include;
        setup.inputs["leaversUnit"] = json!(self.unit);
        super::leaver(
            &setup,
            &json!({"timeline": [{"want": self.include, "at": "cutoff"}]}),
        )
    }

    fn has(&self) -> BTreeSet<String> {
        self.scene.google.truth(|domain| {
            let lea = &self.scene.lea;
            let user = &domain.users[lea];
            let mut has = BTreeSet::from([
                format!("recovers by {:?} {:?}", user.recovery_email, user.recovery_phone),
                format!("unit {}", user.org_unit),
                format!("listed {}", user.in_address_list),
            ]);
            if user.suspended.is_none() {
                has.insert("open".to_owned());
            }
            for group in domain.groups.values() {
                if let Some(member) = group.members.get(lea) {
                    has.insert(within(&group.name));
                    if member.role != "MEMBER" {
                        has.insert(format!("{} of {}", member.role, group.name));
                    }
                }
            }
            let roles = domain.assignments.values().filter(|given| given.to == *lea);
            has.extend(roles.map(|given| format!("administers {}", given.role)));
            has
        })
    }

    async fn admits(&self) -> bool {
        self.scene.google.seed(|domain| {
            let user = domain.users.get_mut(&self.scene.lea).unwrap();
            user.password = "known".into();
        });
        self.scene.log_in(LEA, "known", "123456").await.0 == 200
    }

    fn give(&self, group: &str) {
        self.member(
            group,
            Some(if group == GIVEN_AFTER { "MEMBER" } else { "MANAGER" }),
        );
    }

    fn take(&self, group: &str) {
        self.member(group, None);
    }

    fn delete(&self, group: &str) {
        self.scene
            .google
            .seed(|domain| domain.groups.retain(|_, there| there.name != group));
    }
}

stories!(Domain::new().await);

#[tokio::test]
async fn what_somebody_else_decided_since_is_not_overwritten() {
    let mut place = Domain::new().await;
    place.include = &["HiddenFromAddressList", "UnitMoved"];
    place.unit = "/Leavers";
    let mut expected = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    assert!(place.has().contains("unit /Leavers"));
    place.member(KEPT[1], Some("MEMBER"));
    place.scene.google.seed(|domain| {
        let user = domain.users.get_mut(&place.scene.lea).unwrap();
        user.org_unit = "/Sales".into();
        user.recovery_phone = Some("+15550100".into());
    });
    back(&place, leaver).await;
    for was in [
        format!("MANAGER of {}", KEPT[1]),
        "unit /".into(),
        "recovers by Some(\"lea@home.example\") None".into(),
    ] {
        assert!(expected.remove(&was), "{was}: {expected:?}");
    }
    expected.extend([
        "unit /Sales".to_owned(),
        "recovers by None Some(\"+15550100\")".to_owned(),
    ]);
    assert_eq!(place.has(), expected);
    vendor::every_request_is_in_the_vendors_words(&place.scene.google.control().journal());
}

#[tokio::test]
async fn who_was_moved_and_hidden_is_moved_back_and_shown() {
    let mut place = Domain::new().await;
    place.include = &["HiddenFromAddressList", "UnitMoved"];
    place.unit = "/Leavers";
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    back(&place, leaver).await;
    assert_eq!(place.has(), before);
}

#[tokio::test]
async fn a_password_that_was_set_for_who_came_back_is_gone_when_they_leave_again() {
    let place = Domain::new().await;
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let leaver = back(&place, leaver).await;
    place.scene.google.seed(|domain| {
        let user = domain.users.get_mut(&place.scene.lea).unwrap();
        user.password = "welcome back".into();
        domain.note("CHANGE_PASSWORD", "root@example.com", LEA);
    });
    let mut leaver = leaver.changed(json!({"desired": "Offboarded"}));
    leaver.settle_ahead(120).await;
    assert_eq!(leaver.left(), []);
    // Not even if somebody lifts the suspension by mistake.
    place
        .scene
        .google
        .seed(|domain| domain.users.get_mut(&place.scene.lea).unwrap().suspended = None);
    assert_ne!(place.scene.log_in(LEA, "welcome back", "123456").await.0, 200);
}
