//! How what was taken is given back, as the record keeps it: opaque here, made and understood by the connector.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::digest_of;

/// So many digits tell the reads of one system apart.
const DIGITS: usize = 12;

/// How one fact is given back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayBack {
    /// What its definition says of it.
    pub fact: Value,
    /// What it says of the reads that this rests on, by name.
    pub reads: BTreeMap<String, Value>,
}

/// The ways back of one system, by fact. What several of them read is kept once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaysBack {
    facts: BTreeMap<String, Kept>,
    reads: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    fact: Value,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reads: BTreeMap<String, String>,
}

impl WaysBack {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Whether one is kept for `fact`.
    pub fn contains(&self, fact: &str) -> bool {
        self.facts.contains_key(fact)
    }

    /// The facts with a way back.
    pub fn facts(&self) -> impl Iterator<Item = &String> {
        self.facts.keys()
    }

    /// Keeps `way` for `fact`, unless there is one: what was taken first has the shape of its time.
    pub fn keep(&mut self, fact: &str, way: WayBack) {
        if self.contains(fact) {
            return;
        }
        let mut reads = BTreeMap::new();
        for (name, read) in way.reads {
            let mut digest = digest_of([read.to_string().as_str()]);
            digest.truncate(DIGITS);
            reads.insert(name, digest.clone());
            self.reads.insert(digest, read);
        }
        let fact_of = way.fact;
        self.facts.insert(fact.to_owned(), Kept { fact: fact_of, reads });
    }

    /// The way back of `fact`.
    pub fn get(&self, fact: &str) -> Option<WayBack> {
        let kept = self.facts.get(fact)?;
        let reads = kept.reads.iter();
        let reads = reads.map(|(name, digest)| Some((name.clone(), self.reads.get(digest)?.clone())));
        Some(WayBack {
            fact: kept.fact.clone(),
            reads: reads.collect::<Option<_>>()?,
        })
    }

    /// Drops that of `fact`.
    pub fn forget(&mut self, fact: &str) {
        self.facts.remove(fact);
        let used: Vec<&String> = self.facts.values().flat_map(|kept| kept.reads.values()).collect();
        self.reads.retain(|digest, _| used.contains(&digest));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_two_facts_read_is_kept_once_and_as_long_as_one_of_them() {
        let way = |fact: &str, user: &str| WayBack {
            fact: json!(fact),
            reads: BTreeMap::from([("user".to_owned(), json!({ "get": user }))]),
        };
        let mut kept = WaysBack::default();
        kept.keep("Blocked", way("b", "/users/1"));
        kept.keep("Left", way("l", "/users/1"));
        kept.keep("Moved", way("m", "/people/1"));
        kept.keep("Moved", way("later", "/people/2"));
        assert_eq!(kept.reads.len(), 2);
        assert_eq!(kept.get("Moved"), Some(way("m", "/people/1")));
        kept.forget("Blocked");
        assert_eq!(
            (kept.get("Blocked"), kept.get("Left")),
            (None, Some(way("l", "/users/1")))
        );
        kept.forget("Left");
        assert_eq!(kept.reads.len(), 1);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<WaysBack>(&text).unwrap(), kept);
    }
}
