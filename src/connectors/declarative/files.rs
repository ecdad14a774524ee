//! The requests of `sftp`: compiled, and resolved.

use regex::Regex;
use serde_json::Value;

use super::{
    compile::Compiler,
    escape::plain,
    expression::{Expression, Scope, Unevaluable},
    fact::duration,
    references::Uses,
    template::{Place, Template, has_hole},
};
use crate::{
    api::definition::{Csv, DatePlace, FileDate, Request, Trust},
    connectors::driver::{Believed, Content, DateMark, Encoding, SftpRequest, Table},
};

const ENCODINGS: &str = "must be Utf8 or Latin1";
const NUMBER: &str = "must be a whole number";

/// Something about files.
#[derive(Debug)]
pub enum Files {
    /// Lists.
    List(Template),
    /// Reads one.
    Read {
        /// Which.
        pattern: Template,
        /// How its letters are written.
        encoding: Option<Template>,
        /// It is a table.
        table: Option<TableTemplate>,
        /// When it is believed.
        trust: Box<TrustTemplate>,
    },
    /// Writes one.
    Write {
        /// Where.
        path: Template,
        /// How its letters are written.
        encoding: Option<Template>,
        /// What.
        content: ContentTemplate,
    },
    /// Moves one into a folder.
    Move(Template, Template),
    /// Deletes one.
    Delete(Template),
}

/// How a table is read.
#[derive(Debug)]
pub struct TableTemplate {
    delimiter: Template,
    columns: Vec<Template>,
    skip: Option<Template>,
    csv: Csv,
}

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

/// What is written.
#[derive(Debug)]
pub enum ContentTemplate {
    /// A text.
    Text(Template),
    /// A table: its delimiter and its rows.
    Rows(Template, Expression),
}

