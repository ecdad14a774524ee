//! Tables in a text, taken apart row by row. Strict: what could hide or swallow rows is refused.
//!
//! # Why
//! A list of everybody may be a hundred thousand rows wide and long. As maps they take several times the memory of the text, so
//! whoever can use one row after the other gets them so.

use std::{collections::BTreeSet, io::Cursor};

use csv::{Reader, ReaderBuilder, StringRecord};
use serde_json::Value;

use super::driver::Table;
use crate::core::fault::{Fault, Reason};

pub(super) fn malformed(code: impl std::fmt::Display) -> Fault {
    Fault::permanent(Reason::Malformed).with_code(code)
}

/// Half a list is no list.
pub(super) fn incomplete(code: impl std::fmt::Display) -> Fault {
    Fault::permanent(Reason::Incomplete).with_code(code)
}

/// The character between two values.
pub(super) fn delimiter_byte(delimiter: &str) -> Result<u8, Fault> {
    match delimiter.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err(malformed("delimiter")),
    }
}

/// A table that is not taken apart yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    text: String,
    table: Table,
    counted: Option<usize>,
}

impl Rows {
    /// The table in `text`, which must have so many rows if that is known.
    pub(super) fn new(text: String, table: Table, counted: Option<usize>) -> Self {
        Self { text, table, counted }
    }

    /// All rows, each a map by the names of its columns.
    ///
    /// # Errors
    /// When it is not a whole table.
    pub fn all(self) -> Result<Vec<Value>, Fault> {
        self.records()?.collect()
    }

    /// The rows one after the other. Until the last one came, it is not known that the table is whole.
    ///
    /// # Errors
    /// When it is not a table.
    pub fn records(self) -> Result<Records, Fault> {
        let Self { text, table, counted } = self;
        let mut start = 0;
        for _ in 0..table.skip {
            let line = text[start..].find('\n').ok_or_else(|| incomplete("no table"))?;
            start += line + 1;
        }
        let delimiter = delimiter_byte(&table.delimiter)?;
        if table.quotes {
            check_quotes(&text.as_bytes()[start..], delimiter)?;
        }
        let mut text = Cursor::new(text.into_bytes());
        text.set_position(u64::try_from(start).unwrap_or(u64::MAX));
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(table.quotes)
            .has_headers(false)
            .flexible(true)
            .from_reader(text);
        let mut records = Records {
            reader,
            record: StringRecord::new(),
            columns: 0,
            kept: vec![],
            delimiter,
            line_breaks: table.line_breaks,
            number: 0,
            rows: 0,
            counted,
            over: false,
        };
        let names: Vec<String> = if table.header {
            if !records.advance()? {
                return Err(incomplete("no header"));
            }
            records.record.iter().map(|name| name.trim().to_owned()).collect()
        } else {
            table.columns.clone()
        };
        check_names(&names, &table.columns)?;
        records.columns = names.len();
        // What nobody asked for is not kept: it is most of a wide list, and none of our business.
        let kept = |name: &String| table.columns.is_empty() || table.columns.contains(name);
        records.kept = names
            .into_iter()
            .enumerate()
            .filter(|(_, name)| kept(name))
            .collect();
        Ok(records)
    }
}

/// The rows of a table, one after the other. After a fault there are no more.
pub struct Records {
    reader: Reader<Cursor<Vec<u8>>>,
    record: StringRecord,
    /// How many columns there are, and which are kept.
    columns: usize,
    kept: Vec<(usize, String)>,
    delimiter: u8,
    line_breaks: bool,
    /// Which record of the table this is, the line of names included.
    number: usize,
    rows: usize,
    counted: Option<usize>,
    over: bool,
}

impl Records {
    /// Reads one record more; false when there is none.
    fn advance(&mut self) -> Result<bool, Fault> {
        self.number += 1;
        let number = self.number;
        let read = self.reader.read_record(&mut self.record);
        if !read.map_err(|_| malformed(format_args!("row {number}")))? {
            return Ok(false);
        }
        if !self.line_breaks && self.record.iter().any(|value| value.contains(['\n', '\r'])) {
            return Err(malformed(format_args!("line break in row {number}")));
        }
        Ok(true)
    }

    fn row(&mut self) -> Result<Option<Value>, Fault> {
        if !self.advance()? {
            return match self.counted {
                Some(counted) if counted != self.rows => Err(incomplete("trailer counts other rows")),
                _ => Ok(None),
            };
        }
        let (record, number) = (&self.record, self.number);
        if record.len() != self.columns {
            return Err(malformed(format_args!("values in row {number}")));
        }
        if record
            .iter()
            .any(|value| swallowed(value, self.delimiter, self.columns))
        {
            return Err(malformed(format_args!("a row inside quotes in row {number}")));
        }
        self.rows += 1;
        let value = |at: usize| Value::String(record.get(at).unwrap_or_default().trim().to_owned());
        Ok(Some(
            self.kept
                .iter()
                .map(|(at, name)| (name.clone(), value(*at)))
                .collect(),
        ))
    }
}

