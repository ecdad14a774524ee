//! What was there before our removals, as the record keeps it: as it is, compressed, or, beyond what one leaver may take, by its
//! digest alone.
//!
//! # Why
//! How much there is to take away is up to the system: thousands of keys, tens of thousands of tokens. What ends access must not
//! fail for want of room to write down what it took, nor may one leaver fill the store or the memory. So everything kept of one
//! leaver has one budget, [`MOST_KEPT`]. What does not fit is removed all the same, and a reinstatement says that it cannot be
//! given back.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt,
    io::{self, BufWriter, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{
    check::Check,
    digest::{digest_of_json, length_of_json, sha256_of},
    ledger::SystemLedger,
};

/// How much the snapshots of one leaver may take together, in bytes as they are stored: compressed, where they are.
pub const MOST_KEPT: usize = 4 * 1024 * 1024;

/// The longest text of one snapshot, in bytes of JSON. A longer one is not kept however well it can be compressed: giving it
/// back takes it into memory as a whole.
pub const LONGEST_TEXT: usize = 32 * 1024 * 1024;

/// So many bytes are compressed at a time.
const AT_ONCE: usize = 64 * 1024;

/// A snapshot of at most so many bytes of JSON is kept as it is, for people to read.
const PLAIN: usize = 16 * 1024;

/// A snapshot that is kept compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packed {
    /// Digest of `data`.
    digest: String,
    /// Length of its JSON text, in bytes.
    size: usize,
    /// How many elements it has; 1 of what is no list.
    count: usize,
    /// Its JSON text, compressed.
    #[serde(serialize_with = "written", deserialize_with = "read")]
    data: Arc<[u8]>,
}

/// What is known of something that was too large to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TooLarge {
    /// Digest of its JSON text.
    pub digest: String,
    /// Length of its JSON text, in bytes.
    pub size: usize,
    /// How many elements it has; 1 of what is no list.
    pub count: usize,
}

/// What there is to take away, as a look showed it.
#[derive(Debug, Clone, PartialEq)]
pub enum There {
    /// All of it; shared with what was read, where it is that.
    Whole(Arc<Value>),
    /// It is too much even to say what would be kept of it.
    TooLarge(TooLarge),
}

/// How much may be kept still of one leaver, in all systems together.
#[derive(Debug)]
pub struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(MOST_KEPT))
    }
}

impl Room {
    /// Room for so many bytes.
    #[cfg(test)]
    pub fn of(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// What is left of [`MOST_KEPT`] beside what `systems` keep.
    pub fn beside<'l>(systems: impl IntoIterator<Item = &'l SystemLedger>) -> Self {
        let used = systems.into_iter().map(SystemLedger::kept_size).sum();
        Self(AtomicUsize::new(MOST_KEPT.saturating_sub(used)))
    }

    /// Takes the place of `wanted` bytes, after giving back that of `before`; says whether there was so much.
    fn exchange(&self, before: usize, wanted: usize) -> bool {
        let left = |left: usize| (left + before).checked_sub(wanted);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }
}

impl Packed {
    /// `value`, whose JSON text is `size` bytes long, compressed; none when that is more than anything may take. The text is never
    /// there as a whole.
    fn new(value: &Value, size: usize) -> Option<Self> {
        let encoder = DeflateEncoder::new(Limited(vec![]), Compression::fast());
        let mut encoder = BufWriter::with_capacity(AT_ONCE, encoder);
        serde_json::to_writer(&mut encoder, value).ok()?;
        let data: Arc<[u8]> = encoder.into_inner().ok()?.finish().ok()?.0.into();
        Some(Self {
            digest: sha256_of(&data),
            size,
            count: count(value),
            data,
        })
    }

    /// Whether it is what was written.
    fn is_whole(&self) -> bool {
        self.digest == sha256_of(&self.data)
    }

    /// What was packed; none when it is not what was written.
    fn value(&self) -> Option<Value> {
        let text = unpack(&self.data, self.size.min(LONGEST_TEXT))?;
        serde_json::from_slice(&text).ok()
    }
}

