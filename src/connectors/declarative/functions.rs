//! The functions that expressions may call beyond CEL's own: times as directories write them, XML, link headers,
//! quoting, counting. They are pure, and an argument that makes no sense is an error of the evaluation.

#![expect(clippy::needless_pass_by_value, reason = "the signature cel asks for")]

use std::sync::{Arc, LazyLock};

use cel::{
    Env, ExecutionError, Value as Cel,
    common::{
        types::{CelInt, CelString, INT_TYPE, MAP_TYPE, STRING_TYPE, TIMESTAMP_TYPE},
        value::CowVal,
    },
    extensions,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    expression::timestamp,
    json_value::{borrowed, owned, to_json},
    metered, paths, unquoted, xml,
};
use crate::core::{identity::folded, people::written};

/// 100 ns steps between 1601 and 1970, as in Windows' FILETIME.
const FILETIME_EPOCH: i64 = 116_444_736_000_000_000;

/// CEL with its extensions and our functions.
pub(super) fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib();
        let added = env
            .add_extension(extensions::strings)
            .and_then(|()| env.add_extension(extensions::math))
            .and_then(|()| env.add_extension(extensions::lists))
            .and_then(|()| env.add_extension(extensions::encoders))
            .and_then(|()| env.add_overload("filetime", "filetime_timestamp", vec![TIMESTAMP_TYPE], filetime))
            .and_then(|()| {
                env.add_overload("fromFiletime", "from_filetime_int", vec![INT_TYPE], from_filetime)
            })
            .and_then(|()| {
                env.add_overload(
                    "fromFiletime",
                    "from_filetime_text",
                    vec![STRING_TYPE],
                    from_filetime,
                )
            })
            .and_then(|()| {
                env.add_overload(
                    "generalizedTime",
                    "generalized_time",
                    vec![TIMESTAMP_TYPE],
                    generalized_time,
                )
            })
            .and_then(|()| env.add_overload("quoted", "quoted_text", vec![STRING_TYPE], quoted))
            .and_then(|()| env.add_overload("folded", "folded_text", vec![STRING_TYPE], fold))
            .and_then(|()| env.add_overload("link", "link_text_text", vec![STRING_TYPE, STRING_TYPE], link))
            .and_then(|()| env.add_overload("xml", "xml_text_text", vec![STRING_TYPE, STRING_TYPE], elements))
            .and_then(|()| {
                env.add_overload("counted", "counted_int_text", vec![INT_TYPE, STRING_TYPE], count)
            })
            .and_then(|()| {
                env.add_overload(
                    "splitUnquoted",
                    "split_unquoted_text_text",
                    vec![STRING_TYPE, STRING_TYPE],
                    split_unquoted,
                )
            })
            .and_then(|()| env.add_overload("day", "day_text_text", vec![STRING_TYPE, STRING_TYPE], day))
            .and_then(|()| env.add_overload("merged", "merged_map_map", vec![MAP_TYPE, MAP_TYPE], merged))
            .and_then(|()| paths::add_to(&mut env))
            .and_then(|()| metered::add_to(&mut env));
        added.expect("none of these names exists twice");
        Arc::new(env)
    });
    &ENVIRONMENT
}

pub(super) fn refused(function: &str) -> ExecutionError {
    ExecutionError::function_error(function, "refused")
}

pub(super) fn text<'b>(
    args: &'b [CowVal<'_, '_>],
    at: usize,
    function: &str,
) -> Result<&'b str, ExecutionError> {
    args.get(at)
        .and_then(|value| value.as_ref().downcast_ref::<CelString>())
        .map(CelString::inner)
        .ok_or_else(|| refused(function))
}

fn instant(args: &[CowVal<'_, '_>], function: &str) -> Result<Timestamp, ExecutionError> {
    let value = args.first().ok_or_else(|| refused(function))?;
    match Cel::try_from(value.as_ref())? {
        Cel::Timestamp(time) => {
            let nanoseconds = i32::try_from(time.timestamp_subsec_nanos()).map_err(|_| refused(function))?;
            Timestamp::new(time.timestamp(), nanoseconds).map_err(|_| refused(function))
        }
        _ => Err(refused(function)),
    }
}

fn filetime<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let since_1970 = instant(&args, "filetime")?.as_nanosecond() / 100;
    let steps = i64::try_from(since_1970 + i128::from(FILETIME_EPOCH)).map_err(|_| refused("filetime"))?;
    Ok(CowVal::owned(CelInt::from(steps)))
}

/// What lies beyond the last day of the calendar, such as the directory's "never", is that last day.
fn from_filetime<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.first().ok_or_else(|| refused("fromFiletime"))?;
    let steps = match Cel::try_from(value.as_ref())? {
        Cel::Int(steps) => steps,
        Cel::String(text) => text.parse::<i64>().map_err(|_| refused("fromFiletime"))?,
        _ => return Err(refused("fromFiletime")),
    };
    let since_1970 = i128::from(steps) - i128::from(FILETIME_EPOCH);
    let last = Timestamp::MAX;
    let found = Timestamp::from_nanosecond(since_1970.saturating_mul(100)).unwrap_or(last);
    Ok(CowVal::Owned(timestamp(found)))
}

