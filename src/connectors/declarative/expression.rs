//! CEL expressions of a definition: limited and checked when they are loaded, compiled once, evaluated without copies.
//!
//! It does not know what an expression is for: the names that may be used are told by the caller.
//!
//! # Why
//! The limits are checked on the text, before the parser sees it: a definition may come from a stranger. Errors of an
//! evaluation carry the place of the expression and never a value, because values are remote data (R19).

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cel::{
    Context, ExecutionError, IdedExpr, Value as Cel,
    common::{
        ast::Expr,
        types::{CelMap, CelMapKey, CelTimestamp},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    functions,
    json_value::{borrowed, owned},
    kinds::{Kind, kind_of},
    metered::{Spent, depth, metered, taken_result, within_bounds},
    problems::Problems,
    references::Uses,
    values::Names,
};
use crate::{
    core::{
        fault::{Fault, Reason},
        people::written,
    },
    transport::memory::TOO_MUCH_AT_ONCE,
};

/// The longest expression, in bytes.
pub const LONGEST: usize = 1024;
/// The deepest nesting of brackets and of conditionals.
pub const DEEPEST: usize = 24;
/// How many calls may come after each other, or lie in each other: an evaluation takes stack for each.
pub const STEPS: usize = 32;
/// How many loops may be inside each other.
pub const LOOPS: usize = 2;

/// Why an expression has no value that would have cost more than one may.
pub const TOO_COSTLY: &str =
    "too costly: it goes through too much, or makes too much of it; ask the system for less";

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    tree: IdedExpr,
    path: String,
    uses: Uses,
    kind: Kind,
    text: String,
    /// The name and the JSON pointer below it, where it is nothing but a place in one.
    place: Option<(String, String)>,
}

/// Why an expression or a template has no value: its place and a fixed phrase, never data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unevaluable {
    /// The field of the definition.
    pub path: String,
    /// What is the matter.
    pub why: &'static str,
}

impl fmt::Display for Unevaluable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl Unevaluable {
    /// The word for it, as the reason of a condition.
    pub fn reason(&self) -> Reason {
        match self.why {
            TOO_COSTLY => Reason::ExpressionTooCostly,
            TOO_MUCH_AT_ONCE => Reason::Incomplete,
            _ => Reason::Malformed,
        }
    }
}

impl From<Unevaluable> for Fault {
    fn from(error: Unevaluable) -> Self {
        if error.why == TOO_MUCH_AT_ONCE {
            return Self::transient(error.reason()).with_code(TOO_MUCH_AT_ONCE);
        }
        Self::permanent(error.reason()).with_code(error.path)
    }
}

