//! The requests of `sftp`: compiled, and resolved.

use serde_json::Value;

use super::{
    compile::Compiler,
    escape::plain,
    expression::{Expression, Scope, Unevaluable},
    references::Uses,
    template::{Place, Template, has_hole},
    trust::TrustTemplate,
};
use crate::{
    api::definition::{Csv, Request},
    connectors::driver::{Content, Encoding, SftpRequest, Table},
};

const ENCODINGS: &str = "must be Utf8 or Latin1";
const NUMBER: &str = "must be a whole number";

/// Something about files.
#[derive(Debug)]
pub enum Files {
    /// Lists.
    List(Template),
    /// Reads one.
    Read(Box<ReadTemplate>),
    /// Writes one.
    Write(Box<WriteTemplate>),
    /// Moves one into a folder.
    Move(Template, Template),
    /// Deletes one.
    Delete(Template),
}

/// Which file is read, and how.
#[derive(Debug)]
pub struct ReadTemplate {
    pattern: Template,
    encoding: Option<Template>,
    table: Option<TableTemplate>,
    trust: TrustTemplate,
}

/// Which file is written, how, and what.
#[derive(Debug)]
pub struct WriteTemplate {
    path: Template,
    encoding: Option<Template>,
    content: ContentTemplate,
}

/// How a table is read.
#[derive(Debug)]
pub struct TableTemplate {
    delimiter: Template,
    columns: Vec<Template>,
    skip: Option<Template>,
    csv: Csv,
}

/// What is written.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one per request")]
enum ContentTemplate {
    Text(Template),
    /// Its delimiter and its rows.
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
            "file" => Files::Read(Box::new(ReadTemplate {
                pattern: self.template(request.file.as_ref()?, Place::Files, &field("file"), names)?,
                encoding: self.encoding(request, path, names),
                table: match &request.csv {
                    Some(csv) => Some(self.table(csv, &field("csv"), names)?),
                    None => None,
                },
                trust: match &request.trust {
                    Some(trust) => self.trust(trust, &field("trust"), names)?,
                    None => TrustTemplate::default(),
                },
            })),
            "write" => Files::Write(Box::new(WriteTemplate {
                path: self.template(request.write.as_ref()?, Place::File, &field("write"), names)?,
                encoding: self.encoding(request, path, names),
                content: self.content(request, path, names)?,
            })),
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
        Some(TableTemplate {
            delimiter: self.template(&csv.delimiter, Place::Plain, &field("delimiter"), names)?,
            columns: self.names(&csv.columns, &field("columns"), names),
            skip: self.number(csv.skip.as_ref(), &field("skip"), names),
            csv: csv.clone(),
        })
    }

    fn encoding(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<Template> {
        let text = request.encoding.as_ref()?;
        let path = format!("{path}.encoding");
        if !has_hole(text) && encoding(text).is_none() {
            self.problems.add(path.clone(), ENCODINGS);
        }
        self.template(text, Place::Plain, &path, names)
    }

    /// A whole number.
    pub(super) fn number(&mut self, text: Option<&String>, path: &str, names: &[&str]) -> Option<Template> {
        let text = text?;
        if !has_hole(text) && text.parse::<usize>().is_err() {
            self.problems.add(path, NUMBER);
        }
        self.template(text, Place::Plain, path, names)
    }
}

impl Files {
    /// What is sent in `scope`, relative paths behind `folder`.
    pub(super) fn resolve(&self, folder: &str, scope: &Scope<'_>) -> Result<SftpRequest, Unevaluable> {
        let path = |template: &Template| Ok(behind(folder, template.text(scope)?));
        let pattern = |template: &Template| Ok(behind_pattern(folder, template.text(scope)?));
        Ok(match self {
            Self::List(files) => SftpRequest::List {
                pattern: pattern(files)?,
            },
            Self::Read(read) => SftpRequest::Read {
                pattern: pattern(&read.pattern)?,
                encoding: letters(read.encoding.as_ref(), scope)?,
                table: read
                    .table
                    .as_ref()
                    .map(|table| table.resolve(scope))
                    .transpose()?,
                trust: read.trust.resolve(scope)?,
            },
            Self::Write(write) => SftpRequest::Write {
                path: path(&write.path)?,
                encoding: letters(write.encoding.as_ref(), scope)?,
                content: write.content.resolve(scope)?,
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
        let mut templates: Vec<&Template> = vec![];
        match self {
            Self::List(path) | Self::Delete(path) => templates.push(path),
            Self::Move(path, into) => templates.extend([path, into]),
            Self::Read(read) => {
                templates.push(&read.pattern);
                templates.extend(&read.encoding);
                if let Some(table) = &read.table {
                    templates.push(&table.delimiter);
                    templates.extend(table.columns.iter().chain(&table.skip));
                }
                templates.extend(read.trust.templates());
            }
            Self::Write(write) => {
                templates.push(&write.path);
                templates.extend(&write.encoding);
                match &write.content {
                    ContentTemplate::Text(text) => templates.push(text),
                    ContentTemplate::Rows(delimiter, rows) => {
                        templates.push(delimiter);
                        uses.add(rows.uses());
                    }
                }
            }
        }
        for template in templates {
            template.uses(uses);
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

/// The number that a template gives; without one none.
pub(super) fn whole(template: Option<&Template>, scope: &Scope<'_>) -> Result<usize, Unevaluable> {
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
            line_breaks: self.csv.quotes && self.csv.line_breaks,
        })
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
