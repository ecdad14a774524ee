//! Tries a definition on one person: looks as a plan does, and keeps what every expression came to. Changes nothing.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    compile::BOUND,
    connector::Declarative,
    expression::{Expression, Scope},
    finding::ways,
    problems::Problems,
    references::Uses,
    request::Compiled,
    setting::{Setting, person, since},
    values::{Names, Values},
};
use crate::{
    connectors::{Connector, Keys, Readings, Subject},
    core::{
        fact::Sight,
        fault::Fault,
        identity::{Account, Person},
        ledger::SystemLedger,
    },
};

/// One expression and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The field that it stands in.
    pub path: String,
    /// As it is written.
    pub text: String,
    /// Its value, or why it has none.
    pub value: Result<Value, String>,
}

/// One element that a way to find accounts showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What was shown.
    pub item: Value,
    /// Its id, name and keys, and the rules about it.
    pub evaluated: Vec<Evaluated>,
    /// Whether it is the person's; why that cannot be told.
    pub is_theirs: Result<bool, String>,
    /// The key that it shows another value of.
    pub disagrees: Option<&'static str>,
}

/// One way of `account.find` that was gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Its field.
    pub path: String,
    /// What it showed.
    pub elements: Result<Vec<Candidate>, Fault>,
}

/// One fact of one account.
#[derive(Debug, Clone, PartialEq)]
pub struct TriedFact {
    /// Its name.
    pub name: String,
    /// Its expressions.
    pub evaluated: Vec<Evaluated>,
    /// What the look showed of it, with the requests that would be sent.
    pub sight: Sight,
}

/// One account that was found.
#[derive(Debug)]
pub struct TriedAccount {
    /// The account.
    pub account: Account,
    /// Everything that was read.
    pub readings: Readings,
    /// The definition's named values, `gone` and `last`.
    pub evaluated: Vec<Evaluated>,
    /// The facts, in the definition's order.
    pub facts: Vec<TriedFact>,
}

/// What trying a definition showed.
#[derive(Debug)]
pub struct Trial {
    /// The ways to find accounts, for each address of the person.
    pub ways: Vec<Way>,
    /// The accounts that were found; or why none can be told.
    pub accounts: Result<Vec<TriedAccount>, Fault>,
}

/// For whom, and as of when, a definition is tried.
#[derive(Debug, Clone)]
pub struct Trier {
    /// The person.
    pub who: Person,
    /// Who takes over.
    pub successor: Option<Person>,
    /// When access ends.
    pub cutoff: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Makes the keys of acts.
    pub keys: Keys,
}

impl Declarative {
    /// Tries the definition. Only sends what a look sends.
    pub async fn tried(&self, trier: &Trier) -> Trial {
        let mut shown = vec![];
        let mut found: Result<Vec<Account>, Fault> = Ok(vec![]);
        for who in trier.who.by_address() {
            let (ways, accounts) = self.ways_of(&who).await;
            shown.extend(ways);
            found = match (found, accounts) {
                (Ok(mut known), Ok(accounts)) => {
                    let is_new = |account: &Account| !known.iter().any(|known| known.id == account.id);
                    let more: Vec<Account> = accounts.into_iter().filter(is_new).collect();
                    known.extend(more);
                    Ok(known)
                }
                (Err(fault), _) | (_, Err(fault)) => Err(fault),
            };
        }
        let successor = self.successor_of(trier).await;
        let accounts = match found {
            Err(fault) => Err(fault),
            Ok(found) => {
                let mut accounts = vec![];
                for account in found {
                    accounts.push(self.tried_account(trier, account, successor.clone()).await);
                }
                Ok(accounts)
            }
        };
        Trial {
            ways: shown,
            accounts,
        }
    }

    async fn successor_of(&self, trier: &Trier) -> Option<(Person, Account)> {
        let who = trier.successor.as_ref()?;
        let mut found = self.find(who).await.ok()?;
        let account = found.pop().filter(|_| found.is_empty())?;
        Some((who.clone(), account))
    }

    /// What each way shows, with why an element is theirs or not, and whom that finds.
    async fn ways_of(&self, who: &Person) -> (Vec<Way>, Result<Vec<Account>, Fault>) {
        let Some(recognise) = self.loaded.account.as_ref().filter(|account| !account.everybody) else {
            return (vec![], self.find(who).await);
        };
        let who = person(who);
        let inputs = match self.inputs.learn(&self.exchange()).await {
            Ok(inputs) => inputs,
            Err(fault) => return (vec![], Err(fault)),
        };
        let scope = Scope::new()
            .with("who", &who)
            .with("inputs", inputs)
            .with_instant("now", Timestamp::now());
        let ways = match ways(recognise, &who, &scope) {
            Ok(ways) => ways,
            Err(fault) => return (vec![], Err(fault)),
        };
        let (mut shown, mut answers) = (vec![], vec![]);
        for way in ways {
            let elements = self.elements(recognise, way, &scope).await;
            answers.push((way, elements.clone()));
            let elements = elements.map(|items| {
                let items = items.into_iter();
                items.map(|item| self.candidate(item, &who, inputs)).collect()
            });
            let path = way.path.clone();
            shown.push(Way { path, elements });
        }
        let accounts = self.recognised(answers, &who, inputs);
        (shown, accounts)
    }

