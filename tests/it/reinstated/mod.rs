//! People who come back, in each system: what the record says was taken is given back and nothing more, and what others decided
//! stays. What proves it is read past the connector.
//!
//! The stories are told here once; a file for each system says what it looks like there, and what only it can do.

mod active_directory;
mod keycloak;
mod mariadb;
mod openldap;
mod payroll_file;
mod postgresql;
mod simulated;
mod wrong_person;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use offboard::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        fact::{Act, Exempt, Receipt, Sight, Truth, Verdict},
        fault::Fault,
        identity::{Account, Person},
    },
    drive::Link,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::leaver::{Leaver, SYSTEM};

/// What the leaver is in from the beginning.
const KEPT: [&str; 2] = ["a", "b"];
/// The same, and somebody else ends it before the leaver leaves.
const TAKEN_BEFORE: &str = "c";
/// Somebody else gives it after the leaver left.
const GIVEN_AFTER: &str = "d";

/// A system with one leaver, who is in `a`, `b` and `c`, as an administrator sees it.
trait Place {
    /// The fact that is about groups.
    const GROUPS: &str;
    /// What cannot be given back.
    const LOST: &[&str];
    /// Time is moved forward instead of waited for.
    const AHEAD: bool = false;

    /// The leaver, who leaves now.
    fn leaver(&self) -> Leaver;
    /// What the leaver has and is, in words: `open`, `in a`, what else the system knows.
    fn has(&self) -> BTreeSet<String>;
    /// Whether the leaver gets in: by the old password, or where that is gone by one that is set just now.
    async fn admits(&self) -> bool;
    fn give(&self, group: &str);
    fn take(&self, group: &str);
    /// The group is no more.
    fn delete(&self, group: &str);
}

fn undone(fact: &str) -> String {
    format!("{fact}Undone")
}

fn within(group: &str) -> String {
    format!("in {group}")
}

/// Follows the leaver until nothing changes by itself.
async fn settle<P: Place>(_: &P, leaver: &mut Leaver) {
    if P::AHEAD {
        leaver.settle_ahead(120).await;
    } else {
        leaver.settle(10).await;
    }
}

/// The leaver leaves, and is out.
async fn out<P: Place>(place: &P, leaver: &mut Leaver) {
    settle(place, leaver).await;
    assert_eq!(leaver.left(), [], "everything is proven");
    let has = place.has();
    assert!(
        !has.contains("open") && !has.iter().any(|what| what.starts_with("in ")),
        "{has:?}"
    );
    assert!(!place.admits().await);
}

/// The leaver is wanted back.
fn wanted_back(leaver: Leaver) -> Leaver {
    leaver.changed(json!({"desired": "Reinstated"}))
}

/// The leaver comes back, and is told to be.
async fn back<P: Place>(place: &P, leaver: Leaver) -> Leaver {
    let mut leaver = wanted_back(leaver);
    settle(place, &mut leaver).await;
    is_back(place, &leaver, &[]).await;
    leaver
}

/// Everything is proven undone but for what never can be, and but for `gone`.
async fn is_back<P: Place>(place: &P, leaver: &Leaver, gone: &[&str]) {
    assert_eq!(leaver.left(), [], "all is settled; there is {:?}", place.has());
    assert_eq!(leaver.condition("Ready"), "True/Reinstated");
    assert_eq!(leaver.condition("AccessRevoked"), "False/Reinstated");
    let mut lost = BTreeSet::new();
    for (fact, verdict) in leaver.all() {
        let fact = fact
            .strip_suffix("Undone")
            .expect("only what is undone is shown")
            .to_owned();
        match verdict {
            Verdict::Verified => {}
            Verdict::NotNeeded(Exempt::GoneMeanwhile(_)) if gone.contains(&fact.as_str()) => {}
            Verdict::NotNeeded(Exempt::NotRestorable) => {
                lost.insert(fact);
            }
            other => panic!("{fact}: {other:?}"),
        }
    }
    // Not each time is there something of each to lose.
    let possible: BTreeSet<String> = P::LOST.iter().map(|fact| (*fact).to_owned()).collect();
    assert!(lost.is_subset(&possible), "{lost:?}");
    assert!(place.admits().await);
}

/// Whoever comes back has what they had, without what others had taken before, with what others gave since.
async fn who_comes_back_has_exactly_what_was_taken<P: Place>(place: &P) {
    place.take(TAKEN_BEFORE);
    let before = place.has();
    for there in ["open".to_owned(), within(KEPT[0]), within(KEPT[1])] {
        assert!(before.contains(&there), "{there}: {before:?}");
    }
    assert!(place.admits().await);
    let mut leaver = place.leaver();
    out(place, &mut leaver).await;

    // Somebody was faster with one of them, and gives another one.
    place.give(KEPT[1]);
    place.give(GIVEN_AFTER);
    let mut expected = before;
    expected.insert(within(GIVEN_AFTER));
    let leaver = back(place, leaver).await;
    assert_eq!(place.has(), expected);
    let lost = leaver
        .all()
        .into_iter()
        .filter(|(_, verdict)| *verdict != Verdict::Verified);
    let lost: BTreeSet<String> = lost.map(|(fact, _)| fact).collect();
    assert_eq!(lost, P::LOST.iter().map(|fact| undone(fact)).collect());

    // Nothing is sent a second time, not even by a process that knows only the record.
    let mut leaver = leaver.restart();
    let watch = Watch::over(&mut leaver, None);
    settle(place, &mut leaver).await;
    is_back(place, &leaver, &[]).await;
    assert_eq!((watch.acts(), place.has()), (0, expected.clone()));

    // Who leaves for a second time is out for a second time, and may come back.
    let mut leaver = leaver.changed(json!({"desired": "Offboarded"}));
    out(place, &mut leaver).await;
    back(place, leaver).await;
    assert_eq!(place.has(), expected);
}

