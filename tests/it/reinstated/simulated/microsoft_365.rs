//! Microsoft 365.

use std::collections::BTreeSet;

use jiff::Timestamp;
use offboard_simulators::microsoft365::state::{GroupKind, OFFICE_E3};
use serde_json::{Value, json};

use super::super::{
    GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, back, is_back, out, settle, stories, wanted_back, within,
};
use crate::{
    leaver::Leaver,
    microsoft_365::{
        scene::{HELPDESK, LEA, Scene},
        vendor,
    },
};

struct Tenant {
    scene: Scene,
    include: &'static [&'static str],
    policy: Value,
}

impl Tenant {
    async fn new() -> Self {
        let scene = Scene::new().await;
        scene.tenant.seed(|tenant| {
            for group in [KEPT[0], KEPT[1], TAKEN_BEFORE] {
                tenant.add_group(group, GroupKind::Security, &[&scene.lea, &scene.sue], &[]);
            }
            tenant.add_group(GIVEN_AFTER, GroupKind::Unified, &[&scene.sue], &[]);
        });
        Self {
            scene,
            include: &[],
            policy: json!({}),
        }
    }

    fn members(&self, group: &str, change: impl Fn(&mut BTreeSet<String>)) {
        self.scene.tenant.seed(|tenant| {
            let group = tenant
                .groups
                .values_mut()
                .find(|there| there.name == group)
                .unwrap();
            change(&mut group.members);
        });
    }
}

impl Place for Tenant {
    const GROUPS: &str = "GroupsLeft";
    const LOST: &[&str] = &[
        "AuthenticationMethodsRemoved",
        "GrantsRemoved",
        "PasswordRandomised",
        "SessionsRevoked",
    ];
    const AHEAD: bool = true;

    fn leaver(&self) -> Leaver {
        let mut setup = self.scene.setup();
        setup.include = self.include;
        super::leaver(&setup, &self.policy)
    }

    fn has(&self) -> BTreeSet<String> {
        self.scene.tenant.truth(|tenant| {
            let lea = &self.scene.lea;
            let user = &tenant.users[lea];
            let mut has = BTreeSet::new();
            if user.enabled {
                has.insert("open".to_owned());
            }
            for group in tenant.groups.values() {
                if group.members.contains(lea) {
                    has.insert(within(&group.name));
                }
                if group.owners.contains(lea) {
                    has.insert(format!("owns {}", group.name));
                }
            }
            let roles = tenant.roles.values().filter(|(to, _)| to == lea);
            has.extend(roles.map(|(_, role)| format!("role {role}")));
            let eligible = tenant.eligible.values().filter(|(to, _)| to == lea);
            has.extend(eligible.map(|(_, role)| format!("may become {role}")));
            has.extend(tenant.app_roles.values().map(|given| format!("app {given:?}")));
            let devices = tenant.devices.values();
            has.extend(devices.map(|device| format!("{} works {}", device.name, device.enabled)));
            has.extend(
                user.licences
                    .iter()
                    .map(|sku| format!("licence {sku} without {:?}", user.disabled_plans.get(sku))),
            );
            has
        })
    }

    async fn admits(&self) -> bool {
        self.scene
            .tenant
            .seed(|tenant| tenant.users.get_mut(&self.scene.lea).unwrap().password = "known".into());
        self.scene.log_in(LEA, "known").await.0 == 200
    }

    fn give(&self, group: &str) {
        self.members(group, |members| {
            members.insert(self.scene.lea.clone());
        });
    }

    fn take(&self, group: &str) {
        self.members(group, |members| {
            members.remove(&self.scene.lea);
        });
    }

    fn delete(&self, group: &str) {
        self.scene
            .tenant
            .seed(|tenant| tenant.groups.retain(|_, there| there.name != group));
    }
}

stories!(Tenant::new().await);

#[tokio::test]
async fn licences_come_back_with_the_plans_that_were_off_and_so_do_roles_to_be_activated() {
    let mut place = Tenant::new().await;
    place.include = &["EligibleRolesRemoved"];
    place.policy = json!({
        "timeline": [{"want": ["Licenses", "EligibleRolesRemoved"], "at": "cutoff"}, {"skip": ["MailboxAndFilesHandedOver"]}],
        "retention": {"accounts": "0s"}
    });
    place.scene.tenant.seed(|tenant| {
        let eligible = tenant.id();
        tenant
            .eligible
            .insert(eligible, (place.scene.lea.clone(), HELPDESK.to_owned()));
        let user = tenant.users.get_mut(&place.scene.lea).unwrap();
        user.disabled_plans.insert(
            OFFICE_E3.to_owned(),
            json!(["57ff2da0-773e-42df-b2af-ffb7a2317929"]),
        );
    });
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let has = place.has();
    assert!(
        !has.iter()
            .any(|what| what.starts_with("licence") || what.starts_with("may")),
        "{has:?}"
    );
    back(&place, leaver).await;
    assert_eq!(place.has(), before);
    vendor::every_request_is_in_the_vendors_words(&place.scene.tenant.control().journal());
}

#[tokio::test]
async fn a_group_that_follows_a_rule_by_now_says_so() {
    let place = Tenant::new().await;
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    place.scene.tenant.seed(|tenant| {
        let group = tenant
            .groups
            .values_mut()
            .find(|there| there.name == KEPT[0])
            .unwrap();
        group.kind = GroupKind::Dynamic;
    });
    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    assert!(
        leaver.fault("GroupsLeftUndone").starts_with("Refused"),
        "{:?}",
        leaver.all()
    );
    assert_eq!(leaver.condition("Ready"), "False/Refused");
    assert!(
        place.has().contains(&within(KEPT[1])),
        "the others are given back"
    );
    // Somebody makes it an ordinary group again, and it ends well.
    place.scene.tenant.seed(|tenant| {
        let group = tenant
            .groups
            .values_mut()
            .find(|there| there.name == KEPT[0])
            .unwrap();
        group.kind = GroupKind::Security;
    });
    settle(&place, &mut leaver).await;
    is_back(&place, &leaver, &[]).await;
}

#[tokio::test]
async fn a_password_that_was_set_for_who_came_back_is_gone_when_they_leave_again() {
    let place = Tenant::new().await;
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let leaver = back(&place, leaver).await;
    place.scene.tenant.seed(|tenant| {
        let user = tenant.users.get_mut(&place.scene.lea).unwrap();
        user.password = "welcome back".into();
        user.password_changed = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    });
    let mut leaver = leaver.changed(json!({"desired": "Offboarded"}));
    settle(&place, &mut leaver).await;
    assert_eq!(leaver.left(), []);
    // Not even if somebody enables the account by mistake.
    place
        .scene
        .tenant
        .seed(|tenant| tenant.users.get_mut(&place.scene.lea).unwrap().enabled = true);
    assert_ne!(place.scene.log_in(LEA, "welcome back").await.0, 200);
}

#[tokio::test]
async fn what_is_seen_to_be_missing_is_given_back_at_once_and_believed_when_late_reads_are_over() {
    let place = Tenant::new().await;
    let before = place.has();
    let mut leaver = place.leaver();
    leaver.pass().await;
    assert!(!place.has().contains("open"));
    let mut leaver = wanted_back(leaver);
    leaver.pass().await;
    assert_eq!(place.has(), before);
    assert_eq!(leaver.condition("Ready"), "False/Reinstating");
    settle(&place, &mut leaver).await;
    is_back(&place, &leaver, &[]).await;
    assert_eq!(place.has(), before);
}
