//! How an account is found, told from others, and kept from being locked out.

use serde_json::{Value, json};

use super::{
    compile::{BOUND, Compiler, Role},
    expression::{Expression, Scope, Unevaluable},
    problems::Problems,
    request::Compiled,
};
use crate::{
    api::definition::{AccountKeys, AccountSpec, ConnectorDefinitionSpec, LastSpec},
    core::{
        fault::{Fault, Reason},
        identity::{folded, key_digest},
    },
};

/// The key of an account that a person named.
pub(super) const ACCOUNT_NAME: &str = "accountName";

/// How an account is found and recognised.
#[derive(Debug)]
pub(super) struct Recognise {
    pub find: Vec<Compiled>,
    /// Reads more of each element of `find`.
    pub profile: Option<Compiled>,
    pub id: Expression,
    pub name: Expression,
    pub same: Option<Expression>,
    pub everybody: bool,
    /// Found by something that may be somebody else's.
    pub doubtful: Option<Expression>,
    /// What an account shows of each key, by the name that `who` has for it.
    pub keys: Vec<(&'static str, Expression)>,
    pub protected: Option<Expression>,
    pub last: Option<CompiledLast>,
    /// The read that an element of `find` shows.
    pub shows: Option<String>,
    /// The id in what that read gives, where it is not where `id` has it.
    echo: Option<Expression>,
    pub manager: Option<CompiledManager>,
}

/// How the manager is known.
#[derive(Debug)]
pub(super) struct CompiledManager {
    pub read: String,
    pub email: Option<Expression>,
    pub employee_id: Option<Expression>,
}

/// What an account shows of a key that a person is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Nothing.
    Nothing,
    /// The same.
    Same,
    /// Another one.
    Another,
}

impl Recognise {
    /// Whether an element is compared with what is known of the person under this name.
    pub fn compares(&self, key: &str) -> bool {
        match &self.same {
            Some(same) => same.uses().who.contains(key),
            None => self.keys.iter().any(|(compared, _)| *compared == key),
        }
    }

