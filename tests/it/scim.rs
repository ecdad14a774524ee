//! The SCIM definition against a service provider that keeps the RFCs' rules, and against one with each known deviation.
//! What proves the end is the application behind it: the old password, session and API token are refused.

use std::time::Duration;

use offboard::{
    connectors::declarative::{builtin, parse},
    core::{
        fact::{Class, Exempt, Verdict, Why},
        fault::{Fault, Reason},
        identity::{ANOTHER_ACCOUNT, NO_OTHER_ACCOUNT, Person},
    },
};
use offboard_simulators::{
    scim::{Group, PatchSupport, Refused, Right, Scim, State},
    server::{Entry, Mishap, Refusal, Staleness},
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, Trial, person};

const JANE: &str = "jane@corp.test";
/// What many systems cannot filter by.
const BLIND: &[&str] = &["emails", "urn:", "members", "externalId "];

/// A service provider with a leaver who is logged in, has an API token and is in two groups with somebody else.
struct Scene {
    scim: Scim,
    jane: String,
    bob: String,
    groups: [String; 2],
    session: String,
    token: String,
}

async fn scene() -> Scene {
    let scim = Scim::start().await.unwrap();
    let jane = scim.add_user(JANE, Some("E-7"), "old password");
    let bob = scim.add_user("bob@corp.test", Some("E-8"), "bob's");
    let groups = ["staff", "admins"].map(|name| scim.add_group(name, &[&jane, &bob]));
    scim.add_group("others", &[&bob]);
    let session = log_in(&scim, JANE, "old password").await.expect("may log in");
    let made: Value = Client::new()
        .post(format!("{}/app/tokens", scim.url()))
        .bearer_auth(&session)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let scene = Scene {
        scim,
        jane,
        bob,
        groups,
        session,
        token,
    };
    assert!(scene.works(&scene.session).await && scene.works(&scene.token).await);
    scene.scim.control().clear_journal();
    scene
}

async fn log_in(scim: &Scim, name: &str, password: &str) -> Option<String> {
    let answer = Client::new()
        .post(format!("{}/app/login", scim.url()))
        .json(&json!({"userName": name, "password": password}))
        .send()
        .await
        .unwrap();
    let body: Option<Value> = answer.json().await.ok();
    Some(body?["session"].as_str()?.to_owned())
}

impl Scene {
    fn setup(&self) -> Setup<'static> {
        let inputs = json!({"url": self.scim.base()});
        Setup::new("scim", inputs, ("token", self.scim.token()), JANE)
    }

    async fn works(&self, credential: &str) -> bool {
        let request = Client::new().get(format!("{}/app/me", self.scim.url()));
        request.bearer_auth(credential).send().await.unwrap().status() == 200
    }

    /// The old password, session and token are refused, the groups are left, and nobody else has lost anything.
    async fn is_over(&self) {
        assert_eq!(
            log_in(&self.scim, JANE, "old password").await,
            None,
            "the old password"
        );
        assert!(!self.works(&self.session).await, "the old session");
        assert!(!self.works(&self.token).await, "the old API token");
        for group in &self.groups {
            assert_eq!(self.scim.members(group), [&*self.bob], "the others stay");
        }
        assert!(log_in(&self.scim, "bob@corp.test", "bob's").await.is_some());
        self.no_group_was_wiped();
    }

    /// No request ever removed members other than by one value filter.
    fn no_group_was_wiped(&self) {
        for entry in self.changes("/Groups/") {
            for operation in entry.body["Operations"].as_array().into_iter().flatten() {
                if operation["op"] == "remove" {
                    let path = operation["path"].as_str().unwrap();
                    assert_eq!(path, format!("members[value eq \"{}\"]", self.jane));
                    assert_eq!(operation.get("value"), None);
                }
            }
        }
    }

    fn changes(&self, path: &str) -> Vec<Entry> {
        let all = self.scim.control().journal();
        all.into_iter()
            .filter(|entry| entry.changes() && entry.path.contains(path) && !entry.path.contains("/app/"))
            .collect()
    }
}

