//! Text with `${expression}` holes, each filled by the rules of the place where the text goes.
//!
//! # Why
//! A hole can only ever be data in the place it stands in: one path segment, one value in a filter, one attribute value
//! in a DN. Where that cannot be guaranteed (SQL statements) there are no holes at all. `$${` is a literal `${`.

use serde_json::{Map, Value};

use super::{
    escape::{filter, is_guid, percent, plain, rdn},
    expression::{Expression, Scope, Unevaluable, code},
    problems::Problems,
    references::Uses,
    values::Names,
};
use crate::connectors::{driver::RANDOM, glob};

/// Stands for the key of an act in a resolved request, until the request is sent.
pub(super) const KEY: &str = "\u{1}key\u{1}";

/// Stands for the address where the system may answer later, until the request is sent.
pub(super) const CALLBACK: &str = "\u{1}callback\u{1}";

/// Where a text goes, and so how its holes are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Base address of the driver: holes are inputs and stand as they are.
    Base,
    /// HTTP path: each hole is one percent-encoded segment, never empty, never a dot segment.
    Path,
    /// A value that the driver encodes itself: form, query, LDAP attribute, SQL identifier.
    Plain,
    /// HTTP header: no control characters.
    Header,
    /// XML: escaped.
    Xml,
    /// Distinguished name: values are escaped; a hole that stands for a whole name or its tail is not.
    Dn,
    /// LDAP filter (RFC 4515): escaped.
    Filter,
    /// Path of a file: a hole over inputs alone stands as it is, any other is a part of one name.
    File,
    /// Path of files, the last part with wildcards: as [`Place::File`], and what such a hole brings is not wild.
    Files,
}

impl Place {
    /// Whether what stands there is shown to others.
    fn is_address(self) -> bool {
        matches!(
            self,
            Self::Base | Self::Path | Self::Dn | Self::Filter | Self::File | Self::Files
        )
    }
}

/// A compiled text.
#[derive(Debug)]
pub struct Template {
    parts: Vec<Part>,
    place: Place,
    path: String,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Hole { expression: Box<Expression>, raw: bool },
}

