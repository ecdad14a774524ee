//! Several Offboardings about one person.
//!
//! # Why
//! The file of before is left in place, HR's system and a manager both make one: two Offboardings with two dates, and nobody knows
//! which is meant. To take the earlier date would lock somebody out who still works. So until the later one has come a person
//! removes one of both; once that has come, nobody says any more that access should last, and both go on. What has begun to end
//! goes on ending, or a second object would keep a leaver's access open after the last day; and who was asked for by "now" is not
//! kept waiting by somebody else's calendar. For the same reason nothing is given back by one Offboarding once access ends by
//! another: both would undo each other's work for ever, and each would say that it succeeded.

use jiff::Timestamp;

/// The reason when a person has to say which of several is meant.
pub const DUPLICATE: &str = "DuplicateOffboarding";

/// Another Offboarding about the same person that says something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicate {
    /// `metadata.name`.
    pub name: String,
    /// When access ends by it; none while that is not known.
    pub ends: Option<Timestamp>,
    /// It gives back what was taken, and is not done yet.
    pub reinstates: bool,
}

/// When nothing is done by an Offboarding because of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Until then: another one says that access lasts longer.
    Until(Timestamp),
    /// From then on: access ends by another one.
    From(Timestamp),
}

impl Hold {
    /// Whether nothing is done at `now`.
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::Until(end) => now < end,
            Self::From(start) => start <= now,
        }
    }

    /// When that changes, if it does.
    pub fn changes_at(self, now: Timestamp) -> Option<Timestamp> {
        let (Self::Until(at) | Self::From(at)) = self;
        (now < at).then_some(at)
    }
}

/// What the rule needs to know of the Offboarding that is driven.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    /// When access ends by it.
    pub ends: Timestamp,
    /// It does not rest on a date: somebody asked for it at once.
    pub immediate: bool,
    /// Access has begun to end by it.
    pub begun: bool,
    /// It gives back what was taken.
    pub reinstates: bool,
}

/// The names that a person is known by, as they are compared.
pub fn names<'n>(known: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let names = known.into_iter().map(|name| name.trim().to_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// When nothing is done by `own` because of `duplicates`. None: nothing holds it.
pub fn hold(own: Own, duplicates: &[Duplicate]) -> Option<Hold> {
    let mut ending = duplicates.iter().filter(|other| !other.reinstates);
    if own.reinstates {
        // Whose date is not known may have ended already.
        let ends = ending.map(|other| other.ends.unwrap_or(Timestamp::MIN));
        return ends.min().map(Hold::From);
    }
    if own.immediate || own.begun {
        return None;
    }
    let later = ending.by_ref().filter_map(|other| other.ends);
    later.filter(|ends| own.ends < *ends).max().map(Hold::Until)
}

/// What a person is to do about `duplicates`.
pub fn advice(duplicates: &[Duplicate]) -> String {
    let each = duplicates.iter().map(|other| match other.ends {
        _ if other.reinstates => format!("{} (gives access back)", other.name),
        Some(ends) => format!("{} (ends {})", other.name, ends.strftime("%Y-%m-%d %H:%M UTC")),
        None => other.name.clone(),
    });
    let names: Vec<String> = each.collect();
    format!(
        "same person as Offboarding {}: remove all but one of them",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn other(name: &str, ends: Option<Timestamp>) -> Duplicate {
        Duplicate {
            name: name.into(),
            ends,
            reinstates: false,
        }
    }

    fn dated(ends: Timestamp) -> Own {
        Own {
            ends,
            immediate: false,
            begun: false,
            reinstates: false,
        }
    }

    #[test]
    fn the_earlier_date_waits_for_the_later_one_and_nothing_else_waits() {
        let (november, january) = (at("2026-11-20T16:00:00Z"), at("2027-01-31T16:00:00Z"));
        let one = |ends| vec![other("again", ends)];
        let now = Own {
            immediate: true,
            ..dated(november)
        };
        let begun = Own {
            begun: true,
            ..dated(november)
        };
        let back = Duplicate {
            reinstates: true,
            ..other("back", None)
        };
        let until = Some(Hold::Until(january));
        for (own, others, held) in [
            (dated(november), one(Some(january)), until),
            (dated(january), one(Some(november)), None),
            (dated(november), one(Some(november)), None),
            (dated(november), one(None), None),
            (dated(november), vec![], None),
            (
                dated(november),
                [one(Some(at("2026-12-31T16:00:00Z"))), one(Some(january))].concat(),
                until,
            ),
            (now, one(Some(january)), None),
            (begun, one(Some(january)), None),
            (dated(november), vec![back], None),
        ] {
            assert_eq!(hold(own, &others), held, "{own:?} {others:?}");
        }
        assert!(Hold::Until(january).holds(november) && !Hold::Until(january).holds(january));
        assert_eq!(Hold::Until(january).changes_at(november), Some(january));
    }

    #[test]
    fn nothing_is_given_back_once_access_ends_by_another_one() {
        let (november, january) = (at("2026-11-20T16:00:00Z"), at("2027-01-31T16:00:00Z"));
        let back = Own {
            reinstates: true,
            begun: true,
            ..dated(november)
        };
        let others = [
            other("again", Some(january)),
            other("later", Some(Timestamp::MAX)),
        ];
        let held = hold(back, &others).unwrap();
        assert!(!held.holds(november) && held.holds(january));
        assert_eq!(
            (held.changes_at(november), held.changes_at(january)),
            (Some(january), None)
        );
        assert!(hold(back, &[other("now", None)]).unwrap().holds(Timestamp::MIN));
        assert_eq!(hold(back, &[]), None);
    }

    #[test]
    fn names_are_compared_without_case_and_blanks() {
        assert_eq!(
            names([" Jane@Example.com", "0117 ", ""]),
            ["jane@example.com", "0117"]
        );
    }

    #[test]
    fn the_advice_names_the_others_and_their_dates() {
        let others = [
            other("jane-doe", Some(at("2027-01-31T16:00:00Z"))),
            other("jane-2", None),
            Duplicate {
                reinstates: true,
                ..other("jane-3", None)
            },
        ];
        assert_eq!(
            advice(&others),
            "same person as Offboarding jane-doe (ends 2027-01-31 16:00 UTC), jane-2, jane-3 (gives access back): remove all \
             but one of them"
        );
    }
}