#[tokio::test]
async fn a_leaver_loses_password_session_token_and_groups() {
    let scene = scene().await;
    let mut setup = scene.setup();
    setup.who.employee_id = Some("E-7".into());
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert!(
        trial.all().iter().all(|(_, v)| *v == Verdict::Verified),
        "{:?}",
        trial.all()
    );
    scene.is_over().await;
    assert_eq!(scene.changes("/Users/").len(), 1);
    let requests = scene.scim.control().journal();
    let scim = requests
        .iter()
        .filter(|entry| entry.path.starts_with("/scim") && !tried(entry))
        .count();
    // Two lists and four filters to see what can be asked for, four ways to find somebody by two keys, what it takes to end and
    // prove it, and whether others are spared.
    assert!(scim <= 19, "{scim} requests: {requests:#?}");
    let snapshot = &trial.ledger().snapshot["GroupsRemoved"];
    assert_eq!(snapshot.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn late_reads_are_never_taken_for_proof_nor_for_failure() {
    let scene = scene().await;
    scene.scim.world().set_staleness(Staleness::Reads(5));
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(20).await, "{:?}", trial.all());
    scene.is_over().await;
    assert_eq!(scene.changes("/Users/").len(), 1, "asked once, then waited");
}

#[tokio::test]
async fn a_throttled_request_waits_as_long_as_it_is_told() {
    let scene = scene().await;
    scene.scim.throttle("/Users", 2, Duration::from_secs(30));
    scene.scim.throttle("/Groups/", 1, Duration::from_secs(30));
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert_eq!(
        scene.scim.control().journal().len() - discoveries(&scene),
        1,
        "silence after the first refusal"
    );
    assert!(trial.settles(20).await, "{:?}", trial.all());
    assert_eq!(scene.scim.control().arranged(), 0);
    scene.is_over().await;
}

#[tokio::test]
async fn a_lost_answer_is_resolved_by_looking() {
    let scene = scene().await;
    let control = scene.scim.control();
    control.arrange("PATCH", "/Users/", 1, Mishap::LoseAnswer);
    control.arrange("PATCH", "/Groups/", 1, Mishap::LoseAnswer);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(20).await, "{:?}", trial.all());
    assert_eq!(control.arranged(), 0);
    scene.is_over().await;
    assert_eq!(scene.changes("/Users/").len(), 1, "not sent twice");
}

#[tokio::test]
async fn an_accepted_change_without_effect_is_never_reported_as_done() {
    let scene = scene().await;
    scene
        .scim
        .control()
        .arrange("PATCH", "/Users/", 1, Mishap::AcceptOnly);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert_ne!(trial.verdict("AccountDisabled"), Verdict::Verified);
    assert!(scene.works(&scene.session).await);
    assert!(trial.settles(20).await, "{:?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn every_way_of_taking_a_patch_ends_with_an_inactive_user() {
    for (support, method) in [
        (PatchSupport::WithoutPathOnly, "PATCH"),
        (PatchSupport::PathIgnored, "PATCH"),
        (PatchSupport::Ignored, "PUT"),
        (PatchSupport::NotImplemented, "PUT"),
        (PatchSupport::NotAllowed, "PUT"),
    ] {
        let scene = scene().await;
        scene.scim.set_quirks(|quirks| quirks.patch = support);
        let before = scene.scim.user(&scene.jane).unwrap();
        let mut setup = scene.setup();
        let told = support == PatchSupport::NotImplemented;
        let mut trial = Trial::new(&setup);
        let all = trial.settles(300).await;
        assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified, "{support:?}");
        assert_eq!(all, told, "{support:?}: {:?}", trial.all());
        let last = scene.changes("/Users/").pop().unwrap();
        let pathless = last.body["Operations"][0].get("path").is_none();
        assert_eq!((last.method.as_str(), pathless), (method, true), "{support:?}");
        if told {
            assert_eq!(scene.changes("/Users/").len(), 1, "no PATCH is tried");
        } else {
            // What it says that it can do, and cannot, is replaced as a whole where the administrator says so.
            setup.inputs["patch"] = json!(false);
            let mut trial = Trial::new(&setup);
            assert!(trial.settles(300).await, "{support:?}: {:?}", trial.all());
        }
        scene.is_over().await;
        let mut after = scene.scim.user(&scene.jane).unwrap();
        after["active"] = json!(true);
        for unstable in ["meta", "groups"] {
            after.as_object_mut().unwrap().remove(unstable);
        }
        for (name, value) in after.as_object().unwrap() {
            assert_eq!(before[name], *value, "{support:?}: a PUT keeps {name}");
        }
        assert_eq!(after["title"], "Engineer");
    }
}

