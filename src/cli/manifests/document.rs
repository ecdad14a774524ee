//! The YAML documents of a file, each with the line it begins at, so that one that is broken hurts no other and can be found.

use std::cell::OnceCell;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use serde_saphyr::Spanned;

use crate::connectors::declarative::not_yaml;

/// One document of a file.
pub(super) struct Document<'t> {
    text: &'t str,
    /// How many lines come before it.
    before: u64,
    /// The places of everything in it, once somebody asked.
    places: OnceCell<Option<Spanned<Tree>>>,
}

/// What is wrong with a document, and in which line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub line: Option<u64>,
    pub text: String,
}

/// The documents of `text` that say anything. A line that begins with `---` ends a document wherever it stands, in a block of
/// text too: that is YAML's own rule, and so a broken document ends there as well.
pub(super) fn documents(text: &str) -> Vec<Document<'_>> {
    let (mut documents, mut begins, mut before) = (vec![], 0, 0);
    let (mut offset, mut line) = (0, 0);
    let text = text.trim_start_matches('\u{feff}');
    let mut end = |begins: usize, ends: usize, before: u64| {
        let document = Document {
            text: text.get(begins..ends).unwrap_or_default(),
            before,
            places: OnceCell::new(),
        };
        if !document.says_nothing() {
            documents.push(document);
        }
    };
    for full in text.split_inclusive('\n') {
        let marker = ["---", "..."].into_iter().find(|marker| {
            let rest = full.strip_prefix(marker);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        });
        if let Some(marker) = marker {
            end(begins, offset, before);
            // What follows a marker in its own line belongs to the document.
            (begins, before) = (offset + marker.len(), line);
        }
        offset += full.len();
        line += 1;
    }
    end(begins, text.len(), before);
    documents
}

impl Document<'_> {
    /// Whether there is nothing in it but comments and directives.
    fn says_nothing(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim_start();
            line.is_empty() || line.starts_with(['#', '%'])
        })
    }

    /// What it says.
    pub(super) fn value(&self) -> Result<Value, Flaw> {
        serde_saphyr::from_str(self.text).map_err(|error| Flaw {
            line: error.location().map(|at| at.line() + self.before),
            text: not_yaml(&error),
        })
    }

    /// The line of the file in which what is at `path` stands, and what is written there. What is not there stands where it would
    /// belong.
    pub(super) fn place(&self, path: &[Segment]) -> Option<(u64, &str)> {
        let places = self.places.get_or_init(|| serde_saphyr::from_str(self.text).ok());
        let mut at = places.as_ref()?;
        for segment in path {
            let next = match (segment, &at.value) {
                (Segment::Seq { index }, Tree::List(items)) => items.get(*index),
                (Segment::Map { key }, Tree::Map(entries)) => entries
                    .iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value),
                (Segment::Enum { .. }, _) => Some(at),
                _ => None,
            };
            let Some(next) = next else { break };
            at = next;
        }
        let (line, column) = (at.referenced.line(), at.referenced.column());
        let row = self
            .text
            .lines()
            .nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
        let from = row
            .char_indices()
            .nth(usize::try_from(column.checked_sub(1)?).ok()?);
        let rest = from.and_then(|(from, _)| row.get(from..)).unwrap_or_default();
        let scalar = rest
            .split([',', '}', ']', '#', ' ', '\t'])
            .next()
            .unwrap_or_default();
        Some((line + self.before, scalar))
    }

    /// The kind and the name that a document seems to have that cannot be read.
    pub(super) fn likely(&self) -> Option<(&str, &str)> {
        let kind = word_after(self.text, "kind")?;
        let about = self.text.split_once("metadata").map_or("", |(_, rest)| rest);
        Some((kind, word_after(about, "name").unwrap_or_default()))
    }
}

/// The path of an error as segments, below `prefix`.
pub(super) fn segments(prefix: &[Segment], path: &Path) -> Vec<Segment> {
    prefix.iter().chain(path.iter()).cloned().collect()
}

/// The word that follows `key:` for the first time.
fn word_after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(key)?;
        let begins = before
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '{' | ','));
        let value = after.trim_start_matches(['"', '\'']).strip_prefix(':');
        if let (true, Some(value)) = (begins, value) {
            let value = value.trim_start_matches([' ', '\t', '"', '\'']);
            let word = value.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}'));
            return word.into_iter().next().filter(|word| !word.is_empty());
        }
        rest = after;
    }
}

/// What a document says, with the place of everything in it.
enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Places)
    }
}

struct Places;

macro_rules! leaves {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Tree, E> { Ok(Tree::Leaf) })*
    };
}

impl<'de> Visitor<'de> for Places {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = vec![];
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

/// Whether every document of `text` is read; what holds whatever it is: what is wrong is told shortly, with a line that is there, and
/// what is read and written is read as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn takes(text: &str) -> bool {
    let lines = text.lines().count() as u64 + 1;
    let mut all = true;
    for document in documents(text) {
        document.likely();
        let place = document.place(&[]);
        assert!(place.is_none_or(|(line, _)| line <= lines), "{text:?}");
        match document.value() {
            Ok(value) => {
                let written = value.to_string();
                let again: Vec<_> = documents(&written).iter().map(Document::value).collect();
                assert_eq!(again, [Ok(value)], "{text:?}");
            }
            Err(flaw) => {
                assert!(flaw.text.len() < 1_000, "{text:?}");
                assert!(flaw.line.is_none_or(|line| line <= lines), "{text:?}");
                all = false;
            }
        }
    }
    all
}
