//! Elements of an XML document by path, for SOAP answers.
//!
//! Names are local names: prefixes and namespaces are ignored. A document with a type declaration or an entity of its own
//! is refused, and so is one that is larger, deeper or fuller than a directory answer ever is.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value, json};

const LARGEST: usize = 8 << 20;
const DEEPEST: usize = 64;
/// Elements, and attributes of those that are kept.
const MOST: usize = 100_000;

/// The document is not well-formed, or beyond the limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

struct Open {
    name: String,
    matches: bool,
    wanted: bool,
    text: String,
    attributes: Map<String, Value>,
    children: Map<String, Value>,
}

/// All elements at `path`, such as `Envelope/Body/user` (`*` is any name), each with `name`, `text`, `attributes` and
/// `children` (lists of the same, by name).
pub(super) fn elements(document: &str, path: &str) -> Result<Vec<Value>, Refused> {
    if document.len() > LARGEST {
        return Err(Refused);
    }
    let path: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let mut reader = Reader::from_str(document);
    let mut open: Vec<Open> = vec![];
    let mut found = vec![];
    let mut count: usize = 0;
    loop {
        match reader.read_event().map_err(|_| Refused)? {
            Event::Start(start) => {
                count += 1;
                if open.len() >= DEEPEST || count > MOST {
                    return Err(Refused);
                }
                let element = begin(&start, &path, &open, &mut count)?;
                open.push(element);
            }
            Event::Empty(start) => {
                count += 1;
                if count > MOST {
                    return Err(Refused);
                }
                let element = begin(&start, &path, &open, &mut count)?;
                close(element, path.len(), &mut open, &mut found);
            }
            Event::End(_) => {
                let element = open.pop().ok_or(Refused)?;
                close(element, path.len(), &mut open, &mut found);
            }
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(entity) => {
                let c = match entity.resolve_char_ref().map_err(|_| Refused)? {
                    Some(c) => c,
                    None => predefined(&entity.xml10_content()).ok_or(Refused)?,
                };
                append(&mut open, c.encode_utf8(&mut [0; 4]));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if open.is_empty() && count > 0 => return Ok(found),
            // A type declaration brings entities of its own.
            Event::DocType(_) | Event::Eof => return Err(Refused),
        }
    }
}

/// An element that begins. Each of its attributes counts as one in `count`.
fn begin(start: &BytesStart<'_>, path: &[&str], open: &[Open], count: &mut usize) -> Result<Open, Refused> {
    let name = start.local_name().into_inner().to_owned();
    let step = path.get(open.len());
    let matches =
        open.last().is_none_or(|parent| parent.matches) && step.is_some_and(|s| *s == "*" || *s == name);
    let target = matches && open.len() + 1 == path.len();
    let wanted = target || open.last().is_some_and(|parent| parent.wanted);
    let mut attributes = Map::new();
    if wanted {
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Refused)?;
            *count += 1;
            if *count > MOST {
                return Err(Refused);
            }
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|_| Refused)?;
            let key = attribute.key.local_name().into_inner().to_owned();
            attributes.insert(key, Value::String(value.into_owned()));
        }
    }
    Ok(Open {
        name,
        matches,
        wanted,
        text: String::new(),
        attributes,
        children: Map::new(),
    })
}

fn close(element: Open, depth: usize, open: &mut [Open], found: &mut Vec<Value>) {
    if !element.wanted {
        return;
    }
    let value = json!({
        "name": element.name,
        "text": element.text.trim(),
        "attributes": element.attributes,
        "children": element.children,
    });
    if element.matches && open.len() + 1 == depth {
        found.push(value);
    } else if let Some(parent) = open.last_mut() {
        match parent.children.entry(element.name).or_insert_with(|| json!([])) {
            Value::Array(siblings) => siblings.push(value),
            other => *other = json!([value]),
        }
    }
}

fn append(open: &mut [Open], text: &str) {
    if let Some(element) = open.last_mut()
        && element.wanted
    {
        element.text.push_str(text);
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// Whether `document` is read; what holds whatever it is: never more values than it could have.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn takes(document: &str) -> bool {
    let read = ["*/*", "Envelope/Body/list/user", "a/b", ""].map(|path| {
        let Ok(found) = elements(document, path) else {
            return false;
        };
        let values: usize = found.iter().map(counted).sum();
        // An element is four letters at least, and makes four values and a list; an attribute makes one.
        assert!(values <= document.len() * 2, "{values}: {document}");
        true
    });
    read.contains(&true)
}

/// How many values there are in what was found.
#[cfg(any(test, feature = "fuzzing"))]
fn counted(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(counted).sum::<usize>(),
        Value::Object(fields) => fields.values().map(counted).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::garbled::{garbled, taken_of};

    #[test]
    fn elements_are_found_by_local_names_with_their_children() {
        let document = r#"<s:Envelope xmlns:s="x"><s:Body><list><user id="1"><mail>a&amp;b</mail></user>
            <user id="2"/></list></s:Body></s:Envelope>"#;
        let found = elements(document, "Envelope/Body/list/user").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0]["attributes"]["id"], "1");
        assert_eq!(found[0]["children"]["mail"][0]["text"], "a&b");
    }

    #[test]
    fn an_entity_of_its_own_or_a_cut_document_is_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#;
        assert_eq!(elements(bomb, "a"), Err(Refused));
        assert_eq!(elements("<a>&b;</a>", "a"), Err(Refused));
        assert_eq!(elements("<a><b>", "a"), Err(Refused));
        assert_eq!(elements(&"<a>".repeat(65), "a"), Err(Refused));
    }

    #[test]
    fn whatever_comes_is_read_or_refused_and_never_becomes_more_than_it_was() {
        let good = [
            r#"<s:Envelope xmlns:s="x"><s:Body><list><user id="1" n='a&#x41;'><mail>a&amp;b</mail></user><user id="2"/></list></s:Body></s:Envelope>"#,
            "<?xml version='1.0' encoding='UTF-8'?><!-- c --><a><b><![CDATA[<x>]]></b><b>&lt;&#38;</b></a>",
            r#"<a><b c="1" d="2">t<e/>u</b></a>"#,
        ];
        let words = [
            "<a>",
            "</a>",
            "<b/>",
            "<![CDATA[",
            "]]>",
            "<!DOCTYPE a [",
            "&a;",
            "&#0;",
            "&#x110000;",
            "<?a",
            "\"",
            "=''",
            "xmlns:",
        ];
        let takes = |text: Vec<u8>| takes(&String::from_utf8_lossy(&text));
        let taken = taken_of(5_000, &garbled(&good, &words), takes);
        assert!(taken > 500, "{taken}");
    }

    #[test]
    fn an_element_with_thousands_of_attributes_is_refused_at_once() {
        let attributes: String = (0..300_000).map(|n| format!(" a{n}=''")).collect();
        let document = format!("<a{attributes}/>");
        assert!(document.len() < LARGEST);
        assert_eq!(elements(&document, "a"), Err(Refused));
    }
}
