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

/// Whether `text` is read; what holds whatever it is: nothing is counted as less than it is, and what is read and written is read as the
/// same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn takes(text: &[u8]) -> bool {
    const LARGEST: usize = 8 << 20;
    let Some(value) = read(text) else { return false };
    if let Some(cost) = cost(text, LARGEST) {
        assert!(cost >= text.len() + counted(&value) * COST, "{value}");
    }
    let written = value.to_string();
    assert!(values(written.as_bytes()) >= counted(&value), "{written}");
    assert_eq!(read(written.as_bytes()), Some(value));
    true
}

/// How many values and names there are.
#[cfg(any(test, feature = "fuzzing"))]
fn counted(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(counted).sum::<usize>(),
        Value::Object(fields) => fields.values().map(|value| 1 + counted(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::core::garbled::{garbled, taken_of};

    const LARGEST: usize = 8 << 20;

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

    /// Any value a few levels deep, with the characters in its texts that could be taken for others.
    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[,:{}\\[\\]\"\\\\ a]{0,8}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 4, move |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn every_value_is_counted_and_read_as_it_was_written() {
        let written = |value: Value| {
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            assert_eq!(read(&pretty).as_ref(), Some(&value));
            takes(&pretty) && takes(value.to_string().as_bytes())
        };
        assert_eq!(taken_of(3_000, &any_value(), written), 3_000);
    }

    #[test]
    fn whatever_comes_is_counted_and_read_or_not() {
        let good = [
            r#"{"a":[1,-2.5e3,{"b":"c,d:\"{["}],"e":null}"#,
            r#"[{"value":"7","display":"J\u00fcrgen","primary":true},[],{}]"#,
            r#""\ud83d\ude00""#,
        ];
        let words = [
            "[", "{", "]", "}", ",", ":", "\"", "\\u", "\\ud800", "1e999", "-", "null", "\0", "\\",
        ];
        let taken = taken_of(10_000, &garbled(&good, &words), |text| takes(&text));
        assert!(taken > 500, "{taken}");
        assert_eq!(read("[".repeat(100_000).as_bytes()), None);
    }
}
