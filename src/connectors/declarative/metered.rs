//! What an evaluation may cost: loops, texts and lists are charged for while they are made, and it ends when its budget is
//! spent.
//!
//! # Why
//! Expressions come from definitions, policies and sources, and the values from strangers. Two loops over a range, or a text
//! that is doubled forty times, would stop the process, and the library has no limit of its own. So the parsed expression is
//! rewritten before it is kept: whatever may be large goes through a function of ours on its way, which charges for it first.
//! The names of these functions begin with `@`, which nobody can write. The measure is that of Kubernetes' own cost model: a
//! step of a loop costs what is in it, a text what it has to be looked at for.

#![expect(clippy::needless_pass_by_value, reason = "the signature cel asks for")]

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use cel::{
    Env, ExecutionError, IdedExpr,
    common::{
        ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators},
        types::{CelBool, CelInt, CelNull, CelString, DYN_TYPE, Kind},
        value::{CowVal, Val},
    },
};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use super::{
    functions::refused,
    json_value::{Scale, length, to_json},
    references::qualified,
};

/// What one evaluation may cost. Some hundred milliseconds, and some ten megabytes, at the worst.
const BUDGET: u64 = 6_000_000;
/// What most evaluations cost: more than that is gone into where nobody waits for it.
const CHEAP: u64 = 20_000;
/// How long one may take, on a machine that is busy with other things too.
const TIME: Duration = Duration::from_secs(5);
/// The clock is looked at whenever so much was spent.
const LOOK_AT_CLOCK: u64 = 10_000;
/// An element of a new list.
const ELEMENT: u64 = 8;
/// A value that is copied into another one in all its depth, or becomes the result.
const COPYING: Scale = Scale { node: 4, bytes: 4 };
/// The same where it is only looked at.
const LOOKING: Scale = Scale {
    node: 1,
    bytes: LOOKED_AT,
};
/// A byte of text that a pattern is tried on: patterns may have some hundred states.
const TRIED: u64 = 8;
/// Bytes of text that are looked at for one unit.
const LOOKED_AT: u64 = 32;
/// Bytes of XML that are read for one unit.
const PARSED: u64 = 8;
/// The largest pattern, compiled, in bytes.
const PATTERN: usize = 64 << 10;
/// Compiled patterns that are kept by each thread.
const PATTERNS: usize = 16;
/// Compiling a pattern, for each byte of it.
const COMPILED: u64 = 1000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// When it has to end, and how much is left when the clock is looked at next.
    static ENDS: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
    static SPENT: Cell<bool> = const { Cell::new(false) };
    static KNOWN: Cell<HashMap<String, Regex>> = Cell::default();
    static RESULT: Cell<Option<Value>> = const { Cell::new(None) };
}

/// What a function charges for a value that goes to it.
#[derive(Debug, Clone, Copy)]
enum Charge {
    /// It is looked at: texts by their length, lists by their elements.
    Seen,
    /// It becomes part of a new text or list.
    Copied,
    /// It is copied in all its depth.
    Kept,
    /// It is looked at in all its depth.
    Whole,
    /// It is looked for something in: in all its depth, or in a map by its key.
    Within,
    /// Its elements are compared with each other.
    Square,
    /// A text that falls into pieces.
    Pieces,
    /// A document that is read.
    Document,
    /// The length of a new list.
    Count,
}

