//! Texts and tables: from the bytes of a file and back. Strict: what could hide or swallow rows is refused.

use std::collections::BTreeSet;

use csv::{ReaderBuilder, Terminator, WriterBuilder};
use serde_json::{Map, Value};

use crate::{
    connectors::driver::{Content, Encoding, Table},
    core::fault::{Fault, Reason},
};

/// What Windows' code page 1252 has in the place of ISO 8859-1's control characters 0x80 to 0x9f.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub(super) fn malformed(code: impl std::fmt::Display) -> Fault {
    Fault::permanent(Reason::Malformed).with_code(code)
}

/// The text of a file.
pub(super) fn decode(bytes: Vec<u8>, encoding: Encoding) -> Result<String, Fault> {
    match encoding {
        Encoding::Utf8 => {
            let text = String::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
            Ok(match text.strip_prefix('\u{feff}') {
                Some(rest) => rest.to_owned(),
                None => text,
            })
        }
        Encoding::Latin1 => Ok(bytes
            .into_iter()
            .map(|byte| match byte {
                0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
                _ => char::from(byte),
            })
            .collect()),
    }
}

/// The bytes of a text.
fn encode(text: String, encoding: Encoding) -> Result<Vec<u8>, Fault> {
    match encoding {
        Encoding::Utf8 => Ok(text.into_bytes()),
        Encoding::Latin1 => {
            let byte = |c: char| {
                let windows = WINDOWS.iter().zip(0x80_u8..).find(|(w, _)| **w == c);
                match (windows, u8::try_from(u32::from(c))) {
                    (Some((_, byte)), _) => Some(byte),
                    (None, Ok(byte)) if !(0x80..=0x9f).contains(&byte) => Some(byte),
                    _ => None,
                }
            };
            text.chars()
                .map(|c| byte(c).ok_or_else(|| malformed("letter not in Latin1")))
                .collect()
        }
    }
}

/// The bytes of a file to write.
pub(super) fn written(content: &Content, encoding: Encoding) -> Result<Vec<u8>, Fault> {
    let text = match content {
        Content::Text(text) => text.clone(),
        Content::Rows { delimiter, rows } => {
            // As RFC 4180 has it.
            let mut writer = WriterBuilder::new()
                .delimiter(delimiter_byte(delimiter)?)
                .terminator(Terminator::CRLF)
                .flexible(true)
                .from_writer(Vec::new());
            for row in rows {
                writer.write_record(row).map_err(|_| malformed("rows"))?;
            }
            let bytes = writer.into_inner().map_err(|_| malformed("rows"))?;
            String::from_utf8(bytes).map_err(|_| malformed("rows"))?
        }
    };
    encode(text, encoding)
}

fn delimiter_byte(delimiter: &str) -> Result<u8, Fault> {
    match delimiter.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err(malformed("delimiter")),
    }
}

/// The rows of a table, each a map by the names of its columns.
pub(super) fn rows(text: &str, table: &Table) -> Result<Vec<Value>, Fault> {
    let mut rest = text;
    for _ in 0..table.skip {
        rest = rest.split_once('\n').ok_or_else(|| incomplete("no table"))?.1;
    }
    let delimiter = delimiter_byte(&table.delimiter)?;
    if table.quotes {
        check_quotes(rest.as_bytes(), delimiter)?;
    }
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(table.quotes)
        .has_headers(false)
        .flexible(true)
        .from_reader(rest.as_bytes());
    let mut records = reader.records().zip(1_usize..).map(|(record, number)| {
        let record = record.map_err(|_| malformed(format_args!("row {number}")))?;
        if record.iter().any(|value| value.contains(['\n', '\r'])) && !table.line_breaks {
            return Err(malformed(format_args!("line break in row {number}")));
        }
        Ok((record, number))
    });
    let names = if table.header {
        let Some(header) = records.next() else {
            return Err(incomplete("no header"));
        };
        header?.0.iter().map(|name| name.trim().to_owned()).collect()
    } else {
        table.columns.clone()
    };
    check_names(&names, &table.columns)?;
    // What nobody asked for is not kept: it is most of a wide list, and none of our business.
    let kept = |name: &String| table.columns.is_empty() || table.columns.contains(name);
    let kept: Vec<(usize, &String)> = names.iter().enumerate().filter(|(_, name)| kept(name)).collect();
    let mut rows = vec![];
    for record in records {
        let (record, number) = record?;
        if record.len() != names.len() {
            return Err(malformed(format_args!("values in row {number}")));
        }
        if record
            .iter()
            .any(|value| swallowed(value, delimiter, names.len()))
        {
            return Err(malformed(format_args!("a row inside quotes in row {number}")));
        }
        let value = |at: usize| Value::String(record.get(at).unwrap_or_default().trim().to_owned());
        let row: Map<String, Value> = kept
            .iter()
            .map(|(at, name)| ((*name).clone(), value(*at)))
            .collect();
        rows.push(Value::Object(row));
    }
    Ok(rows)
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

/// Half a list is no list.
pub(super) fn incomplete(code: impl std::fmt::Display) -> Fault {
    Fault::permanent(Reason::Incomplete).with_code(code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn letters_are_read_as_they_were_written() {
        let latin = b"M\xfcller \x80 \x9eivko".to_vec();
        let text = decode(latin.clone(), Encoding::Latin1).unwrap();
        assert_eq!(text, "Müller € živko");
        assert_eq!(encode(text, Encoding::Latin1).unwrap(), latin);
        assert_eq!(decode(latin, Encoding::Utf8).unwrap_err().code, "not UTF-8");
        assert_eq!(decode(b"\xef\xbb\xbfa".to_vec(), Encoding::Utf8).unwrap(), "a");
        assert!(encode("Łukasz".into(), Encoding::Latin1).is_err());
    }

    #[test]
    fn a_value_cannot_become_a_second_row() {
        let hostile = "x;y\"\r\n99;REMOVE";
        let content = Content::Rows {
            delimiter: ";".into(),
            rows: vec![vec!["id".into(), "name".into()], vec!["1".into(), hostile.into()]],
        };
        let text = decode(written(&content, Encoding::Utf8).unwrap(), Encoding::Utf8).unwrap();
        let back = Table {
            line_breaks: true,
            ..table(&[])
        };
        assert_eq!(
            rows(&text, &back).unwrap(),
            [json!({ "id": "1", "name": hostile })]
        );
    }
}
