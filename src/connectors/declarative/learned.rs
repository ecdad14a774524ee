//! A connector's inputs, and those that the system itself is asked for.
//!
//! What was learned stays as long as the connector does: a look that was made with one value is never judged by another.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::{exchange::Exchange, expression::Scope, inputs::fits};
use crate::{
    connectors::driver::{Answer, Driver, Resolved},
    core::fault::{Fault, Reason},
};

/// The inputs of one connector.
pub(super) struct Inputs {
    /// As the Connector sets them, with defaults.
    given: Value,
    /// Names of those to ask for.
    asked: Vec<String>,
    learned: OnceCell<Value>,
}

impl Inputs {
    /// `asked` are looked for in the system as soon as anything is.
    pub fn new<'n>(given: Value, asked: impl Iterator<Item = &'n String>) -> Self {
        Self {
            given,
            asked: asked.cloned().collect(),
            learned: OnceCell::new(),
        }
    }

    /// The inputs as far as they are known.
    pub fn known(&self) -> &Value {
        self.learned.get().unwrap_or(&self.given)
    }

    /// All inputs. Asks for those that are not known yet; others who need them meanwhile wait for the same answers.
    pub async fn learn(&self, exchange: &Exchange<'_>) -> Result<&Value, Fault> {
        if self.asked.is_empty() {
            return Ok(&self.given);
        }
        self.learned.get_or_try_init(|| self.ask(exchange)).await
    }

    async fn ask(&self, exchange: &Exchange<'_>) -> Result<Value, Fault> {
        let once = Once {
            driver: exchange.driver,
            answers: Mutex::default(),
        };
        let exchange = Exchange {
            driver: &once,
            ..*exchange
        };
        let mut inputs = self.given.clone();
        let discover = &exchange.loaded.discover;
        let mut left = self.asked.clone();
        // What another one rests on is asked for before.
        while let Some(next) = left.iter().position(|name| {
            let uses = discover.get(name).map(|request| &request.uses.inputs);
            uses.is_none_or(|uses| !left.iter().any(|other| other != name && uses.contains(other)))
        }) {
            let name = &left.remove(next);
            let (Some(request), Some(input)) = (discover.get(name), exchange.loaded.spec.inputs.get(name))
            else {
                continue;
            };
            let known = inputs.clone();
            let scope = Scope::new().with("inputs", &known);
            if let Some(when) = &request.when
                && !when.holds(&scope)?
            {
                continue;
            }
            let Some(value) = exchange.look(request, &scope, None).await? else {
                continue;
            };
            if fits(input, &value).is_err() {
                return Err(Fault::permanent(Reason::Malformed).with_code(&request.path));
            }
            if let Some(kept) = inputs.get_mut(name) {
                *kept = value;
            }
        }
        Ok(inputs)
    }
}

/// Sends each request once: several inputs may be told by one answer.
struct Once<'d> {
    driver: &'d dyn Driver,
    answers: Mutex<BTreeMap<String, Answer>>,
}

#[async_trait]
impl Driver for Once<'_> {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let key = serde_json::to_string(request).map_err(|_| Fault::permanent(Reason::Malformed))?;
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(&key) {
            return Ok(answer.clone());
        }
        let answer = self.driver.perform(request).await?;
        answers.insert(key, answer.clone());
        Ok(answer)
    }

    fn park(&self, until: Timestamp) {
        self.driver.park(until);
    }
}
