//! A rule with a name.
//!
//! # Why
//! Rules are told apart by name in lists and in tables of tests. And a test must show that it would see a rule go wrong: while it
//! plants a bug, the faulty rule of [`super::mutants`] takes the place of the one of that name. So no rule carries a bug in its
//! text, and outside tests there is nothing to take its place.

/// A rule with a name; `R` is the function that it is.
#[derive(Debug, Clone, Copy)]
pub struct Check<R: 'static> {
    /// What it is called: no two are called alike.
    pub name: &'static str,
    rule: R,
}

impl<R: Copy> Check<R> {
    /// The rule called `name`.
    pub const fn new(name: &'static str, rule: R) -> Self {
        Self { name, rule }
    }

    /// The rule that is in force.
    #[cfg(not(test))]
    pub const fn rule(&self) -> R {
        self.rule
    }

    /// The rule that is in force: a faulty one while a bug is planted that is about it.
    #[cfg(test)]
    pub fn rule(&self) -> R {
        super::mutants::in_place_of(self.name).unwrap_or(self.rule)
    }
}