impl Expression {
    /// Compiles `text`, the field at `path`, which may use `names`. What is wrong is added to `problems`.
    pub fn compile<'n>(
        text: &str,
        path: &str,
        names: impl Into<Names<'n>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let names = names.into();
        let mut tree = parse(text, path, problems)?;
        let values = match names.put_values_into(&mut tree) {
            Ok(values) => values,
            Err(complaints) => {
                for complaint in complaints {
                    problems.add(path, complaint);
                }
                return None;
            }
        };
        if depth(&tree) > STEPS {
            problems.add(
                path,
                format!("more than {STEPS} steps after each other; split it up"),
            );
            return None;
        }
        let mut uses = Uses::of(&tree);
        for complaint in uses.complaints(names.known) {
            problems.add(path, complaint);
        }
        uses.values = values;
        let (kind, complaints) = kind_of(&tree);
        for complaint in complaints {
            problems.add(path, complaint);
        }
        Some(Self {
            place: place(&tree),
            tree: metered(tree),
            path: path.to_owned(),
            uses,
            kind,
            text: text.to_owned(),
        })
    }

    /// What it refers to.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// What kind of value it has, as far as that is plain to see.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The field it stands in.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where in `name` its value lies, as a JSON pointer, if it is nothing but the value of a field there: what nobody needs any
    /// more afterwards can be taken out instead of copied.
    pub fn place_in(&self, name: &str) -> Option<String> {
        let (of, place) = self.place.as_ref()?;
        (of == name).then(|| place.clone())
    }

    /// Its value.
    ///
    /// # Errors
    /// A missing key, a wrong type, an overflow: whatever has no value; and what costs or takes too much.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, Unevaluable> {
        let (outcome, spent) = within_bounds(|| self.attempt(scope));
        match spent {
            None => outcome,
            Some(Spent::Cost) => Err(self.unevaluable(TOO_COSTLY)),
            Some(Spent::Time) => Err(self.unevaluable(TOO_MUCH_AT_ONCE)),
        }
    }

    /// Its value; or why it has none in the words of the evaluator, which may tell of the data: for whoever sees them anyway.
    pub(super) fn explained(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let error = match self.evaluate(scope) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let again = || {
            let mut context = Context::with_env(functions::environment().clone());
            context.set_variable_resolver(scope);
            Cel::resolve(&self.tree, &context)
                .err()
                .map(|error| error.to_string())
        };
        let (reason, _) = within_bounds(|| catch_unwind(AssertUnwindSafe(again)));
        Err(match reason {
            Ok(Some(reason)) => format!("{}: {reason}", error.why),
            _ => error.why.to_owned(),
        })
    }

    /// Its value, within the bounds that are set for this thread.
    pub(super) fn attempt(&self, scope: &Scope<'_>) -> Result<Value, Unevaluable> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut context = Context::with_env(functions::environment().clone());
            context.set_variable_resolver(scope);
            Cel::resolve(&self.tree, &context).map(|_| taken_result())
        }));
        match outcome {
            Ok(Ok(value)) => value.ok_or_else(|| self.unevaluable("the value is not data")),
            Ok(Err(error)) => Err(self.unevaluable(phrase(&error))),
            Err(_) => Err(self.unevaluable("cannot be evaluated")),
        }
    }

    /// Its value, which must be true or false.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and any other type.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, Unevaluable> {
        match self.evaluate(scope)? {
            Value::Bool(holds) => Ok(holds),
            _ => Err(self.unevaluable("neither true nor false")),
        }
    }

    /// Its value, which must be a list; null is an empty one.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and any other type.
    pub fn list(&self, scope: &Scope<'_>) -> Result<Vec<Value>, Unevaluable> {
        match self.evaluate(scope)? {
            Value::Array(list) => Ok(list),
            Value::Null => Ok(vec![]),
            _ => Err(self.unevaluable("not a list")),
        }
    }

    /// Its value as a text: a text, a number; null and an empty text are none.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and any other type.
    pub fn text_value(&self, scope: &Scope<'_>) -> Result<Option<String>, Unevaluable> {
        match self.evaluate(scope)? {
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text)),
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Null => Ok(None),
            _ => Err(self.unevaluable("not a text")),
        }
    }

    /// Its value as an instant: a timestamp, or whole seconds since 1970; null is none.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and any other type.
    pub fn instant(&self, scope: &Scope<'_>) -> Result<Option<Timestamp>, Unevaluable> {
        let instant = match self.evaluate(scope)? {
            Value::Null => return Ok(None),
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64().and_then(|n| Timestamp::from_second(n).ok()),
            _ => None,
        };
        instant
            .map(Some)
            .ok_or_else(|| self.unevaluable("not an instant"))
    }

    /// An error at this expression's place.
    pub fn unevaluable(&self, why: &'static str) -> Unevaluable {
        Unevaluable {
            path: self.path.clone(),
            why,
        }
    }
}

/// Parses `text`, the field at `path`. What is wrong is added to `problems`.
pub(super) fn parse(text: &str, path: &str, problems: &mut Problems) -> Option<IdedExpr> {
    if let Err(message) = within_limits(text) {
        problems.add(path, message);
        return None;
    }
    let parsed = catch_unwind(AssertUnwindSafe(|| functions::environment().compile(text)));
    match parsed {
        Ok(Ok(program)) => Some(program.expression().clone()),
        Ok(Err(errors)) => {
            let first = errors.errors.first().map(|e| e.msg.clone()).unwrap_or_default();
            let first: String = first.chars().filter(|c| !c.is_control()).take(160).collect();
            problems.add(path, format!("not an expression: {first}"));
            None
        }
        Err(_) => {
            problems.add(path, "not an expression that can be parsed");
            None
        }
    }
}

/// The name that `tree` takes a field of, and the JSON pointer of that field.
fn place(tree: &IdedExpr) -> Option<(String, String)> {
    match &tree.expr {
        Expr::Ident(name) => Some((name.clone(), String::new())),
        // What means something else in a pointer is looked up as it always was.
        Expr::Select(select) if !select.test && !select.field.contains(['/', '~']) => {
            let (name, mut place) = self::place(&select.operand)?;
            place.push('/');
            place.push_str(&select.field);
            Some((name, place))
        }
        _ => None,
    }
}