impl Iterator for Records {
    type Item = Result<Value, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let row = self.row().transpose();
        self.over = !matches!(row, Some(Ok(_)));
        row
    }
}

/// Every quote that begins a value is closed, and one whose value has line breaks is closed at the end of it: a quote that was
/// forgotten would swallow rows up to the next one.
fn check_quotes(text: &[u8], delimiter: u8) -> Result<(), Fault> {
    let (mut at, mut row, mut start, mut empty) = (0, 1, true, true);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' if start => {
                let (end, breaks) = quoted(&text[at + 1..]);
                let after =
                    at + 1 + end.ok_or_else(|| malformed(format_args!("quote not closed in row {row}")))?;
                let next = text[after..]
                    .iter()
                    .find(|byte| !matches!(byte, b' ' | b'\t') || **byte == delimiter);
                let ends = next.is_none_or(|next| *next == delimiter || matches!(next, b'\r' | b'\n'));
                if breaks && !ends {
                    return Err(malformed(format_args!("quote not closed in row {row}")));
                }
                (at, start, empty) = (after, false, false);
                continue;
            }
            b'\r' | b'\n' => {
                row += usize::from(!empty);
                (start, empty) = (true, true);
            }
            byte => (start, empty) = (*byte == delimiter, false),
        }
        at += 1;
    }
    Ok(())
}

/// How long a quoted value is, its closing quote included, if it has one; and whether it has line breaks.
fn quoted(text: &[u8]) -> (Option<usize>, bool) {
    let (mut at, mut breaks) = (0, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' if text.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => return (Some(at + 1), breaks),
            b'\r' | b'\n' => breaks = true,
            _ => {}
        }
        at += 1;
    }
    (None, breaks)
}

/// Whether a value with line breaks has a line that is a row itself. In narrow tables ordinary text looks like one.
fn swallowed(value: &str, delimiter: u8, columns: usize) -> bool {
    const WIDE: usize = 6;
    let of_a_row = |line: &str| line.bytes().filter(|byte| *byte == delimiter).count() + 1 == columns;
    columns >= WIDE && value.lines().skip(1).any(of_a_row)
}

fn check_names(names: &[String], wanted: &[String]) -> Result<(), Fault> {
    let different: BTreeSet<&String> = names.iter().collect();
    if different.len() != names.len() {
        return Err(malformed("two columns of one name"));
    }
    match wanted.iter().find(|name| !different.contains(name)) {
        // The definition's own word, not the file's.
        Some(missing) => Err(malformed(format_args!("no column {missing}"))),
        None => Ok(()),
    }
}

