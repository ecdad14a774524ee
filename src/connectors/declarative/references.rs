//! What an expression refers to: names, reads, functions, loops. Found by walking the parsed expression.

use std::collections::BTreeSet;

use cel::{
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue},
    parser::Expression as Tree,
};

use super::expression::LOOPS;

/// Names that CEL itself gives a meaning.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// Functions that exist, by the name they are called with; operators are not among them.
const FUNCTIONS: &[&str] = &[
    "at",
    "base64.decode",
    "base64.encode",
    "bool",
    "bytes",
    "charAt",
    "contains",
    "counted",
    "day",
    "distinct",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "filetime",
    "first",
    "flatten",
    "folded",
    "fromFiletime",
    "generalizedTime",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "given",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "last",
    "lastIndexOf",
    "link",
    "lists.range",
    "lowerAscii",
    "matches",
    "merged",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
    "math.least",
    "math.round",
    "math.sign",
    "math.sqrt",
    "math.trunc",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "quoted",
    "replace",
    "reverse",
    "size",
    "slice",
    "sort",
    "split",
    "splitUnquoted",
    "startsWith",
    "string",
    "strings.quote",
    "substring",
    "timestamp",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
    "xml",
    "xmlText",
];

/// The name of a function that is called with its namespace: `lists.range`, whose namespace the parser takes for a value.
pub(super) fn qualified(call: &CallExpr) -> Option<String> {
    let Expr::Ident(namespace) = &call.target.as_deref()?.expr else {
        return None;
    };
    let name = format!("{namespace}.{}", call.func_name);
    FUNCTIONS.contains(&name.as_str()).then_some(name)
}

/// What an expression, or several together, refers to.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// Names at the root: `who`, `reads`, …
    pub names: BTreeSet<String>,
    /// `reads.x`.
    pub reads: BTreeSet<String>,
    /// `reads.x` that are counted or gone through: lists.
    pub lists: BTreeSet<String>,
    /// `who.x`, other than inside `has()`.
    pub who: BTreeSet<String>,
    /// `who.x`, wherever.
    pub who_at_all: BTreeSet<String>,
    /// `operations.x`, `accepted.x` and `keys.x`: all are known by fact.
    pub operations: BTreeSet<String>,
    /// `snapshot.x`.
    pub snapshots: BTreeSet<String>,
    /// `inputs.x`.
    pub inputs: BTreeSet<String>,
    /// `details.x`.
    pub details: BTreeSet<String>,
    /// `values.x`, of those that were put in too.
    pub values: BTreeSet<String>,
    functions: BTreeSet<String>,
    whole_reads: bool,
    loops: usize,
}

impl Uses {
    /// What `tree` refers to.
    pub fn of(tree: &Tree) -> Self {
        let mut uses = Self::default();
        uses.walk(&tree.expr, &mut vec![], 0);
        uses
    }

