//! When a file is believed, as a definition says it: compiled, and resolved.

use regex::Regex;

use super::{
    compile::Compiler,
    expression::{Scope, Unevaluable},
    files::whole,
    template::{Place, Template, has_hole},
};
use crate::{
    api::definition::{DatePlace, FileDate, Trust},
    connectors::driver::{Believed, DateMark},
    core::schedule::duration,
};

/// When a file is believed.
#[derive(Debug, Default)]
pub struct TrustTemplate {
    max_age: Option<Template>,
    quiet: Option<Template>,
    marker: Option<Template>,
    trailer: Option<(Template, Option<Template>)>,
    date: Option<DateTemplate>,
}

#[derive(Debug)]
struct DateTemplate {
    place: DatePlace,
    pattern: Template,
    format: Template,
    zone: Option<Template>,
}

impl Compiler<'_> {
    /// The rules by which a file is believed.
    pub(super) fn trust(&mut self, trust: &Trust, path: &str, names: &[&str]) -> Option<TrustTemplate> {
        let field = |name: &str| format!("{path}.{name}");
        for (name, text) in [("maxAge", &trust.max_age), ("quiet", &trust.quiet)] {
            if let Some(text) = text
                && !has_hole(text)
                && duration(text).is_err()
            {
                self.problems
                    .add(field(name), "not a duration; write it like 30s, 5m or 26h");
            }
        }
        let plain = |compiler: &mut Self, name: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            compiler.template(text, Place::Plain, &field(name), names)
        };
        let trailer = match &trust.trailer {
            Some(trailer) => Some((
                self.group(&trailer.pattern, &field("trailer.pattern"), names)?,
                self.number(trailer.beside.as_ref(), &field("trailer.beside"), names),
            )),
            None => None,
        };
        let date = match &trust.date {
            Some(date) => Some(self.date(date, &field("date"), names)?),
            None => None,
        };
        Some(TrustTemplate {
            max_age: plain(self, "maxAge", &trust.max_age),
            quiet: plain(self, "quiet", &trust.quiet),
            marker: plain(self, "marker", &trust.marker),
            trailer,
            date,
        })
    }

    fn date(&mut self, date: &FileDate, path: &str, names: &[&str]) -> Option<DateTemplate> {
        let field = |name: &str| format!("{path}.{name}");
        let offset = ["%z", "%:z", "%s", "%Q", "%:Q"];
        if date.zone.is_none() && !has_hole(&date.format) && !offset.iter().any(|o| date.format.contains(o)) {
            self.problems.add(
                field("zone"),
                "missing; the date tells no offset, so say in which time zone it is",
            );
        }
        Some(DateTemplate {
            place: date.place,
            pattern: self.group(&date.pattern, &field("pattern"), names)?,
            format: self.template(&date.format, Place::Plain, &field("format"), names)?,
            zone: match &date.zone {
                Some(zone) => Some(self.template(zone, Place::Plain, &field("zone"), names)?),
                None => None,
            },
        })
    }

    /// A regular expression with a group. One that has holes is looked at when it is used.
    fn group(&mut self, pattern: &str, path: &str, names: &[&str]) -> Option<Template> {
        if !has_hole(pattern) {
            match Regex::new(pattern) {
                Ok(regex) if regex.captures_len() > 1 => {}
                Ok(_) => self
                    .problems
                    .add(path, "needs a group for what is looked for: (…)"),
                Err(error) => {
                    let why = error.to_string().lines().last().unwrap_or_default().to_owned();
                    self.problems
                        .add(path, format!("not a regular expression: {why}"));
                }
            }
        }
        self.template(pattern, Place::Plain, path, names)
    }
}

impl TrustTemplate {
    /// The rules in `scope`.
    pub(super) fn resolve(&self, scope: &Scope<'_>) -> Result<Believed, Unevaluable> {
        let optional = |template: &Option<Template>| match template {
            Some(template) => template.optional_text(scope),
            None => Ok(None),
        };
        let trailer = match &self.trailer {
            Some((pattern, beside)) => match pattern.optional_text(scope)? {
                Some(pattern) => Some((pattern, whole(beside.as_ref(), scope)?)),
                None => None,
            },
            None => None,
        };
        let date = match &self.date {
            Some(date) => match date.pattern.optional_text(scope)? {
                Some(pattern) => Some(DateMark {
                    place: date.place,
                    pattern,
                    format: date.format.text(scope)?,
                    zone: optional(&date.zone)?,
                }),
                None => None,
            },
            None => None,
        };
        let span = |template: &Option<Template>| {
            let (Some(template), Some(text)) = (template, optional(template)?) else {
                return Ok(None);
            };
            let span = duration(&text).map_err(|_| template.unevaluable("not a duration"))?;
            Ok(Some(span))
        };
        Ok(Believed {
            max_age: span(&self.max_age)?,
            quiet: span(&self.quiet)?,
            marker: optional(&self.marker)?,
            trailer,
            date,
        })
    }

    /// Everything in it.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let date = self.date.iter().flat_map(|date| {
            let fixed = [&date.pattern, &date.format];
            fixed.into_iter().chain(&date.zone)
        });
        let trailer = self
            .trailer
            .iter()
            .flat_map(|(pattern, beside)| beside.iter().chain([pattern]));
        [&self.max_age, &self.quiet, &self.marker]
            .into_iter()
            .flatten()
            .chain(trailer)
            .chain(date)
    }
}
