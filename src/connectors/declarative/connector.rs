//! A definition with inputs and a driver: a connector.
//!
//! It decides nothing about a leaver. It looks as the definition says, and sends what it is handed.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    escape::percent,
    exchange::{Bound, Exchange},
    expression::{Expression, Scope},
    fact::CompiledFact,
    learned::Inputs,
    load::Loaded,
    people::Managers,
    recognise::CompiledLast,
    references::Uses,
    request::{Compiled, Target},
    setting::{Setting, person, since},
    sight::{Missing, View, step_name, step_of, watched_of},
    spares::Watch,
    template::{CALLBACK, KEY},
};
use crate::{
    connectors::{
        Capabilities, Connector, Key, Order, Reading, Readings, Shared, Subject,
        driver::{Driver, Resolved},
    },
    core::{
        digest::request_digest,
        fact::{Act, Receipt, Sight, Truth},
        fault::{Fault, Reason},
        identity::{self, Account, Person},
        leavers::is_address,
        way_back::{WayBack, WaysBack},
    },
    transport::{
        callback::{About, Callbacks},
        memory::{self, Retention},
        secret::Secret,
    },
};

/// How many requests of one `each` are on their way at the same time.
pub(super) const ABREAST: usize = 8;

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Act,
    Undo,
}

/// A connector made of data.
pub struct Declarative {
    pub(super) loaded: Arc<Loaded>,
    pub(super) inputs: Arc<Inputs>,
    pub(super) target: Target,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) capabilities: Capabilities,
    /// What looks may keep.
    pub(super) part: memory::Part,
    /// By what managers are known as, their addresses, as the last list of everybody had them.
    pub(super) managers: Mutex<Option<Managers>>,
    /// In lower case.
    pub(super) protected: Vec<String>,
}

