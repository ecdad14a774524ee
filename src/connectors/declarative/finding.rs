//! Finds the accounts of a person: which ways are asked, what more is read of each element, and who is recognised.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    connector::{ABREAST, Declarative},
    expression::Scope,
    recognise::{ACCOUNT_NAME, Recognise},
    request::Compiled,
    setting::person,
    sight::step_name,
};
use crate::core::{
    fault::{Fault, Reason},
    identity::{self, Account, BY_NAME_ONLY, DOUBTFUL, NO_WAY, Person},
};

impl Declarative {
    /// The accounts of `who`, by every way that can be asked.
    pub(super) async fn search(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        let who = person(who);
        let inputs = self.inputs.learn(&self.exchange()).await?;
        let scope = Scope::new()
            .with("who", &who)
            .with("inputs", inputs)
            .with_instant("now", Timestamp::now());
        let Some(recognise) = &self.loaded.account else {
            return Err(nothing_known(NO_WAY));
        };
        if recognise.everybody {
            return Ok(self.account(who.clone(), &who, inputs)?.into_iter().collect());
        }
        let ways = ways(recognise, &who, &scope)?;
        let answers = join_all(ways.iter().map(|way| self.elements(recognise, way, &scope))).await;
        self.recognised(ways.into_iter().zip(answers), &who, inputs)
    }

    /// The accounts of `who` among what was answered by these ways.
    pub(super) fn recognised<'r>(
        &self,
        answers: impl IntoIterator<Item = (&'r Compiled, Result<Vec<Value>, Fault>)>,
        who: &Value,
        inputs: &Value,
    ) -> Result<Vec<Account>, Fault> {
        let mut accounts: Vec<Account> = vec![];
        for (way, items) in answers {
            let items = items?;
            // Who was asked for is not among those who came: the filter was not obeyed, and nothing is known (R23).
            let mut ignored = !items.is_empty() && !way.uses.who.is_empty();
            for item in items {
                let Some(account) = self.account(item, who, inputs)? else {
                    continue;
                };
                ignored = false;
                if !accounts.iter().any(|known| known.id == account.id) {
                    accounts.push(account);
                }
            }
            if ignored {
                return Err(Fault::permanent(Reason::FilterIgnored).with_code(step_name(&way.path)));
            }
        }
        Ok(accounts)
    }

    /// The keys of `who` that are asked for, or compared with everybody's.
    pub(super) fn keys_asked(&self, who: &Person) -> Vec<&'static str> {
        let who = person(who);
        let scope = Scope::new()
            .with("who", &who)
            .with("inputs", self.inputs.known())
            .with_instant("now", Timestamp::now());
        let Some(recognise) = &self.loaded.account else {
            return vec![];
        };
        let ways = ways(recognise, &who, &scope).unwrap_or_default();
        let asked = |key: &&str| {
            let by = |way: &&Compiled| {
                if way.uses.who.is_empty() {
                    recognise.compares(key)
                } else {
                    way.uses.who.contains(*key)
                }
            };
            who.get(key).is_some() && ways.iter().any(by)
        };
        [ACCOUNT_NAME, "email", "employeeID"]
            .into_iter()
            .filter(asked)
            .collect()
    }

    /// What `way` shows, each element as its profile where the list alone does not tell who it is.
    pub(super) async fn elements(
        &self,
        recognise: &Recognise,
        way: &Compiled,
        scope: &Scope<'_>,
    ) -> Result<Vec<Value>, Fault> {
        let exchange = self.exchange();
        let items = match exchange.look(way, scope, None).await? {
            Some(Value::Array(items)) => items,
            None => vec![],
            // An answer without content is no list without elements.
            Some(Value::Null) => {
                return Err(
                    Fault::permanent(Reason::Malformed).with_code(format!("{}: empty answer", way.path))
                );
            }
            Some(item) => vec![item],
        };
        let Some(profile) = &recognise.profile else {
            return Ok(items);
        };
        let mut elements = Vec::with_capacity(items.len());
        for abreast in items.chunks(ABREAST) {
            let profiles = abreast.iter().map(async |item| {
                let scope = Scope::inside(scope).with("item", item);
                match &profile.when {
                    Some(when) if !when.holds(&scope)? => Ok(Some(item.clone())),
                    _ => exchange.look(profile, &scope, None).await,
                }
            });
            for element in join_all(profiles).await {
                match element? {
                    Some(Value::Null) | None => {}
                    // A read of one, written as a list.
                    Some(Value::Array(one)) => elements.extend(one),
                    Some(element) => elements.push(element),
                }
            }
        }
        Ok(elements)
    }

    /// The account that `item` shows, if it is theirs.
    fn account(&self, item: Value, who: &Value, inputs: &Value) -> Result<Option<Account>, Fault> {
        let scope = Scope::new()
            .with("item", &item)
            .with("who", who)
            .with("inputs", inputs);
        let Some(recognise) = &self.loaded.account else {
            return Ok(None);
        };
        if !recognise.is_of(who, &scope)? {
            return Ok(None);
        }
        let id = recognise.id.text_value(&scope)?;
        let id = id.ok_or_else(|| recognise.id.unevaluable("no id"))?;
        let name = recognise.name.text_value(&scope)?.unwrap_or_default();
        let doubtful = recognise
            .doubtful
            .as_ref()
            .map(|rule| rule.holds(&scope))
            .transpose()?;
        if self.is_protected((&id, &name), &item, &scope)? {
            return Err(Fault::needs_decision(Reason::Protected));
        }
        let disagrees = recognise.disagrees(who, &scope)?;
        let doubt = disagrees
            .map(identity::disagrees)
            .or((doubtful == Some(true)).then(|| DOUBTFUL.to_owned()));
        let keys = recognise.digests(&scope)?;
        drop(scope);
        Ok(Some(Account {
            id,
            name,
            item: item.into(),
            doubt,
            keys,
        }))
    }
}

/// The ways to find `who`: with a login name those that use it, else those that need nothing unknown; of each only where its
/// `when` holds, which decides alone where it speaks of `who`.
///
/// # Errors
/// `NeedsDecision/Ambiguous` where nothing is known by which the system could be asked: then nothing is known, and "no account"
/// would be a guess (R2).
pub(super) fn ways<'r>(
    recognise: &'r Recognise,
    who: &Value,
    scope: &Scope<'_>,
) -> Result<Vec<&'r Compiled>, Fault> {
    let named = who.get(ACCOUNT_NAME).is_some();
    let mut ways = vec![];
    for way in &recognise.find {
        let of_everybody = way.uses.who_at_all.is_empty() && recognise.compares(ACCOUNT_NAME);
        if named && !of_everybody && !way.uses.who_at_all.contains(ACCOUNT_NAME) {
            continue;
        }
        let known = || way.uses.who.iter().all(|key| who.get(key).is_some());
        let sent = match &way.when {
            Some(when) if when.uses().who_at_all.is_empty() => known() && when.holds(scope)?,
            Some(when) => when.holds(scope)?,
            None => known(),
        };
        if sent {
            ways.push(way);
        }
    }
    if !ways.is_empty() {
        return Ok(ways);
    }
    let needs_a_name = |way: &Compiled| way.uses.who.contains(ACCOUNT_NAME);
    let code = if recognise.find.iter().all(needs_a_name) {
        BY_NAME_ONLY
    } else {
        NO_WAY
    };
    Err(nothing_known(code))
}

/// Nobody was asked.
fn nothing_known(code: &str) -> Fault {
    Fault::needs_decision(Reason::Ambiguous).with_code(code)
}
