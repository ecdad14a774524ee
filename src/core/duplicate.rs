//! Several Offboardings about one person.
//!
//! # Why
//! The file of before is left in place, HR's system and a manager both make one: two Offboardings with two dates, and nobody knows
//! which is meant. To take the earlier date would lock somebody out who still works. So until the later one has come a person
//! removes one of both; once that has come, nobody says any more that access should last, and both go on. What has begun to end
//! goes on ending, or a second object would keep a leaver's access open after the last day; and who was asked for by "now" is not
//! kept waiting by somebody else's calendar.

use jiff::Timestamp;

/// The reason when a person has to say which of several is meant.
pub const DUPLICATE: &str = "DuplicateOffboarding";

/// Another Offboarding about the same person, whose access is to end by it too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicate {
    /// `metadata.name`.
    pub name: String,
    /// When access ends by it; none while that is not known.
    pub ends: Option<Timestamp>,
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
}

/// The names that a person is known by, as they are compared.
pub fn names<'n>(known: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let names = known.into_iter().map(|name| name.trim().to_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// Until when nothing is done by `own`, because another one says that access lasts longer. None: nothing holds it.
pub fn held_until(own: Own, duplicates: &[Duplicate]) -> Option<Timestamp> {
    if own.immediate || own.begun {
        return None;
    }
    let later = duplicates.iter().filter_map(|other| other.ends);
    later.filter(|ends| own.ends < *ends).max()
}

/// What a person is to do about `duplicates`.
pub fn advice(duplicates: &[Duplicate]) -> String {
    let each = duplicates.iter().map(|other| match other.ends {
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

    #[test]
    fn the_earlier_date_waits_for_the_later_one_and_nothing_else_waits() {
        let (november, january) = (at("2026-11-20T16:00:00Z"), at("2027-01-31T16:00:00Z"));
        let dated = |ends| Own {
            ends,
            immediate: false,
            begun: false,
        };
        let other = |ends| {
            vec![Duplicate {
                name: "again".into(),
                ends,
            }]
        };
        let now = Own {
            immediate: true,
            ..dated(november)
        };
        let begun = Own {
            begun: true,
            ..dated(november)
        };
        for (own, others, held) in [
            (dated(november), other(Some(january)), Some(january)),
            (dated(january), other(Some(november)), None),
            (dated(november), other(Some(november)), None),
            (dated(november), other(None), None),
            (dated(november), vec![], None),
            (
                dated(november),
                [other(Some(at("2026-12-31T16:00:00Z"))), other(Some(january))].concat(),
                Some(january),
            ),
            (now, other(Some(january)), None),
            (begun, other(Some(january)), None),
        ] {
            assert_eq!(held_until(own, &others), held, "{own:?} {others:?}");
        }
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
            Duplicate {
                name: "jane-doe".into(),
                ends: Some(at("2027-01-31T16:00:00Z")),
            },
            Duplicate {
                name: "jane-2".into(),
                ends: None,
            },
        ];
        assert_eq!(
            advice(&others),
            "same person as Offboarding jane-doe (ends 2027-01-31 16:00 UTC), jane-2: remove all but one of them"
        );
    }
}
