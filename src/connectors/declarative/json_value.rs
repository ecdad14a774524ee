//! JSON data as values of CEL, converted one level at a time, where an expression looks.
//!
//! # Why
//! A list of tens of thousands of members is many times as large once each of them is a value of CEL, and most expressions
//! count it, look for one of them, or hand it on. The library knows its own lists and maps by `as_builtin`, and asks for them
//! only when it goes into one: so what is asked for there is made then, and kept for as long as the data is shown. What is
//! copied is shown anew. Whoever wants to know whether a value is JSON still asks by [`Question`], through `equals`, the only
//! method that takes another value: what borrows cannot be recognised by its type.

use std::{any::Any, collections::HashMap, sync::OnceLock};

use cel::{
    Value as Cel,
    common::{
        traits::{Adder, Container, Indexer, Iterable, Sizer, Zeroer},
        types::{
            CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional,
            CelString, CelUInt, DYN_TYPE, Kind, LIST_TYPE, MAP_TYPE, Type,
        },
        value::{Builtin, BuiltinRef, StaticVal, Val},
    },
};
use serde_json::{Map, Number, Value};

/// JSON data as a CEL value that borrows from it.
pub(super) fn borrowed<'v>(value: &'v Value) -> Box<dyn Val + 'v> {
    match value {
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(elements) => Box::new(JsonList {
            elements,
            converted: OnceLock::new(),
        }),
        Value::Object(fields) => Box::new(JsonMap {
            fields,
            converted: OnceLock::new(),
        }),
        Value::Number(number) => scalar(number),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Null => Box::new(CelNull),
    }
}

/// JSON data as a CEL value of its own.
pub(super) fn owned<'v>(value: Value) -> Box<dyn Val + 'v> {
    match value {
        Value::String(text) => Box::new(CelString::from(text)),
        Value::Array(list) => Box::new(CelList::from(list.into_iter().map(owned).collect::<Vec<_>>())),
        Value::Object(map) => {
            let map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = map
                .into_iter()
                .map(|(key, value)| (CelMapKey::from(key), owned(value)))
                .collect();
            Box::new(CelMap::from(map))
        }
        Value::Number(number) => scalar(&number),
        Value::Bool(b) => Box::new(CelBool::from(b)),
        Value::Null => Box::new(CelNull),
    }
}

fn scalar<'v>(number: &Number) -> Box<dyn Val + 'v> {
    if let Some(n) = number.as_i64() {
        Box::new(CelInt::from(n))
    } else if let Some(n) = number.as_u64() {
        Box::new(CelUInt::from(n))
    } else {
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

/// A list of JSON.
#[derive(Debug)]
struct JsonList<'v> {
    elements: &'v [Value],
    converted: OnceLock<CelList<'v>>,
}

/// An object of JSON.
#[derive(Debug)]
struct JsonMap<'v> {
    fields: &'v Map<String, Value>,
    converted: OnceLock<CelMap<'v>>,
}

impl<'v> JsonList<'v> {
    fn list(&self) -> &CelList<'v> {
        let convert = || CelList::from(self.elements.iter().map(borrowed).collect::<Vec<_>>());
        self.converted.get_or_init(convert)
    }
}

impl<'v> JsonMap<'v> {
    fn map(&self) -> &CelMap<'v> {
        self.converted.get_or_init(|| {
            let fields = self.fields.iter();
            let fields = fields.map(|(key, value)| (CelMapKey::from(key.as_str()), borrowed(value)));
            CelMap::from(fields.collect::<HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>>())
        })
    }
}

fn size(length: usize) -> CelInt {
    i64::try_from(length).unwrap_or(i64::MAX).into()
}

impl Val for JsonList<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        Some(self.list())
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self.list())
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self.list())
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        self.list();
        Some(Box::new(self.converted.into_inner()?))
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self.list())
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        match other.downcast_ref::<Question>() {
            Some(question) => question.put_to(Json::List(self.elements)),
            None => matches!(other.get_type().kind(), Kind::List) && self.list().equals(other),
        }
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Self {
            elements: self.elements,
            converted: OnceLock::new(),
        })
    }

    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::List(self.list())
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        self.list();
        self.converted.into_inner().map(Builtin::List)
    }
}

impl Sizer for JsonList<'_> {
    fn size(&self) -> CelInt {
        size(self.elements.len())
    }
}

impl Zeroer for JsonList<'_> {
    fn is_zero_value(&self) -> bool {
        self.elements.is_empty()
    }
}

impl Val for JsonMap<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self.map())
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self.map())
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        self.map();
        Some(Box::new(self.converted.into_inner()?))
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self.map())
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        match other.downcast_ref::<Question>() {
            Some(question) => question.put_to(Json::Map(self.fields)),
            None => matches!(other.get_type().kind(), Kind::Map) && self.map().equals(other),
        }
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Self {
            fields: self.fields,
            converted: OnceLock::new(),
        })
    }

    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::Map(self.map())
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        self.map();
        self.converted.into_inner().map(Builtin::Map)
    }
}