#[tokio::test]
async fn a_put_over_a_newer_version_is_refused_and_repeated_over_a_fresh_read() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| {
        quirks.patch = PatchSupport::NotImplemented;
        quirks.if_match_needed = true;
    });
    let mut trial = Trial::new(&scene.setup());
    scene.scim.control().arrange(
        "PUT",
        "/Users/",
        1,
        Mishap::Refuse(Refused::plain(412, "changed").into()),
    );
    assert!(trial.settles(300).await, "{:?}", trial.all());
    assert_eq!(scene.scim.control().arranged(), 0);
    scene.is_over().await;
}

#[tokio::test]
async fn without_versions_and_with_no_other_media_type_than_scims_it_is_the_same() {
    for patch in [PatchSupport::Full, PatchSupport::NotImplemented] {
        let scene = scene().await;
        scene.scim.set_quirks(|quirks| {
            quirks.etag = false;
            quirks.strict_media_type = true;
            quirks.patch = patch;
        });
        let mut trial = Trial::new(&scene.setup());
        assert!(trial.settles(300).await, "{patch:?}: {:?}", trial.all());
        scene.is_over().await;
    }
}

#[tokio::test]
async fn sessions_that_outlive_the_account_are_named_as_not_looked_at() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.sessions_survive = true);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert_eq!(log_in(&scene.scim, JANE, "old password").await, None);
    assert!(scene.works(&scene.session).await && scene.works(&scene.token).await);
    let (_, spec) = parse(builtin("scim").unwrap()).unwrap();
    assert!(spec.not_covered.iter().any(|what| what == "sessions and tokens"));
    let classes: Vec<Class> = spec.facts.values().map(|fact| fact.class).collect();
    assert!(!classes.contains(&Class::Sessions) && !classes.contains(&Class::Credentials));
}

#[tokio::test]
async fn an_active_that_is_a_text_is_understood() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.active_as_text = true);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn without_filters_everything_is_read_page_by_page() {
    let scene = scene().await;
    for n in 0..7 {
        scene.scim.add_user(&format!("user{n}@corp.test"), None, "pw");
        scene.scim.add_group(&format!("group{n}"), &[&scene.bob]);
    }
    scene.scim.set_quirks(|quirks| {
        quirks.filter = false;
        quirks.page_size = 3;
    });
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(10).await, "{:?}", trial.all());
    scene.is_over().await;
    let filtered = |entry: &Entry| entry.parameter("filter").is_some() && !tried(entry);
    assert!(!scene.scim.control().journal().iter().any(filtered));
}

/// Whether it only asks what the system can.
fn tried(entry: &Entry) -> bool {
    let nobody = entry
        .parameter("filter")
        .is_some_and(|filter| filter.contains("nobody"));
    nobody || entry.path.ends_with("/ServiceProviderConfig")
}

fn discoveries(scene: &Scene) -> usize {
    let journal = scene.scim.control().journal();
    journal
        .iter()
        .filter(|entry| entry.path.ends_with("/ServiceProviderConfig"))
        .count()
}

#[tokio::test]
async fn a_system_is_asked_once_what_it_supports_and_not_at_all_for_what_is_set() {
    let scene = scene().await;
    let mut setup = scene.setup();
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(5).await, "{:?}", trial.all());
    trial.wait(3600);
    trial.pass().await;
    assert_eq!(discoveries(&scene), 1);
    for name in [
        "patch",
        "userFilter",
        "nameFilter",
        "groupFilter",
        "emailFilter",
        "numberFilter",
    ] {
        setup.inputs[name] = json!(true);
    }
    scene.scim.control().clear_journal();
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert_eq!(discoveries(&scene), 0);
}

#[tokio::test]
async fn a_system_that_does_not_say_what_it_supports_is_taken_to_keep_the_rfc() {
    let scene = scene().await;
    let silent = Refused::plain(404, "not here");
    let control = scene.scim.control();
    control.arrange("GET", "/ServiceProviderConfig", 1, Mishap::Refuse(silent.into()));
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    scene.is_over().await;
    assert_eq!(discoveries(&scene), 1);
}

