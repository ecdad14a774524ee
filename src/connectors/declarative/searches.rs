//! Where a text stands in another one, found in one pass: the library's own functions begin anew at each letter.

#![expect(clippy::needless_pass_by_value, reason = "the signature cel asks for")]

use cel::{
    ExecutionError,
    common::{
        types::{CelInt, CelString},
        value::CowVal,
    },
};

use super::functions::refused;

type Values<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// A text, what is looked for in it, and from where on, in letters.
fn arguments<'b>(args: &'b [CowVal<'_, '_>]) -> Result<(&'b str, &'b str, Option<i64>), ExecutionError> {
    let text = |at: usize| {
        let text = args.get(at)?.as_ref().downcast_ref::<CelString>();
        text.map(CelString::inner)
    };
    let refused = || refused("indexOf");
    let offset = args.get(2).map(|offset| {
        let offset = offset.as_ref().downcast_ref::<CelInt>();
        offset.map(|offset| *offset.inner()).ok_or_else(refused)
    });
    let (whole, part) = text(0).zip(text(1)).ok_or_else(refused)?;
    Ok((whole, part, offset.transpose()?))
}

/// The byte at which the letter at `offset` begins. The letter behind the last one is none.
fn begin(text: &str, offset: i64) -> Result<usize, ExecutionError> {
    let letter = usize::try_from(offset).map_err(|_| refused("indexOf"))?;
    let found = text.char_indices().nth(letter);
    found.map(|(at, _)| at).ok_or_else(|| refused("indexOf"))
}

fn letters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn place<'b, 'v>(text: &str, at: Option<usize>) -> CowVal<'b, 'v> {
    CowVal::owned(CelInt::from(at.map_or(-1, |at| letters(&text[..at]))))
}

/// Nothing stands everywhere, behind the last letter too.
fn nothing<'b, 'v>(text: &str, offset: i64) -> Outcome<'b, 'v> {
    if offset < 0 {
        return Err(refused("indexOf"));
    }
    Ok(CowVal::owned(CelInt::from(offset.min(letters(text)))))
}

/// The place of the first one, at or after an offset; -1 if there is none.
pub(super) fn index_of<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (text, part, offset) = arguments(&args)?;
    if part.is_empty() {
        return nothing(text, offset.unwrap_or(0));
    }
    let from = offset.map_or(Ok(0), |offset| begin(text, offset))?;
    Ok(place(text, text[from..].find(part).map(|at| from + at)))
}

/// The place of the last one that begins at or before an offset; -1 if there is none.
pub(super) fn last_index_of<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (text, part, offset) = arguments(&args)?;
    if part.is_empty() {
        return nothing(text, offset.unwrap_or(i64::MAX));
    }
    let end = match offset {
        None => text.len(),
        Some(offset) => {
            let rest = &text[begin(text, offset)?..];
            let behind = rest.char_indices().nth(part.chars().count());
            text.len() - rest.len() + behind.map_or(rest.len(), |(at, _)| at)
        }
    };
    Ok(place(text, text[..end].rfind(part)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::connectors::declarative::{
        Problems,
        expression::{Expression, Scope},
    };

    #[test]
    fn places_are_those_of_the_library_and_two_long_texts_are_gone_through_once() {
        let x = json!({ "text": "a".repeat(300_000), "part": "a".repeat(150_000) + "b" });
        let value = |text: &str| {
            let mut problems = Problems::default();
            let expression = Expression::compile(text, "here", &["x"], &mut problems).expect(text);
            expression.evaluate(&Scope::new().with("x", &x)).ok()
        };
        for (text, expected) in [
            ("'hello mellow'.indexOf('')", Some(0)),
            ("'hello mellow'.indexOf('ello')", Some(1)),
            ("'hello mellow'.indexOf('jello')", Some(-1)),
            ("'hello mellow'.indexOf('', 2)", Some(2)),
            ("'ta©o©αT'.indexOf('©', 3)", Some(4)),
            ("'ta©o©αT'.indexOf('©α', 5)", Some(-1)),
            ("'hello mellow'.indexOf('ello', 20)", None),
            ("'abc'.indexOf('', 20)", Some(3)),
            ("'abc'.indexOf('', -1)", None),
            ("'hello mellow'.lastIndexOf('')", Some(12)),
            ("'hello mellow'.lastIndexOf('ello')", Some(7)),
            ("'hello mellow'.lastIndexOf('jello')", Some(-1)),
            ("''.lastIndexOf('@@')", Some(-1)),
            ("'hello mellow'.lastIndexOf('ello', 6)", Some(1)),
            ("'ta©o©αT'.lastIndexOf('©', 3)", Some(2)),
            ("'bananananana'.lastIndexOf('nana', 7)", Some(6)),
            ("'hello mellow'.lastIndexOf('ello', 20)", None),
            ("'tacocat'.lastIndexOf('a', -1)", None),
            ("'abc'.lastIndexOf('', 20)", Some(3)),
            ("'abc'.lastIndexOf('', 1)", Some(1)),
            ("x.text.indexOf(x.part)", Some(-1)),
            ("x.text.lastIndexOf(x.part)", Some(-1)),
        ] {
            assert_eq!(value(text), expected.map(Value::from), "{text}");
        }
    }
}
