//! Functions that find something inside data by a path, so that definitions need not test each step: an HR record has many
//! parts that may be missing.

#![expect(clippy::needless_pass_by_value, reason = "the signature cel asks for")]

use cel::{
    DeclarationError, Env, ExecutionError,
    common::{
        types::{CelList, CelMap, CelMapKey, CelString, DYN_TYPE, MAP_TYPE, STRING_TYPE},
        value::{CowVal, Val},
    },
};
use serde_json::Value;

use super::{
    json_value::{length, owned, to_json},
    metered::{charge, charge_copy, charge_whole},
};
use crate::core::people::written::{Kind, is_none};

/// Adds `at(data, path)`, `given(value)`, `xml(element, path)` and `xmlText(element, path)`.
pub(super) fn add_to(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload("given", "given_dyn", vec![DYN_TYPE], given)?;
    env.add_overload("at", "at_dyn_text", vec![DYN_TYPE, STRING_TYPE], at)?;
    env.add_overload("xml", "xml_map_text", vec![MAP_TYPE, STRING_TYPE], below)?;
    env.add_overload(
        "xmlText",
        "xml_text_map_text",
        vec![MAP_TYPE, STRING_TYPE],
        text_below,
    )
}

fn arguments<'b, 'v>(
    args: &'b [CowVal<'b, 'v>],
    function: &str,
) -> Result<(&'b (dyn Val + 'v), &'b str), ExecutionError> {
    let refused = || ExecutionError::function_error(function, "refused");
    match args {
        [data, path] => {
            let path = path.as_ref().downcast_ref::<CelString>().ok_or_else(refused)?;
            Ok((data.as_ref(), path.inner()))
        }
        _ => Err(refused()),
    }
}

/// A copy, which is charged for.
fn json(value: &dyn Val) -> Result<Value, ExecutionError> {
    charge_copy(value)?;
    to_json(value).ok_or_else(|| ExecutionError::function_error("at", "refused"))
}

fn is_own(value: &CowVal<'_, '_>) -> bool {
    matches!(value, CowVal::Owned(_))
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !step.is_empty())
}

/// What is at `path`, such as `emails/0/value`: keys of maps and places in lists. Null where there is nothing, and for an
/// empty path.
fn at<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (data, path) = arguments(&args, "at")?;
    let mut found = Some(data).filter(|_| steps(path).next().is_some());
    let own = args.first().is_some_and(is_own);
    for step in steps(path) {
        // One of its own is converted for each look into it.
        charge(1 + found.filter(|_| own).map_or(0, length))?;
        found = found.and_then(|data| match data.downcast_ref::<CelList>() {
            Some(list) => list.inner().get(step.parse::<usize>().ok()?).map(AsRef::as_ref),
            None => member(data, step),
        });
    }
    let value = found.map(json).transpose()?;
    Ok(CowVal::Owned(owned(value.unwrap_or(Value::Null))))
}

/// A value; null for a text that is a word for none.
fn given<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args
        .first()
        .ok_or_else(|| ExecutionError::function_error("given", "refused"))?;
    let value = match json(value.as_ref())? {
        Value::String(text) if is_none(&text, Kind::Text) => Value::Null,
        value => value,
    };
    Ok(CowVal::Owned(owned(value)))
}

/// All elements at `path` below an element, such as `Worker_Reference/ID[@type='WID']`.
fn below<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (element, path) = arguments(&args, "xml")?;
    let elements = descend(element, path, args.first().is_some_and(is_own))?;
    let values: Vec<Value> = elements.into_iter().map(json).collect::<Result<_, _>>()?;
    Ok(CowVal::Owned(owned(Value::Array(values))))
}

/// The text of the first element at `path` below an element, or null.
fn text_below<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (element, path) = arguments(&args, "xmlText")?;
    let elements = descend(element, path, args.first().is_some_and(is_own))?;
    let text = elements.first().and_then(|element| text(*element, "text"));
    charge(text.map_or(0, |text| text.len() as u64))?;
    let value = text.map_or(Value::Null, |text| Value::String(text.to_owned()));
    Ok(CowVal::Owned(owned(value)))
}