impl Template {
    /// Compiles `text`, the field at `path`, whose holes may use `names`. What is wrong is added to `problems`.
    pub fn compile<'n>(
        text: &str,
        place: Place,
        path: &str,
        names: impl Into<Names<'n>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let names = names.into();
        let pieces = match split(text) {
            Ok(pieces) => pieces,
            Err(message) => {
                problems.add(path, message);
                return None;
            }
        };
        let whole = pieces.len() == 1;
        let (mut parts, mut before) = (vec![], String::new());
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    before.push_str(&text);
                    parts.push(Part::Text(text));
                }
                Piece::Hole(text) => {
                    let expression = Box::new(Expression::compile(text, path, names, problems)?);
                    if expression.uses().name("random") {
                        if expression.text().trim() != "random" {
                            problems.add(path, "'random' must be a hole of its own: ${random}");
                        } else if place.is_address() {
                            problems.add(path, "'random' is a password and has no place in an address");
                        }
                    }
                    if expression.uses().name("callback") && place.is_address() {
                        problems.add(path, "'callback' is a secret and has no place in an address");
                    }
                    let raw = match place {
                        Place::Dn => whole || before.is_empty() || dn_raw(&before),
                        Place::Base => true,
                        Place::File | Place::Files => expression.uses().only("inputs"),
                        _ => false,
                    };
                    before.push('\u{0}');
                    parts.push(Part::Hole { expression, raw });
                }
            }
        }
        if place == Place::Files
            && before
                .rsplit_once('/')
                .is_some_and(|(folder, _)| glob::is_wild(folder))
        {
            problems.add(path, "only the last part of a path can be wild; name the folder");
            return None;
        }
        Some(Self {
            parts,
            place,
            path: path.to_owned(),
        })
    }

    /// What it refers to.
    pub fn uses(&self, into: &mut Uses) {
        for part in &self.parts {
            if let Part::Hole { expression, .. } = part {
                into.add(expression.uses());
            }
        }
    }

    /// The expression, if the text is one hole and nothing else.
    fn single(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Hole { expression, .. }] => Some(expression),
            _ => None,
        }
    }

    /// Its value: of the expression's own type if the text is a single hole, else a text.
    ///
    /// # Errors
    /// An expression without a value, or one that cannot stand in its place.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Value, Unevaluable> {
        match self.single() {
            Some(expression) => expression.evaluate(scope),
            None => self.text(scope).map(Value::String),
        }
    }

    /// Its text, or none if the text is a single hole that gives null.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn optional_text(&self, scope: &Scope<'_>) -> Result<Option<String>, Unevaluable> {
        match self.single().map(|expression| expression.evaluate(scope)) {
            Some(Err(error)) => Err(error),
            Some(Ok(Value::Null)) => Ok(None),
            Some(Ok(value)) => {
                let text = plain(&value).ok_or_else(|| self.unevaluable("a list or map cannot be text"))?;
                let raw = matches!(self.parts.first(), Some(Part::Hole { raw: true, .. }));
                let mut out = String::new();
                self.fill(&mut out, &text, raw)?;
                self.finish(out).map(Some)
            }
            None => self.text(scope).map(Some),
        }
    }

    /// Its texts: a single hole may give a list.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn texts(&self, scope: &Scope<'_>) -> Result<Vec<String>, Unevaluable> {
        if let Some(expression) = self.single()
            && let Value::Array(list) = expression.evaluate(scope)?
        {
            let texts = list.iter().map(plain).collect::<Option<Vec<_>>>();
            return texts.ok_or_else(|| self.unevaluable("a list of something else than text"));
        }
        Ok(self.optional_text(scope)?.into_iter().collect())
    }

    /// Its text.
    ///
    /// # Errors
    /// As [`Self::value`]; null is one.
    pub fn text(&self, scope: &Scope<'_>) -> Result<String, Unevaluable> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole { expression, raw } => {
                    let value = expression.evaluate(scope)?;
                    let text = plain(&value)
                        .ok_or_else(|| self.unevaluable("null, a list or a map cannot be text"))?;
                    self.fill(&mut out, &text, *raw)?;
                }
            }
        }
        self.finish(out)
    }

    fn fill(&self, out: &mut String, text: &str, raw: bool) -> Result<(), Unevaluable> {
        if raw {
            if self.place == Place::Dn && out.to_ascii_uppercase().ends_with("<GUID=") && !is_guid(text) {
                return Err(self.unevaluable("not a GUID"));
            }
            out.push_str(text);
            return Ok(());
        }
        match self.place {
            Place::Path => {
                // A whole address stands for itself; its host is checked where the request is made.
                if self.parts.len() == 1 && (text.starts_with("https://") || text.starts_with("http://")) {
                    out.push_str(text);
                    return Ok(());
                }
                if text.is_empty() && !out.contains('?') {
                    return Err(self.unevaluable("an empty path segment would address something else"));
                }
                percent(out, text);
            }
            Place::File | Place::Files => {
                let data = text.replace(KEY, "");
                let above = matches!(text, "" | "." | "..");
                if above || data.contains(['/', '\\']) || data.chars().any(char::is_control) {
                    return Err(self.unevaluable("it must be a part of one file's name"));
                }
                if self.place == Place::Files {
                    glob::literal(out, text);
                } else {
                    out.push_str(text);
                }
            }
            Place::Xml => out.push_str(&quick_xml::escape::escape(text)),
            Place::Dn => rdn(out, text),
            Place::Filter => filter(out, text),
            Place::Plain | Place::Header | Place::Base => out.push_str(text),
        }
        Ok(())
    }

    fn finish(&self, out: String) -> Result<String, Unevaluable> {
        let sound = match self.place {
            // The stand-ins for key and password are the only control characters that may pass.
            Place::Header => !out
                .replace(KEY, "")
                .replace(RANDOM, "")
                .chars()
                .any(char::is_control),
            Place::Base => !out.chars().any(|c| c.is_control() || c.is_whitespace()),
            Place::File | Place::Files => {
                let path = out.strip_prefix('/').unwrap_or(&out);
                !out.replace(KEY, "").chars().any(char::is_control)
                    && !path.split('/').any(|part| matches!(part, "" | "." | ".."))
            }
            Place::Path => {
                let path = out.split(['?', '#']).next().unwrap_or_default();
                !out.contains('#') && !path.split('/').any(|segment| matches!(segment, "." | ".."))
            }
            _ => true,
        };
        if sound {
            Ok(out)
        } else {
            Err(self.unevaluable("the text cannot stand in this place"))
        }
    }

    /// It has a value that it must not have.
    pub(super) fn unevaluable(&self, why: &'static str) -> Unevaluable {
        Unevaluable {
            path: self.path.clone(),
            why,
        }
    }
}

