//! Named values of a definition: expressions with a name, in the place of `values.NAME` wherever that stands.
//!
//! # Why
//! A value is put in before an expression is checked: what it refers to, costs and may not do is then known as of any other
//! expression, and which reads a fact rests on is plain to see. It is evaluated only where it is needed.

use std::collections::{BTreeMap, BTreeSet};

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};

use super::{compile::BOUND, expression, graph::nearest, problems::Problems, references::Uses};

/// The name under which values are known.
const ROOT: &str = "values";

/// How many parts an expression may have, with those of its values.
const LARGEST: u64 = 4096;
/// How many values a definition may have: each may refer to the next.
const MOST: usize = 200;

/// The named values of a definition.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<String, Named>);

#[derive(Debug)]
struct Named {
    /// Without values of its own: they are in it.
    tree: IdedExpr,
    uses: Uses,
    /// The values that are in it, itself among them.
    of: BTreeSet<String>,
    parts: u64,
}

/// What an expression may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Names<'n> {
    /// The names at the root.
    pub known: &'n [&'n str],
    values: Option<&'n Values>,
}

impl<'n> Names<'n> {
    /// These names, and the values that rest on no other.
    pub fn with(known: &'n [&'n str], values: &'n Values) -> Self {
        let values = Some(values);
        Self { known, values }
    }
}

impl<'n> From<&'n [&'n str]> for Names<'n> {
    fn from(known: &'n [&'n str]) -> Self {
        Self { known, values: None }
    }
}

impl<'n, const N: usize> From<&'n [&'n str; N]> for Names<'n> {
    fn from(known: &'n [&'n str; N]) -> Self {
        Self { known, values: None }
    }
}

impl Values {
    /// Compiles the values of a definition, each with what it takes of the others.
    pub fn compile(from: &BTreeMap<String, String>, problems: &mut Problems) -> Self {
        if from.len() > MOST {
            problems.add(ROOT, format!("more than {MOST} values"));
            return Self::default();
        }
        let parsed = from.iter().filter_map(|(name, text)| {
            let tree = expression::parse(text, &path(name), problems)?;
            Some((name, tree))
        });
        let parsed: BTreeMap<&String, IdedExpr> = parsed.collect();
        let mut values = Self::default();
        for name in parsed.keys() {
            values.resolve(name, &parsed, &mut vec![], problems);
        }
        values
    }

    /// What each refers to, with its path.
    pub fn uses(&self) -> impl Iterator<Item = (String, &Uses)> {
        self.0.iter().map(|(name, named)| (path(name), &named.uses))
    }

    /// Puts `name` among the values, after those that it refers to; `way` is how it was come to.
    fn resolve<'t>(
        &mut self,
        name: &'t str,
        parsed: &BTreeMap<&'t String, IdedExpr>,
        way: &mut Vec<&'t str>,
        problems: &mut Problems,
    ) {
        if let Some(first) = way.iter().position(|before| *before == name) {
            let circle = [&way[first..], &[name]].concat().join(" → ");
            problems.add(path(name), format!("refers to itself: {circle}"));
            return;
        }
        let Some((name, tree)) = parsed.get_key_value(&name.to_owned()) else {
            return;
        };
        if self.0.contains_key(*name) {
            return;
        }
        way.push(name);
        for other in asked(tree) {
            if let Some((other, _)) = parsed.get_key_value(&other) {
                self.resolve(other, parsed, way, problems);
            }
        }
        way.pop();
        let mut tree = tree.clone();
        let path = path(name);
        match self.put_into(&mut tree) {
            Ok(mut of) => {
                let uses = Uses::of(&tree);
                for complaint in uses.complaints(BOUND) {
                    problems.add(&path, complaint);
                }
                of.insert((*name).clone());
                let parts = parts(&tree);
                let named = Named {
                    tree,
                    uses,
                    of,
                    parts,
                };
                self.0.insert((*name).clone(), named);
            }
            Err(complaints) => complaints.into_iter().for_each(|c| problems.add(&path, c)),
        }
    }

    /// Puts the values that `tree` asks for into it, and gives their names, of those within them too.
    fn put_into(&self, tree: &mut IdedExpr) -> Result<BTreeSet<String>, Vec<String>> {
        let mut put = Put {
            values: self,
            bound: vec![],
            of: BTreeSet::new(),
            parts: parts(tree),
            complaints: vec![],
        };
        put.walk(tree);
        if !put.of.is_empty() && put.parts > LARGEST {
            let complaint = format!("with its values more than {LARGEST} parts; split it up");
            put.complaints.push(complaint);
        }
        if put.complaints.is_empty() {
            Ok(put.of)
        } else {
            Err(put.complaints)
        }
    }
}

