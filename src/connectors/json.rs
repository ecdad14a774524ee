//! JSON of strangers, counted before it is read.

use serde_json::Value;

/// Bytes that a value, or the name of one, takes at least, on the average: an answer with more of them is no answer of a system.
const BYTES_A_VALUE: usize = 24;
/// So many values are always read.
const VALUES: usize = 4096;
/// What a value costs while it is gone through, in bytes: as JSON, for expressions, and in what these make of it.
const COST: usize = 200;

/// How many values there are at the most in a text of JSON: whatever opens, and whatever follows a comma or a colon.
fn values(text: &[u8]) -> usize {
    let (mut found, mut inside, mut escaped) = (1, false, false);
    for byte in text {
        if inside {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => inside = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => inside = true,
            b',' | b':' | b'[' | b'{' => found += 1,
            _ => {}
        }
    }
    found
}

/// What reading `text` costs in bytes, where it may be `largest` bytes long; none: it has more values than any answer.
pub fn cost(text: &[u8], largest: usize) -> Option<usize> {
    let values = values(text);
    (values <= VALUES.max(largest / BYTES_A_VALUE)).then(|| text.len() + values * COST)
}

/// The value of `text`; none where it is no JSON.
pub fn read(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

/// The memory that a value takes, about, in bytes.
pub fn held(value: &Value) -> usize {
    size_of::<Value>() + inside(value)
}

fn inside(value: &Value) -> usize {
    /// The fields of an object lie in blocks, each of which has room for so many and takes so many bytes, however few there are.
    const BLOCK: (usize, usize) = (8, 640);
    /// What each piece of memory takes at least.
    const LEAST: usize = 16;
    match value {
        Value::String(text) => text.len().max(LEAST),
        Value::Array(elements) => elements.iter().map(held).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| name.len().max(LEAST) + inside(value);
            fields.len().div_ceil(BLOCK.0) * BLOCK.1 + fields.iter().map(field).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    use serde_json::json;

    use super::*;
    use crate::core::garbled::{Garbler, soon};

    const LARGEST: usize = 8 << 20;

    fn counted(value: &Value) -> usize {
        1 + match value {
            Value::Array(values) => values.iter().map(counted).sum::<usize>(),
            Value::Object(fields) => fields.values().map(|value| 1 + counted(value)).sum(),
            _ => 0,
        }
    }

    #[test]
    fn an_answer_of_nothing_but_small_values_is_refused_before_it_is_read() {
        let zeros = format!("[{}0]", "0,".repeat(LARGEST / 2 - 2));
        assert_eq!(cost(zeros.as_bytes(), LARGEST), None);
        let lists = format!("[{}[]]", "[],".repeat(LARGEST / 3 - 2));
        assert_eq!(cost(lists.as_bytes(), LARGEST), None);
        let member =
            r#"{"value":"3f2b8c1e-0d5a-4c7e-9a51-7be2c5d90a11","display":"Jane, \"the\" Doe","type":"User"}"#;
        let members = format!("[{}]", vec![member; 45_000].join(","));
        assert!(members.len() < LARGEST);
        assert!(cost(members.as_bytes(), LARGEST).is_some());
        assert!(cost(b"[0,0,0]", 16).is_some());
    }

    #[test]
    fn as_many_values_as_there_are_or_more_are_counted() {
        let mut random = SmallRng::seed_from_u64(10);
        for round in 0..5_000 {
            let value = made(&mut random, 0);
            let text = if round % 2 == 0 {
                value.to_string()
            } else {
                serde_json::to_string_pretty(&value).unwrap()
            };
            assert!(values(text.as_bytes()) >= counted(&value), "{text}");
        }
    }

    #[test]
    fn whatever_comes_is_counted_and_read_or_not() {
        let mut random = SmallRng::seed_from_u64(11);
        let good: Vec<String> = (0..50).map(|_| made(&mut random, 0).to_string()).collect();
        let words = [
            "[", "{", "]", "}", ",", ":", "\"", "\\u", "\\ud800", "1e999", "-", "null", "\0", "\\",
        ];
        let mut garbler = Garbler::new(3);
        let mut some = 0;
        for _ in 0..10_000 {
            let text = garbler.bytes(&good, &words);
            let (cost, value) = soon(&text, || (cost(&text, LARGEST), read(&text)));
            let Some(value) = value else { continue };
            some += 1;
            // Whatever is read was counted, and never as less than it is.
            assert!(cost.unwrap() >= text.len() + counted(&value) * COST, "{value}");
        }
        assert!(some > 500, "{some}");
        assert_eq!(read("[".repeat(100_000).as_bytes()), None);
    }

    fn made(random: &mut SmallRng, depth: usize) -> Value {
        match random.random_range(0..if depth > 3 { 4 } else { 6 }) {
            0 => Value::Null,
            1 => json!(random.random::<bool>()),
            2 => json!(random.random::<i32>()),
            3 => json!(["a,b", "c\"d:", "{[", "\\", ""][random.random_range(0..5)]),
            4 => (0..random.random_range(0..4))
                .map(|_| made(random, depth + 1))
                .collect(),
            _ => (0..random.random_range(0..4))
                .map(|n| (format!("k:,{n}"), made(random, depth + 1)))
                .collect(),
        }
    }
}
