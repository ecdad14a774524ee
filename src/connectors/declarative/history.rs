//! A history of rows about each person, cut into the periods of work that are their records.

use serde_json::{Value, json};

use super::{
    compile::Compiler,
    expression::{Expression, Scope, Unevaluable},
    worker::Writing,
};
use crate::{
    api::definition::HistorySpec,
    core::people::history::{Row, periods},
};

/// The compiled `history`.
#[derive(Debug)]
pub struct History {
    rows: Expression,
    day: Expression,
    ends: Expression,
}

impl History {
    /// Compiles it; `names` are those that are known about an item.
    pub fn compile(spec: &HistorySpec, names: &[&str], compiler: &mut Compiler<'_>) -> Option<Self> {
        let of_row: Vec<&str> = names.iter().copied().chain(["row"]).collect();
        let rows = compiler.expression(&spec.rows, "people.history.rows", names);
        let day = compiler.expression(&spec.day, "people.history.day", &of_row);
        let ends = compiler.expression(&spec.ends, "people.history.ends", &of_row);
        Some(Self {
            rows: rows?,
            day: day?,
            ends: ends?,
        })
    }

    /// All expressions.
    pub fn expressions(&self) -> [&Expression; 3] {
        [&self.rows, &self.day, &self.ends]
    }

    /// The records of an item: `number`, `starts`, `ends`, and `end`, the row that ends it. A row without a day says nothing.
    pub fn records(&self, scope: &Scope<'_>, writing: &Writing) -> Result<Vec<Value>, Unevaluable> {
        let (mut rows, mut values) = (vec![], vec![]);
        for value in self.rows.list(scope)? {
            let inner = Scope::inside(scope).with("row", &value);
            let Some(day) = writing.date(&self.day, &inner)? else {
                continue;
            };
            let ends = self.ends.holds(&inner)?;
            rows.push(Row { day, ends });
            drop(inner);
            values.push(value);
        }
        let records = periods(&rows).into_iter().zip(0_usize..).map(|(period, number)| {
            json!({
                "number": number,
                "starts": period.starts.map(|day| day.to_string()),
                "ends": period.ends.map(|day| day.to_string()),
                "end": period.end.and_then(|at| values.get(at)),
            })
        });
        Ok(records.collect())
    }
}