impl Charge {
    fn function(self) -> &'static str {
        match self {
            Self::Seen => "@seen",
            Self::Copied => "@copied",
            Self::Kept => "@kept",
            Self::Whole => "@whole",
            Self::Within => "@within",
            Self::Square => "@square",
            Self::Pieces => "@pieces",
            Self::Document => "@document",
            Self::Count => "@count",
        }
    }

    /// What a call of `function` is charged for; none: it costs the same whatever it gets.
    fn of(function: &str) -> Option<Self> {
        Some(match function {
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::CONDITIONAL
            | operators::INDEX
            | operators::OPT_INDEX
            | operators::OPT_SELECT
            | operators::NOT_STRICTLY_FALSE
            | operators::NEGATE
            | operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | "first"
            | "last"
            | "hasValue"
            | "value"
            | "orValue"
            | "or"
            | "dyn"
            | "type" => return None,
            operators::ADD
            | "lowerAscii"
            | "upperAscii"
            | "trim"
            | "substring"
            | "quoted"
            | "folded"
            | "strings.quote"
            | "base64.encode"
            | "base64.decode"
            | "reverse"
            | "slice"
            | "sort"
            | "@sortByAssociatedKeys"
            | "string"
            | "bytes"
            | "merged" => Self::Copied,
            operators::EQUALS | operators::NOT_EQUALS | "flatten" => Self::Whole,
            operators::IN => Self::Within,
            "distinct" => Self::Square,
            "split" | "splitUnquoted" => Self::Pieces,
            "xml" => Self::Document,
            "lists.range" => Self::Count,
            _ => Self::Seen,
        })
    }
}

/// What an evaluation may spend.
struct Bounds {
    budget: u64,
    /// None: so little that the clock need not be looked at.
    time: Option<Duration>,
}

/// Runs an evaluation within a budget and a time of its own; true beside its outcome: they were spent, and the outcome is none.
/// One that costs more than most is begun again, so it must do the same each time.
///
/// # Why
/// Nobody knows before what an evaluation costs, most cost next to nothing, and to hand one to another thread would cost
/// more than it does. So each is tried where it stands with little to spend. What does not get through with that is done
/// beside the runtime's own threads, so that health, leases and other leavers go on meanwhile; and one at a time, because each
/// may take some ten megabytes.
pub(super) fn within_bounds<T>(evaluation: impl Fn() -> T) -> (T, bool) {
    const QUICK: Bounds = Bounds {
        budget: CHEAP,
        time: None,
    };
    const WHOLE: Bounds = Bounds {
        budget: BUDGET,
        time: Some(TIME),
    };
    let (outcome, spent) = run(&QUICK, &evaluation);
    if !spent {
        return (outcome, false);
    }
    drop(outcome);
    beside_the_runtime(|| {
        static COSTLY: Mutex<()> = Mutex::new(());
        let _turn = COSTLY.lock().unwrap_or_else(PoisonError::into_inner);
        run(&WHOLE, &evaluation)
    })
}

/// Other tasks of the runtime that this thread works for are done by another one meanwhile.
fn beside_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // Nothing else goes on there that could be done by others.
        _ => work(),
    }
}

fn run<T>(bounds: &Bounds, evaluation: impl Fn() -> T) -> (T, bool) {
    RESULT.set(None);
    LEFT.set(bounds.budget);
    let looked_at = bounds.budget.saturating_sub(LOOK_AT_CLOCK);
    ENDS.set(bounds.time.map(|time| (Instant::now() + time, looked_at)));
    SPENT.set(false);
    let outcome = evaluation();
    (outcome, SPENT.get())
}

fn charge(units: u64) -> Result<(), ExecutionError> {
    let rest = LEFT.get().checked_sub(units);
    if let Some(rest) = rest.filter(|rest| in_time(*rest)) {
        LEFT.set(rest);
        return Ok(());
    }
    // Nothing is left for whoever catches the error either.
    LEFT.set(0);
    SPENT.set(true);
    Err(refused("@budget"))
}

/// Whether there is time still, when `rest` is left.
fn in_time(rest: u64) -> bool {
    match ENDS.get() {
        Some((end, look)) if rest < look => {
            ENDS.set(Some((end, rest.saturating_sub(LOOK_AT_CLOCK))));
            Instant::now() < end
        }
        _ => true,
    }
}

/// The expression with everything charged for that may be large.
pub(super) fn metered(mut tree: IdedExpr) -> IdedExpr {
    rewrite(&mut tree, &mut vec![]);
    wrap(&mut tree, "@result", vec![]);
    tree
}

