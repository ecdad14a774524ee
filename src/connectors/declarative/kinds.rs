//! What kind of value an expression has, as far as that is plain to see, and what can therefore never be meant.
//!
//! # Why
//! CEL finds out on somebody's last day that a number is no text. What is not known is [`Kind::Unknown`], and never complained of.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, operators as op},
};

use super::references::qualified;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
    /// An instant.
    Instant,
    /// A span of time.
    Duration,
    /// Nothing.
    Null,
    /// Any of these.
    Unknown,
}

impl Kind {
    /// With its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Instant => "an instant",
            Self::Duration => "a duration",
            Self::Null => "null",
            Self::Unknown => "any value",
        }
    }

    /// Whether it may be `wanted`.
    pub fn may_be(self, wanted: Self) -> bool {
        self == wanted || matches!(self, Self::Unknown | Self::Null)
    }
}

/// The kind of `tree`, and what is wrong in it.
pub fn kind_of(tree: &IdedExpr) -> (Kind, Vec<String>) {
    let mut walk = Walk::default();
    let kind = walk.kind(&tree.expr);
    walk.complaints.dedup();
    (kind, walk.complaints)
}

/// The kind of a field that is known by its last name; none where any will do.
pub fn wanted_at(path: &str) -> Option<Kind> {
    let field = path.rsplit('.').next().unwrap_or(path);
    match field {
        "holds" | "when" | "same" | "protected" | "doubtful" | "gone" | "absent" | "done" | "lost"
        | "proves" | "running" | "failed" => Some(Kind::Bool),
        "each" => Some(Kind::List),
        _ => None,
    }
}

#[derive(Default)]
struct Walk {
    /// Names of loops, of which nothing is known.
    bound: Vec<String>,
    complaints: Vec<String>,
}

impl Walk {
    fn kind(&mut self, tree: &Expr) -> Kind {
        match tree {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Kind::Bool,
                LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Number,
                LiteralValue::String(_) => Kind::Text,
                LiteralValue::Null => Kind::Null,
                LiteralValue::Bytes(_) => Kind::Unknown,
            },
            Expr::Ident(name) if self.bound.contains(name) => Kind::Unknown,
            Expr::Ident(name) => match name.as_str() {
                "now" | "cutoff" | "since" => Kind::Instant,
                "who" | "account" | "successor" | "reads" | "inputs" => Kind::Map,
                _ => Kind::Unknown,
            },
            Expr::Select(select) => self.field(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(each) => self.each(each),
            Expr::List(list) => {
                for element in &list.elements {
                    self.kind(&element.expr);
                }
                Kind::List
            }
            Expr::Map(_) => Kind::Map,
            Expr::Struct(_) | Expr::Unspecified => Kind::Unknown,
        }
    }

    fn field(&mut self, select: &SelectExpr) -> Kind {
        let of = self.kind(&select.operand.expr);
        if matches!(of, Kind::Bool | Kind::Number | Kind::Text) {
            let complaint = format!("{} has no field '{}'", of.name(), select.field);
            self.complaints.push(complaint);
        }
        if select.test {
            return Kind::Bool;
        }
        match (&select.operand.expr, select.field.as_str()) {
            (Expr::Ident(root), _) if self.bound.contains(root) => Kind::Unknown,
            (Expr::Ident(root), "status") if root == "response" => Kind::Number,
            (Expr::Ident(root), "id" | "name") if root == "account" || root == "successor" => Kind::Text,
            (Expr::Ident(root), "email" | "employeeID" | "accountName" | "displayName") if root == "who" => {
                Kind::Text
            }
            _ => Kind::Unknown,
        }
    }

    fn each(&mut self, each: &ComprehensionExpr) -> Kind {
        let range = self.kind(&each.iter_range.expr);
        if matches!(range, Kind::Bool | Kind::Number | Kind::Text) {
            self.complaints
                .push(format!("goes through {}, which has no elements", range.name()));
        }
        let start = self.kind(&each.accu_init.expr);
        let before = self.bound.len();
        self.bound.push(each.iter_var.clone());
        self.bound.extend(each.iter_var2.clone());
        self.bound.push(each.accu_var.clone());
        self.kind(&each.loop_step.expr);
        let result = self.kind(&each.result.expr);
        self.bound.truncate(before);
        match each.result.expr {
            Expr::Ident(_) => start,
            _ => result,
        }
    }

    fn call(&mut self, call: &CallExpr) -> Kind {
        let name = qualified(call);
        let target = call.target.as_deref().filter(|_| name.is_none());
        let of = target.map(|target| self.kind(&target.expr));
        let arguments: Vec<Kind> = call
            .args
            .iter()
            .map(|argument| self.kind(&argument.expr))
            .collect();
        let name = name.as_deref().unwrap_or(&call.func_name);
        match (name, arguments.as_slice()) {
            (
                op::EQUALS | op::NOT_EQUALS | op::GREATER | op::GREATER_EQUALS | op::LESS | op::LESS_EQUALS,
                [a, b],
            ) => {
                self.compared(*a, *b);
                Kind::Bool
            }
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, operands) => {
                for operand in operands {
                    self.wants(*operand, Kind::Bool);
                }
                Kind::Bool
            }
            (op::CONDITIONAL, [condition, yes, no]) => {
                self.wants(*condition, Kind::Bool);
                if yes == no { *yes } else { Kind::Unknown }
            }
            (op::IN, [_, list]) => {
                if matches!(list, Kind::Bool | Kind::Number | Kind::Text) {
                    self.complaints
                        .push(format!("'in' asks {}, which has no elements", list.name()));
                }
                Kind::Bool
            }
            (op::ADD, [a, b]) => {
                let pair = [*a, *b];
                if pair.contains(&Kind::Text) && pair.contains(&Kind::Number) {
                    self.complaints
                        .push("adds a number to a text: write string(…) around the number".to_owned());
                }
                if a == b { *a } else { Kind::Unknown }
            }
            ("size", [] | [_]) => {
                let of = of.or(arguments.first().copied()).unwrap_or(Kind::Unknown);
                if matches!(of, Kind::Bool | Kind::Number) {
                    self.complaints
                        .push(format!("size of {}, which has none", of.name()));
                }
                Kind::Number
            }
            _ => result_of(name),
        }
    }

    fn wants(&mut self, kind: Kind, wanted: Kind) {
        if !kind.may_be(wanted) {
            let complaint = format!("{} stands where {} is needed", kind.name(), wanted.name());
            self.complaints.push(complaint);
        }
    }

    fn compared(&mut self, a: Kind, b: Kind) {
        let known = ![a, b]
            .iter()
            .any(|kind| matches!(kind, Kind::Unknown | Kind::Null));
        if known && a != b {
            let complaint = format!("compares {} with {}: they are never the same", a.name(), b.name());
            self.complaints.push(complaint);
        }
    }
}

/// The kind that a function always gives.
fn result_of(function: &str) -> Kind {
    match function {
        "bool" | "contains" | "endsWith" | "hasValue" | "matches" | "startsWith" => Kind::Bool,
        "double" | "filetime" | "indexOf" | "int" | "lastIndexOf" | "uint" => Kind::Number,
        "base64.encode" | "charAt" | "counted" | "folded" | "join" | "lowerAscii" | "quoted" | "string"
        | "strings.quote" | "substring" | "trim" | "upperAscii" => Kind::Text,
        "lists.range" | "split" | "splitUnquoted" => Kind::List,
        "duration" => Kind::Duration,
        "timestamp" => Kind::Instant,
        _ => Kind::Unknown,
    }
}
