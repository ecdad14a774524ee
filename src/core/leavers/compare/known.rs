//! What is known of an Offboarding that is there, and of who works here on.

use std::collections::{BTreeMap, BTreeSet};

/// An Offboarding that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of an Offboarding")]
pub struct Known {
    /// Its name.
    pub name: String,
    /// The person's id, when this source made it and nobody took it over.
    pub person: Option<String>,
    /// Address.
    pub email: Option<String>,
    /// Employee number.
    pub number: Option<String>,
    /// The last day.
    pub last_day: Option<String>,
    /// Access ends now.
    pub immediate: bool,
    /// What was removed is wanted back.
    pub reinstated: bool,
    /// This source has taken the end back already.
    pub taken_back: bool,
    /// It is about a leave, not an end.
    pub leave: bool,
    /// The cutoff is past.
    pub over: bool,
    /// Everything else that follows the source, by the path in the spec, such as `profile/manager`.
    pub details: BTreeMap<String, String>,
    /// Paths in the spec that somebody else has set.
    pub kept: BTreeSet<String>,
    /// The question for which this source has stopped it, or had, until a person answered.
    pub held: Option<String>,
    /// Nothing is done.
    pub suspended: bool,
    /// Somebody else says whether anything is done.
    pub governed: bool,
}

impl Known {
    /// The details that are to be written; none of `None` where they are gone.
    pub fn corrections<'l>(
        &self,
        details: &'l BTreeMap<String, String>,
    ) -> BTreeMap<String, Option<&'l String>> {
        let kept = |path: &str| {
            let of = |kept: &String| {
                path.strip_prefix(kept.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            // What is past is not moved about.
            self.kept.iter().any(of) || self.over && WHEN.contains(&path)
        };
        let paths: BTreeSet<&String> = self.details.keys().chain(details.keys()).collect();
        let differs = |path: &&String| self.details.get(*path) != details.get(*path) && !kept(path);
        let changed = paths.into_iter().filter(differs);
        changed.map(|path| (path.clone(), details.get(path))).collect()
    }
}

/// Details that say when access ends.
const WHEN: [&str; 2] = ["cutoff/timeZone", "reason"];

/// By what a person is known who works here on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The HR system's id of the person.
    pub person: String,
    /// Address.
    pub email: Option<String>,
    /// Employee number.
    pub number: Option<String>,
}