    /// Whether the account in `scope` is one of `who`: by `same`, else by the keys.
    pub fn is_of(&self, who: &Value, scope: &Scope<'_>) -> Result<bool, Unevaluable> {
        match &self.same {
            Some(same) => same.holds(scope),
            None if self.everybody => Ok(true),
            None => {
                let named = who.get(ACCOUNT_NAME).is_some();
                let asked = self.keys.iter().filter(|(key, _)| !named || *key == ACCOUNT_NAME);
                for (key, held) in asked {
                    if shown(held, who.get(key), scope)? == Shown::Same {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The key of `who` that the account in `scope` shows another value of; none where a person named the account.
    pub fn disagrees(&self, who: &Value, scope: &Scope<'_>) -> Result<Option<&'static str>, Unevaluable> {
        Ok(self
            .compared(who, scope)?
            .find(|(_, shown)| *shown == Shown::Another)
            .map(|(key, _)| key))
    }

    /// Whether the account in `scope` shows any key of `who`, or none that contradicts.
    pub fn agrees(&self, who: &Value, scope: &Scope<'_>) -> Result<bool, Unevaluable> {
        let compared: Vec<_> = self.compared(who, scope)?.map(|(_, shown)| shown).collect();
        Ok(compared.contains(&Shown::Same) || !compared.contains(&Shown::Another))
    }

    /// Where what the read in `shows` gives has the account's id.
    pub fn echo(&self) -> &Expression {
        self.echo.as_ref().unwrap_or(&self.id)
    }

    /// Whether `value`, what was read of the account with the id `bound`, is about no other.
    ///
    /// # Errors
    /// `IdentityMismatch` where it shows another id, `NotFoundUncorroborated` where it is an empty list, `Malformed` where it
    /// shows no id.
    pub fn is_bound(&self, value: &Value, bound: &str, scope: &Scope<'_>) -> Result<(), Fault> {
        let items = match value {
            Value::Array(items) if items.is_empty() => {
                return Err(Fault::permanent(Reason::NotFoundUncorroborated));
            }
            Value::Array(items) => items.as_slice(),
            item => std::slice::from_ref(item),
        };
        for item in items {
            let shown = Scope::inside(scope).with("item", item);
            let shown = if self.echo().uses().name("response") {
                shown.with_owned("response", json!({"body": item}))
            } else {
                shown
            };
            match self.echo().text_value(&shown)? {
                Some(id) if id == bound => {}
                Some(_) => return Err(Fault::needs_decision(Reason::IdentityMismatch)),
                None => return Err(Fault::permanent(Reason::Malformed).with_code(self.echo().path())),
            }
        }
        Ok(())
    }

    /// Digests of what the account in `scope` shows of each key.
    pub fn digests(&self, scope: &Scope<'_>) -> Result<Vec<String>, Unevaluable> {
        let mut digests = vec![];
        for (key, held) in &self.keys {
            digests.extend(values(held, scope)?.map(|value| key_digest(key, &value)));
        }
        Ok(digests)
    }

    fn compared(
        &self,
        who: &Value,
        scope: &Scope<'_>,
    ) -> Result<impl Iterator<Item = (&'static str, Shown)>, Unevaluable> {
        let named = who.get(ACCOUNT_NAME).is_some();
        let keys = self.keys.iter().filter(|_| !named);
        let compared = keys.map(|(key, held)| Ok((*key, shown(held, who.get(key), scope)?)));
        Ok(compared.collect::<Result<Vec<_>, Unevaluable>>()?.into_iter())
    }
}

/// Compares what an account shows of a key with the value that is `given`, without case.
fn shown(held: &Expression, given: Option<&Value>, scope: &Scope<'_>) -> Result<Shown, Unevaluable> {
    let Some(given) = given.and_then(Value::as_str).map(folded) else {
        return Ok(Shown::Nothing);
    };
    let mut held = values(held, scope)?.peekable();
    if held.peek().is_none() {
        return Ok(Shown::Nothing);
    }
    let same = held.any(|text| text == given);
    Ok(if same { Shown::Same } else { Shown::Another })
}

/// The texts that an account shows of a key, trimmed and in small letters.
fn values(held: &Expression, scope: &Scope<'_>) -> Result<impl Iterator<Item = String>, Unevaluable> {
    let held = match held.evaluate(scope)? {
        Value::Array(list) => list,
        one => vec![one],
    };
    let texts = held.into_iter().filter_map(|value| Some(folded(value.as_str()?)));
    Ok(texts.filter(|text| !text.is_empty()))
}

/// How it is known that an account is the last of its kind.
#[derive(Debug)]
pub(super) struct CompiledLast {
    pub of: String,
    pub when: Option<Expression>,
    pub holds: Expression,
}

/// The longest text of `account.last.of`: it becomes part of a code.
const LONGEST_OF: usize = 40;

fn last(last: &LastSpec, compiler: &mut Compiler<'_>) -> Option<CompiledLast> {
    if last.of.trim().is_empty() || last.of.len() > LONGEST_OF {
        compiler.problems.add(
            "account.last.of",
            format!("say in at most {LONGEST_OF} letters of what, such as: administrator"),
        );
    }
    Some(CompiledLast {
        of: last.of.clone(),
        when: compiler.optional(last.when.as_ref(), "account.last.when", BOUND),
        holds: compiler.expression(&last.holds, "account.last.holds", BOUND)?,
    })
}

pub(super) fn compile(account: &AccountSpec, compiler: &mut Compiler<'_>) -> Option<Recognise> {
    let names = ["item", "who", "inputs"];
    match (account.everybody, account.find.is_empty()) {
        (false, true) => compiler.problems.add(
            "account.find",
            "at least one way to find an account is needed; or everybody: true, where nobody can be asked",
        ),
        (true, false) => compiler.problems.add(
            "account.everybody",
            "nobody is looked for then; remove find, or this",
        ),
        _ => {}
    }
    let find: Vec<Compiled> = account
        .find
        .iter()
        .enumerate()
        .filter_map(|(i, r)| compiler.request(r, &format!("account.find[{i}]"), Role::Find))
        .collect();
    let profile = account.profile.as_ref();
    let profile = profile.and_then(|read| compiler.request(read, "account.profile", Role::Profile));
    if account.everybody && account.profile.is_some() {
        compiler.problems.add(
            "account.profile",
            "nobody is looked for; remove it, or write find",
        );
    }
    let id = compiler.expression(&account.id, "account.id", &names);
    let echo = compiler.optional(account.echo.as_ref(), "account.echo", &["item", "response"]);
    let name = compiler.expression(&account.name, "account.name", &names);
    let same = compiler.optional(account.same.as_ref(), "account.same", &names);
    // Where the request has told people apart already, `true` says so.
    if let Some(same) = same.as_ref().filter(|same| same.text().trim() != "true")
        && !(same.uses().name("item") && same.uses().name("who"))
    {
        compiler.problems.add(
            "account.same",
            "compares item with who: without both it is true of everybody or of nobody",
        );
    }
    let doubtful = compiler.optional(account.doubtful.as_ref(), "account.doubtful", &names);
    if account.same.is_none() && !account.everybody && account.keys == AccountKeys::default() {
        compiler.problems.add(
            "account.keys",
            "say what an account shows of email, employeeID and accountName, or in same who it is",
        );
    }
    let keys = [
        ("employeeID", &account.keys.employee_id),
        ("email", &account.keys.email),
        (ACCOUNT_NAME, &account.keys.account_name),
    ];
    let keys = keys.into_iter().filter_map(|(key, shown)| {
        let path = format!("account.keys.{key}");
        Some((
            key,
            compiler.optional(shown.as_ref(), &path, &["item", "who", "inputs"])?,
        ))
    });
    let keys = keys.collect();
    let protected = compiler.optional(account.protected.as_ref(), "account.protected", &names);
    let last = account.last.as_ref().and_then(|spec| last(spec, compiler));
    let gone = compiler.optional(account.gone.as_ref(), "account.gone", BOUND);
    compiler.gone = gone.map(|gone| gone.text().to_owned());
    let manager = account.manager.as_ref().map(|manager| CompiledManager {
        read: manager.read.clone(),
        email: compiler.optional(manager.email.as_ref(), "account.manager.email", &["item"]),
        employee_id: compiler.optional(
            manager.employee_id.as_ref(),
            "account.manager.employeeID",
            &["item"],
        ),
    });
    Some(Recognise {
        find,
        profile,
        echo,
        id: id?,
        name: name?,
        same,
        everybody: account.everybody,
        doubtful,
        keys,
        protected,
        last,
        shows: account.shows.clone(),
        manager,
    })
}

/// Says what is missing of the account, or too much.
pub(super) fn check(spec: &ConnectorDefinitionSpec, problems: &mut Problems) {
    let Some(account) = &spec.account else {
        if spec.people.is_none() {
            problems.add(
                "account",
                "missing; say how to find an account, or in people how to list the people of an HR system",
            );
        }
        if !spec.facts.is_empty() {
            problems.add("facts", "are about an account; add account, or remove them");
        }
        if !spec.reads.is_empty() {
            problems.add("reads", "are about an account; add account, or remove them");
        }
        return;
    };
    if let Some(shows) = &account.shows
        && !spec.reads.contains_key(shows)
    {
        problems.add("account.shows", format!("there is no read '{shows}'"));
    }
    if account.echo.is_some() && account.shows.is_none() {
        problems.add(
            "account.echo",
            "needs account.shows: name the read whose answers carry the id",
        );
    }
    if let Some(manager) = &account.manager {
        if !spec.reads.contains_key(&manager.read) {
            problems.add(
                "account.manager.read",
                format!("there is no read '{}'", manager.read),
            );
        }
        if manager.email.is_none() && manager.employee_id.is_none() {
            problems.add(
                "account.manager",
                "email or employeeID is needed: by what others know the manager",
            );
        }
    }
    if spec.facts.is_empty() {
        problems.add("facts", "at least one fact is needed where there is an account");
    }
}
