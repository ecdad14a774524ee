//! Who comes back to systems without a server of their own to test with: their simulators keep the vendors' rules.

mod google_workspace;
mod microsoft_365;
mod salesforce;
mod scim;

use serde_json::{Value, json};

use crate::{leaver::Leaver, trial::Setup};

/// The leaver of a scene that another test made.
fn leaver(setup: &Setup<'_>, policy: &Value) -> Leaver {
    let connector = json!({
        "definition": setup.definition, "inputs": setup.inputs, "facts": {"include": setup.include}
    });
    let secret: serde_json::Map<String, Value> = setup
        .secret
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let mut offboarding = json!({"employee": {"email": setup.who.email}, "urgency": "Immediate"});
    if let Some(successor) = &setup.successor {
        offboarding["transfers"] = json!([{"what": "Everything", "to": successor.email}]);
    }
    Leaver::new(connector, &json!(secret), &offboarding, policy)
}
