//! Texts: from the bytes of a file and back.

use csv::{Terminator, WriterBuilder};

use crate::{
    connectors::{
        delimited::{delimiter_byte, malformed},
        driver::{Content, Encoding},
    },
    core::fault::Fault,
};

/// What Windows' code page 1252 has in the place of ISO 8859-1's control characters 0x80 to 0x9f.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a file.
pub(super) fn decode(bytes: Vec<u8>, encoding: Encoding) -> Result<String, Fault> {
    match encoding {
        Encoding::Utf8 => {
            let mut text = String::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
            if text.starts_with('\u{feff}') {
                text.remove(0);
            }
            Ok(text)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connectors::{delimited::Rows, driver::Table};

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
            delimiter: ";".into(),
            header: true,
            columns: vec![],
            skip: 0,
            quotes: true,
            line_breaks: true,
        };
        assert_eq!(
            Rows::new(text, back, None).all().unwrap(),
            [json!({ "id": "1", "name": hostile })]
        );
    }
}