impl Sizer for JsonMap<'_> {
    fn size(&self) -> CelInt {
        size(self.fields.len())
    }
}

impl Zeroer for JsonMap<'_> {
    fn is_zero_value(&self) -> bool {
        self.fields.is_empty()
    }
}

/// A list or an object that is JSON still.
#[derive(Clone, Copy)]
enum Json<'j> {
    List(&'j [Value]),
    Map(&'j Map<String, Value>),
}

/// What is asked of a list or a map that may be JSON still. Nobody else answers.
#[derive(Debug)]
struct Question {
    asked: Asked,
    answer: OnceLock<Answer>,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Weight(Scale, u64),
    Copy,
}

#[derive(Debug)]
enum Answer {
    Weight(u64),
    Copy(Value),
}

impl Question {
    /// The answer of `value`; none where it is no JSON.
    fn of(asked: Asked, value: &dyn Val) -> Option<Answer> {
        let question = Self {
            asked,
            answer: OnceLock::new(),
        };
        value.equals(&question);
        question.answer.into_inner()
    }

    fn put_to(&self, json: Json<'_>) -> bool {
        let answer = match self.asked {
            Asked::Weight(scale, most) => Answer::Weight(scale.json(json, most)),
            Asked::Copy => Answer::Copy(match json {
                Json::List(elements) => Value::Array(elements.to_vec()),
                Json::Map(fields) => Value::Object(fields.clone()),
            }),
        };
        self.answer.set(answer).is_ok()
    }
}

impl Val for Question {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Self {
            asked: self.asked,
            answer: OnceLock::new(),
        })
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Question {}

/// What data weighs: each value and each key of a map `node`, and a text one for every `bytes` beside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub node: u64,
    pub bytes: u64,
    /// What is borrowed weighs nothing beside: JSON, which is shown anew instead of copied, and texts.
    pub lends: bool,
}

impl Scale {
    /// The weight of everything in `value`, down to its depth; what weighs more than `most` need not be gone through to its end.
    pub fn weigh(self, value: &dyn Val, most: u64) -> u64 {
        let mut open: Vec<&dyn Val> = vec![value];
        let mut found = 0;
        while let Some(value) = open.pop()
            && found <= most
        {
            // JSON that weighs more than nothing is not gone through.
            let json = if self.lends { 0 } else { most - found };
            if let Some(optional) = optional(value) {
                found += self.node;
                open.extend(optional.option());
            } else if !is_container(value) {
                found += self.node + self.text(value);
            } else if let Some(Answer::Weight(weight)) = Question::of(Asked::Weight(self, json), value) {
                found += weight;
            } else if let Some(list) = value.downcast_ref::<CelList>() {
                found += self.node;
                open.extend(list.inner().iter().map(AsRef::as_ref));
            } else if let Some(map) = value.downcast_ref::<CelMap>() {
                let keys = map.inner().keys().map(|key| match key {
                    CelMapKey::String(key) => self.node + self.text(key),
                    _ => self.node,
                });
                found += self.node + keys.sum::<u64>();
                open.extend(map.inner().values().map(AsRef::as_ref));
            }
        }
        found
    }

    fn text(self, value: &dyn Val) -> u64 {
        let lent = |text: &CelString<'_>| text.as_borrowed().is_some();
        if self.lends && value.downcast_ref::<CelString>().is_some_and(lent) {
            return 0;
        }
        length(value) / self.bytes
    }

    fn json(self, json: Json<'_>, most: u64) -> u64 {
        let mut open = vec![json];
        let mut found = self.node;
        while let Some(json) = open.pop()
            && found <= most
        {
            match json {
                Json::List(elements) => {
                    for element in elements {
                        found += self.one(element, &mut open);
                    }
                }
                Json::Map(fields) => {
                    for (key, field) in fields {
                        found += self.node + key.len() as u64 / self.bytes + self.one(field, &mut open);
                    }
                }
            }
        }
        found
    }

    /// A value without what is in it, which is put to what is to be gone through still.
    fn one<'j>(self, value: &'j Value, open: &mut Vec<Json<'j>>) -> u64 {
        match value {
            Value::Array(elements) => open.push(Json::List(elements)),
            Value::Object(fields) => open.push(Json::Map(fields)),
            Value::String(text) => return self.node + text.len() as u64 / self.bytes,
            _ => {}
        }
        self.node
    }
}

fn optional<'b, 'v>(value: &'b (dyn Val + 'v)) -> Option<&'b CelOptional<'v>> {
    match value.get_type().kind() {
        Kind::Opaque => value.downcast_ref(),
        _ => None,
    }
}

/// Whether it is a list or a map, whatever it is made of.
pub(super) fn is_container(value: &dyn Val) -> bool {
    matches!(value.get_type().kind(), Kind::List | Kind::Map)
}