    /// Adds what `other` refers to.
    pub fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.reads.extend(other.reads.iter().cloned());
        self.lists.extend(other.lists.iter().cloned());
        self.who.extend(other.who.iter().cloned());
        self.who_at_all.extend(other.who_at_all.iter().cloned());
        self.operations.extend(other.operations.iter().cloned());
        self.snapshots.extend(other.snapshots.iter().cloned());
        self.inputs.extend(other.inputs.iter().cloned());
        self.details.extend(other.details.iter().cloned());
        self.values.extend(other.values.iter().cloned());
    }

    /// Whether `name` is used.
    pub fn name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether `name` is used and no other.
    pub fn only(&self, name: &str) -> bool {
        self.names.iter().all(|used| used == name)
    }

    /// What is wrong with the expression where only `names` are known.
    pub(super) fn complaints(&self, names: &[&str]) -> Vec<String> {
        let mut found = vec![];
        for name in self.names.iter().filter(|name| !names.contains(&name.as_str())) {
            let known = if names.is_empty() {
                "none".into()
            } else {
                names.join(", ")
            };
            found.push(format!("unknown name '{name}'; known here: {known}"));
        }
        for function in self.functions.iter().filter(|f| !FUNCTIONS.contains(&f.as_str())) {
            found.push(format!("unknown function '{function}'"));
        }
        if self.whole_reads {
            found.push("write reads.NAME: which reads are needed must be plain to see".into());
        }
        if self.loops > LOOPS {
            found.push(format!("more than {LOOPS} loops inside each other"));
        }
        found
    }

    fn walk(&mut self, tree: &Expr, bound: &mut Vec<String>, loops: usize) {
        match tree {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.ident(name, bound),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(root) if !bound.contains(root) => self.member(root, &select.field, select.test),
                operand => self.walk(operand, bound, loops),
            },
            Expr::Call(call) => self.call(call, bound, loops),
            Expr::List(list) => list
                .elements
                .iter()
                .for_each(|element| self.walk(&element.expr, bound, loops)),
            Expr::Map(map) => self.entries(map.entries.iter().map(|e| &e.expr), bound, loops),
            Expr::Struct(made) => {
                self.functions.insert(format!("{}{{}}", made.type_name));
                self.entries(made.entries.iter().map(|e| &e.expr), bound, loops);
            }
            Expr::Comprehension(each) => {
                self.loops = self.loops.max(loops + 1);
                self.list(&each.iter_range.expr, bound);
                self.walk(&each.iter_range.expr, bound, loops);
                self.walk(&each.accu_init.expr, bound, loops);
                let before = bound.len();
                bound.push(each.iter_var.clone());
                bound.extend(each.iter_var2.clone());
                bound.push(each.accu_var.clone());
                self.walk(&each.loop_cond.expr, bound, loops + 1);
                self.walk(&each.loop_step.expr, bound, loops + 1);
                self.walk(&each.result.expr, bound, loops);
                bound.truncate(before);
            }
        }
    }

    fn entries<'t>(
        &mut self,
        entries: impl Iterator<Item = &'t EntryExpr>,
        bound: &mut Vec<String>,
        loops: usize,
    ) {
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => self.walk(&field.value.expr, bound, loops),
                EntryExpr::MapEntry(entry) => {
                    self.walk(&entry.key.expr, bound, loops);
                    self.walk(&entry.value.expr, bound, loops);
                }
            }
        }
    }

    /// Notes the read that `tree` is, if it is one, as a list.
    fn list(&mut self, tree: &Expr, bound: &[String]) {
        if let Expr::Select(select) = tree
            && let Expr::Ident(root) = &select.operand.expr
            && root == "reads"
            && !bound.contains(root)
        {
            self.lists.insert(select.field.clone());
        }
    }

    fn call(&mut self, call: &CallExpr, bound: &mut Vec<String>, loops: usize) {
        if call.func_name == "size" {
            let of = call.target.iter().map(|target| &target.expr);
            let of = of.chain(call.args.iter().map(|argument| &argument.expr));
            for tree in of {
                self.list(tree, bound);
            }
        }
        let operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
        if let Some(qualified) = qualified(call) {
            self.functions.insert(qualified);
        } else {
            if !operator {
                self.functions.insert(call.func_name.clone());
            }
            if let Some(target) = call.target.as_deref() {
                self.walk(&target.expr, bound, loops);
            }
        }
        // `who['x']`, `who[?'x']` and `who.?x` are members too.
        if let (true, [root, key]) = (operator, call.args.as_slice())
            && let (Expr::Ident(root), Expr::Literal(LiteralValue::String(key))) = (&root.expr, &key.expr)
            && call.func_name.contains(['[', '.'])
            && !bound.contains(root)
        {
            self.member(root, key.inner(), call.func_name.contains('?'));
            return;
        }
        for argument in &call.args {
            self.walk(&argument.expr, bound, loops);
        }
    }

    fn ident(&mut self, name: &str, bound: &[String]) {
        if name.starts_with('@') || bound.iter().any(|b| b == name) || TYPES.contains(&name) {
            return;
        }
        self.whole_reads |= name == "reads";
        self.names.insert(name.to_owned());
    }

    fn member(&mut self, root: &str, field: &str, tested: bool) {
        self.names.insert(root.to_owned());
        let members = match root {
            "reads" => &mut self.reads,
            "operations" | "accepted" | "keys" => &mut self.operations,
            "snapshot" => &mut self.snapshots,
            "inputs" => &mut self.inputs,
            "details" => &mut self.details,
            "values" => &mut self.values,
            "who" => {
                self.who_at_all.insert(field.to_owned());
                if tested {
                    return;
                }
                &mut self.who
            }
            _ => return,
        };
        members.insert(field.to_owned());
    }
}