impl Declarative {
    pub(super) fn exchange(&self) -> Exchange<'_> {
        Exchange {
            loaded: &self.loaded,
            driver: self.driver.as_ref(),
            target: &self.target,
        }
    }

    /// The read that an element of `find` shows.
    fn shows(&self) -> Option<&str> {
        self.loaded.account.as_ref()?.shows.as_deref()
    }

    fn last(&self) -> Option<&CompiledLast> {
        self.loaded.account.as_ref()?.last.as_ref()
    }

    fn fact(&self, name: &str) -> Option<&CompiledFact> {
        self.loaded.facts.get(name)
    }

    /// The account as `readings` show it; none where they do not.
    fn shown<'r>(&self, readings: &'r Readings) -> Option<&'r Value> {
        match &**readings.get(self.shows()?)?.as_ref().ok()? {
            Value::Array(list) if list.len() == 1 => list.first(),
            Value::Null | Value::Array(_) => None,
            item => Some(item),
        }
    }

    /// Whether the Connector or the definition keeps the account that `item` shows from being offboarded (R6).
    pub(super) fn is_protected(
        &self,
        (id, name): (&str, &str),
        item: &Value,
        scope: &Scope<'_>,
    ) -> Result<bool, Fault> {
        // Whichever of its names was listed: its login name, its address, its DN.
        let shown = item
            .as_object()
            .into_iter()
            .flat_map(|item| item.values().filter_map(Value::as_str));
        let listed = shown
            .chain([id, name])
            .any(|n| self.protected.contains(&n.to_lowercase()));
        let recognise = self.loaded.account.as_ref();
        let rule = recognise.and_then(|account| account.protected.as_ref());
        Ok(listed || rule.map(|rule| rule.holds(scope)).transpose()? == Some(true))
    }

    /// The reads that `facts` rest on, through other reads too. To give something back, also the one that shows whose account it
    /// is: one that is protected by now is not changed.
    fn wanted_reads(&self, facts: &[&str], purpose: Purpose) -> Vec<&str> {
        let undo = purpose == Purpose::Undo;
        let shows = self.shows().filter(|_| undo && !facts.is_empty());
        let facts = facts.iter().filter_map(|name| self.fact(name));
        let reads = facts.flat_map(|fact| {
            let back = fact.looks_back.iter().filter(|_| undo);
            fact.uses.reads.iter().chain(back)
        });
        self.with_their_own(reads.map(String::as_str).chain(shows).collect())
    }

    /// These reads and those that they rest on.
    pub(super) fn with_their_own<'a>(&'a self, mut next: Vec<&'a str>) -> Vec<&'a str> {
        let mut wanted: Vec<&str> = vec![];
        while let Some(name) = next.pop() {
            if let Some(read) = self.loaded.reads.get(name)
                && !wanted.contains(&name)
            {
                wanted.push(name);
                next.extend(read.uses.reads.iter().map(String::as_str));
            }
        }
        wanted
    }

    /// The earliest `since` of the facts that rest on a read.
    fn since_of(&self, read: &str, subject: &Subject, facts: &[&str]) -> Timestamp {
        facts
            .iter()
            .filter_map(|name| self.fact(name))
            .filter(|fact| fact.uses.reads.contains(read))
            .map(|fact| since(subject, &fact.spec))
            .min()
            .unwrap_or(subject.cutoff)
    }

    async fn read(
        &self,
        name: &str,
        setting: &Setting<'_>,
        (bound, retention): (&str, &Retention),
        readings: &Readings,
        since: Timestamp,
    ) -> Result<Reading, Fault> {
        let Some(read) = self.loaded.reads.get(name) else {
            return Err(Fault::permanent(Reason::ConnectorNotReady));
        };
        for other in &read.uses.reads {
            if let Some(Err(fault)) = readings.get(other) {
                return Err(fault.clone());
            }
        }
        if setting.lacks_successor(&read.uses) {
            return Err(Fault::needs_decision(Reason::NoSuccessor));
        }
        let scope = setting.scope(&read.uses, readings, since);
        if let Some(when) = &read.when
            && !when.holds(&scope)?
        {
            return Ok(Value::Null.into());
        }
        let shown = self.shows() == Some(name);
        let recognise = self.loaded.account.as_ref().filter(|_| shown);
        let exchange = self.exchange();
        let looked_at = Bound { id: bound, shown };
        let Some(each) = &read.each else {
            let read = exchange.read(read, &scope, looked_at, retention).await?;
            if let (Some(recognise), Some((value, _))) = (recognise, &read) {
                let scope = setting.scope(recognise.echo().uses(), readings, since);
                recognise.is_bound(value, bound, &scope)?;
            }
            let (value, memory) = read.unwrap_or_default();
            return Ok(Reading::counted(value, memory));
        };
        let items = each.list(&scope)?;
        let (mut together, mut memory) = (vec![], vec![]);
        for abreast in items.chunks(ABREAST) {
            let scopes: Vec<Scope<'_>> = abreast
                .iter()
                .map(|item| Scope::inside(&scope).with("item", item))
                .collect();
            let looks = scopes
                .iter()
                .map(|scope| exchange.read(read, scope, looked_at, retention));
            for value in join_all(looks).await {
                let (value, counted) = value?.unwrap_or_default();
                memory.extend(counted);
                match value {
                    Value::Array(list) => together.extend(list),
                    Value::Null => {}
                    value => together.push(value),
                }
            }
        }
        let together = Value::Array(together);
        if let Some(recognise) = recognise {
            let scope = setting.scope(recognise.echo().uses(), readings, since);
            recognise.is_bound(&together, bound, &scope)?;
        }
        Ok(Reading::counted(together, memory))
    }

    /// Does these reads, each once, those that rest on others after them; `facts` are those they are done for.
    async fn look(&self, subject: &Subject, mut wanted: Vec<&str>, facts: &[&str]) -> Readings {
        let mut readings = Readings::new();
        let inputs = match self.inputs.learn(&self.exchange()).await {
            Ok(inputs) => inputs,
            Err(fault) => {
                let unread = |name: &str| (name.to_owned(), Err(fault.clone()));
                return wanted.into_iter().map(unread).collect();
            }
        };
        let setting = Setting::new(subject, inputs);
        let retention = Retention::new(&self.part);
        if let Some(shows) = self.shows()
            && !subject.account.item.is_null()
            && wanted.contains(&shows)
        {
            readings.insert(shows.to_owned(), Ok(subject.account.item.clone().into()));
        }
        wanted.retain(|name| !readings.contains_key(*name));
        while !wanted.is_empty() {
            let (ready, later): (Vec<&str>, Vec<&str>) = wanted.into_iter().partition(|name| {
                let read = self.loaded.reads.get(*name);
                read.is_none_or(|read| read.uses.reads.iter().all(|other| readings.contains_key(other)))
            });
            if ready.is_empty() {
                break;
            }
            let looks = ready.iter().map(|name| {
                let since = self.since_of(name, subject, facts);
                self.read(
                    name,
                    &setting,
                    (&subject.account.id, &retention),
                    &readings,
                    since,
                )
            });
            let values = join_all(looks).await;
            for (name, value) in ready.into_iter().zip(values) {
                readings.insert(name.to_owned(), value);
            }
            wanted = later;
        }
        readings
    }

    /// `readings` with what `find` showed, where that is one of the reads and it was not done yet: who is found active is
    /// disabled while the rest is read.
    fn with_found(&self, fact: &CompiledFact, subject: &Subject, readings: &Readings) -> Option<Readings> {
        let shows = self.shows()?;
        let needed = fact.uses.reads.contains(shows) && !readings.contains_key(shows);
        if !needed || subject.account.item.is_null() {
            return None;
        }
        let mut known = readings.clone();
        known.insert(shows.to_owned(), Ok(subject.account.item.clone().into()));
        Some(known)
    }

    fn with_view<T>(&self, subject: &Subject, readings: &Readings, judge: impl FnOnce(&View<'_>) -> T) -> T {
        let setting = Setting::new(subject, self.inputs.known());
        judge(&View {
            target: &self.target,
            subject,
            setting: &setting,
            readings,
            last: self.last(),
        })
    }

    /// The request of the definition that a resolved one came from.
    fn step(&self, fact: &str, request: &Value) -> Option<&Compiled> {
        let fact = self.fact(fact)?;
        let step = step_of(request)?;
        fact.act
            .iter()
            .chain(&fact.ladder)
            .chain(&fact.undo)
            .find(|compiled| step_name(&compiled.path) == step)
    }

    /// Where the system may answer to the act for `fact` that is sent now.
    fn callback(&self, subject: &Subject, fact: &str, key: &Key) -> Option<Secret> {
        let about = About {
            case: subject.keys.case.clone(),
            row: subject.keys.row.clone(),
            fact: fact.to_owned(),
            key: key.0.clone(),
            asked: subject.now,
        };
        Some(self.driver.callbacks()?.address(about))
    }

    /// Sends one request of an act; its operation and the system's clock.
    async fn send(
        &self,
        subject: &Subject,
        request: &Value,
        (fact, step): (&str, Option<&Compiled>),
        key: &Key,
    ) -> Result<Receipt, Fault> {
        let mut request = request.clone();
        put_in(&mut request, KEY, &key.0);
        let callback = self.callback(subject, fact, key);
        put_in(
            &mut request,
            CALLBACK,
            callback.as_ref().map_or("", Secret::expose),
        );
        let resolved: Resolved = serde_json::from_value(request)
            .map_err(|_| Fault::permanent(Reason::Malformed).with_code("act"))?;
        let answer = self.driver.perform(&resolved).await?;
        let setting = Setting::new(subject, self.inputs.known());
        let mut uses = Uses::default();
        uses.names = ["inputs", "who", "account", "now"].map(String::from).into();
        let readings = Readings::new();
        let scope = setting.scope(&uses, &readings, subject.cutoff);
        let scope = Scope::inside(&scope).with("response", &answer.response);
        let says = |rule: Option<&Expression>| rule.is_some_and(|rule| rule.holds(&scope).unwrap_or(false));
        let done = says(step.and_then(|step| step.done.as_ref()));
        if !done && let Some(mut fault) = self.exchange().fault(&answer, &scope) {
            let shown = |address: &Secret| fault.code.len() >= 8 && address.expose().contains(&fault.code);
            if callback.as_ref().is_some_and(shown) {
                fault.code.clear();
            }
            let lost = says(step.and_then(|step| step.lost.as_ref()));
            return Err(if lost {
                Fault::permanent(Reason::NotFoundUncorroborated).with_code(fault.code)
            } else {
                fault
            });
        }
        let operation = match step.and_then(|step| step.operation.as_ref()) {
            // The request was accepted: an unreadable id must not make it look refused.
            Some(operation) => operation
                .text_value(&scope)
                .map_err(|_| Fault::unknown_outcome(Reason::Malformed).with_code(operation.path()))?,
            None => None,
        };
        Ok(Receipt {
            operation,
            at: answer.date,
            ..Receipt::default()
        })
    }
}