impl Names<'_> {
    /// Puts the values that `tree` asks for into it, and gives their names.
    ///
    /// # Errors
    /// What is wrong with how it asks for them.
    pub fn put_values_into(&self, tree: &mut IdedExpr) -> Result<BTreeSet<String>, Vec<String>> {
        match self.values {
            Some(values) => values.put_into(tree),
            None => Ok(BTreeSet::new()),
        }
    }
}

fn path(name: &str) -> String {
    format!("{ROOT}.{name}")
}

/// How many parts there are, those of loops included.
fn parts(tree: &IdedExpr) -> u64 {
    let all = |parts_of: &[IdedExpr]| parts_of.iter().map(parts).sum::<u64>();
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => parts(&field.value),
        EntryExpr::MapEntry(entry) => parts(&entry.key) + parts(&entry.value),
    };
    1 + match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
        Expr::Select(select) => parts(&select.operand),
        Expr::Call(call) => call.target.as_deref().map_or(0, parts) + all(&call.args),
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => map.entries.iter().map(|of| entry(&of.expr)).sum(),
        Expr::Struct(message) => message.entries.iter().map(|of| entry(&of.expr)).sum(),
        Expr::Comprehension(each) => {
            let inside = [
                &each.iter_range,
                &each.accu_init,
                &each.loop_cond,
                &each.loop_step,
                &each.result,
            ];
            inside.into_iter().map(parts).sum()
        }
    }
}

/// The values that `tree` asks for.
fn asked(tree: &IdedExpr) -> BTreeSet<String> {
    Uses::of(tree).values
}

/// One walk through an expression.
struct Put<'v> {
    values: &'v Values,
    /// The names that loops around have given.
    bound: Vec<String>,
    of: BTreeSet<String>,
    /// How many there are, counted before they are: an expression may ask for a large value often.
    parts: u64,
    complaints: Vec<String>,
}

impl Put<'_> {
    fn walk(&mut self, tree: &mut IdedExpr) {
        if let Some(name) = self.asked(&tree.expr) {
            self.put(tree, &name);
            return;
        }
        match &mut tree.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if name == ROOT && !self.bound.contains(name) {
                    self.complaints.push(format!(
                        "write {ROOT}.NAME: which value is meant must be plain to see"
                    ));
                }
            }
            Expr::Select(select) => self.walk(&mut select.operand),
            Expr::Call(call) => {
                let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
                parts.for_each(|part| self.walk(part));
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|part| self.walk(part)),
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .for_each(|entry| self.entry(&mut entry.expr)),
            Expr::Struct(message) => message
                .entries
                .iter_mut()
                .for_each(|entry| self.entry(&mut entry.expr)),
            Expr::Comprehension(each) => {
                self.walk(&mut each.iter_range);
                self.walk(&mut each.accu_init);
                let before = self.bound.len();
                self.bound.push(each.iter_var.clone());
                self.bound.extend(each.iter_var2.clone());
                self.bound.push(each.accu_var.clone());
                for inner in [&mut each.loop_cond, &mut each.loop_step, &mut each.result] {
                    self.walk(inner);
                }
                self.bound.truncate(before);
            }
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.walk(&mut field.value),
            EntryExpr::MapEntry(entry) => {
                self.walk(&mut entry.key);
                self.walk(&mut entry.value);
            }
        }
    }

    /// The value that `tree` is, if it is one.
    fn asked(&self, tree: &Expr) -> Option<String> {
        let Expr::Select(select) = tree else { return None };
        let Expr::Ident(root) = &select.operand.expr else {
            return None;
        };
        let is_value = root == ROOT && !select.test && !self.bound.contains(root);
        is_value.then(|| select.field.clone())
    }

    fn put(&mut self, tree: &mut IdedExpr, name: &str) {
        let Some(named) = self.values.0.get(name) else {
            let near = nearest(name, self.values.0.keys());
            self.complaints.push(format!("there is no value '{name}'{near}"));
            return;
        };
        if let Some(hidden) = self.bound.iter().find(|bound| named.uses.name(bound)) {
            let complaint = format!(
                "'{hidden}' means something else in the loop around {}",
                path(name)
            );
            self.complaints.push(complaint);
        }
        self.of.extend(named.of.iter().cloned());
        self.parts += named.parts;
        if self.parts <= LARGEST {
            *tree = named.tree.clone();
        }
    }
}