/// Whether `text` is a table of the shape that the bits of `shape` choose; what holds whatever it is: no more rows than lines, no more
/// values than letters, and rows that are written as a table are read as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn takes(shape: u8, text: &str) -> bool {
    let flag = |bit: u8| shape >> bit & 1 == 1;
    let columns = ["id".to_owned(), "name".to_owned()];
    let table = Table {
        delimiter: if flag(0) { ";" } else { "\t" }.into(),
        header: flag(1),
        columns: if flag(2) || !flag(1) {
            columns.to_vec()
        } else {
            vec![]
        },
        skip: usize::from(flag(3)),
        quotes: flag(4),
        line_breaks: flag(5),
    };
    let Ok(rows) = Rows::new(text.to_owned(), table.clone(), None).all() else {
        return false;
    };
    assert!(rows.len() <= text.split(['\n', '\r']).count(), "{text:?}");
    let fields = |row: &Value| row.as_object().map_or(0, serde_json::Map::len);
    let values: usize = rows.iter().map(fields).sum();
    assert!(values <= text.len() + rows.len(), "{text:?}");
    if table.quotes && table.line_breaks && !table.columns.is_empty() {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(table.delimiter.as_bytes()[0])
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(vec![]);
        for row in std::iter::once(columns.to_vec()).chain(rows.iter().map(|row| {
            columns
                .iter()
                .map(|name| row[name].as_str().unwrap_or_default().to_owned())
                .collect()
        })) {
            writer.write_record(row).expect("memory takes everything");
        }
        let written = writer.into_inner().expect("memory takes everything");
        let again = Table {
            header: true,
            skip: 0,
            ..table
        };
        let again = Rows::new(
            String::from_utf8(written).expect("it was text"),
            again,
            Some(rows.len()),
        )
        .all();
        assert_eq!(again.as_ref(), Ok(&rows), "{text:?}");
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::garbled::{garbled, taken_of};

    fn table(columns: &[&str]) -> Table {
        Table {
            delimiter: ";".into(),
            header: true,
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            skip: 0,
            quotes: true,
            line_breaks: false,
        }
    }

    fn rows(text: &str, table: &Table) -> Result<Vec<Value>, Fault> {
        Rows::new(text.to_owned(), table.clone(), None).all()
    }

    #[test]
    fn a_table_becomes_maps_by_the_names_of_its_columns() {
        let text = "id;name\r\n1;\"Jane; \"\"JJ\"\"\"\r\n\r\n2; Ünal \r\n";
        let expected = [
            json!({ "id": "1", "name": "Jane; \"JJ\"" }),
            json!({ "id": "2", "name": "Ünal" }),
        ];
        assert_eq!(rows(text, &table(&[])).unwrap(), expected);
        assert_eq!(rows(text, &table(&["name", "id"])).unwrap(), expected);
        let named = rows(text, &table(&["id"])).unwrap();
        assert_eq!(
            named,
            [json!({ "id": "1" }), json!({ "id": "2" })],
            "nothing else is kept"
        );
        let plain = Table {
            header: false,
            quotes: false,
            skip: 2,
            ..table(&["id", "name"])
        };
        let text = "EXPORT 7\n----\n1;5\" pipe\n";
        assert_eq!(
            rows(text, &plain).unwrap(),
            [json!({ "id": "1", "name": "5\" pipe" })]
        );
    }

    #[test]
    fn what_could_hide_rows_is_refused() {
        for (text, code) in [
            ("id;name\n1;Jane;x\n", "values in row 2"),
            ("id;name\n1\n", "values in row 2"),
            ("id;name\n1;\"Jane\n2;Joe\"\n", "line break in row 2"),
            ("id;id\n1;2\n", "two columns of one name"),
            ("id;other\n1;2\n", "no column name"),
            ("", "no header"),
        ] {
            assert_eq!(rows(text, &table(&["name"])).unwrap_err().code, code, "{text:?}");
        }
        let broken = Table {
            line_breaks: true,
            ..table(&[])
        };
        for (text, row) in [
            ("id;name\n1;\"Jane\n2;Joe\n", 2),
            ("id;name\n1;\"Jane", 2),
            ("id;name\n1;\"Jane\n2;Joe\n3;\"Jim\"\n", 2),
            ("id;name\n1;\"Jane\n2;\"Joe\n", 2),
            ("id;name\n\n1;Jo\n2;\"Jane\n3;x\"y\"\n", 3),
            ("id;name\n1;\"J\nJ\"\n2;\"\"\"\n", 3),
        ] {
            let code = format!("quote not closed in row {row}");
            assert_eq!(rows(text, &broken).unwrap_err().code, code, "{text:?}");
        }
        let wide = "a;b;c;d;e;note\n1;2;3;4;5;\"x\n1;2;3;4;5;y\n1;2;3;4;5;z\"\n";
        assert_eq!(
            rows(
                wide,
                &Table {
                    columns: vec![],
                    ..broken.clone()
                }
            )
            .unwrap_err()
            .code,
            "a row inside quotes in row 2"
        );
        for text in [
            "id;name\r\n1;\"5\"\" pipe\r\nand; more\" \r\n",
            "id;name\n1;5\" pipe\n",
            "id;name\n1;\"Jane\" Doe\n",
            "id;name\n1;\"\"\n",
        ] {
            assert_eq!(rows(text, &broken).map(|rows| rows.len()), Ok(1), "{text:?}");
        }
        let closed = "id;name\n1;\"Jane\nJ.\"\n";
        assert_eq!(
            rows(closed, &broken).unwrap(),
            [json!({ "id": "1", "name": "Jane\nJ." })]
        );
    }

    #[test]
    fn an_empty_table_is_an_empty_list_and_says_so() {
        assert_eq!(rows("id;name\n", &table(&["id"])), Ok(vec![]));
    }

    #[test]
    fn rows_come_one_after_the_other_and_none_after_a_fault() {
        let table = table(&["id"]);
        let mut records = Rows::new("id;x\n1;a\n2\n3;c\n".into(), table.clone(), None)
            .records()
            .unwrap();
        assert_eq!(records.next(), Some(Ok(json!({ "id": "1" }))));
        assert_eq!(records.next(), Some(Err(malformed("values in row 3"))));
        assert_eq!(records.next(), None);
        let counted = |rows| Rows::new("id\n1\n2\n".into(), table.clone(), Some(rows)).all();
        assert_eq!(counted(2).map(|rows| rows.len()), Ok(2));
        assert_eq!(counted(1), Err(incomplete("trailer counts other rows")));
        assert_eq!(counted(3), Err(incomplete("trailer counts other rows")));
    }

    #[test]
    fn whatever_comes_is_a_table_or_none_and_has_no_more_rows_than_lines() {
        let good = [
            "id;name;mail\r\n1;\"Jane; \"\"JJ\"\"\";j@x\r\n2;Joe;\r\n",
            "EXPORT 7\nid\tname\n1\tJane\n2\t\"a\nb\"\n",
            "a;b;c;d;e;note\n1;2;3;4;5;\"x\ny\"\n",
        ];
        let words = [
            ";", "\"", "\"\"", "\n", "\r", "\r\n", "\t", "\u{feff}", "\0", "\";\"", "\"\n",
        ];
        let cases = (proptest::num::u8::ANY, garbled(&good, &words));
        let takes = |(shape, text): (u8, Vec<u8>)| takes(shape, &String::from_utf8_lossy(&text));
        let taken = taken_of(8_000, &cases, takes);
        assert!(taken > 400, "{taken}");
    }
}