#[tokio::test]
async fn until_it_is_known_what_a_system_supports_nothing_is_taken_for_done() {
    let scene = scene().await;
    let control = scene.scim.control();
    let down = Refused::plain(503, "starting");
    control.arrange("GET", "/ServiceProviderConfig", 1, Mishap::Refuse(down.into()));
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert!(matches!(trial.verdict("AccountDisabled"), Verdict::Unknown(_)));
    assert!(scene.changes("").is_empty());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn a_refused_filter_is_never_taken_for_nobody() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.filter = false);
    let mut setup = scene.setup();
    setup.inputs["nameFilter"] = json!(true);
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("AccountDisabled") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(
        (fault.reason, fault.code.as_str()),
        (Reason::Refused, "invalidFilter")
    );
    assert!(scene.changes("").is_empty());
}

#[tokio::test]
async fn somebody_is_found_by_any_of_their_addresses_and_by_the_number_whatever_the_login_name_is() {
    for (ignores_filters, blind_filters) in [
        (false, &[][..]),
        (true, &[]),
        (false, BLIND),
        (false, &["externalId "]),
    ] {
        let scene = scene().await;
        let handle = scene.scim.add_user("jdoe", Some("7d0c-entra-object"), "pw");
        let emails = json!([{"value": "j.doe@corp.test", "primary": true}, {"value": "Jane.Doe@corp.test"}]);
        scene.scim.set_attribute(&handle, "emails", &emails);
        let numbered = scene.scim.add_user("kwu", None, "pw");
        let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        scene
            .scim
            .set_attribute(&numbered, extension, &json!({"employeeNumber": "0117"}));
        scene.scim.set_quirks(|quirks| {
            (quirks.ignores_filters, quirks.blind_filters) = (ignores_filters, blind_filters)
        });
        let by_address = person("jane.doe@corp.test");
        let by_number = Person {
            employee_id: Some("0117".into()),
            ..Person::default()
        };
        let referred = scene.scim.add_user("lsu", Some("0119"), "pw");
        let by_reference = Person {
            employee_id: Some("0119".into()),
            ..Person::default()
        };
        for (who, user) in [
            (by_address, &handle),
            (by_number, &numbered),
            (by_reference, &referred),
        ] {
            let mut setup = scene.setup();
            setup.who = who;
            let mut trial = Trial::new(&setup);
            assert!(trial.settles(5).await, "{:?}", trial.all());
            assert_eq!(
                scene.scim.is_active(user),
                Some(false),
                "{ignores_filters} {blind_filters:?}"
            );
        }
        assert_eq!(scene.scim.is_active(&scene.jane), Some(true));
    }
}

#[tokio::test]
async fn a_system_that_lists_groups_without_their_members_and_cannot_filter_them_proves_nothing() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| {
        quirks.filter = false;
        quirks.hides_members = true;
    });
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    trial.pass().await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    let verdict = trial.verdict("GroupsRemoved");
    assert!(
        matches!(&verdict, Verdict::Unknown(fault) if fault.reason == Reason::NotShown),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_system_without_groups_has_none_to_leave() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| {
        quirks.no_groups = true;
        quirks.hides_groups = true;
    });
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert_eq!(
        trial.verdict("GroupsRemoved"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    // One who shows groups all the same is in some.
    scene.scim.set_quirks(|quirks| quirks.hides_groups = false);
    let mut setup = scene.setup();
    setup.who = person("bob@corp.test");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    trial.pass().await;
    assert_eq!(trial.verdict("GroupsRemoved"), Verdict::Unmet(Why::NoAct));
}

#[tokio::test]
async fn who_vanishes_when_deactivated_is_out() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.deletes_inactive = true);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(10).await, "{:?}", trial.all());
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    scene.is_over().await;
}

#[tokio::test]
async fn a_system_that_empties_a_group_is_stopped_at_the_first_and_its_members_are_put_back() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.empties_groups = true);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    trial.pass().await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    let verdict = trial.verdict("GroupsRemoved");
    let Verdict::Unmet(Why::Failed(fault)) = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(
        (fault.reason, fault.code.as_str()),
        (Reason::OthersAffected, "1 other taken out too: put back")
    );
    assert_eq!(trial.ledger().others()["GroupsRemoved"], fault.code);
    // Nor in any later pass, until a person lets it be asked otherwise.
    trial.wait(24 * 3600);
    trial.pass().await;
    let removals = |entry: &&Entry| entry.body["Operations"][0]["op"] == "remove";
    assert_eq!(scene.changes("/Groups/").iter().filter(removals).count(), 1);
    for group in &scene.groups {
        assert!(scene.scim.members(group).contains(&scene.bob), "the others stay");
    }
}