/// JSON in which every text is a template.
#[derive(Debug)]
pub enum JsonTemplate {
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<JsonTemplate>),
    /// A map; a key whose value is a single hole that gives null is left out.
    Object(Vec<(String, JsonTemplate)>),
    /// Anything else, as it is.
    Fixed(Value),
}

impl JsonTemplate {
    /// Compiles `value`, the field at `path`.
    pub fn compile(value: &Value, path: &str, names: Names<'_>, problems: &mut Problems) -> Option<Self> {
        Some(match value {
            Value::String(text) => Self::Text(Template::compile(text, Place::Plain, path, names, problems)?),
            Value::Array(list) => Self::List(
                list.iter()
                    .enumerate()
                    .filter_map(|(i, v)| Self::compile(v, &format!("{path}[{i}]"), names, problems))
                    .collect(),
            ),
            Value::Object(map) => Self::Object(
                map.iter()
                    .filter_map(|(key, v)| {
                        Some((
                            key.clone(),
                            Self::compile(v, &format!("{path}.{key}"), names, problems)?,
                        ))
                    })
                    .collect(),
            ),
            other => Self::Fixed(other.clone()),
        })
    }

    /// What it refers to.
    pub fn uses(&self, into: &mut Uses) {
        match self {
            Self::Text(template) => template.uses(into),
            Self::List(list) => list.iter().for_each(|v| v.uses(into)),
            Self::Object(map) => map.iter().for_each(|(_, v)| v.uses(into)),
            Self::Fixed(_) => {}
        }
    }

    /// Its value.
    ///
    /// # Errors
    /// As [`Template::value`].
    pub fn value(&self, scope: &Scope<'_>) -> Result<Value, Unevaluable> {
        Ok(match self {
            Self::Text(template) => template.value(scope)?,
            Self::List(list) => Value::Array(list.iter().map(|v| v.value(scope)).collect::<Result<_, _>>()?),
            Self::Object(map) => {
                let mut object = Map::new();
                for (key, template) in map {
                    let value = template.value(scope)?;
                    if !(value.is_null() && matches!(template, Self::Text(_))) {
                        object.insert(key.clone(), value);
                    }
                }
                Value::Object(object)
            }
            Self::Fixed(value) => value.clone(),
        })
    }
}

enum Piece<'t> {
    Text(String),
    Hole(&'t str),
}

