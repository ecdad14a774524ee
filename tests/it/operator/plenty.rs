//! Somebody with thousands of keys and tens of thousands of tokens: more than one object of the API server takes.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    keys_and_tokens::{DEFINITION, Plenty},
    site::{PATIENCE, Site},
};
use crate::support::{poll, unique};

/// The longest object that etcd takes, in bytes.
const ETCD: usize = 1_572_864;

/// A site to which the system is connected by a definition of its own.
struct Scene {
    site: Site,
    definition: String,
}

impl Scene {
    #[track_caller]
    fn new(stem: &str, system: &Plenty) -> Self {
        let (site, definition) = (Site::new(stem), unique("plenty"));
        site.apply(&DEFINITION.replace("NAME", &definition));
        site.secret("plenty", "token", "t");
        site.connector("plenty", &definition, &format!("{{url: '{}'}}", system.url));
        Self { site, definition }
    }

    /// Reason and message of a condition of the system's row.
    fn fact(&self, fact: &str) -> (String, String) {
        let status = self.site.get("offboarding/leaver-1")["status"].clone();
        let conditions = status["systems"][0]["conditions"].as_array().cloned();
        let found = conditions
            .unwrap_or_default()
            .into_iter()
            .find(|c| c["type"] == fact);
        let condition = found.unwrap_or_else(|| panic!("no {fact} in {status:#}"));
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    /// The record, and its parts in order of their names.
    fn record(&self) -> (Value, Vec<Value>) {
        let (mut parts, mut records): (Vec<_>, Vec<_>) = self
            .site
            .records()
            .into_iter()
            .partition(|record| record["spec"].get("part").is_some());
        parts.sort_by_key(|part| part["metadata"]["name"].to_string());
        assert_eq!(records.len(), 1, "{records:#?}");
        (records.remove(0), parts)
    }

    #[track_caller]
    fn wish(&self, desired: &str) {
        let patch = json!({"spec": {"desired": desired}}).to_string();
        self.site
            .kubectl(
                &["patch", "offboarding", "leaver-1", "--type=merge", "-p", &patch],
                "",
            )
            .expect_ok();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let delete = ["delete", "connectordefinition", &self.definition];
        drop(self.site.kubectl(&delete, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_keys_and_tokens_are_deleted_and_given_back_as_far_as_they_are_kept() {
    let system = Plenty::start((3_000, 1_000), (30_000, 400)).await;
    let before = system.keys();
    let scene = Scene::new("plenty", &system);
    let operator = scene.site.start();
    let began = Instant::now();
    scene.site.leaver("leaver-1", "jane@example.com");
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
    println!(
        "3,000 keys and 30,000 tokens: {:?}, peak {} MiB",
        began.elapsed(),
        operator.peak_memory() >> 20
    );
    assert_eq!(system.left(), (0, 0));
    // Keys are kept, in several objects; tokens are not, which is said with their size.
    assert_eq!(scene.fact("KeysDeleted"), ("Verified".into(), String::new()));
    let too_large = "too large to be kept: 11.9 MiB, only its digest is";
    assert_eq!(scene.fact("TokensDeleted"), ("Verified".into(), too_large.into()));
    let (record, parts) = scene.record();
    assert_eq!(record["spec"]["systems"], json!({}));
    let uid = &scene.site.get("offboarding/leaver-1")["metadata"]["uid"];
    for object in [&record].into_iter().chain(&parts) {
        let length = object.to_string().len();
        assert!(length < ETCD, "{length}: {}", object["metadata"]["name"]);
        assert_eq!(&object["metadata"]["labels"]["offboard.dev/offboarding-uid"], uid);
    }
    let count = usize::try_from(record["spec"]["parts"]["count"].as_u64().unwrap()).unwrap();
    assert!(count >= 3 && parts.len() >= count, "{count} of {}", parts.len());
    let events = record["spec"]["evidence"].as_array().unwrap();
    assert!(
        events
            .iter()
            .any(|e| e["fact"] == "TokensDeleted" && e["event"] == "NotKept"),
        "{events:#?}"
    );

    scene.wish("Reinstated");
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Reinstated");
    assert_eq!(system.keys(), before);
    assert_eq!(system.left(), (3_000, 0));
    assert!(!system.blocked());
    assert_eq!(scene.fact("KeysDeletedUndone").0, "Verified");
    assert_eq!(
        scene.fact("TokensDeletedUndone"),
        ("NotRestorable".into(), too_large.into())
    );
    // What was given back is kept nowhere.
    let emptied = || {
        let (record, parts) = scene.record();
        record["spec"].get("parts").is_none() && parts.iter().all(|part| part["spec"]["part"]["data"] == "")
    };
    assert!(poll(PATIENCE, emptied));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_before_every_part_is_durable() {
    let system = Plenty::start((3_000, 1_000), (0, 0)).await;
    let scene = Scene::new("parts", &system);
    let part = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "OffboardingRecord", "metadata": {"name": "probe"},
        "spec": {"offboarding": {"name": "n", "uid": "u"}, "systems": {}, "part": {"set": "a", "number": 2, "data": ""}},
    });
    let holds = "!has(object.spec.part) || object.spec.part.number != 2";
    let refusal = scene.site.refuse("offboardingrecords", "CREATE", holds, |site| {
        site.kubectl(&["create", "--dry-run=server", "-f", "-"], &part.to_string())
    });
    let _operator = scene.site.start();
    scene.site.leaver("leaver-1", "jane@example.com");
    let refused = || {
        let writes = scene.site.writes();
        writes
            .iter()
            .filter(|write| write.resource == "offboardingrecords" && write.status == 422)
            .count()
    };
    assert!(poll(PATIENCE, || refused() >= 2));
    // What takes nothing away that must be kept waits for nothing.
    assert!(system.blocked());
    assert_eq!(system.deleted(), 0);
    refusal.lift();
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert_eq!(system.left(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_part_that_is_missing_or_changed_is_worked_with_no_more() {
    let system = Plenty::start((3_000, 1_000), (0, 0)).await;
    let before = system.keys();
    let scene = Scene::new("missing", &system);
    let operator = scene.site.start();
    scene.site.leaver("leaver-1", "jane@example.com");
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
    drop(operator);
    let (record, parts) = scene.record();
    let set = record["spec"]["parts"]["set"].as_str().unwrap();
    let second = parts
        .iter()
        .find(|part| part["spec"]["part"]["set"] == set && part["spec"]["part"]["number"] == 1);
    let mut second = second.unwrap().clone();
    let name = second["metadata"]["name"].as_str().unwrap().to_owned();
    scene
        .site
        .kubectl(&["delete", "offboardingrecord", &name], "")
        .expect_ok();
    scene.wish("Reinstated");
    let operator = scene.site.start();
    let message = scene
        .site
        .until("offboarding/leaver-1", "Stalled", "True/RecordAltered");
    assert!(
        message.contains(&format!("its part {name} is missing")),
        "{message}"
    );
    assert_eq!(system.left(), (0, 0));
    drop(operator);

    // Another one in its place is no better; what it was is.
    second["metadata"] = json!({"name": name});
    let whole = second.clone();
    let data = second["spec"]["part"]["data"].as_str().unwrap();
    let changed = data.replacen(&data[..4], "AAAA", 1);
    second["spec"]["part"]["data"] = changed.into();
    let with = |verb: &str, part: &Value| {
        let ran = scene.site.kubectl(&[verb, "-f", "-"], &part.to_string());
        ran.expect_ok();
    };
    with("create", &second);
    let operator = scene.site.start();
    let expected = "its parts are not what was written";
    let altered = || {
        let (reason, message) = scene.site.condition("offboarding/leaver-1", "Stalled");
        reason == "True/RecordAltered" && message.contains(expected)
    };
    assert!(poll(PATIENCE, altered));
    drop(operator);
    with("replace", &whole);
    let _operator = scene.site.start();
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Reinstated");
    assert_eq!(system.keys(), before);
}