#[tokio::test]
async fn a_group_that_may_not_be_changed_keeps_nobody_in_the_others() {
    for refused in [0, 1] {
        let scene = scene().await;
        let (locked, other) = (&scene.groups[refused], &scene.groups[1 - refused]);
        let forbidden = Mishap::Refuse(Refusal {
            status: 403,
            headers: vec![],
            body: json!({}),
        });
        let control = scene.scim.control();
        control.arrange("PATCH", &format!("/Groups/{locked}"), 100, forbidden);
        let mut trial = Trial::new(&scene.setup());
        trial.pass().await;
        assert_eq!(scene.scim.members(other), [&*scene.bob]);
        let verdict = trial.verdict("GroupsRemoved");
        assert!(matches!(verdict, Verdict::Unmet(Why::Failed(_))), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_filter_that_finds_nobody_whoever_is_there_hides_no_group() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.blind_filters = BLIND);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn groups_that_were_seen_are_not_left_because_they_cannot_be_seen_any_more() {
    let scene = scene().await;
    let forbidden = Mishap::Refuse(Refusal {
        status: 403,
        headers: vec![],
        body: json!({}),
    });
    scene.scim.control().arrange("PATCH", "/Groups/", 100, forbidden);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    scene
        .scim
        .set_quirks(|quirks| (quirks.no_groups, quirks.hides_groups) = (true, true));
    trial.restart();
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("GroupsRemoved") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.reason, Reason::FactGone);
}

#[tokio::test]
async fn another_account_that_was_found_is_asked_about_until_a_look_shows_none() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    let other = scene.scim.add_user("jane.admin", None, "pw");
    scene
        .scim
        .set_attribute(&other, "emails", &json!([{"value": JANE}]));
    trial.restart();
    trial.pass().await;
    let asked = || Verdict::Unknown(Fault::needs_decision(Reason::Ambiguous).with_code(ANOTHER_ACCOUNT));
    assert_eq!(trial.verdict(NO_OTHER_ACCOUNT), asked());
    // Nobody can look: what is known stays, and what is not known is not there.
    let down = || Mishap::Refuse(Refused::plain(503, "down").into());
    let control = scene.scim.control();
    control.arrange("GET", "/Users", 3, down());
    trial.restart();
    trial.pass().await;
    assert!(!trial.all().iter().all(|(_, v)| v.settled()), "{:?}", trial.all());
    // It has another address now.
    scene
        .scim
        .set_attribute(&other, "emails", &json!([{"value": "other@corp.test"}]));
    trial.wait(11 * 60);
    assert!(trial.settles(10).await, "{:?}", trial.all());
}

#[tokio::test]
async fn groups_that_come_unasked_for_are_not_taken_for_theirs() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.ignores_filters = true);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    let kept = &trial.ledger().snapshot["GroupsRemoved"];
    assert_eq!(kept.as_array().unwrap().len(), 2, "{kept}");
    scene.is_over().await;
}

#[tokio::test]
async fn a_list_that_changes_order_between_pages_hides_no_group() {
    for (filter, shuffled) in [(true, 7), (false, 7), (false, 8), (false, 9)] {
        let scene = scene().await;
        for n in 0..4 {
            let members = [&*scene.bob, &*scene.jane];
            scene.scim.add_group(&format!("more{n}"), &members[n % 2..]);
        }
        scene.scim.set_quirks(|quirks| {
            quirks.page_size = 2;
            quirks.shuffled = shuffled;
        });
        let mut setup = scene.setup();
        setup.inputs["groupFilter"] = json!(filter);
        let mut trial = Trial::new(&setup);
        assert!(trial.settles(60).await, "{:?}", trial.all());
        let left = scene.scim.world().truth(|state| {
            let in_it = |group: &&Group| group.members().any(|member| member == scene.jane);
            state.groups.values().filter(in_it).count()
        });
        assert_eq!(left, 0, "filter {filter}, shuffled {shuffled}");
        let snapshot = &trial.ledger().snapshot["GroupsRemoved"];
        assert_eq!(snapshot.as_array().unwrap().len(), 6);
    }
}

#[tokio::test]
async fn odd_names_are_quoted_and_find_only_themselves() {
    let scene = scene().await;
    let odd = r#"o"neill\ or userName pr or userName eq "x"#;
    let id = scene.scim.add_user(odd, None, "pw");
    let mut setup = scene.setup();
    setup.who = Person {
        account_name: Some(odd.to_owned()),
        ..Person::default()
    };
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert_eq!(scene.scim.is_active(&id), Some(false));
    assert_eq!(scene.scim.is_active(&scene.jane), Some(true));
}