    fn candidate(&self, item: Value, who: &Value, inputs: &Value) -> Candidate {
        let (mut evaluated, mut is_theirs, mut disagrees) = (vec![], Ok(false), None);
        if let Some(recognise) = &self.loaded.account {
            let scope = Scope::new()
                .with("item", &item)
                .with("who", who)
                .with("inputs", inputs);
            let rules = [Some(&recognise.id), Some(&recognise.name)].into_iter();
            let keys = recognise.keys.iter().map(|(_, shown)| Some(shown));
            let doubts = [
                recognise.same.as_ref(),
                recognise.doubtful.as_ref(),
                recognise.protected.as_ref(),
            ];
            let all = rules.chain(keys).chain(doubts).flatten();
            evaluated = all.map(|expression| evaluate(expression, &scope)).collect();
            is_theirs = recognise.is_of(who, &scope).map_err(|error| error.to_string());
            disagrees = recognise.disagrees(who, &scope).ok().flatten();
        }
        Candidate {
            item,
            evaluated,
            is_theirs,
            disagrees,
        }
    }

    async fn tried_account(
        &self,
        trier: &Trier,
        account: Account,
        successor: Option<(Person, Account)>,
    ) -> TriedAccount {
        let mut subject = Subject {
            who: trier.who.clone(),
            account,
            successor,
            ledger: SystemLedger::default(),
            cutoff: trier.cutoff,
            now: trier.now,
            keys: trier.keys.clone(),
        };
        let facts: Vec<String> = self.capabilities.facts.iter().map(|f| f.name.clone()).collect();
        let names: Vec<&str> = facts.iter().map(String::as_str).collect();
        // What find showed is not taken for the read of it: whoever tries a definition wants to see the read.
        let item = std::mem::replace(&mut subject.account.item, Arc::new(Value::Null));
        let readings = self.observe(&subject, &names).await;
        subject.account.item = item;
        let evaluated = self.named(&subject, &readings);
        let facts = facts.into_iter().map(|name| TriedFact {
            evaluated: self.expressions_of(&name, &subject, &readings),
            sight: self.sight(&subject, &name, &readings),
            name,
        });
        TriedAccount {
            facts: facts.collect(),
            evaluated,
            readings,
            account: subject.account,
        }
    }

    /// The named values, `gone` and `last`.
    fn named(&self, subject: &Subject, readings: &Readings) -> Vec<Evaluated> {
        let spec = &self.loaded.spec;
        let mut problems = Problems::default();
        let values = Values::compile(&spec.values, &mut problems);
        let account = spec.account.as_ref();
        let gone = account.and_then(|account| account.gone.as_ref());
        let texts = spec
            .values
            .iter()
            .map(|(name, text)| (format!("values.{name}"), text))
            .chain(gone.map(|text| ("account.gone".to_owned(), text)));
        let mut named: Vec<Expression> = texts
            .filter_map(|(path, text)| {
                Expression::compile(text, &path, Names::with(BOUND, &values), &mut problems)
            })
            .collect();
        let last = account.and_then(|account| account.last.as_ref());
        if let Some(last) = last {
            let parts = [
                ("account.last.when", last.when.as_ref()),
                ("account.last.holds", Some(&last.holds)),
            ];
            named.extend(parts.into_iter().filter_map(|(path, text)| {
                Expression::compile(text?, path, Names::with(BOUND, &values), &mut problems)
            }));
        }
        let named = named.iter();
        named
            .map(|e| self.evaluate_bound(e, subject, readings, subject.cutoff))
            .collect()
    }

    fn expressions_of(&self, name: &str, subject: &Subject, readings: &Readings) -> Vec<Evaluated> {
        let Some(fact) = self.loaded.facts.get(name) else {
            return vec![];
        };
        let since = since(subject, &fact.spec);
        // What `none` says is written once and compiled twice.
        let holds = fact.holds.as_ref().filter(|_| fact.none.is_none());
        let own = [
            fact.when.as_ref(),
            holds,
            fact.none.as_ref(),
            fact.from.as_ref(),
            fact.running.as_ref().filter(|_| !subject.ledger.facts.is_empty()),
            fact.snapshot.as_ref(),
        ];
        let steps = fact.act.iter().chain(&fact.ladder);
        let of_step = |step: &Compiled| -> Option<Evaluated> {
            let when = step.when.as_ref()?;
            Some(self.evaluate_bound(when, subject, readings, since))
        };
        own.into_iter()
            .flatten()
            .map(|e| self.evaluate_bound(e, subject, readings, since))
            .chain(steps.filter_map(of_step))
            .collect()
    }

    fn evaluate_bound(
        &self,
        expression: &Expression,
        subject: &Subject,
        readings: &Readings,
        since: Timestamp,
    ) -> Evaluated {
        if let Some(why) = unread(expression.uses(), readings) {
            return Evaluated {
                path: expression.path().to_owned(),
                text: expression.text().to_owned(),
                value: Err(why),
            };
        }
        let setting = Setting::new(subject, self.inputs.known());
        evaluate(expression, &setting.scope(expression.uses(), readings, since))
    }
}

/// The read that is missing for an expression.
fn unread(uses: &Uses, readings: &Readings) -> Option<String> {
    uses.reads.iter().find_map(|read| match readings.get(read) {
        None => Some(format!("reads.{read} was not read")),
        Some(Err(fault)) => Some(format!("reads.{read} could not be read: {fault}")),
        Some(Ok(_)) => None,
    })
}

fn evaluate(expression: &Expression, scope: &Scope<'_>) -> Evaluated {
    Evaluated {
        path: expression.path().to_owned(),
        text: expression.text().to_owned(),
        value: expression.explained(scope),
    }
}