fn generalized_time<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let written = instant(&args, "generalizedTime")?
        .strftime("%Y%m%d%H%M%SZ")
        .to_string();
    Ok(CowVal::owned(CelString::from(written)))
}

/// A number with what it counts, as a plan says it: `1 group`, `3 entries`.
pub fn counted(number: i64, one: &str) -> String {
    let vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    match one.strip_suffix('y').filter(|stem| !stem.ends_with(vowel)) {
        _ if number == 1 => format!("1 {one}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {one}s"),
    }
}

fn count<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let number = args.first().ok_or_else(|| refused("counted"))?;
    let Cel::Int(number) = Cel::try_from(number.as_ref())? else {
        return Err(refused("counted"));
    };
    let said = counted(number, text(&args, 1, "counted")?);
    Ok(CowVal::owned(CelString::from(said)))
}

/// The day in a text that is written by a format of `strftime`, as `YYYY-MM-DD`; null for a word for none.
fn day<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (text, format) = (text(&args, 0, "day")?, text(&args, 1, "day")?);
    match written::day(text, format) {
        Ok(Some(day)) => Ok(CowVal::owned(CelString::from(day.to_string()))),
        Ok(None) => Ok(CowVal::Owned(owned(Value::Null))),
        Err(why) => Err(ExecutionError::function_error("day", why)),
    }
}

/// A name or address as such are compared.
fn fold<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let folded = folded(text(&args, 0, "folded")?);
    Ok(CowVal::owned(CelString::from(folded)))
}

fn quoted<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = text(&args, 0, "quoted")?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(CowVal::owned(CelString::from(quoted)))
}

/// The target of the first link with relation `rel` in an RFC 8288 `Link` header, or null.
fn link<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (header, wanted) = (text(&args, 0, "link")?, text(&args, 1, "link")?);
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else {
            break;
        };
        // The next link begins behind a comma: whatever is looked at here is behind us afterwards.
        let begins = |(at, _): &(usize, &str)| after[at + 1..].trim_start().starts_with('<');
        let end = after.match_indices(',').find(begins);
        let (parameters, next) = after.split_at(end.map_or(after.len(), |(at, _)| at));
        let related = parameters
            .split(';')
            .filter_map(|p| p.trim().split_once('='))
            .any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split_whitespace()
                        .any(|rel| rel.eq_ignore_ascii_case(wanted))
            });
        if related {
            return Ok(CowVal::owned(CelString::from(target.to_owned())));
        }
        rest = next;
    }
    Ok(CowVal::Owned(owned(Value::Null)))
}

fn elements<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (document, path) = (text(&args, 0, "xml")?, text(&args, 1, "xml")?);
    let found = Value::Array(xml::elements(document, path).map_err(|_| refused("xml"))?);
    metered::charge_whole(borrowed(&found).as_ref())?;
    Ok(CowVal::Owned(owned(found)))
}

fn split_unquoted<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (whole, separator) = (text(&args, 0, "splitUnquoted")?, text(&args, 1, "splitUnquoted")?);
    // At each letter the separator is looked for.
    let looks = separator.len() as u64 / metered::LOOKED_AT;
    metered::charge((whole.len() as u64).saturating_mul(looks))?;
    Ok(CowVal::Owned(owned(Value::from(unquoted::split(
        whole, separator,
    )))))
}