/// How many bytes or elements there are; one of what has neither. Of an optional value those of what it holds.
pub(super) fn length(value: &dyn Val) -> u64 {
    if let Some(held) = optional(value).and_then(CelOptional::option) {
        return length(held);
    }
    if is_container(value) {
        let size = value.as_sizer().map(|sizer| *sizer.size().inner());
        return size.and_then(|size| u64::try_from(size).ok()).unwrap_or(1);
    }
    let length = if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        bytes.inner().len()
    } else {
        1
    };
    length as u64
}

/// A CEL value as JSON data; none for what is not data.
pub(super) fn to_json(value: &dyn Val) -> Option<Value> {
    if is_container(value) {
        if let Some(Answer::Copy(json)) = Question::of(Asked::Copy, value) {
            return Some(json);
        }
        if let Some(list) = value.downcast_ref::<CelList>() {
            let elements = list.inner().iter().map(|element| to_json(element.as_ref()));
            return elements.collect::<Option<_>>().map(Value::Array);
        }
        let map = value.downcast_ref::<CelMap>()?.inner();
        let fields = map
            .iter()
            .map(|(key, value)| Some((name(key), to_json(value.as_ref())?)));
        return fields.collect::<Option<_>>().map(Value::Object);
    }
    Some(match Cel::try_from(value).ok()? {
        Cel::Timestamp(time) => {
            Value::String(time.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        }
        Cel::Float(f) => Value::Number(Number::from_f64(f)?),
        Cel::Function(..) | Cel::Struct(_) => return None,
        other => other.json().ok()?,
    })
}

fn name(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::String(text) => text.inner().to_owned(),
        CelMapKey::Int(n) => n.inner().to_string(),
        CelMapKey::UInt(n) => n.inner().to_string(),
        CelMapKey::Bool(b) => b.inner().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    use serde_json::json;

    use super::*;

    const SCALE: Scale = Scale {
        node: 4,
        bytes: 4,
        lends: false,
    };

    fn random(random: &mut SmallRng, depth: usize) -> Value {
        let count = random.random_range(0..4);
        match random.random_range(0..if depth > 3 { 4 } else { 6 }) {
            0 => Value::Null,
            1 => json!(random.random::<bool>()),
            2 => [
                json!(f64::from(random.random::<i32>()) / 7.0),
                json!(1),
                json!(u64::MAX),
                json!(-3),
            ][count]
                .clone(),
            3 => json!(["", "a", "some text", "ä"][count]),
            4 => (0..count).map(|_| self::random(random, depth + 1)).collect(),
            _ => (0..count)
                .map(|n| (n.to_string(), self::random(random, depth + 1)))
                .collect(),
        }
    }

    #[test]
    fn data_is_the_same_whether_it_was_converted_or_not() {
        let mut source = SmallRng::seed_from_u64(7);
        for _ in 0..2_000 {
            let (json, other) = (random(&mut source, 0), random(&mut source, 0));
            let (shown, own) = (borrowed(&json), owned(json.clone()));
            let (most, too_much) = (u64::MAX, 6);
            assert_eq!(
                SCALE.weigh(shown.as_ref(), most),
                SCALE.weigh(own.as_ref(), most),
                "{json}"
            );
            assert_eq!(
                SCALE.weigh(shown.as_ref(), too_much) > too_much,
                SCALE.weigh(own.as_ref(), too_much) > too_much,
                "{json}"
            );
            assert_eq!(length(shown.as_ref()), length(own.as_ref()), "{json}");
            assert_eq!(to_json(shown.as_ref()).as_ref(), Some(&json));
            assert_eq!(to_json(own.as_ref()).as_ref(), Some(&json));
            let alike = owned(other.clone()).equals(own.as_ref());
            for one in [borrowed(&other), owned(other.clone())] {
                assert_eq!(one.equals(shown.as_ref()), alike, "{json} {other}");
                assert_eq!(shown.equals(one.as_ref()), alike, "{json} {other}");
            }
            assert!(shown.equals(own.as_ref()) && own.equals(shown.as_ref()) && shown.equals(shown.as_ref()));
        }
    }

    #[test]
    fn only_what_is_looked_into_is_converted_and_only_one_level_of_it() {
        let json = json!({ "members": [{ "value": "a" }, { "value": "b" }] });
        let map = JsonMap {
            fields: json.as_object().unwrap(),
            converted: OnceLock::new(),
        };
        assert_eq!(length(&map), 1);
        assert!(SCALE.weigh(&map, u64::MAX) > 4);
        assert_eq!(to_json(&map), Some(json.clone()));
        assert!(map.converted.get().is_none());
        let key = CelString::from("members");
        let members = map.as_indexer().unwrap().get(&key).unwrap();
        assert_eq!(length(members.as_ref()), 2);
        assert!(map.converted.get().is_some());
        let list = JsonList {
            elements: json["members"].as_array().unwrap(),
            converted: OnceLock::new(),
        };
        let copy = list.clone_as_boxed();
        assert_eq!(to_json(copy.as_ref()), Some(json["members"].clone()));
        assert!(list.converted.get().is_none());
    }
}