/// Whatever is killed at whichever request, the next process ends it.
async fn whoever_is_killed_meanwhile_gives_back_the_same(place: &impl Place) {
    let before = place.has();
    let mut leaver = place.leaver();
    for nth in [1, 2, 3, 5] {
        out(place, &mut leaver).await;
        let mut dying = wanted_back(leaver);
        let moment = if nth % 2 == 0 {
            Moment::Before
        } else {
            Moment::After
        };
        let watch = Watch::over(&mut dying, Some((nth, moment)));
        let died = tokio::select! {
            () = watch.dead.notified() => true,
            () = settle(place, &mut dying) => false,
        };
        let mut next = dying.restart();
        settle(place, &mut next).await;
        is_back(place, &next, &[]).await;
        assert_eq!(place.has(), before, "killed {moment:?} request {nth}");
        leaver = next.changed(json!({"desired": "Offboarded"}));
        assert!(died || nth > 2, "not killed at request {nth}");
    }
}

/// A group that is deleted meanwhile is told, and keeps nobody from the others.
async fn a_group_that_is_gone_is_told_and_the_rest_given_back<P: Place>(place: &P) {
    let mut expected = place.has();
    let mut leaver = place.leaver();
    out(place, &mut leaver).await;
    place.delete(KEPT[0]);
    let mut leaver = wanted_back(leaver);
    settle(place, &mut leaver).await;
    expected.retain(|what| what.split(' ').next_back() != Some(KEPT[0]));
    is_back(place, &leaver, &[P::GROUPS]).await;
    let undone = undone(P::GROUPS);
    assert_eq!(
        leaver.verdict(&undone),
        Verdict::NotNeeded(Exempt::GoneMeanwhile(1))
    );
    let told = leaver.status.systems[0]
        .conditions
        .iter()
        .find(|row| row.type_ == undone);
    assert_eq!(
        told.unwrap().message,
        "1 gone, or changed by somebody else since; the rest is restored"
    );
    assert!(leaver.written().contains("\"Gone\""), "it is in the evidence");
    assert_eq!(place.has(), expected);

    let mut leaver = leaver.restart();
    let watch = Watch::over(&mut leaver, None);
    settle(place, &mut leaver).await;
    is_back(place, &leaver, &[P::GROUPS]).await;
    assert_eq!(watch.acts(), 0);
}

/// The stories for one system.
macro_rules! stories {
    ($place:expr) => {
        #[tokio::test]
        async fn who_comes_back_has_exactly_what_was_taken() {
            crate::reinstated::who_comes_back_has_exactly_what_was_taken(&$place).await;
        }

        #[tokio::test]
        async fn whoever_is_killed_meanwhile_gives_back_the_same() {
            crate::reinstated::whoever_is_killed_meanwhile_gives_back_the_same(&$place).await;
        }

        #[tokio::test]
        async fn a_group_that_is_gone_is_told_and_the_rest_given_back() {
            crate::reinstated::a_group_that_is_gone_is_told_and_the_rest_given_back(&$place).await;
        }
    };
}
use stories;

/// On which side of a request a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// Counts what is sent, and lets the process die at one of it: nothing is heard of it any more.
struct Watch {
    of: Shared,
    acts: AtomicUsize,
    dies: Option<(usize, Moment)>,
    dead: Notify,
}

impl Watch {
    /// Stands between `leaver` and the system.
    fn over(leaver: &mut Leaver, dies: Option<(usize, Moment)>) -> Arc<Self> {
        let watch = Arc::new(Self {
            of: leaver.connector(),
            acts: AtomicUsize::new(0),
            dies,
            dead: Notify::new(),
        });
        leaver.links.insert(SYSTEM.to_owned(), Link::Ready(watch.clone()));
        watch
    }

    fn acts(&self) -> usize {
        self.acts.load(Ordering::Relaxed)
    }

    async fn dies_at(&self, here: (usize, Moment)) {
        if self.dies == Some(here) {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Connector for Watch {
    fn capabilities(&self) -> &Capabilities {
        self.of.capabilities()
    }
    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.of.find(who).await
    }
    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.of.observe(subject, facts).await
    }
    async fn observe_back(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.of.observe_back(subject, facts).await
    }
    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        self.of.sight(subject, fact, readings)
    }
    fn can_undo(&self, fact: &str) -> bool {
        self.of.can_undo(fact)
    }
    fn undo(&self, subject: &Subject, fact: &str, readings: &Readings) -> Result<Option<Act>, Truth> {
        self.of.undo(subject, fact, readings)
    }
    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        let nth = self.acts.fetch_add(1, Ordering::Relaxed) + 1;
        self.dies_at((nth, Moment::Before)).await;
        let done = self.of.act(subject, act, order).await;
        self.dies_at((nth, Moment::After)).await;
        done
    }
}