impl Compiler<'_> {
    /// A request about files.
    pub(super) fn files(
        &mut self,
        request: &Request,
        verb: &str,
        path: &str,
        names: &[&str],
    ) -> Option<Files> {
        let field = |name: &str| format!("{path}.{name}");
        Some(match verb {
            "list" => {
                Files::List(self.template(request.list.as_ref()?, Place::Files, &field("list"), names)?)
            }
            "file" => Files::Read {
                pattern: self.template(request.file.as_ref()?, Place::Files, &field("file"), names)?,
                encoding: self.encoding(request, path, names)?,
                table: match &request.csv {
                    Some(csv) => Some(self.table(csv, &field("csv"), names)?),
                    None => None,
                },
                trust: Box::new(match &request.trust {
                    Some(trust) => self.trust(trust, &field("trust"), names)?,
                    None => TrustTemplate::default(),
                }),
            },
            "write" => Files::Write {
                path: self.template(request.write.as_ref()?, Place::File, &field("write"), names)?,
                encoding: self.encoding(request, path, names)?,
                content: self.content(request, path, names)?,
            },
            "move" => {
                let Some(into) = &request.into else {
                    self.problems.add(field("into"), "missing; name the folder");
                    return None;
                };
                Files::Move(
                    self.template(request.move_.as_ref()?, Place::File, &field("move"), names)?,
                    self.template(into, Place::File, &field("into"), names)?,
                )
            }
            _ => Files::Delete(self.template(
                request.delete.as_ref()?,
                Place::File,
                &field("delete"),
                names,
            )?),
        })
    }

    fn content(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<ContentTemplate> {
        match (&request.text, &request.rows) {
            (Some(text), None) => {
                if request.csv.is_some() {
                    self.problems
                        .add(format!("{path}.csv"), "only goes with rows; remove it");
                }
                let text = self.template(text, Place::Plain, &format!("{path}.text"), names)?;
                Some(ContentTemplate::Text(text))
            }
            (None, Some(rows)) => {
                let csv = request.csv.clone().unwrap_or_default();
                let table = self.table(&csv, &format!("{path}.csv"), names)?;
                let plain = Csv {
                    delimiter: csv.delimiter.clone(),
                    ..Csv::default()
                };
                if csv != plain {
                    self.problems.add(
                        format!("{path}.csv"),
                        "what is written has a delimiter only; remove the rest",
                    );
                }
                let rows = self.expression(rows, &format!("{path}.rows"), names)?;
                Some(ContentTemplate::Rows(table.delimiter, rows))
            }
            _ => {
                self.problems
                    .add(path, "exactly one of text and rows is needed with write");
                None
            }
        }
    }

    fn table(&mut self, csv: &Csv, path: &str, names: &[&str]) -> Option<TableTemplate> {
        let field = |name: &str| format!("{path}.{name}");
        if !has_hole(&csv.delimiter) && csv.delimiter.len() != 1 {
            self.problems
                .add(field("delimiter"), "must be one character of ASCII, such as ;");
        }
        if !csv.header && csv.columns.is_empty() {
            self.problems
                .add(field("columns"), "missing; without a header name all columns");
        }
        if csv.line_breaks && !csv.quotes {
            self.problems
                .add(field("lineBreaks"), "only goes with quotes; remove it");
        }
        Some(TableTemplate {
            delimiter: self.template(&csv.delimiter, Place::Plain, &field("delimiter"), names)?,
            columns: self.names(&csv.columns, &field("columns"), names),
            skip: self.number(csv.skip.as_ref(), &field("skip"), names)?,
            csv: csv.clone(),
        })
    }

    fn trust(&mut self, trust: &Trust, path: &str, names: &[&str]) -> Option<TrustTemplate> {
        let field = |name: &str| format!("{path}.{name}");
        for (name, text) in [("maxAge", &trust.max_age), ("quiet", &trust.quiet)] {
            if let Some(text) = text
                && !has_hole(text)
                && duration(text).is_none()
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
                self.number(trailer.beside.as_ref(), &field("trailer.beside"), names)?,
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

    fn encoding(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<Option<Template>> {
        let Some(text) = &request.encoding else {
            return Some(None);
        };
        let path = format!("{path}.encoding");
        if !has_hole(text) && encoding(text).is_none() {
            self.problems.add(path.clone(), ENCODINGS);
        }
        self.template(text, Place::Plain, &path, names).map(Some)
    }

    fn number(&mut self, text: Option<&String>, path: &str, names: &[&str]) -> Option<Option<Template>> {
        let Some(text) = text else { return Some(None) };
        if !has_hole(text) && text.parse::<usize>().is_err() {
            self.problems.add(path, NUMBER);
        }
        self.template(text, Place::Plain, path, names).map(Some)
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

impl Files {
    /// What is sent in `scope`, relative paths behind `folder`.
    pub(super) fn resolve(&self, folder: &str, scope: &Scope<'_>) -> Result<SftpRequest, Unevaluable> {
        let text = |template: &Template| template.text(scope);
        let path = |template: &Template| Ok(behind(folder, text(template)?));
        Ok(match self {
            Self::List(pattern) => SftpRequest::List {
                pattern: behind_pattern(folder, text(pattern)?),
            },
            Self::Read {
                pattern,
                encoding,
                table,
                trust,
            } => SftpRequest::Read {
                pattern: behind_pattern(folder, text(pattern)?),
                encoding: letters(encoding.as_ref(), scope)?,
                table: table.as_ref().map(|table| table.resolve(scope)).transpose()?,
                trust: trust.resolve(scope)?,
            },
            Self::Write {
                path: file,
                encoding,
                content,
            } => SftpRequest::Write {
                path: path(file)?,
                encoding: letters(encoding.as_ref(), scope)?,
                content: content.resolve(scope)?,
            },
            Self::Move(file, into) => SftpRequest::Move {
                path: path(file)?,
                into: path(into)?,
            },
            Self::Delete(file) => SftpRequest::Delete { path: path(file)? },
        })
    }

    /// Everything that it refers to.
    pub(super) fn uses(&self, uses: &mut Uses) {
        match self {
            Self::List(path) | Self::Delete(path) => path.uses(uses),
            Self::Read {
                pattern,
                encoding,
                table,
                trust,
            } => {
                pattern.uses(uses);
                encoding.iter().for_each(|encoding| encoding.uses(uses));
                if let Some(table) = table {
                    let templates = table.columns.iter().chain(&table.skip).chain([&table.delimiter]);
                    templates.for_each(|template| template.uses(uses));
                }
                trust.templates().for_each(|template| template.uses(uses));
            }
            Self::Write {
                path,
                encoding,
                content,
            } => {
                path.uses(uses);
                encoding.iter().for_each(|encoding| encoding.uses(uses));
                match content {
                    ContentTemplate::Text(text) => text.uses(uses),
                    ContentTemplate::Rows(delimiter, rows) => {
                        delimiter.uses(uses);
                        uses.add(rows.uses());
                    }
                }
            }
            Self::Move(path, into) => {
                path.uses(uses);
                into.uses(uses);
            }
        }
    }
}

fn letters(template: Option<&Template>, scope: &Scope<'_>) -> Result<Encoding, Unevaluable> {
    match template {
        Some(template) => encoding(&template.text(scope)?).ok_or_else(|| template.unevaluable(ENCODINGS)),
        None => Ok(Encoding::default()),
    }
}

fn encoding(text: &str) -> Option<Encoding> {
    match text {
        "Utf8" => Some(Encoding::Utf8),
        "Latin1" => Some(Encoding::Latin1),
        _ => None,
    }
}

fn whole(template: Option<&Template>, scope: &Scope<'_>) -> Result<usize, Unevaluable> {
    match template {
        Some(template) => template
            .text(scope)?
            .parse()
            .map_err(|_| template.unevaluable(NUMBER)),
        None => Ok(0),
    }
}

/// A path in its folder.
fn behind(folder: &str, path: String) -> String {
    if folder.is_empty() || path.starts_with('/') {
        return path;
    }
    format!("{}/{path}", folder.trim_end_matches('/'))
}

/// As [`behind`]; the folder is not wild.
fn behind_pattern(folder: &str, pattern: String) -> String {
    let mut literal = String::new();
    crate::connectors::glob::literal(&mut literal, folder);
    behind(&literal, pattern)
}

impl TableTemplate {
    fn resolve(&self, scope: &Scope<'_>) -> Result<Table, Unevaluable> {
        let mut columns = vec![];
        for column in &self.columns {
            columns.extend(column.texts(scope)?);
        }
        Ok(Table {
            delimiter: self.delimiter.text(scope)?,
            header: self.csv.header,
            columns,
            skip: whole(self.skip.as_ref(), scope)?,
            quotes: self.csv.quotes,
            line_breaks: self.csv.line_breaks,
        })
    }
}

impl TrustTemplate {
    fn resolve(&self, scope: &Scope<'_>) -> Result<Believed, Unevaluable> {
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
            let span = duration(&text).ok_or_else(|| template.unevaluable("not a duration"))?;
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

    fn templates(&self) -> impl Iterator<Item = &Template> {
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

impl ContentTemplate {
    fn resolve(&self, scope: &Scope<'_>) -> Result<Content, Unevaluable> {
        Ok(match self {
            Self::Text(text) => Content::Text(text.text(scope)?),
            Self::Rows(delimiter, rows) => Content::Rows {
                delimiter: delimiter.text(scope)?,
                rows: rows
                    .list(scope)?
                    .iter()
                    .map(|row| cells(row).ok_or_else(|| rows.unevaluable("a row is a list of texts")))
                    .collect::<Result<_, _>>()?,
            },
        })
    }
}

/// Null is an empty cell.
fn cells(row: &Value) -> Option<Vec<String>> {
    let cell = |value: &Value| match value {
        Value::Null => Some(String::new()),
        value => plain(value),
    };
    row.as_array()?.iter().map(cell).collect()
}