/// `sums` are the variables in which the loops around it collect their results.
fn rewrite(tree: &mut IdedExpr, sums: &mut Vec<String>) {
    match &mut tree.expr {
        Expr::Call(call) => rewrite_call(call, sums),
        Expr::Comprehension(comprehension) => rewrite_loop(comprehension, sums),
        Expr::List(list) => list.elements.iter_mut().for_each(|part| rewrite_part(part, sums)),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                rewrite_part(&mut entry.key, sums);
                rewrite_part(&mut entry.value, sums);
            }
            EntryExpr::StructField(field) => rewrite_part(&mut field.value, sums),
        }),
        Expr::Struct(message) => message.entries.iter_mut().for_each(|entry| {
            if let EntryExpr::StructField(field) = &mut entry.expr {
                rewrite(&mut field.value, sums);
            }
        }),
        Expr::Select(select) => rewrite(&mut select.operand, sums),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// A part of a new list or map: what it is becomes part of that, however often it was written.
fn rewrite_part(part: &mut IdedExpr, sums: &mut Vec<String>) {
    // A list inside a list is taken over as it is, and its own parts have paid.
    let free = matches!(part.expr, Expr::Literal(_) | Expr::List(_) | Expr::Map(_));
    rewrite(part, sums);
    if !free {
        wrap(part, Charge::Kept.function(), vec![]);
    }
}

fn rewrite_call(call: &mut CallExpr, sums: &mut Vec<String>) {
    let parts = || call.target.as_deref().into_iter().chain(&call.args);
    // The library adds to the list that a loop makes in place, if it still knows it.
    let sum = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if sums.contains(name));
    let in_place = call.func_name == operators::ADD && call.args.first().is_some_and(sum);
    let comparison = matches!(call.func_name.as_str(), operators::EQUALS | operators::NOT_EQUALS);
    // With something small on one side no more than that is looked at.
    let free = in_place || comparison && parts().any(|part| matches!(part.expr, Expr::Literal(_)));
    let qualified = qualified(call);
    let charge = Charge::of(qualified.as_ref().unwrap_or(&call.func_name)).filter(|_| !free);
    let target = call.target.as_deref_mut().filter(|_| qualified.is_none());
    for part in target.into_iter().chain(&mut call.args) {
        rewrite(part, sums);
        if let Some(charge) = charge
            // A literal is no longer than the expression, but a number may count what is made.
            && (!matches!(part.expr, Expr::Literal(_)) || matches!(charge, Charge::Count))
        {
            wrap(part, charge.function(), vec![]);
        }
    }
    // These may make more out of little, and count before they do.
    let own = match call.func_name.as_str() {
        "replace" if call.args.len() == 2 => "@replace",
        "replace" => "@replaceFirst",
        "join" => "@join",
        "matches" => "@matches",
        _ => return,
    };
    own.clone_into(&mut call.func_name);
    let target = call.target.take();
    call.args.splice(0..0, target.map(|target| *target));
}

fn rewrite_loop(comprehension: &mut ComprehensionExpr, sums: &mut Vec<String>) {
    let makes_list = matches!(&comprehension.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    let inside = size(&comprehension.loop_step) + size(&comprehension.loop_cond);
    let each = inside + if makes_list { ELEMENT } else { 0 };
    rewrite(&mut comprehension.iter_range, sums);
    rewrite(&mut comprehension.accu_init, sums);
    let each = i64::try_from(each).unwrap_or(i64::MAX);
    let each = IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::Int(CelInt::from(each))),
    };
    wrap(&mut comprehension.iter_range, "@over", vec![each]);
    sums.push(comprehension.accu_var.clone());
    rewrite(&mut comprehension.loop_cond, sums);
    rewrite(&mut comprehension.loop_step, sums);
    rewrite(&mut comprehension.result, sums);
    sums.pop();
}

fn wrap(part: &mut IdedExpr, function: &str, more: Vec<IdedExpr>) {
    let mut args = vec![std::mem::take(part)];
    args.extend(more);
    part.id = args[0].id;
    part.expr = Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args,
    });
}