fn member<'b, 'v>(data: &'b (dyn Val + 'v), key: &str) -> Option<&'b (dyn Val + 'v)> {
    let map = data.downcast_ref::<CelMap>()?;
    map.inner()
        .get(&CelMapKey::from(key.to_owned()))
        .map(AsRef::as_ref)
}

fn text<'b>(data: &'b dyn Val, key: &str) -> Option<&'b str> {
    member(data, key)?
        .downcast_ref::<CelString>()
        .map(CelString::inner)
}

/// The elements at `path` below an element as [`super::xml`] gives them. One of its `own` is converted for that.
fn descend<'b, 'v>(
    element: &'b (dyn Val + 'v),
    path: &str,
    own: bool,
) -> Result<Vec<&'b (dyn Val + 'v)>, ExecutionError> {
    if own {
        charge_whole(element)?;
    }
    let mut found = vec![element];
    for step in steps(path) {
        let (name, wanted) = match step.split_once("[@") {
            Some((name, condition)) => (name, condition.trim_end_matches(']').split_once('=')),
            None => (step, None),
        };
        charge(1 + found.len() as u64)?;
        let children = found.into_iter().filter_map(|element| {
            let children = member(member(element, "children")?, name)?;
            children.downcast_ref::<CelList>()
        });
        let children: Vec<&CelList<'v>> = children.collect();
        charge(children.iter().map(|list| list.inner().len() as u64).sum())?;
        found = children
            .into_iter()
            .flat_map(|list| list.inner().iter().map(AsRef::as_ref))
            .filter(|child: &&(dyn Val + 'v)| {
                wanted.is_none_or(|(attribute, value)| {
                    let attributes = member(*child, "attributes");
                    attributes.and_then(|all| text(all, attribute)) == Some(value.trim_matches(['\'', '"']))
                })
            })
            .collect();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::connectors::declarative::{
        Problems,
        expression::{Expression, Scope},
    };

    fn value(text: &str) -> serde_json::Value {
        let mut problems = Problems::default();
        let expression = Expression::compile(text, "here", &["x", "doc"], &mut problems);
        assert_eq!(problems, Problems::default(), "{text}");
        let x = json!({ "a": [{ "b": 1 }], "urn:x:2.0:User": { "c": "d" }, "none": null });
        let doc = json!("<r><w><id type='A'>1</id><id type='B'>2</id><n/></w><w><id>3</id></w></r>");
        let scope = Scope::new().with("x", &x).with("doc", &doc);
        expression.unwrap().evaluate(&scope).unwrap()
    }

    #[test]
    fn a_path_finds_what_is_there_and_null_where_there_is_nothing() {
        for (text, expected) in [
            ("at(x, 'a/0/b')", json!(1)),
            ("at(x, 'urn:x:2.0:User/c')", json!("d")),
            ("at(x, 'a')", json!([{ "b": 1 }])),
            ("at(x, 'a/1/b')", json!(null)),
            ("at(x, 'a/b')", json!(null)),
            ("at(x, 'none/b')", json!(null)),
            ("at(x, 'a/0/b/c')", json!(null)),
            ("at(x, '')", json!(null)),
            ("given(at(x, 'none'))", json!(null)),
            ("given('n/a')", json!(null)),
            ("given('0000-00-00T00:00:00')", json!(null)),
            ("given(at(x, 'a/0/b'))", json!(1)),
            ("given('ada')", json!("ada")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn elements_are_found_below_elements_by_name_and_attribute() {
        for (text, expected) in [
            ("xmlText(xml(doc, 'r')[0], \"w/id[@type='B']\")", json!("2")),
            (
                "xml(xml(doc, 'r')[0], 'w/id').map(e, e.text)",
                json!(["1", "2", "3"]),
            ),
            ("xmlText(xml(doc, 'r')[0], 'w/none')", json!(null)),
            ("xmlText(xml(doc, 'r/w')[0], 'n')", json!("")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
