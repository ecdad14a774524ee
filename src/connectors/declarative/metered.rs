//! What an evaluation may cost: loops, texts and lists are charged for while they are made, and it ends when its budget is
//! spent.
//!
//! # Why
//! Expressions come from definitions, policies and sources, and the values from strangers. Two loops over a range, or a text
//! that is doubled forty times, would stop the process, and the library has no limit of its own. So the parsed expression is
//! rewritten before it is kept: whatever may be large goes through a function of ours on its way, which charges for it first.
//! The names of these functions begin with `@`, which nobody can write. The measure is that of Kubernetes' own cost model: a
//! step of a loop costs what is in it, a text what it has to be looked at for. What is done costs something whatever it is:
//! each step of a loop begins with a toll, at which the clock is looked at too.

#![expect(clippy::needless_pass_by_value, reason = "the signature cel asks for")]

use std::{
    cell::Cell,
    collections::HashMap,
    time::{Duration, Instant},
};

use cel::{
    Env, ExecutionError, IdedExpr,
    common::{
        ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators},
        types::{CelBool, CelDouble, CelInt, CelNull, CelString, DYN_TYPE, Kind},
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
    json_value::{Scale, is_container, length, to_json},
    references::qualified,
    searches,
    turns::Turns,
};

/// What one evaluation may cost. Some hundred milliseconds, and some ten megabytes, at the worst.
const BUDGET: u64 = 6_000_000;
/// What most evaluations cost: more than that is gone into where nobody waits for it.
const CHEAP: u64 = 20_000;
/// How long one may take, on a machine that is busy with other things too.
const TIME: Duration = Duration::from_secs(5);
/// How many that cost much go on at the same time.
const ABREAST: usize = 2;
/// How many more wait for their turn.
const WAITING: usize = 32;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// The clock is looked at whenever so much was spent.
const LOOK_AT_CLOCK: u64 = 10_000;
/// An element of a new list.
const ELEMENT: u64 = 8;
/// A value that is copied into another one in all its depth, or becomes the result.
const COPYING: Scale = Scale {
    node: 4,
    bytes: 4,
    lends: false,
};
/// The same where the library makes a value of its own of one that it borrowed.
const CLONING: Scale = Scale {
    lends: true,
    ..COPYING
};
/// The same where it is only looked at.
const LOOKING: Scale = Scale {
    node: 1,
    bytes: LOOKED_AT,
    lends: false,
};
/// The variable in which the library's loops collect their results; nobody can write it.
const SUM: &str = "@result";
/// A byte of text that a pattern is tried on: patterns may have some hundred states.
const TRIED: u64 = 8;
/// Bytes of text that are looked at for one unit.
pub(super) const LOOKED_AT: u64 = 32;
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
    static SPENT: Cell<Option<Spent>> = const { Cell::new(None) };
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
    /// A part of it is taken: one of its own is converted for that.
    Opened,
    /// It finds a part of a list or a map.
    Key,
    /// A number; anything else becomes part of an error.
    Number,
    /// It becomes a value of its own, if it is none yet.
    Lent,
    /// It has become a value of its own.
    Taken,
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
            Self::Opened => "@opened",
            Self::Key => "@key",
            Self::Number => "@number",
            Self::Lent => "@lent",
            Self::Taken => "@taken",
        }
    }

    /// What a call of `function` is charged for; none: it costs the same whatever it gets.
    fn of(function: &str) -> Option<Self> {
        Some(match function {
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::CONDITIONAL
            | operators::NOT_STRICTLY_FALSE
            | operators::NEGATE
            | "hasValue"
            | "value"
            | "orValue"
            | "or"
            | "dyn"
            | "type"
            // They are charged for by their parts.
            | operators::INDEX
            | operators::OPT_INDEX
            | operators::OPT_SELECT
            // They charge for what they find.
            | "at"
            | "given"
            | "xmlText" => return None,
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO => {
                Self::Number
            }
            "optional.of" | "optional.ofNonZeroValue" => Self::Lent,
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
            | "link"
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

/// What an evaluation was ended by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// It costs more than one may: so it would the next time.
    Cost,
    /// It had no turn, or no time: others do too much at once.
    Time,
}

/// What an evaluation may spend.
struct Bounds {
    budget: u64,
    /// None: so little that the clock need not be looked at.
    time: Option<Duration>,
}

/// Runs an evaluation within a budget and a time of its own; where they were spent, the outcome is none, and that is beside it.
/// One that costs more than most is begun again, so it must do the same each time.
///
/// # Why
/// Nobody knows before what an evaluation costs, most cost next to nothing, and to hand one to another thread would cost
/// more than it does. So each is tried where it stands with little to spend. What does not get through with that is done
/// beside the runtime's own threads, so that health, leases and other leavers go on meanwhile; and few at a time, because each
/// may take some ten megabytes. Whoever waits for its turn has a thread of its own too: so only some wait, and not for long.
/// That there was no turn says nothing about what it costs: it is tried again later.
pub(super) fn within_bounds<T>(evaluation: impl Fn() -> T) -> (T, Option<Spent>) {
    const QUICK: Bounds = Bounds {
        budget: CHEAP,
        time: None,
    };
    const WHOLE: Bounds = Bounds {
        budget: BUDGET,
        time: Some(TIME),
    };
    let (outcome, spent) = run(&QUICK, &evaluation);
    if spent.is_none() {
        return (outcome, None);
    }
    beside_the_runtime(|| {
        static COSTLY: Turns = Turns::new(ABREAST, WAITING);
        match COSTLY.take(PATIENCE) {
            Some(_turn) => {
                drop(outcome);
                run(&WHOLE, &evaluation)
            }
            None => (outcome, Some(Spent::Time)),
        }
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

fn run<T>(bounds: &Bounds, evaluation: impl Fn() -> T) -> (T, Option<Spent>) {
    RESULT.set(None);
    LEFT.set(bounds.budget);
    let looked_at = bounds.budget.saturating_sub(LOOK_AT_CLOCK);
    ENDS.set(bounds.time.map(|time| (Instant::now() + time, looked_at)));
    SPENT.set(None);
    let outcome = evaluation();
    (outcome, SPENT.get())
}

/// Takes so many units of what the evaluation in this thread has left.
pub(super) fn charge(units: u64) -> Result<(), ExecutionError> {
    match LEFT.get().checked_sub(units) {
        None => Err(end(Spent::Cost)),
        Some(rest) if !in_time(rest) => Err(end(Spent::Time)),
        Some(rest) => {
            LEFT.set(rest);
            Ok(())
        }
    }
}

/// The same for a value that is copied in all its depth.
pub(super) fn charge_copy(value: &dyn Val) -> Result<(), ExecutionError> {
    charge(1)?;
    charge(kept(value))
}

/// The same for a value that is gone through in all its depth.
pub(super) fn charge_whole(value: &dyn Val) -> Result<(), ExecutionError> {
    charge(1)?;
    charge(whole(value))
}

fn end(spent: Spent) -> ExecutionError {
    // Nothing is left for whoever catches the error either.
    LEFT.set(0);
    SPENT.set(SPENT.get().or(Some(spent)));
    refused("@budget")
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
    let mut rewriter = Rewriter {
        optionals: makes_optionals(&tree),
        sums: 0,
    };
    rewriter.rewrite(&mut tree);
    wrap(&mut tree, "@result", vec![]);
    tree
}

struct Rewriter {
    /// Somewhere there is an optional value: a part of one is a copy.
    optionals: bool,
    /// How many loops around collect their results in [`SUM`].
    sums: usize,
}

impl Rewriter {
    fn rewrite(&mut self, tree: &mut IdedExpr) {
        match &mut tree.expr {
            Expr::Call(call) => {
                let part = matches!(
                    call.func_name.as_str(),
                    operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT
                );
                if part {
                    self.rewrite_part_of(tree);
                } else {
                    self.rewrite_call(call);
                }
            }
            Expr::Comprehension(comprehension) => self.rewrite_loop(comprehension),
            Expr::List(list) => list.elements.iter_mut().for_each(|part| self.rewrite_part(part)),
            Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.rewrite_part(&mut entry.key);
                    self.rewrite_part(&mut entry.value);
                }
                EntryExpr::StructField(field) => self.rewrite_part(&mut field.value),
            }),
            Expr::Struct(message) => message.entries.iter_mut().for_each(|entry| {
                if let EntryExpr::StructField(field) = &mut entry.expr {
                    self.rewrite(&mut field.value);
                }
            }),
            Expr::Select(select) => {
                let named = is_place(&select.operand);
                let copied = self.optionals && !select.test;
                self.rewrite(&mut select.operand);
                if !named {
                    wrap(&mut select.operand, Charge::Opened.function(), vec![]);
                }
                if copied {
                    wrap(tree, Charge::Taken.function(), vec![]);
                }
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    /// A part of a new list or map: what it is becomes part of that, however often it was written.
    fn rewrite_part(&mut self, part: &mut IdedExpr) {
        // A list inside a list is taken over as it is, and its own parts have paid.
        let free = matches!(part.expr, Expr::Literal(_) | Expr::List(_) | Expr::Map(_));
        self.rewrite(part);
        if !free {
            wrap(part, Charge::Kept.function(), vec![]);
        }
    }

    /// A part that is taken of a list, a map or an optional value by its place or its key.
    fn rewrite_part_of(&mut self, tree: &mut IdedExpr) {
        let Expr::Call(call) = &mut tree.expr else {
            return;
        };
        let may_be_none = call.func_name != operators::INDEX;
        if let [whole, key, ..] = call.args.as_mut_slice() {
            let named = is_place(whole);
            self.rewrite(whole);
            if may_be_none || !named {
                wrap(whole, Charge::Opened.function(), vec![]);
            }
            let known = matches!(
                &key.expr,
                Expr::Literal(LiteralValue::Int(_) | LiteralValue::String(_) | LiteralValue::UInt(_))
            );
            self.rewrite(key);
            if !known {
                wrap(key, Charge::Key.function(), vec![]);
            }
        }
        if may_be_none || self.optionals {
            wrap(tree, Charge::Taken.function(), vec![]);
        }
    }

    fn rewrite_call(&mut self, call: &mut CallExpr) {
        let parts = || call.target.as_deref().into_iter().chain(&call.args);
        // The library adds to the list that a loop makes in place, if it still knows it.
        let in_place =
            self.sums > 0 && call.func_name == operators::ADD && call.args.first().is_some_and(is_sum);
        let comparison = matches!(call.func_name.as_str(), operators::EQUALS | operators::NOT_EQUALS);
        // With something small on one side no more than that is looked at.
        let free = in_place || comparison && parts().any(|part| matches!(part.expr, Expr::Literal(_)));
        let qualified = qualified(call);
        let charge = Charge::of(qualified.as_ref().unwrap_or(&call.func_name)).filter(|_| !free);
        let target = call.target.as_deref_mut().filter(|_| qualified.is_none());
        for part in target.into_iter().chain(&mut call.args) {
            self.rewrite(part);
            if let Some(charge) = charge
                // A literal is no longer than the expression, but a number may count what is made.
                && (!matches!(part.expr, Expr::Literal(_)) || matches!(charge, Charge::Count))
            {
                wrap(part, charge.function(), vec![]);
            }
        }
        // These may make more out of little, or take longer than they have to, and count before they do.
        let own = match call.func_name.as_str() {
            "replace" if call.args.len() == 2 => "@replace",
            "replace" => "@replaceFirst",
            "join" => "@join",
            "matches" => "@matches",
            "indexOf" => "@indexOf",
            "lastIndexOf" => "@lastIndexOf",
            _ => return,
        };
        own.clone_into(&mut call.func_name);
        let target = call.target.take();
        call.args.splice(0..0, target.map(|target| *target));
    }

    fn rewrite_loop(&mut self, comprehension: &mut ComprehensionExpr) {
        let makes_list =
            matches!(&comprehension.accu_init.expr, Expr::List(list) if list.elements.is_empty());
        let inside = size(&comprehension.loop_step) + size(&comprehension.loop_cond);
        let each = inside + if makes_list { ELEMENT } else { 0 };
        self.rewrite(&mut comprehension.iter_range);
        self.rewrite(&mut comprehension.accu_init);
        let each = i64::try_from(each).unwrap_or(i64::MAX);
        let each = IdedExpr {
            id: 0,
            expr: Expr::Literal(LiteralValue::Int(CelInt::from(each))),
        };
        wrap(&mut comprehension.iter_range, "@over", vec![each]);
        // What is no loop gives a name to a value, which becomes one of its own, and so does what is done with it.
        let names = comprehension.accu_var != SUM;
        self.sums += usize::from(!names);
        self.rewrite(&mut comprehension.loop_cond);
        self.rewrite(&mut comprehension.loop_step);
        self.rewrite(&mut comprehension.result);
        self.sums -= usize::from(!names);
        begin_step(&mut comprehension.loop_step);
        if names {
            wrap(&mut comprehension.accu_init, Charge::Lent.function(), vec![]);
            wrap(&mut comprehension.result, Charge::Lent.function(), vec![]);
        }
    }
}

fn is_sum(part: &IdedExpr) -> bool {
    matches!(&part.expr, Expr::Ident(name) if name == SUM)
}

/// Whether it is a variable or a field below one, which is borrowed.
fn is_place(tree: &IdedExpr) -> bool {
    match &tree.expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => is_place(&select.operand),
        _ => false,
    }
}

/// A step of a loop pays before it does anything. The library knows some steps by their shape, which stays as it is.
fn begin_step(step: &mut IdedExpr) {
    let Expr::Call(call) = &mut step.expr else {
        return pay_first(step);
    };
    match (call.func_name.as_str(), call.args.as_mut_slice()) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [sum, body]) if is_sum(sum) => pay_first(body),
        (operators::CONDITIONAL, [condition, _, _]) => pay_first(condition),
        (operators::ADD, [sum, new]) if is_sum(sum) => match &mut new.expr {
            Expr::List(list) => list.elements.iter_mut().take(1).for_each(pay_first),
            _ => pay_first(new),
        },
        _ => pay_first(step),
    }
}

fn pay_first(part: &mut IdedExpr) {
    let call = |func_name: &str, args| {
        Expr::Call(CallExpr {
            func_name: func_name.to_owned(),
            target: None,
            args,
        })
    };
    let node = |expr| IdedExpr { id: 0, expr };
    let none = node(Expr::Literal(LiteralValue::Boolean(false.into())));
    let args = vec![node(call("@step", vec![])), std::mem::take(part), none];
    part.id = args[1].id;
    part.expr = call(operators::CONDITIONAL, args);
}

/// Whether there may be an optional value anywhere in it.
fn makes_optionals(tree: &IdedExpr) -> bool {
    let entry = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::MapEntry(entry) => makes_optionals(&entry.key) || makes_optionals(&entry.value),
        EntryExpr::StructField(field) => makes_optionals(&field.value),
    };
    match &tree.expr {
        Expr::Call(call) => {
            matches!(
                call.func_name.as_str(),
                operators::OPT_INDEX | operators::OPT_SELECT
            ) || qualified(call).is_some_and(|name| name.starts_with("optional."))
                || call
                    .target
                    .as_deref()
                    .into_iter()
                    .chain(&call.args)
                    .any(makes_optionals)
        }
        Expr::Comprehension(inner) => [
            &inner.iter_range,
            &inner.accu_init,
            &inner.loop_cond,
            &inner.loop_step,
            &inner.result,
        ]
        .into_iter()
        .any(makes_optionals),
        Expr::List(list) => list.elements.iter().any(makes_optionals),
        Expr::Map(map) => map.entries.iter().any(entry),
        Expr::Struct(message) => message.entries.iter().any(entry),
        Expr::Select(select) => makes_optionals(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => false,
    }
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
pub(super) fn size(tree: &IdedExpr) -> u64 {
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

/// What is made a value of its own.
fn cloned(value: &dyn Val) -> u64 {
    CLONING.weigh(value, LEFT.get())
}

fn units(kind: Charge, value: &CowVal<'_, '_>) -> u64 {
    let own = matches!(value, CowVal::Owned(_));
    let value = value.as_ref();
    let length = length(value);
    match kind {
        Charge::Seen if is_text(value) => length / LOOKED_AT,
        Charge::Seen => length,
        Charge::Copied if is_text(value) => length,
        Charge::Pieces => length.saturating_mul(ELEMENT),
        // The library copies lists and maps in all their depth.
        Charge::Copied | Charge::Kept => kept(value),
        Charge::Within if !own && matches!(value.get_type().kind(), Kind::Map) => 1,
        Charge::Whole | Charge::Within => whole(value),
        Charge::Square => length.saturating_mul(whole(value)).saturating_add(kept(value)),
        Charge::Document => length / PARSED,
        Charge::Count => value.downcast_ref::<CelInt>().map_or(0, |count| {
            u64::try_from(*count.inner()).unwrap_or(0).saturating_mul(ELEMENT)
        }),
        Charge::Opened if own => length,
        Charge::Lent if !own => cloned(value),
        Charge::Taken if own => cloned(value),
        Charge::Key => length / LOOKED_AT,
        Charge::Number if is_container(value) || is_text(value) => kept(value),
        Charge::Opened | Charge::Lent | Charge::Taken | Charge::Number => 0,
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
            charge(units($charge, &value))?;
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
toll!(opened, Charge::Opened);
toll!(number, Charge::Number);
toll!(lent, Charge::Lent);
toll!(taken, Charge::Taken);
toll!(found_by, Charge::Key);

/// A key; the error of the library over one that can be none would hold a copy of what it was looked for in.
fn key<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let key = args.first().ok_or_else(|| refused("@key"))?.as_ref();
    let whole = |key: &CelDouble| key.inner().fract() == 0.0;
    if is_container(key) || !key.downcast_ref::<CelDouble>().is_none_or(whole) {
        return Err(refused("@key"));
    }
    found_by(args)
}

/// The begin of a step of a loop: here the clock is looked at, whatever is done in it.
fn step<'b, 'v>(_: Values<'b, 'v>) -> Outcome<'b, 'v> {
    charge(1)?;
    match ENDS.get() {
        Some((ends, _)) if Instant::now() >= ends => Err(end(Spent::Time)),
        _ => Ok(CowVal::owned(CelBool::from(true))),
    }
}

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
    let tolls: [(Charge, cel::common::functions::Function); 14] = [
        (Charge::Seen, seen),
        (Charge::Copied, copied),
        (Charge::Whole, taken_whole),
        (Charge::Kept, taken_over),
        (Charge::Within, within),
        (Charge::Square, square),
        (Charge::Pieces, pieces),
        (Charge::Document, document),
        (Charge::Count, count),
        (Charge::Opened, opened),
        (Charge::Key, key),
        (Charge::Number, number),
        (Charge::Lent, lent),
        (Charge::Taken, taken),
    ];
    for (charge, function) in tolls {
        let name = charge.function();
        env.add_overload(name, name, vec![DYN_TYPE], function)?;
    }
    let several: [(&str, usize, cel::common::functions::Function); 12] = [
        ("@result", 1, result),
        ("@step", 0, step),
        ("@over", 2, over),
        ("@replace", 3, replace),
        ("@replaceFirst", 4, replace_first),
        ("@join", 1, join),
        ("@join", 2, join),
        ("@matches", 2, matches),
        ("@indexOf", 2, searches::index_of),
        ("@indexOf", 3, searches::index_of),
        ("@lastIndexOf", 2, searches::last_index_of),
        ("@lastIndexOf", 3, searches::last_index_of),
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

    use super::{BUDGET, Bounds, Spent, TIME, beside_the_runtime, run};
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

    /// By what it costs alone, however busy the machine is.
    fn value(text: &str, x: &Value) -> Result<Value, Unevaluable> {
        let (expression, scope) = (compiled(text), Scope::new().with("x", x));
        let bounds = Bounds {
            budget: BUDGET,
            time: None,
        };
        match run(&bounds, || expression.attempt(&scope)) {
            (outcome, None) => outcome,
            (_, Some(spent)) => {
                assert_eq!(spent, Spent::Cost, "{text}");
                Err(Unevaluable {
                    path: expression.path().to_owned(),
                    why: TOO_COSTLY,
                })
            }
        }
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
        assert_eq!(within(TIME, costly), (Some(json!(false)), None));
        let over = Duration::ZERO;
        assert_eq!(within(over, costly), (None, Some(Spent::Time)));
        // Nor does it go on where the error is caught.
        let caught = format!("{costly} || x.exists(a, a == 0)");
        assert_eq!(within(over, &caught).1, Some(Spent::Time));
        // The clock is looked at only once enough was spent.
        let (cheap, spent) = within(over, "size(x) + x[1]");
        assert_eq!((cheap, spent), (Some(json!(2000)), None));
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
            "deep": vec![vec![0; 4000]; 10], "names": (0..20_000).map(|n| (n.to_string(), json!(n))).collect::<Value>(),
            "long": { "k".repeat(1 << 20): 0 }, "pair": [vec![0; 200_000], vec![0; 200_000]],
            "half": "a".repeat(500_000), "quarter": "a".repeat(250_000) + "b",
            "element": { "children": { "a": vec![json!({"text": "a"}); 20_000] } } });
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
            "[{'a': lists.range(200000)}].exists(m, lists.range(60000).exists(i, m.?a[0].value() == 7))",
            "[{'a': lists.range(100000)}].exists(m, lists.range(60000).exists(i, m[?'a'].value()[0] == 7))",
            "[{'a': lists.range(100000)}].exists(m, x.list.exists(i, optional.of(m).a[0].value() == 7))",
            "[[optional.of(lists.range(90000))]].exists(m, x.list.exists(i, size([m[0]]) == 7))",
            "optional.of([lists.range(100000)]).optMap(o, x.list.exists(i, optional.of(o).optMap(p, p) == o))",
            "optional.of(x.text).optMap(a, a + a).optMap(a, a + a).optMap(a, a + a)",
            "lists.range(100000).exists(i, x.?list[0].value() == 1)",
            "lists.range(100000).exists(i, x.?list.value()[0] == 1)",
            "lists.range(100000).exists(i, x.?list.value() == 1 || x.?list.value() == [1])",
            "lists.range(100000).exists(i, 'a' in x.?names.value())",
            "lists.range(100000).exists(i, at(x, 'list') == 1)",
            "lists.range(100000).exists(i, given(x.list) == 1)",
            "lists.range(100000).exists(i, xml(x.element, 'a') == [])",
            "lists.range(100000).exists(i, xmlText(x.element, 'a[@b=c]/a') == 'a')",
            "lists.range(20000).exists(i, xmlText(x.element, 'a') == 'b')",
            "lists.range(100000).exists(i, x.list - 1 == 0)",
            "lists.range(100000).exists(i, x.list * 2 / 3 % 4 == 0)",
            "lists.range(100000).exists(i, x.names[x.text] == 1)",
            "lists.range(100000).exists(i, x.names[?x.text] == 1)",
            "lists.range(100000).exists(i, x.long != x.long)",
            "lists.range(100000).exists(i, size(x.pair.distinct()) == 3)",
            "lists.range(100000).exists(i, x.text.indexOf(x.text + 'b') == 1)",
            "lists.range(100000).exists(i, x.text.lastIndexOf('b') == 1)",
            "splitUnquoted(x.half, x.quarter)",
            // An error that somebody catches is one all the same.
            "lists.range(900000).size() == 1 || true",
        ] {
            let outcome = value(text, &long);
            assert_eq!(outcome.map_err(|error| error.why), Err(TOO_COSTLY), "{text}");
        }
        let said = compiled("lists.range(900000)").evaluate(&Scope::new());
        assert_eq!(said.map_err(|error| error.why), Err(TOO_COSTLY));
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