/// Puts `text` where `stand_in` is, in addresses percent-encoded.
fn put_in(request: &mut Value, stand_in: &str, text: &str) {
    let encoded = |text: &str| {
        let mut encoded = String::new();
        percent(&mut encoded, text);
        encoded
    };
    match request {
        Value::String(whole) if whole.contains(stand_in.trim_matches('\u{1}')) => {
            *whole = whole
                .replace(stand_in, text)
                .replace(&encoded(stand_in), &encoded(text));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| put_in(value, stand_in, text)),
        Value::Object(map) => map.values_mut().for_each(|value| put_in(value, stand_in, text)),
        _ => {}
    }
}

#[async_trait]
impl Connector for Declarative {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn callbacks(&self) -> Option<&Callbacks> {
        self.driver.callbacks()
    }

    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.search(who).await
    }

    fn looked_up_by(&self, who: &Person) -> Vec<&'static str> {
        self.keys_asked(who)
    }

    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.look(subject, self.wanted_reads(facts, Purpose::Act), facts)
            .await
    }

    fn shown_code(&self, code: &str) -> String {
        self.loaded.codes.shown(code).into_owned()
    }

    fn knows_managers(&self) -> bool {
        self.loaded
            .account
            .as_ref()
            .is_some_and(|account| account.manager.is_some())
    }

    async fn manager(&self, subject: &Subject) -> Result<Option<Person>, Fault> {
        let account = self.loaded.account.as_ref();
        let Some(manager) = account.and_then(|account| account.manager.as_ref()) else {
            return Ok(None);
        };
        let mut readings = self
            .look(subject, self.with_their_own(vec![&manager.read]), &[])
            .await;
        let read = readings
            .remove(&manager.read)
            .unwrap_or_else(|| Ok(Value::Null.into()))?;
        let item = match &*read {
            Value::Array(list) if list.len() > 1 => {
                return Err(Fault::needs_decision(Reason::Ambiguous).with_code("manager"));
            }
            Value::Array(list) => list.first().unwrap_or(&Value::Null),
            item => item,
        };
        if item.is_null() {
            return Ok(None);
        }
        let scope = Scope::new().with("item", item);
        let text = |expression: &Option<Expression>| {
            let text = expression
                .as_ref()
                .map(|e| e.text_value(&scope))
                .transpose()?
                .flatten();
            Ok::<_, Fault>(text.filter(|text| !text.trim().is_empty()))
        };
        let person = Person {
            email: text(&manager.email)?.filter(|email| is_address(email)),
            employee_id: text(&manager.employee_id)?,
            ..Person::default()
        };
        let known = person.email.is_some() || person.employee_id.is_some();
        Ok(known.then_some(person))
    }

    async fn observe_back(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.look(subject, self.wanted_reads(facts, Purpose::Undo), facts)
            .await
    }

    fn recognise(&self, subject: &Subject, readings: &Readings) -> Result<bool, Fault> {
        let (Some(recognise), Some(item)) = (&self.loaded.account, self.shown(readings)) else {
            return Ok(true);
        };
        let who = person(&subject.who);
        let scope = Scope::new()
            .with("item", item)
            .with("who", &who)
            .with("inputs", self.inputs.known());
        // People may change their own address; their number only somebody else may.
        if recognise.disagrees(&who, &scope)? == Some("employeeID") {
            return Err(Fault::needs_decision(Reason::Ambiguous).with_code(identity::disagrees("employeeID")));
        }
        if recognise.agrees(&who, &scope)? {
            return Ok(true);
        }
        // Renamed since, and still the one that was bound.
        let bound = &subject.account.keys;
        Ok(recognise
            .digests(&scope)?
            .iter()
            .any(|shown| bound.contains(shown)))
    }

    fn protects(&self, subject: &Subject, readings: &Readings) -> Result<Option<bool>, Fault> {
        let Some(item) = self.shown(readings) else {
            return Ok(None);
        };
        let who = person(&subject.who);
        let scope = Scope::new()
            .with("item", item)
            .with("who", &who)
            .with("inputs", self.inputs.known());
        let account = (subject.account.id.as_str(), subject.account.name.as_str());
        self.is_protected(account, item, &scope).map(Some)
    }

    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        match self.fact(fact) {
            Some(fact) => {
                let known = self.with_found(fact, subject, readings);
                self.with_view(subject, known.as_ref().unwrap_or(readings), |view| {
                    view.sight(fact)
                })
            }
            None => Sight::of(Truth::Unreadable(Fault::permanent(Reason::ConnectorNotReady))),
        }
    }

    fn way_back(&self, fact: &str) -> Option<WayBack> {
        self.way_back_of(fact)
    }

    fn of_their_time(&self, ways_back: &WaysBack) -> BTreeMap<String, Shared> {
        Declarative::of_their_time(self, ways_back)
    }

    fn can_undo(&self, fact: &str) -> bool {
        self.fact(fact).is_some_and(|fact| !fact.undo.is_empty())
    }

    fn undo(&self, subject: &Subject, fact: &str, readings: &Readings) -> Result<Option<Act>, Truth> {
        let Some(fact) = self.fact(fact) else {
            return Err(Truth::Unreadable(Fault::permanent(Reason::ConnectorNotReady)));
        };
        // Only once we have deleted the account ourselves is it read as not there.
        let account = self.shows().and_then(|shows| readings.get(shows));
        if matches!(account, Some(Ok(account)) if account.is_null()) {
            return Err(Truth::NotApplicable);
        }
        let with = |snapshot: Value| {
            let mut subject = subject.clone();
            subject.ledger.snapshot.insert(fact.spec.name.clone(), snapshot);
            self.with_view(&subject, readings, |view| view.requests_back(fact))
        };
        let requests = match self.with_view(subject, readings, |view| view.missing(fact))? {
            Missing::Nothing => vec![],
            Missing::All => self.with_view(subject, readings, |view| view.requests_back(fact))?,
            Missing::Of { kept, there } => {
                let needless = with(there).unwrap_or_default();
                let mut requests = with(kept)?;
                requests.retain(|request| !needless.contains(request));
                requests
            }
        };
        Ok((!requests.is_empty()).then(|| Act {
            fact: fact.spec.name.clone(),
            requests,
            rung: 0,
            more: false,
        }))
    }

    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        let mut begun = false;
        let mut receipt = Receipt::default();
        let mut refused = None;
        let mut rest = act.requests.as_slice();
        let spares = self.fact(&act.fact).and_then(|fact| fact.spares.as_ref());
        let mut spared = spares.is_none();
        while let Some(first) = rest.first() {
            let step = self.step(&act.fact, first);
            let same = match step {
                Some(compiled) if compiled.each.is_some() => rest
                    .iter()
                    .take_while(|request| step_of(request) == step_of(first))
                    .count(),
                _ => 1,
            };
            let watch = spares.filter(|_| !spared).zip(watched_of(first));
            let watch = watch.map(|(spares, item)| Watch {
                spares,
                subject,
                item,
            });
            // One alone, until it is known that it takes nothing from others.
            let (now, later) = rest.split_at(if watch.is_some() { 1 } else { same });
            let before = match &watch {
                Some(watch) => self.spared(watch).await.filter(|there| !there.is_empty()),
                None => None,
            };
            let takes_back = step.is_some_and(|step| step_name(&step.path).starts_with("undo"));
            for abreast in now.chunks(ABREAST) {
                if !order.wanted() {
                    return Err(if begun {
                        Fault::unknown_outcome(Reason::Conflict)
                    } else {
                        Fault::transient(Reason::Conflict)
                    });
                }
                begun = true;
                let calls = abreast
                    .iter()
                    .map(|request| self.send(subject, request, (&act.fact, step), &order.key));
                for (one, request) in join_all(calls).await.into_iter().zip(abreast) {
                    let one = match one {
                        Ok(one) => one,
                        Err(fault) if takes_back && fault.reason == Reason::NotFoundUncorroborated => {
                            receipt.gone.insert(request_digest(request));
                            continue;
                        }
                        // One group that we may not change keeps nobody in the others.
                        Err(fault)
                            if !fault.passes_by_itself()
                                && !matches!(
                                    fault.reason,
                                    Reason::CredentialRejected | Reason::Untrusted | Reason::IdentityMismatch
                                ) =>
                        {
                            refused.get_or_insert(fault);
                            continue;
                        }
                        Err(fault) => return Err(fault),
                    };
                    receipt.operation = one.operation.or(receipt.operation);
                    receipt.at = match (receipt.at, one.at) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
            if let (Some(watch), Some(before)) = (&watch, &before) {
                self.leave_as_it_was(watch, before).await?;
                // What was refused shows nothing.
                spared = refused.is_none();
            }
            let ended = later.first().is_none_or(|next| step_of(next) != step_of(first));
            // What is given back does not build upon one another.
            if ended
                && !takes_back
                && let Some(fault) = refused
            {
                return Err(fault);
            }
            rest = later;
        }
        match refused {
            Some(fault) => Err(fault),
            None => Ok(receipt),
        }
    }
}