#[tokio::test]
async fn two_users_with_one_external_id_are_a_decision_for_a_person() {
    let scene = scene().await;
    scene.scim.add_user("jane.old@corp.test", Some("E-7"), "pw");
    let mut setup = scene.setup();
    setup.who.employee_id = Some("E-7".into());
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("AccountDisabled") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.reason, Reason::Ambiguous);
    assert!(scene.changes("").is_empty());
}

#[tokio::test]
async fn somebody_without_an_account_needs_nothing() {
    let scene = scene().await;
    let mut setup = scene.setup();
    setup.who.email = Some("nobody@corp.test".into());
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let needless = Verdict::NotNeeded(Exempt::NoAccount);
    assert!(
        trial
            .all()
            .iter()
            .all(|(name, v)| *v == needless || name == "AccountDeleted")
    );
}

#[tokio::test]
async fn an_answer_about_somebody_else_stops_all_changes() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    scene.scim.control().clear_journal();
    scene
        .scim
        .set_quirks(|quirks| quirks.impostor = Some(scene.bob.clone()));
    trial.wait(3600);
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("AccountDisabled") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.reason, Reason::IdentityMismatch);
    assert!(trial.ledger().identity_mismatch);
    assert!(scene.changes("").is_empty());
    assert_eq!(scene.scim.is_active(&scene.bob), Some(true));
}

#[tokio::test]
async fn a_missing_right_is_unknown_or_refused_and_never_done() {
    for (right, fact) in [
        (Right::ReadUsers, "AccountDisabled"),
        (Right::WriteUsers, "AccountDisabled"),
        (Right::ReadGroups, "GroupsRemoved"),
        (Right::WriteGroups, "GroupsRemoved"),
    ] {
        let scene = scene().await;
        scene.scim.set_quirks(|quirks| quirks.lacks = vec![right]);
        let mut trial = Trial::new(&scene.setup());
        trial.settles(5).await;
        let (Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault))) = trial.verdict(fact) else {
            panic!("{right:?}: {:?}", trial.all())
        };
        assert_eq!(fault.reason, Reason::PermissionDenied, "{right:?}");
    }
}

#[tokio::test]
async fn a_user_mastered_elsewhere_is_never_called_disabled() {
    let scene = scene().await;
    scene.scim.set_quirks(|quirks| quirks.active_read_only = true);
    let mut trial = Trial::new(&scene.setup());
    // The PATCH is refused. A PUT leaves out what it may not change, and says nothing (RFC 7644, 3.5.1).
    assert!(!trial.settles(12).await, "{:?}", trial.all());
    assert!(!trial.verdict("AccountDisabled").settled());
    let sent = scene.changes("");
    assert!(sent.iter().any(|call| call.method == "PATCH"), "{sent:?}");
    assert!(sent.iter().any(|call| call.method == "PUT"), "{sent:?}");
    assert!(scene.works(&scene.session).await);
}

#[tokio::test]
async fn access_given_back_by_somebody_is_taken_again() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    // Seen again once late reads are over, so that it is known who undid it.
    trial.wait(60);
    trial.pass().await;
    trial.wait(3600);
    scene.scim.world().seed(|state| {
        let user = state.users.get_mut(&scene.jane).unwrap();
        user.attributes.insert("active".into(), json!(true));
    });
    assert!(log_in(&scene.scim, JANE, "old password").await.is_some());
    assert!(trial.settles(5).await, "{:?}", trial.all());
    scene.is_over().await;
    assert_eq!(trial.ledger().fact("AccountDisabled").reversals, 1);
}

#[tokio::test]
async fn deleting_comes_only_when_asked_for_and_is_proven() {
    let scene = scene().await;
    let mut setup = scene.setup();
    setup.include = &["AccountDeleted"];
    scene.scim.add_content(&scene.jane, "the only copy");
    let written = || {
        let texts = |state: &State| state.content.get(&scene.jane).map_or(0, Vec::len);
        scene.scim.world().truth(texts)
    };
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert!(scene.scim.user(&scene.jane).is_some(), "not before it is due");
    assert_eq!(written(), 1, "nor what they wrote");
    trial.want("AccountDeleted");
    assert!(trial.settles(5).await, "{:?}", trial.all());
    assert!(scene.scim.user(&scene.jane).is_none());
    assert_eq!(written(), 0);
    assert_eq!(trial.verdict("AccountDeleted"), Verdict::Verified);
}