/// The first map with the fields of the second in the place of its own; a field that is null there is left out.
fn merged<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let map = |at: usize| {
        let value = args.get(at).ok_or_else(|| refused("merged"))?;
        match to_json(value.as_ref()) {
            Some(Value::Object(map)) => Ok(map),
            _ => Err(refused("merged")),
        }
    };
    let mut all = map(0)?;
    for (key, value) in map(1)? {
        if value.is_null() {
            all.remove(&key);
        } else {
            all.insert(key, value);
        }
    }
    Ok(CowVal::Owned(owned(Value::Object(all))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        connectors::declarative::{
            Problems,
            expression::{Expression, Scope, Unevaluable},
        },
        core::people::written,
    };

    fn value(text: &str) -> Result<Value, Unevaluable> {
        let mut problems = Problems::default();
        let expression = Expression::compile(text, "here", &["x", "t"], &mut problems);
        assert_eq!(problems, Problems::default(), "{text}");
        let x = json!({ "list": [3, 1], "big": u64::MAX, "text": "a\"b\\" });
        let scope = Scope::new()
            .with("x", &x)
            .with_instant("t", "2026-11-23T18:30:00.5Z".parse().unwrap());
        expression.unwrap().evaluate(&scope)
    }

    #[test]
    fn times_are_written_as_directories_write_them() {
        assert_eq!(value("filetime(t)"), Ok(json!(134_399_322_005_000_000_i64)));
        assert_eq!(value("fromFiletime(filetime(t)) == t"), Ok(json!(true)));
        assert_eq!(value("fromFiletime('134399322005000000') == t"), Ok(json!(true)));
        assert_eq!(
            value("fromFiletime(9223372036854775807) > t"),
            Ok(json!(true)),
            "never"
        );
        assert_eq!(value("generalizedTime(t)"), Ok(json!("20261123183000Z")));
        assert_eq!(value("t"), Ok(json!("2026-11-23T18:30:00.500Z")));
        assert_eq!(value("t > timestamp('2026-01-01T00:00:00Z')"), Ok(json!(true)));
    }

    #[test]
    fn texts_are_quoted_and_links_and_elements_found() {
        assert_eq!(value("quoted(x.text)"), Ok(json!(r#""a\"b\\""#)));
        let links = "'<https://a/1?x=1,2>; rel=\"self\", <https://a/2>; rel=\"next\"'";
        assert_eq!(value(&format!("link({links}, 'next')")), Ok(json!("https://a/2")));
        assert_eq!(value(&format!("link({links}, 'last')")), Ok(Value::Null));
        let mixed = "'<https://a/1>;rel=first, <https://a/2>; rel=\"x next\",<https://a/3>;rel=last'";
        assert_eq!(value(&format!("link({mixed}, 'next')")), Ok(json!("https://a/2")));
        assert_eq!(value(&format!("link({mixed}, 'last')")), Ok(json!("https://a/3")));
        assert_eq!(value("xml('<a><b>c</b></a>', 'a/b')[0].text"), Ok(json!("c")));
    }

    #[test]
    fn many_links_are_gone_through_once() {
        let header = json!("<>, ".repeat(1_000_000) + "<https://a/2>; rel=next");
        let mut problems = Problems::default();
        let next = Expression::compile("link(x, 'next')", "here", &["x"], &mut problems).unwrap();
        // Once for each of them, it would not end in a day.
        let found = next.evaluate(&Scope::new().with("x", &header));
        assert_eq!(found, Ok(json!("https://a/2")));
    }

    #[test]
    fn the_extensions_are_there() {
        for (text, expected) in [
            ("'AbC'.lowerAscii()", json!("abc")),
            ("math.bitAnd(514, 2) != 0", json!(true)),
            ("x.list.sort()", json!([1, 3])),
            ("x.list.distinct().size()", json!(2)),
            ("base64.encode(b'a')", json!("YQ==")),
            ("x.list.exists(i, i == 3) && x.big > 1u", json!(true)),
            ("x[?'none'].orValue(null)", Value::Null),
            ("x.?none.orValue('d')", json!("d")),
            ("has(x.none) ? 1 : 2", json!(2)),
            ("x.list.map(i, {'id': i})", json!([{ "id": 3 }, { "id": 1 }])),
            ("x.text.matches('^a')", json!(true)),
            ("counted(size(x.list), 'group')", json!("2 groups")),
            ("counted(1, 'app password')", json!("1 app password")),
            ("counted(0, 'owned entry')", json!("0 owned entries")),
            ("counted(2, 'key')", json!("2 keys")),
            ("day('31.12.2026', '%d.%m.%Y')", json!("2026-12-31")),
            ("day(' ', '%d.%m.%Y')", Value::Null),
            ("day('00.00.0000', '%d.%m.%Y')", Value::Null),
            ("day('n/a', '%d.%m.%Y')", Value::Null),
            (
                "merged({'a': 1, 'b': [2], 'c': 3}, {'a': false, 'c': null, 'd': {'e': 4}})",
                json!({ "a": false, "b": [2], "d": { "e": 4 } }),
            ),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error_and_never_a_panic() {
        for text in [
            "x.none",
            "x.list[7]",
            "x.list[0.5]",
            "x.list[?0.5]",
            "x.list.map(n, x.list[n / 2.0])",
            "1 / (x.list[0] - 3)",
            "9223372036854775807 + x.list[0]",
            "xml('<a>', 'a')",
            "fromFiletime('soon')",
            "x.list == 1 || x.text",
            "int('a')",
            "timestamp('a')",
            "day('31.02.2026', '%d.%m.%Y')",
            "day('12/31/2026', '%d.%m.%Y')",
        ] {
            assert!(value(text).is_err(), "{text}");
        }
        for (text, why) in [
            ("day('31.02.2026', '%d.%m.%Y')", written::NOT_A_DATE),
            ("day('04.12.26', '%d.%m.%Y')", written::SHORT_YEAR),
            ("day('18/12/2026', '%m/%d/%Y')", written::OTHER_ORDER),
        ] {
            assert_eq!(value(text).unwrap_err().why, why, "{text}");
        }
    }
}
