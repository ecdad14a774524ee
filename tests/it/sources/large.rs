//! The list of a large company.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;

use crate::{
    operator::site::Site,
    support::{self, Sshd, control_plane_with_admission, poll},
};

const PEOPLE: usize = 50_000;
/// Columns that nothing maps, beside six that something does.
const OTHERS: usize = 25;

/// A list as payrolls write them: most of it is nobody's business.
fn list() -> String {
    let mut list = String::from("person,employee_id,email,name,status,last_day");
    for column in 0..OTHERS {
        write!(list, ",column_{column}").unwrap();
    }
    for n in 0..PEOPLE {
        let day = if n < 3 { "2019-02-28" } else { "" };
        let status = if n < 3 { "Terminated" } else { "Active" };
        write!(
            list,
            "\nw{n},{n:06},person{n}@example.com,Person {n},{status},{day}"
        )
        .unwrap();
        for column in 0..OTHERS {
            write!(list, ",{column}-{n:06}").unwrap();
        }
    }
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_people_in_thirty_one_columns_fit_into_little_memory() {
    let site = Site::on(control_plane_with_admission(), "large-list");
    let server = support::sshd();
    let folder = server.folder("large");
    let list = list();
    assert!(list.len() > 14_000_000, "{}", list.len());
    Sshd::put(&folder.join("workers-1.csv"), list);
    let known = format!(
        "[127.0.0.1]:{} {}",
        server.port,
        server.public_key("host_ed25519")
    );
    let secret = [
        ("username", server.user()),
        ("privateKey", server.private_key("client_ed25519")),
        ("known_hosts", known),
    ];
    let secret: Vec<(&str, &str)> = secret.iter().map(|(key, value)| (*key, value.as_str())).collect();
    site.secrets("hr", &secret);
    let inputs = json!({
        "host": "127.0.0.1", "port": server.port, "folder": folder, "files": "workers-*.csv", "quiet": "0s",
        "nameColumn": "name", "statusColumn": "status",
    });
    site.connector("hr", "csv-sftp", &inputs.to_string());
    site.apply(
        "{apiVersion: offboard.dev/v1alpha1, kind: LeaverSource, metadata: {name: hr}, \
         spec: {connectorRef: {name: hr}}}",
    );
    let operator = site.start();
    let synced = || site.condition("leaversource/hr", "Ready").0 == "True/Synced";
    assert!(poll(Duration::from_mins(8), synced), "{}", operator.log());
    let counts = site.get("leaversource/hr")["status"]["counts"].clone();
    assert_eq!(
        (&counts["people"], &counts["active"]),
        (&json!(PEOPLE), &json!(PEOPLE - 3))
    );
    // The program itself does not count: a test's is many times as large as the one that is shipped.
    let peak = operator.peak_memory().saturating_sub(operator.program_memory()) >> 20;
    assert!(peak < 128, "{peak} MiB");
}