/// Takes no more than may be kept.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_KEPT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TooLarge {
    /// What is known of all of `values`.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        let values: Vec<&Value> = values.into_iter().collect();
        let (digest, size) = digest_of_json(values.iter().copied());
        Self {
            digest,
            size,
            count: values.into_iter().map(count).sum(),
        }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A tenth of a MiB is as exact as anybody needs it.
        let tenths = (self.size * 10).div_ceil(1024 * 1024);
        write!(
            f,
            "too large to be kept: {}.{} MiB, only its digest is",
            tenths / 10,
            tenths % 10
        )
    }
}

type Grow = fn(&[Value], &[Value]) -> Option<Vec<Value>>;

/// What is kept and what is seen, together; none when nothing is new.
const GROWN: Check<Grow> = Check::new("grown snapshot", |kept, seen| {
    let known: HashSet<&Value> = kept.iter().collect();
    let added: Vec<&Value> = seen.iter().filter(|one| !known.contains(one)).collect();
    (!added.is_empty()).then(|| kept.iter().chain(added).cloned().collect())
});

impl SystemLedger {
    /// Adds what is `there` to the snapshot of `fact` as far as there is `room`, and says whether that changed anything.
    pub fn keep_there(&mut self, fact: &str, there: &There, room: &Room) -> bool {
        match there {
            There::Whole(seen) => self.keep(fact, seen, room),
            There::TooLarge(too_large) => self.mark_too_large(fact, too_large.clone()),
        }
    }

    /// Adds `seen` to the snapshot of `fact` as far as there is `room`, and says whether that changed anything.
    ///
    /// Arrays grow by the elements that were not in them, anything else is kept as first seen: after half of the
    /// groups are gone, a later look must not shrink what a reinstatement has to bring back.
    pub fn keep(&mut self, fact: &str, seen: &Value, room: &Room) -> bool {
        let Some(kept) = self.kept(fact) else {
            // What was too large once is gone from then on: a smaller rest is no snapshot of it.
            return if self.too_large.contains_key(fact) {
                self.mark_too_large(fact, TooLarge::new([seen]))
            } else {
                self.hold(fact, seen, room) || self.mark_too_large(fact, TooLarge::new([seen]))
            };
        };
        let (Value::Array(kept), Value::Array(seen)) = (kept.as_ref(), seen) else {
            return false;
        };
        let Some(grown) = GROWN.rule()(kept, seen) else {
            return false;
        };
        let added = Value::Array(grown.get(kept.len()..).unwrap_or_default().to_vec());
        self.hold(fact, &Value::Array(grown), room) || self.mark_too_large(fact, TooLarge::new([&added]))
    }

    /// What is kept of the snapshot of `fact`.
    pub fn kept(&self, fact: &str) -> Option<Cow<'_, Value>> {
        match self.snapshot.get(fact) {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => self.packed.get(fact)?.value().map(Cow::Owned),
        }
    }

    /// Whether something was there before our removal for `fact`, kept or not.
    pub fn had(&self, fact: &str) -> bool {
        self.snapshot.contains_key(fact)
            || self.packed.contains_key(fact)
            || self.too_large.contains_key(fact)
    }

    /// The facts of which something was there before our removal.
    pub fn facts_that_had(&self) -> impl Iterator<Item = &String> {
        let kept = self.snapshot.keys().chain(self.packed.keys());
        kept.chain(self.too_large.keys())
    }

    /// Drops what is kept of the snapshot of `fact`; the size of what was too large stays with `lost`, the fact that says that
    /// this one is undone.
    pub fn forget_kept(&mut self, fact: &str, lost: &str) {
        self.snapshot.remove(fact);
        self.packed.remove(fact);
        if let Some(too_large) = self.too_large.remove(fact) {
            self.too_large.insert(lost.to_owned(), too_large);
        }
    }

    /// The first fact whose snapshot is not what was written.
    pub fn first_altered(&self) -> Option<&String> {
        let altered = self.packed.iter().find(|(_, packed)| !packed.is_whole());
        altered.map(|(fact, _)| fact)
    }

    /// How much its snapshots take, in bytes as they are stored.
    fn kept_size(&self) -> usize {
        let plain = self.snapshot.values().map(|value| value.to_string().len());
        plain.sum::<usize>()
            + self
                .packed
                .values()
                .map(|packed| packed.data.len())
                .sum::<usize>()
    }

    /// Replaces the snapshot of `fact` by `value`, if there is room for it.
    fn hold(&mut self, fact: &str, value: &Value, room: &Room) -> bool {
        let size = length_of_json(value);
        if size > LONGEST_TEXT {
            return false;
        }
        let plain = self.snapshot.get(fact).map_or(0, |kept| kept.to_string().len());
        let before = plain + self.packed.get(fact).map_or(0, |packed| packed.data.len());
        if size <= PLAIN {
            if !room.exchange(before, size) {
                return false;
            }
            self.packed.remove(fact);
            self.snapshot.insert(fact.to_owned(), value.clone());
        } else {
            let Some(packed) = Packed::new(value, size) else {
                return false;
            };
            if !room.exchange(before, packed.data.len()) {
                return false;
            }
            self.snapshot.remove(fact);
            self.packed.insert(fact.to_owned(), packed);
        }
        true
    }

    /// Keeps the digest and the size of something alone, unless those of something larger are kept.
    fn mark_too_large(&mut self, fact: &str, too_large: TooLarge) -> bool {
        if self
            .too_large
            .get(fact)
            .is_some_and(|known| known.size >= too_large.size)
        {
            return false;
        }
        self.too_large.insert(fact.to_owned(), too_large);
        true
    }
}