/// Splits a text at its holes. Braces and quotes inside a hole are the expression's own.
fn split(text: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = vec![];
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            literal.push_str(&rest[..at]);
            literal.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let end = hole_end(&rest[at + 2..]).ok_or("a hole is not closed; write ${expression}")?;
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Hole(&rest[at + 2..at + 2 + end]));
        rest = &rest[at + 3 + end..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn hole_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code(text) {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether `text` has a hole.
pub(super) fn has_hole(text: &str) -> bool {
    split(text).map_or(true, |pieces| pieces.iter().any(|p| matches!(p, Piece::Hole(_))))
}

/// After a comma a hole is the rest of a name; after `<GUID=` it is checked to be one.
fn dn_raw(before: &str) -> bool {
    before.ends_with(',') || before.to_ascii_uppercase().ends_with("<GUID=")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str, place: Place, value: &str) -> Result<String, Unevaluable> {
        let mut problems = Problems::default();
        let template = Template::compile(text, place, "here", &["x", "random"], &mut problems).expect(text);
        assert_eq!(problems, Problems::default());
        let value = json!(value);
        template.text(&Scope::new().with("x", &value))
    }

    #[test]
    fn a_hole_is_data_in_the_place_it_stands_in() {
        for (text, place, value, expected) in [
            ("/u/${x}/g", Place::Path, "a/b?c", "/u/a%2Fb%3Fc/g"),
            ("/u?f=${x}", Place::Path, "a&b=c d", "/u?f=a%26b%3Dc%20d"),
            (
                "(uid=${x})",
                Place::Filter,
                "*)(uid=*",
                "(uid=\\2a\\29\\28uid=\\2a)",
            ),
            ("(uid=${x})", Place::Filter, "a\\\u{0}", "(uid=a\\5c\\00)"),
            ("CN=${x},DC=a", Place::Dn, " b,c=d#", "CN=\\ b\\,c\\=d#,DC=a"),
            ("OU=left,${x}", Place::Dn, "DC=a,DC=b", "OU=left,DC=a,DC=b"),
            ("${x}", Place::Dn, "CN=a,DC=b", "CN=a,DC=b"),
            ("<GUID=${x}>", Place::Dn, "0a-1b", "<GUID=0a-1b>"),
            (
                "<a>${x}</a>",
                Place::Xml,
                "</a><b c=\"d\">&",
                "<a>&lt;/a&gt;&lt;b c=&quot;d&quot;&gt;&amp;</a>",
            ),
            ("a $${x} ${x + '}'}", Place::Plain, "b", "a ${x} b}"),
            ("out/${x}.csv", Place::File, "a*b", "out/a*b.csv"),
            ("out/${x}-*.csv", Place::Files, "a*b?", "out/a\\*b\\?-*.csv"),
        ] {
            assert_eq!(filled(text, place, value).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_stand_in_its_place_has_no_value() {
        for (text, place, value) in [
            ("/users/${x}", Place::Path, ""),
            ("/users/${x}/groups", Place::Path, ".."),
            ("/users/.${x}", Place::Path, "."),
            ("<GUID=${x}>", Place::Dn, "0a>,DC=b"),
            ("${x}", Place::Header, "a\r\nb: c"),
            ("${x}/v1", Place::Base, "https://a b"),
            ("out/${x}", Place::File, "../etc/passwd"),
            ("out/${x}", Place::File, ".."),
            ("out/.${x}", Place::File, "."),
            ("out/${x}", Place::File, "a\\b"),
            ("out/${x}", Place::File, "a\u{0}b"),
            ("out/${x}", Place::Files, "a\nb"),
            ("${x}", Place::File, "/etc/passwd"),
            ("out/${x}", Place::Files, ""),
        ] {
            assert!(filled(text, place, value).is_err(), "{text} with {value:?}");
        }
    }

    #[test]
    fn inputs_may_name_folders_and_wildcards_and_never_the_folder_above() {
        let path = |value: &str| {
            let mut problems = Problems::default();
            let template = Template::compile(
                "${inputs.files}",
                Place::Files,
                "here",
                &["inputs"],
                &mut problems,
            );
            let inputs = json!({ "files": value });
            template.unwrap().text(&Scope::new().with("inputs", &inputs))
        };
        assert_eq!(path("/export/hr-*.csv").as_deref(), Ok("/export/hr-*.csv"));
        for above in ["../hr.csv", "a//b", "a/", "a/./b", "a\n"] {
            assert!(path(above).is_err(), "{above:?}");
        }
    }

    #[test]
    fn a_wild_folder_is_refused_when_the_definition_is_read() {
        let mut problems = Problems::default();
        assert!(Template::compile("a*/b", Place::Files, "here", &[], &mut problems).is_none());
        assert_eq!(problems.0[0].path, "here");
    }
}
