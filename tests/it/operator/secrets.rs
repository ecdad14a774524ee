//! What the operator holds is written nowhere, whatever is logged.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use offboard::{company::Company, transport::secret::Secret};
use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_in_a_log_or_an_object_though_everything_is_logged() {
    let company = Company::start().await.unwrap();
    let site = Site::new("canaries");
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let manifests = company.manifests(&now).unwrap();
    let mut held = vec![];
    for (name, keys) in &manifests.secrets {
        let mut keys: BTreeMap<String, String> = keys.clone();
        let mut annotations = BTreeMap::new();
        for file in ["hosts", "definitions"] {
            annotations.extend(
                keys.remove(file)
                    .map(|text| (format!("offboard.dev/{file}"), text)),
            );
        }
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": keys,
            "metadata": {"name": name, "annotations": annotations}});
        site.apply(&secret.to_string());
        keys.retain(|key, _| key != "username" && key != "ca.crt");
        held.extend(keys.into_values());
    }
    assert!(
        held.len() >= 5 && held.iter().all(|secret| secret.len() >= 8),
        "{}",
        held.len()
    );
    let (leaver, objects): (Vec<_>, Vec<_>) = manifests
        .objects
        .iter()
        .partition(|(path, _)| path.starts_with("jane"));
    for (_, text) in objects {
        site.apply(text);
    }
    let operator = site.start_logging("trace");
    for (_, text) in leaver {
        site.apply(text);
    }
    site.until("offboarding/jane-doe", "AccessRevoked", "True/Verified");
    let kinds = "offboardings,connectors,approvals,offboardingrecords,events,leases";
    let objects = site.kubectl(&["get", kinds, "-o", "yaml"], "").expect_ok();
    let log = operator.log();
    assert!(log.contains("\"level\":\"TRACE\""), "everything is logged");
    for (number, secret) in held.into_iter().enumerate() {
        let secret = Secret::new(secret);
        for (what, text) in [("log", &log), ("objects", &objects)] {
            let found = text.lines().find(|line| secret.appears_in(line));
            assert!(found.is_none(), "secret {number} is in the {what}");
        }
    }
}
