//! What a person is asked before an Offboarding of ours goes on: who is meant, and whether the record that it was made from still
//! stands.
//!
//! # Why
//! Who is meant is never changed by a source: what was begun for one person would be ended for another. The answer is given
//! where the question stands, by deleting the Offboarding, which makes it anew as the source has it now, or by letting it go on.

use super::{super::Leaving, Comparison, Keys, Known, hash};

/// A question, and by what it is known again.
pub(super) struct Question {
    /// Names nobody.
    pub key: String,
    /// What the matter is and how it is answered.
    pub why: String,
}

/// How a question is answered.
const ANSWERS: &str = "nothing is done until you delete this Offboarding, which makes it anew as the source has it now, or set \
                       suspend: false to go on with this one";
/// The record has a number by now.
pub(super) const GAINED_NUMBER: &str = "the source has an employee number for this person by now: delete this Offboarding to \
                                        have it made anew with it";

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Whether the source means somebody else by now than it did, by a key that both have.
pub(super) fn who(one: &Known, leaving: &Leaving) -> Option<Question> {
    let worker = &leaving.worker;
    let differ = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => !same(a, b),
        _ => false,
    };
    let (email, number) = (
        differ(&one.email, &worker.email),
        differ(&one.number, &worker.employee_id),
    );
    let what = match (email, number) {
        (false, false) => return None,
        (true, false) => "another address",
        (false, true) => "another employee number",
        (true, true) => "another address and employee number",
    };
    let keys = format!("{:?} {:?}", worker.email, worker.employee_id);
    let why = if one.over {
        format!(
            "the source has {what} for this person, after access had ended: make an Offboarding for it, too"
        )
    } else {
        format!("the source has {what} for this person: {ANSWERS}")
    };
    Some(Question {
        key: format!("who-{}", hash(&keys.to_lowercase(), 8)),
        why,
    })
}

/// Whether the source knows an employee number by now, of whom only an address was known.
pub(super) fn gained_number(one: &Known, leaving: &Leaving) -> bool {
    one.acts() && one.number.is_none() && leaving.worker.employee_id.is_some()
}

/// The person is there under another id.
pub(super) fn other_id(person: &str, what: &str) -> Question {
    Question {
        key: format!("id-{}", hash(person, 8)),
        why: format!("the source has this person under another id, {what}: {ANSWERS}"),
    }
}

impl Known {
    /// Whether it is still to end somebody's access, as this source said.
    pub(super) fn acts(&self) -> bool {
        !self.over && !self.reinstated && !self.taken_back
    }
}

impl<'k> Comparison<'k> {
    /// The records of this person cannot be used any more, or contradict each other.
    pub(super) fn unusable(&mut self, person: &str, what: &str) {
        for one in self.own(person) {
            if one.acts() {
                let why = format!(
                    "the record that this was made from cannot be used now ({what}): nothing is done until it can, or you set \
                     suspend: false"
                );
                let key = "record".to_owned();
                self.hold(one, Question { key, why });
            } else if !one.reinstated && !one.taken_back {
                let why = format!("the record that this was made from cannot be used any more ({what})");
                self.ask(&one.name, true, why);
            }
        }
    }

    /// The Offboardings that were made from records of this person.
    pub(super) fn own(&self, person: &str) -> Vec<&'k Known> {
        self.by_person
            .get(person)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Whoever works here on is nobody's leaver, under whatever id, and whoever made the Offboarding.
    pub(super) fn elsewhere(&mut self, keys: &Keys) {
        let key = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let (number, email) = (key(&keys.number), key(&keys.email));
        let differ =
            |a: Option<String>, b: &Option<String>| a.is_some_and(|a| b.as_ref().is_some_and(|b| a != *b));
        let numbered = number.as_ref().and_then(|number| self.by_number.get(number));
        let addressed = email.as_ref().and_then(|email| self.by_email.get(email));
        let mut found: Vec<&Known> = numbered.into_iter().chain(addressed).flatten().copied().collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        for one in found {
            let other =
                differ(key(&one.number), &number) || differ(key(&one.email), &email) && one.number.is_none();
            let settled = one.person.as_ref() == Some(&keys.person) || one.reinstated || one.taken_back;
            if other || settled || one.leave {
                continue;
            }
            if one.person.is_some() {
                // However long ago it ended: whoever is back must not be locked out again.
                self.hold(one, other_id(&keys.person, "and work goes on there"));
            } else if !one.over {
                self.ask(&one.name, false, "the source says that this person works here on");
            }
        }
    }
}