/// How deep the nodes lie in each other: a chain of calls lies as deep as brackets do.
pub(super) fn depth(tree: &IdedExpr) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| parts.map(depth).max().unwrap_or(0);
    let entries = |entries: &[IdedEntryExpr]| {
        let entry = |entry: &IdedEntryExpr| match &entry.expr {
            EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
            EntryExpr::StructField(field) => depth(&field.value),
        };
        entries.iter().map(entry).max().unwrap_or(0)
    };
    1 + match &tree.expr {
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::Comprehension(inner) => {
            let parts = [
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ];
            deepest(&mut parts.into_iter())
        }
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => entries(&map.entries),
        Expr::Struct(message) => entries(&message.entries),
        Expr::Select(select) => depth(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

/// How many nodes there are; the loops inside charge for themselves.
fn size(tree: &IdedExpr) -> u64 {
    let all = |parts: &[IdedExpr]| parts.iter().map(size).sum::<u64>();
    1 + match &tree.expr {
        Expr::Call(call) => call.target.as_deref().map_or(0, size) + all(&call.args),
        Expr::Comprehension(inner) => size(&inner.iter_range) + size(&inner.result),
        Expr::List(list) => all(&list.elements) + ELEMENT * list.elements.len() as u64,
        Expr::Map(map) => {
            let entry = |entry: &IdedEntryExpr| match &entry.expr {
                EntryExpr::MapEntry(entry) => ELEMENT + size(&entry.key) + size(&entry.value),
                EntryExpr::StructField(field) => ELEMENT + size(&field.value),
            };
            map.entries.iter().map(entry).sum()
        }
        Expr::Select(select) => size(&select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn is_text(value: &dyn Val) -> bool {
    matches!(value.get_type().kind(), Kind::String | Kind::Bytes)
}

/// Everything in the value, down to its depth, as far as it can be paid, where it is only looked at.
fn whole(value: &dyn Val) -> u64 {
    LOOKING.weigh(value, LEFT.get())
}

/// The same where it is copied.
fn kept(value: &dyn Val) -> u64 {
    COPYING.weigh(value, LEFT.get())
}

fn units(kind: Charge, value: &dyn Val) -> u64 {
    let length = length(value);
    match kind {
        Charge::Seen if is_text(value) => length / LOOKED_AT,
        Charge::Seen => length,
        Charge::Copied if is_text(value) => length,
        Charge::Pieces => length.saturating_mul(ELEMENT),
        // The library copies lists and maps in all their depth.
        Charge::Copied | Charge::Kept => kept(value),
        Charge::Within if matches!(value.get_type().kind(), Kind::Map) => 1,
        Charge::Whole | Charge::Within => whole(value),
        Charge::Square => length.saturating_mul(length),
        Charge::Document => length / PARSED,
        Charge::Count => value.downcast_ref::<CelInt>().map_or(0, |count| {
            u64::try_from(*count.inner()).unwrap_or(0).saturating_mul(ELEMENT)
        }),
    }
}

type Values<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// A function that charges for its argument and hands it on.
macro_rules! toll {
    ($name:ident, $charge:expr) => {
        fn $name<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
            let value = args.into_iter().next().ok_or_else(|| refused("@toll"))?;
            // First the call itself: whoever has nothing left does not even count.
            charge(1)?;
            charge(units($charge, value.as_ref()))?;
            Ok(value)
        }
    };
}

toll!(seen, Charge::Seen);
toll!(copied, Charge::Copied);
toll!(taken_whole, Charge::Whole);
toll!(taken_over, Charge::Kept);
toll!(within, Charge::Within);
toll!(square, Charge::Square);
toll!(pieces, Charge::Pieces);
toll!(document, Charge::Document);
toll!(count, Charge::Count);

/// The result, which is copied once, out of the evaluation: the library itself would make a value of its own of it before.
fn result<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let value = args.first().ok_or_else(|| refused("@result"))?;
    charge(1 + kept(value.as_ref()))?;
    RESULT.set(to_json(value.as_ref()));
    Ok(CowVal::owned(CelNull))
}

/// The result of the evaluation that has ended in this thread just now; none: it is not data.
pub(super) fn taken_result() -> Option<Value> {
    RESULT.take()
}

/// A loop: its steps are paid before the first one.
fn over<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let mut args = args.into_iter();
    let (Some(range), Some(each)) = (args.next(), args.next()) else {
        return Err(refused("@over"));
    };
    let each = each
        .as_ref()
        .downcast_ref::<CelInt>()
        .map_or(1, |each| *each.inner());
    let steps = length(range.as_ref());
    charge(1 + steps.saturating_mul(u64::try_from(each).unwrap_or(u64::MAX)))?;
    // Each step copies its element in all its depth.
    charge(whole(range.as_ref()))?;
    Ok(range)
}

fn text<'b>(args: &'b [CowVal<'_, '_>], at: usize) -> Result<&'b str, ExecutionError> {
    super::functions::text(args, at, "text")
}

