//! Leavers' lives as people tell them, each on the real API server with the real operator: the files of `examples/scenarios`,
//! applied to a real directory and a real database, with HR's list on a real file server where there is one. That access has
//! ended is tried with the old password, never asked of a connector.
//!
//! | module | scenarios |
//! |---|---|
//! | `leaving` | how people leave: in the normal way, at once, late, for ever |
//! | `returning` | who comes back, or never went |
//! | `people` | who is who, and who takes over |
//! | `waiting` | what waits for somebody, and what does not |
//! | `guard` | what HR's list says that may not be so |
//! | `story` | tells a scenario: its files and its README's commands |
//! | `readme` | a README as a script |
//! | `staff` | its people and whether they get in |
//!
//! How sources read is in `sources`, all that somebody could forge in `approvals`, more systems at once in `acceptance`.

mod guard;
mod leaving;
mod people;
mod readme;
mod returning;
mod staff;
mod story;
mod waiting;

use serde_json::Value;

/// `status/reason` of a fact of one system.
fn fact(leaver: &Value, system: &str, name: &str) -> String {
    let empty = vec![];
    let systems = leaver["status"]["systems"].as_array().unwrap_or(&empty);
    let conditions = systems
        .iter()
        .find(|row| row["name"] == system)
        .and_then(|row| row["conditions"].as_array())
        .unwrap_or(&empty);
    let found = conditions.iter().find(|condition| condition["type"] == name);
    found.map_or_else(String::new, |found| {
        format!(
            "{}/{}",
            found["status"].as_str().unwrap(),
            found["reason"].as_str().unwrap()
        )
    })
}