#[tokio::test]
async fn a_user_whom_somebody_deletes_after_us_is_out_as_no_list_shows_them() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(5).await);
    scene
        .scim
        .world()
        .seed(|state| state.delete_user(&scene.jane).is_some());
    trial.wait(3600);
    trial.pass().await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
}

/// Every attribute that is sent exists in RFC 7643's schemas and may be written.
#[tokio::test]
async fn what_is_sent_fits_the_published_schemas() {
    let Some(schemas) = published_schemas() else {
        eprintln!("skipped: ../shared/specs/scim.json is not here");
        return;
    };
    for patch in [true, false] {
        let scene = scene().await;
        if !patch {
            scene
                .scim
                .set_quirks(|quirks| quirks.patch = PatchSupport::NotImplemented);
        }
        let mut trial = Trial::new(&scene.setup());
        assert!(trial.settles(300).await, "{:?}", trial.all());
        let mut checked = 0;
        for entry in scene.changes("/scim/v2/") {
            let name = if entry.path.contains("/Users/") {
                "User"
            } else {
                "Group"
            };
            let attributes = schemas
                .iter()
                .find(|schema| schema["name"] == name)
                .and_then(|schema| schema["attributes"].as_array())
                .unwrap();
            for attribute in sent(&entry) {
                let found = attributes.iter().find(|known| known["name"] == attribute);
                let found = found.unwrap_or_else(|| panic!("{name} has no {attribute}"));
                assert_ne!(found["mutability"], "readOnly", "{attribute}");
                checked += 1;
            }
        }
        assert!(checked >= 3, "{checked}");
    }
}

fn published_schemas() -> Option<Vec<Value>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs/scim.json");
    let text = std::fs::read_to_string(path).ok()?;
    let list: Value = serde_json::from_str(&text).unwrap();
    list["Resources"].as_array().cloned()
}

/// Names of the attributes that a change carries, without the common ones.
fn sent(entry: &Entry) -> Vec<String> {
    let fields = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut names = match entry.body.get("Operations") {
        None => fields(&entry.body),
        Some(operations) => operations
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|operation| match operation.get("path") {
                Some(path) => vec![
                    path.as_str()
                        .unwrap()
                        .split(['[', '.'])
                        .next()
                        .unwrap()
                        .to_owned(),
                ],
                None => fields(&operation["value"]),
            })
            .collect(),
    };
    names.retain(|name| !["id", "externalId", "schemas"].contains(&name.as_str()));
    names
}

#[tokio::test]
async fn the_last_active_member_of_the_administrators_group_stays_until_there_is_another() {
    for (filter, patch) in [
        (true, PatchSupport::Full),
        (false, PatchSupport::Full),
        (true, PatchSupport::NotImplemented),
    ] {
        let scene = scene().await;
        scene
            .scim
            .set_quirks(|quirks| (quirks.filter, quirks.patch) = (filter, patch));
        scene.scim.set_attribute(&scene.bob, "active", &json!(false));
        let mut setup = scene.setup();
        setup.inputs["administratorsGroup"] = json!("admins");
        let mut trial = Trial::new(&setup);
        trial.settles(3).await;
        for fact in ["AccountDisabled", "GroupsRemoved"] {
            let verdict = trial.verdict(fact);
            assert!(
                matches!(&verdict, Verdict::Unmet(Why::Failed(fault))
                    if fault.reason == Reason::Protected && fault.code == "last administrator"),
                "{fact}: {verdict:?}"
            );
        }
        assert!(scene.changes("/scim/").is_empty());
        assert!(scene.works(&scene.session).await);
        scene.scim.set_attribute(&scene.bob, "active", &json!(true));
        trial.wait(3600);
        assert!(trial.settles(300).await, "{:?}", trial.all());
        scene.is_over().await;
    }
    // Where no group is named, and where somebody is in another one, nobody is kept.
    for group in ["", "others"] {
        let scene = scene().await;
        scene.scim.set_attribute(&scene.bob, "active", &json!(false));
        let mut setup = scene.setup();
        setup.inputs["administratorsGroup"] = json!(group);
        let mut trial = Trial::new(&setup);
        assert!(trial.settles(20).await, "{:?}", trial.all());
        assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    }
}