fn replace<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (whole, from, to) = (text(&args, 0)?, text(&args, 1)?, text(&args, 2)?);
    charge(whole.len() as u64 / LOOKED_AT)?;
    let found = whole.matches(from).count() as u64;
    charge(whole.len() as u64 + found.saturating_mul(to.len() as u64))?;
    Ok(CowVal::owned(CelString::from(whole.replace(from, to))))
}

/// The first so many; all of them, if that is negative.
fn replace_first<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (whole, from, to) = (text(&args, 0)?, text(&args, 1)?, text(&args, 2)?);
    let times = args
        .get(3)
        .and_then(|times| times.as_ref().downcast_ref::<CelInt>());
    let times = *times.ok_or_else(|| refused("replace"))?.inner();
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    charge(whole.len() as u64 / LOOKED_AT)?;
    let found = whole.matches(from).take(times).count() as u64;
    charge(whole.len() as u64 + found.saturating_mul(to.len() as u64))?;
    Ok(CowVal::owned(CelString::from(whole.replacen(from, to, times))))
}

fn join<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let list = args.first().ok_or_else(|| refused("join"))?;
    let separator = if args.len() > 1 { text(&args, 1)? } else { "" };
    let mut items = list.as_iterable().ok_or_else(|| refused("join"))?.iter();
    let mut joined = String::new();
    let mut first = true;
    while let Some(item) = items.next() {
        let item = item
            .downcast_ref::<CelString>()
            .ok_or_else(|| refused("join"))?
            .inner();
        charge((item.len() + separator.len()) as u64)?;
        if !std::mem::take(&mut first) {
            joined.push_str(separator);
        }
        joined.push_str(item);
    }
    Ok(CowVal::owned(CelString::from(joined)))
}

fn matches<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let (text, pattern) = (text(&args, 0)?, text(&args, 1)?);
    charge((text.len() as u64).saturating_mul(TRIED))?;
    let mut known = KNOWN.take();
    let found = match known.get(pattern) {
        Some(compiled) => Ok(compiled.is_match(text)),
        None => compiled(pattern).map(|compiled| {
            let found = compiled.is_match(text);
            if known.len() >= PATTERNS {
                known.clear();
            }
            known.insert(pattern.to_owned(), compiled);
            found
        }),
    };
    KNOWN.set(known);
    Ok(CowVal::owned(CelBool::from(found?)))
}

fn compiled(pattern: &str) -> Result<Regex, ExecutionError> {
    charge((pattern.len() as u64).saturating_mul(COMPILED))?;
    let mut builder = RegexBuilder::new(pattern);
    let compiled = builder.size_limit(PATTERN).dfa_size_limit(PATTERN).build();
    compiled.map_err(|_| refused("matches"))
}