/// `bytes`, compressed.
///
/// # Panics
/// Never: memory takes everything that is written to it.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a Vec takes everything")
}

/// What [`pack`] made `bytes` of; none if it was not that, or is longer than `longest`.
pub fn unpack(bytes: &[u8], longest: usize) -> Option<Vec<u8>> {
    let mut plain = vec![];
    let mut reader = DeflateDecoder::new(bytes).take(longest as u64 + 1);
    reader.read_to_end(&mut plain).ok()?;
    (plain.len() <= longest).then_some(plain)
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(1, Vec::len)
}

fn written<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}

fn read<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let data = STANDARD
        .decode(text)
        .map_err(|_| de::Error::custom("not Base64"))?;
    Ok(data.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::schedule;

    const FACT: &str = "KeysDeleted";

    /// `count` keys of `length` characters each that cannot be compressed much.
    fn keys(count: usize, length: usize) -> Value {
        let mut seed = 7;
        let mut key = || {
            let mut bytes = vec![];
            while bytes.len() < length {
                seed = schedule::mix(seed);
                bytes.extend(seed.to_be_bytes());
            }
            STANDARD.encode(&bytes[..length * 3 / 4])
        };
        Value::Array((0..count).map(|_| json!(key())).collect())
    }

    fn join(one: &Value, other: &Value) -> Value {
        let both = [one, other].map(|list| list.as_array().unwrap().clone());
        Value::Array(both.concat())
    }

    #[test]
    fn what_is_small_stays_readable_what_is_large_is_packed_and_what_is_larger_is_counted() {
        // What is seen, and where it goes: plain, packed, too large.
        let table = [
            (json!(["a", "b"]), (true, false, false)),
            (json!("x".repeat(PLAIN)), (false, true, false)),
            (keys(3_000, 1_000), (false, true, false)),
            (keys(30_000, 400), (false, false, true)),
            // It could be compressed to next to nothing.
            (json!("x".repeat(LONGEST_TEXT)), (false, false, true)),
        ];
        for (seen, expected) in table {
            let mut ledger = SystemLedger::default();
            assert!(ledger.keep(FACT, &seen, &Room::default()));
            let had = [
                ledger.snapshot.contains_key(FACT),
                ledger.packed.contains_key(FACT),
                ledger.too_large.contains_key(FACT),
            ];
            assert_eq!((had[0], had[1], had[2]), expected);
            assert!(ledger.had(FACT));
            let kept = ledger.kept(FACT);
            assert_eq!(kept.as_deref(), (!expected.2).then_some(&seen));
            assert!(ledger.kept_size() <= MOST_KEPT);
            let text = serde_json::to_string(&ledger).unwrap();
            let again: SystemLedger = serde_json::from_str(&text).unwrap();
            assert_eq!(again, ledger);
            // Seen again it is no news, and neither is what is left of it.
            assert!(!ledger.keep(FACT, &seen, &Room::default()));
        }
    }

    #[test]
    fn what_was_too_large_says_its_size() {
        let mut ledger = SystemLedger::default();
        ledger.keep(FACT, &keys(30_000, 400), &Room::default());
        let too_large = &ledger.too_large[FACT];
        assert_eq!(too_large.count, 30_000);
        assert_eq!(
            too_large.to_string(),
            "too large to be kept: 11.6 MiB, only its digest is"
        );
        let before = too_large.clone();
        assert!(!ledger.keep(FACT, &json!(["rest"]), &Room::default()));
        assert_eq!(ledger.too_large[FACT], before);
        assert_eq!(ledger.kept(FACT), None);
    }

    #[test]
    fn all_systems_of_a_leaver_share_one_budget() {
        let room = Room::default();
        let mut systems = [
            SystemLedger::default(),
            SystemLedger::default(),
            SystemLedger::default(),
        ];
        let seen = keys(3_500, 1_000);
        let kept: Vec<bool> = systems
            .iter_mut()
            .map(|ledger| ledger.keep(FACT, &seen, &room) && ledger.kept(FACT).is_some())
            .collect();
        assert_eq!(kept, [true, false, false]);
        // What is left is the same as when the record is read again, and small things fit.
        let again = Room::beside(&systems);
        assert_eq!(again.0.load(Ordering::Relaxed), room.0.load(Ordering::Relaxed));
        assert!(systems[2].keep("GroupsRemoved", &json!(["a"]), &again));
        assert!(systems[2].kept("GroupsRemoved").is_some());
    }

    #[test]
    fn a_list_that_grows_beyond_the_room_keeps_what_it_had() {
        let room = Room::default();
        let mut ledger = SystemLedger::default();
        let (first, second) = (keys(2_000, 1_000), keys(12_000, 500));
        assert!(ledger.keep(FACT, &first, &room));
        assert!(ledger.keep(FACT, &join(&first, &second), &room));
        assert_eq!(ledger.kept(FACT).as_deref(), Some(&first));
        assert_eq!(ledger.too_large[FACT].count, 12_000);
        assert!(!ledger.keep(FACT, &second, &room));
        assert_eq!(ledger.kept(FACT).as_deref(), Some(&first));
    }

    #[test]
    fn a_packed_list_grows_like_any_other() {
        let room = Room::default();
        let mut ledger = SystemLedger::default();
        let first = keys(2_000, 100);
        assert!(ledger.keep(FACT, &first, &room));
        assert!(ledger.keep(FACT, &json!(["new"]), &room));
        assert_eq!(ledger.kept(FACT).as_deref(), Some(&join(&first, &json!(["new"]))));
        assert_eq!(ledger.packed[FACT].count, 2_001);
        assert_eq!(
            MOST_KEPT - room.0.load(Ordering::Relaxed),
            ledger.kept_size(),
            "the place of what it was before is free again"
        );
    }

    #[test]
    fn what_somebody_changed_is_noticed_and_unpacks_to_no_more_than_it_was() {
        let mut ledger = SystemLedger::default();
        ledger.keep(FACT, &keys(2_000, 100), &Room::default());
        assert_eq!(ledger.first_altered(), None);
        let packed = ledger.packed.get_mut(FACT).unwrap();
        packed.data = pack(&vec![b' '; LONGEST_TEXT * 2]).into();
        assert_eq!(packed.value(), None);
        assert_eq!(ledger.first_altered().map(String::as_str), Some(FACT));
        assert_eq!(unpack(b"\xff\xff\xff", 10), None);
        assert_eq!(unpack(&pack(b"abc"), 2), None);
        assert_eq!(unpack(&pack(b"abc"), 3).as_deref(), Some(&b"abc"[..]));
    }

    #[test]
    fn what_is_forgotten_leaves_its_size_with_the_fact_that_it_cannot_be_given_back() {
        let mut ledger = SystemLedger::default();
        ledger.keep("A", &json!(["a"]), &Room::default());
        ledger.keep("B", &keys(30_000, 400), &Room::default());
        for fact in ["A", "B"] {
            ledger.forget_kept(fact, &format!("{fact}Undone"));
            assert!(!ledger.had(fact));
        }
        assert_eq!(ledger.facts_that_had().collect::<Vec<_>>(), ["BUndone"]);
    }
}
