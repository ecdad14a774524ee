//! People are told when a guard holds leavers back: once, whatever happens to the operator, and without a name.

use tokio::net::TcpListener;

use super::{
    guarded::{held, layoff},
    office::{Office, SOURCE, ending, in_days},
};
use crate::{
    notify::channels::{Channels, notified, policy, refuse, states, until_sent},
    operator::site::PATIENCE,
    support::{free_port, poll},
};

const EVENT: &str = "GuardTripped";
const POD: &str = "offboard-0";

/// What each channel got about this office.
fn all(channels: &Channels) -> String {
    let mail = channels.mail.search("subject:hold");
    let mail = mail.iter().map(|mail| channels.mail.raw(mail));
    let chat = channels.chat.received("/").into_iter().map(|post| post.body);
    mail.chain(chat).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hr_and_it_are_told_once_of_each_set_that_is_held_and_nobody_in_it_is_named() {
    let office = Office::new("told-guard").await;
    let channels = Channels::open().await;
    office.site.policy(&policy(EVENT));
    office.hr.has(&layoff(200));
    office.source("");
    let mut operator = channels.start(&office.site, POD);
    office.until("False/GuardTripped");
    until_sent(&office.site, SOURCE, EVENT, &operator);
    office.another_look(&operator);
    operator.kill();
    operator = channels.start(&office.site, POD);
    office.another_look(&operator);
    let told = |times: usize| channels.got("on hold").values().all(|got| *got == times);
    assert!(told(1), "{:?}", channels.got("on hold"));
    let it = &channels.chat.received("/slack")[0].body;
    assert!(it.contains("200 changes are held, 10 fit into 24h"), "{it}");
    assert!(it.contains(&format!("{}/hr", office.site.namespace)), "{it}");
    let mail = channels.mail.search("subject:hold").remove(0);
    assert_eq!(mail["Subject"], "New leavers are on hold [hr]");
    let hr = channels.mail.text(&mail);
    assert!(
        hr.contains("An unusual number of people leave at once") && !hr.contains("Approval"),
        "{hr}"
    );
    // Let through, and another one after it.
    let (digest, uid) = held(&office);
    office.approve(&digest, &uid);
    office.until("True/Synced");
    let again = (500..550).map(|number| ending(number, &in_days(6)));
    let mut people = layoff(200);
    people.splice(500..550, again);
    office.hr.has(&people);
    office.until("False/GuardTripped");
    until_sent(&office.site, SOURCE, EVENT, &operator);
    let twice = || notified(&office.site, SOURCE).len() == 8 && told(2);
    assert!(poll(PATIENCE, twice), "{:#?}", notified(&office.site, SOURCE));
    let text = all(&channels);
    for name in ["Person", "person", "leaver-0"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_between_sending_and_writing_that_down_tells_nobody_twice() {
    let office = Office::new("told-killed").await;
    let channels = Channels::open().await;
    office.site.policy(&policy(EVENT));
    office.hr.has(&layoff(20));
    office.source(", suspend: true");
    let mut operator = channels.start(&office.site, POD);
    office.until("False/Suspended");
    let refusal = refuse(&office.site, "leaversource", "hr", "Sent");
    office.source("");
    let received = || channels.got("on hold").values().all(|times| *times >= 1);
    assert!(
        poll(PATIENCE, received),
        "{:?}\n{}",
        channels.got("on hold"),
        operator.log()
    );
    operator.kill();
    refusal.lift();
    operator = channels.start(&office.site, POD);
    let over = || {
        let states = states(&office.site, SOURCE, EVENT);
        ["mail", "slack", "teams"]
            .iter()
            .all(|channel| states[*channel] == "Unsure")
            && states["events"] == "Sent"
    };
    assert!(
        poll(PATIENCE, over),
        "{:#?}\n{}",
        notified(&office.site, SOURCE),
        operator.log()
    );
    let got = channels.got("on hold");
    assert_eq!((got["mail"], got["slack"], got["teams"]), (1, 1, 1));
    // Its receiver tells the second by its id.
    let events = channels.chat.received("/events");
    assert!(
        events.len() >= 2
            && events
                .iter()
                .all(|event| event.json()["id"] == events[0].json()["id"])
    );
    let told = || {
        office
            .site
            .get("events.events.k8s.io")
            .to_string()
            .contains("MessageNotSent")
    };
    assert!(poll(PATIENCE, told));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_look_waits_for_a_message_that_nobody_takes() {
    let office = Office::new("told-nobody").await;
    let channels = Channels::open().await;
    // A mail server that takes the connection and says nothing, and a chat that is not there.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mail = channels.mail.channel(&["hr@example.com"], "");
    let hangs = mail.replace(&format!("port: {}", channels.mail.port), &format!("port: {port}"));
    channels.set(&hangs, &format!("http://127.0.0.1:{}", free_port()));
    channels.chat.hold(true);
    office.site.policy(&policy(EVENT));
    office.hr.has(&layoff(20));
    office.source("");
    let operator = channels.start(&office.site, POD);
    office.until("False/GuardTripped");
    let under_way = || {
        let states = states(&office.site, SOURCE, EVENT);
        states.len() == 4 && !states.values().any(|state| state == "Sent")
    };
    assert!(poll(PATIENCE, under_way), "{:#?}", notified(&office.site, SOURCE));
    let (digest, uid) = held(&office);
    office.approve(&digest, &uid);
    office.until("True/Synced");
    assert_eq!(office.leavers().len(), 20);
    assert!(
        under_way(),
        "{:#?}\n{}",
        notified(&office.site, SOURCE),
        operator.log()
    );
    drop(silent);
}
