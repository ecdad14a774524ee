//! What is open already when an account of a real domain controller is disabled.

use jiff::{SignedDuration, Timestamp};
use offboard::core::fact::Verdict;
use serde_json::json;

use crate::{
    leaver::Leaver,
    support::{self, Samba, unique},
};

const PASSWORD: &str = "First-Passw0rd!";

#[tokio::test]
async fn what_is_open_already_is_no_access_left_and_shown_until_it_ends() {
    let samba = support::samba();
    let name = unique("kim");
    samba.add_person(&name, PASSWORD);
    let address = format!("{name}@{}", Samba::DOMAIN);
    let held = samba.ticket(&name, PASSWORD).unwrap();
    let mut connection = samba.connection(&address, PASSWORD);
    assert!(held.opens() && connection.answers());
    let connector = json!({
        "definition": "active-directory", "inputs": {"url": samba.ldaps, "base": Samba::BASE},
        "facts": {"include": ["KerberosWindowClosed"]}
    });
    let secret = json!({
        "username": Samba::SERVICE, "password": Samba::SERVICE_PASSWORD, "ca.crt": samba.tls.ca_pem()
    });
    let leaving = json!({"urgency": "Immediate", "employee": {"email": address}});
    let mut leaver = Leaver::new(connector, &secret, &leaving, &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(samba.login(&address, PASSWORD).is_err());
    assert!(connection.answers(), "a connection that is bound stays so");
    let Verdict::Exposed(until) = leaver.verdict("KerberosWindowClosed") else {
        panic!("{:?}", leaver.left())
    };
    let minutes = until.duration_since(Timestamp::now()).as_secs() / 60;
    assert!((595..=600).contains(&minutes), "{minutes} minutes");
    assert_eq!(leaver.condition("AccessRevoked"), "True/Verified");
    assert_eq!(leaver.condition("Complete"), "False/ExposureOpen");
    leaver.wait(SignedDuration::from_hours(10));
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
}