/// Adds the functions that an expression is rewritten with.
pub(super) fn add_to(env: &mut Env) -> Result<(), cel::DeclarationError> {
    let tolls: [(Charge, cel::common::functions::Function); 9] = [
        (Charge::Seen, seen),
        (Charge::Copied, copied),
        (Charge::Whole, taken_whole),
        (Charge::Kept, taken_over),
        (Charge::Within, within),
        (Charge::Square, square),
        (Charge::Pieces, pieces),
        (Charge::Document, document),
        (Charge::Count, count),
    ];
    for (charge, function) in tolls {
        let name = charge.function();
        env.add_overload(name, name, vec![DYN_TYPE], function)?;
    }
    let several: [(&str, usize, cel::common::functions::Function); 7] = [
        ("@result", 1, result),
        ("@over", 2, over),
        ("@replace", 3, replace),
        ("@replaceFirst", 4, replace_first),
        ("@join", 1, join),
        ("@join", 2, join),
        ("@matches", 2, matches),
    ];
    for (name, arguments, function) in several {
        let id = format!("{name}{arguments}");
        env.add_overload(name, &id, (0..arguments).map(|_| DYN_TYPE).collect(), function)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use serde_json::{Value, json};

    use super::{BUDGET, Bounds, TIME, beside_the_runtime, run};
    use crate::connectors::declarative::{
        Problems,
        expression::{Expression, Scope, TOO_COSTLY, Unevaluable},
    };

    fn compiled(text: &str) -> Expression {
        let mut problems = Problems::default();
        let expression = Expression::compile(text, "here", &["x"], &mut problems);
        assert_eq!(problems, Problems::default(), "{text}");
        expression.unwrap()
    }

    fn value(text: &str, x: &Value) -> Result<Value, Unevaluable> {
        compiled(text).evaluate(&Scope::new().with("x", x))
    }

    #[test]
    fn what_is_past_its_time_is_ended_whatever_it_would_have_cost() {
        let list = json!(vec![0; 2000]);
        let scope = Scope::new().with("x", &list);
        let within = |time, text: &str| {
            let bounds = Bounds {
                budget: BUDGET,
                time: Some(time),
            };
            let (outcome, spent) = run(&bounds, || compiled(text).attempt(&scope));
            (outcome.ok(), spent)
        };
        let costly = "x.exists(a, x[0] + a + a + a > 0)";
        assert_eq!(within(TIME, costly), (Some(json!(false)), false));
        let over = Duration::ZERO;
        assert_eq!(within(over, costly), (None, true));
        // Nor does it go on where the error is caught.
        assert!(within(over, &format!("{costly} || x.exists(a, a == 0)")).1);
        // The clock is looked at only once enough was spent.
        let (cheap, spent) = within(over, "size(x) + x[1]");
        assert_eq!((cheap, spent), (Some(json!(2000)), false));
    }

    #[test]
    fn what_costs_much_keeps_nobody_else_of_its_runtime_waiting() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (others, waits) = mpsc::channel();
        let costly = runtime.spawn(async move {
            tokio::spawn(async move { others.send(()) });
            beside_the_runtime(|| waits.recv_timeout(Duration::from_secs(60)))
        });
        assert_eq!(runtime.block_on(costly).unwrap(), Ok(()));
    }

    #[test]
    fn what_would_stop_the_process_is_too_costly() {
        let doubled = format!("['0123456789abcdef']{}", ".map(a, a + a)".repeat(27));
        let added = format!("['0123456789abcdef']{}", ".map(a, [a, a].join(a))".repeat(25));
        let nested = "[[1, 2, 3, 4, 5, 6, 7, 8]]".to_owned() + &".map(l, l + l)".repeat(25);
        let listed = format!("size([0]{})", ".map(a, [a, a, a])".repeat(20));
        let mapped = format!("size([0]{})", ".map(a, {'a': a, 'b': a})".repeat(20));
        let long = json!({ "text": "a".repeat(4 << 20), "list": vec![0; 400_000], "some": vec!["ab"; 3000],
            "deep": vec![vec![0; 4000]; 10] });
        for text in [
            "size(lists.range(1000000).map(a, lists.range(1000000).map(b, a * b)))",
            "lists.range(100000).exists(a, lists.range(100000).exists(b, a + b < 0))",
            "lists.range(900000)",
            &doubled,
            &added,
            &nested,
            "x.text.replace('', x.text)",
            "x.text.replace('a', x.text, 1000)",
            "x.list.map(n, 'a').join(x.text)",
            "x.text.split('')",
            "x.list.distinct()",
            "x.list.filter(a, x.list.exists(b, b == 1))",
            "x.list.exists(a, a in x.list && false)",
            "x.list.exists(a, x.list == [a])",
            "x.list.exists(a, x.text.contains('b'))",
            "x.some.map(s, x.text + s)",
            "x.list.exists(a, x.text.matches('b' + string(a)))",
            "x.text.matches('a[ab]{600}[c-e]')",
            &listed,
            &mapped,
            "lists.range(100).map(i, x.text)",
            "[x.text, x.text, x.text, x.text, x.text, x.text, x.text]",
            "x.list.map(i, x.some)",
            "lists.range(2000).exists(i, x.deep.exists(d, i < 0))",
            "lists.range(2000).exists(i, size(x.deep.reverse()) < 0)",
            // An error that somebody catches is one all the same.
            "lists.range(900000).size() == 1 || true",
        ] {
            let outcome = value(text, &long);
            assert_eq!(outcome.map_err(|error| error.why), Err(TOO_COSTLY), "{text}");
        }
    }

    #[test]
    fn a_pattern_that_is_too_large_is_refused_and_a_long_expression_needs_little_stack() {
        let refused = value("'a'.matches('((a{90}){90}){90}')", &Value::Null);
        assert_eq!(
            refused.map_err(|error| error.why),
            Err("a function refused its arguments")
        );
        let long = format!("[1]{}", ".map(a, a + 1)".repeat(26));
        let deep = format!("{}1{}", "[".repeat(24), "]".repeat(24));
        let evaluated = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || [value(&long, &Value::Null), value(&deep, &Value::Null)])
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(evaluated[0], Ok(json!([27])));
        assert!(evaluated[1].is_ok());
        let mut problems = Problems::default();
        let longer = format!("[1]{}", ".map(a, a + 1)".repeat(40));
        assert!(Expression::compile(&longer, "here", &[], &mut problems).is_none());
        assert!(problems.to_string().contains("more than 32 steps"), "{problems}");
    }

    #[test]
    fn what_large_directories_need_is_not() {
        let members: Vec<Value> = (0..800)
            .map(|n| json!({"value": format!("user-{n}"), "type": "User"}))
            .collect();
        let groups: Vec<Value> = (0..100).map(|n| json!({"id": n, "members": members})).collect();
        let by_name: Value = (0..5_000).map(|n| (format!("cn={n}"), json!(n))).collect();
        let x = json!({ "groups": groups, "names": vec!["cn=somebody,ou=people"; 20_000], "text": "a,b;".repeat(10_000), "by_name": by_name });
        for (text, expected) in [
            (
                "size(x.groups.filter(g, g.members.exists(m, m.value == 'user-799')))",
                json!(100),
            ),
            (
                "size(x.names.map(n, n.replace('cn=', '').split(',')[0]))",
                json!(20_000),
            ),
            ("size(x.names.filter(n, n.matches('^cn=some.*$')))", json!(20_000)),
            ("x.names.join(',').size()", json!(439_999)),
            ("size(x.text.split(';'))", json!(10_001)),
            (
                "size(x.groups.map(g, g.members.map(m, m.value)).flatten())",
                json!(80_000),
            ),
            (
                "'aXbXc'.replace('X', '-') + 'aXbX'.replace('X', '-', 1)",
                json!("a-b-ca-bX"),
            ),
            ("['a', 'b'].join('-') + ['a', 'b'].join()", json!("a-bab")),
            (
                "'x' in ['x'] && [1, [2]] == [1, [2]] && {'a': 1} != {'a': 2}",
                json!(true),
            ),
            ("base64.encode(b'a') + strings.quote('b')", json!("YQ==\"b\"")),
            ("[3, 1, 2].sortBy(n, -n)", json!([3, 2, 1])),
            ("size(x.names.filter(n, !(n in x.by_name)))", json!(20_000)),
        ] {
            assert_eq!(value(text, &x), Ok(expected), "{text}");
        }
    }
}