/// The limits that are checked before anything is parsed.
fn within_limits(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("empty; write an expression or leave the field out".into());
    }
    if text.len() > LONGEST {
        return Err(format!(
            "{} bytes long; at most {LONGEST} are allowed",
            text.len()
        ));
    }
    let (mut depth, mut conditionals, mut run) = (0_usize, 0_usize, 0_usize);
    for (_, c) in code(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => conditionals += 1,
            _ => {}
        }
        run = if matches!(c, '!' | '-') { run + 1 } else { 0 };
        if depth > DEEPEST || conditionals > DEEPEST || run > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}; split it up"));
        }
    }
    Ok(())
}

/// The characters of an expression that are neither in a string nor in a comment, with their places.
pub(super) fn code(text: &str) -> Vec<(usize, char)> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if matches!(c, '\'' | '"') {
            at += string(rest, is_raw(&text[..at]));
        } else {
            found.push((at, c));
            at += c.len_utf8();
        }
    }
    found
}

/// Whether the string that starts after `before` has the prefix of a raw one.
fn is_raw(before: &str) -> bool {
    let prefix: Vec<char> = before.chars().rev().take(2).collect();
    match prefix.as_slice() {
        ['r' | 'R', ..] => true,
        ['b' | 'B', second] => matches!(second, 'r' | 'R'),
        _ => false,
    }
}

/// How long the string at the start of `text` is, with its quotes.
fn string(text: &str, raw: bool) -> usize {
    let (one, three) = (&text[..1], text.get(..3).unwrap_or_default());
    let close = if three == one.repeat(3) { three } else { one };
    let mut at = close.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(close) {
            return at + close.len();
        }
        at += c.len_utf8();
        if c == '\\' && !raw {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

/// What went wrong, without any data.
fn phrase(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::NoSuchKey(_) => "a key is missing",
        ExecutionError::NoSuchOverload(_) | ExecutionError::UnexpectedType { .. } => {
            "a value has the wrong type"
        }
        ExecutionError::UndeclaredReference(_) => "a name is not known here",
        ExecutionError::IndexOutOfBounds(_) => "a list is too short",
        ExecutionError::Overflow(..) => "a number is too large",
        ExecutionError::FunctionError { message, .. } => written::FAULTS
            .into_iter()
            .find(|fault| message == fault)
            .unwrap_or("a function refused its arguments"),
        _ => "cannot be evaluated",
    }
}

/// Named values for an evaluation. They borrow from the data they show.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    variables: Vec<(&'a str, Box<dyn Val + 'a>)>,
}

impl<'a> Scope<'a> {
    /// Nothing but what is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything of `outer`, and what is added.
    pub fn inside(outer: &'a Scope<'a>) -> Self {
        Self {
            outer: Some(outer),
            variables: vec![],
        }
    }

    /// Adds JSON data.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &'a Value) -> Self {
        self.variables.push((name, borrowed(value)));
        self
    }

    /// Adds JSON data made for this evaluation.
    #[must_use]
    pub fn with_owned(mut self, name: &'a str, value: Value) -> Self {
        self.variables.push((name, owned(value)));
        self
    }

    /// Adds an instant.
    #[must_use]
    pub fn with_instant(mut self, name: &'a str, instant: Timestamp) -> Self {
        self.variables.push((name, timestamp(instant)));
        self
    }

    /// Adds a map whose values stay where they are.
    #[must_use]
    pub fn with_map(
        mut self,
        name: &'a str,
        entries: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Self {
        let map: HashMap<CelMapKey<'a>, Box<dyn Val + 'a>> = entries
            .into_iter()
            .map(|(key, value)| (CelMapKey::from(key), borrowed(value)))
            .collect();
        self.variables.push((name, Box::new(CelMap::from(map))));
        self
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        self.variables
            .iter()
            .rev()
            .find(|(name, _)| *name == variable)
            .map(|(_, value)| CowVal::Borrowed(value.as_ref()))
            .or_else(|| self.outer.and_then(|outer| outer.resolve(variable)))
    }
}

/// An instant as a CEL timestamp.
pub(super) fn timestamp<'v>(instant: Timestamp) -> Box<dyn Val + 'v> {
    let seconds = instant.as_second();
    let nanoseconds = u32::try_from(instant.subsec_nanosecond()).unwrap_or(0);
    let time = chrono::DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default();
    Box::new(CelTimestamp::from(time.fixed_offset()))
}
