//! What an act must leave as it is: looked at before and after the first request that could show it.
//!
//! # Why
//! A system that takes more than it is asked for does so with every request of the kind: there are servers that empty a group
//! when one member is to be removed. The first group that has others in it shows that, so that no second one is emptied; and
//! what the first has lost is put back at once.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    compile::{Compiler, Role},
    connector::Declarative,
    counted,
    expression::{Expression, Scope},
    references::Uses,
    request::Compiled,
    setting::Setting,
};
use crate::{
    api::definition::Spares,
    connectors::{Readings, Subject},
    core::fault::{Fault, Reason},
};

/// What an act must leave as it is, compiled.
#[derive(Debug)]
pub(super) struct CompiledSpares {
    /// By what `read` and `back` know what a request is made for.
    pub of: Expression,
    read: Compiled,
    back: Compiled,
}

impl CompiledSpares {
    pub fn compile(spares: &Spares, path: &str, names: &[&str], compiler: &mut Compiler<'_>) -> Option<Self> {
        let of = compiler.expression(&spares.of, &format!("{path}.of"), &[names, &["item"]].concat());
        let read = compiler.request(&spares.read, &format!("{path}.read"), Role::Spared);
        let back = compiler.request(&spares.back, &format!("{path}.back"), Role::PutBack);
        Some(Self {
            of: of?,
            read: read?,
            back: back?,
        })
    }

    /// Where it is looked at; always, if there is nothing.
    pub fn when(&self) -> Option<&Expression> {
        self.read.when.as_ref()
    }
}

/// One request under watch.
pub(super) struct Watch<'w> {
    pub spares: &'w CompiledSpares,
    pub subject: &'w Subject,
    /// What the request is made for.
    pub item: &'w Value,
}

impl Declarative {
    /// What is there now; none where that is not to be looked at, or could not be: access ends all the same.
    pub(super) async fn spared(&self, watch: &Watch<'_>) -> Option<Vec<Value>> {
        let read = &watch.spares.read;
        self.in_scope(watch, &[], async |scope| {
            if let Some(when) = &read.when
                && !when.holds(scope).unwrap_or(false)
            {
                return None;
            }
            match self.exchange().look(read, scope, None).await {
                Ok(Some(Value::Array(list))) => Some(list),
                Ok(_) => None,
                Err(fault) => {
                    tracing::debug!(
                        reason = fault.reason.as_str(),
                        "not known whether others are spared"
                    );
                    None
                }
            }
        })
        .await
    }

    /// Whether what was there `before` is still there. What is gone as a whole is put back.
    ///
    /// # Errors
    /// `OthersAffected` when it was gone.
    pub(super) async fn leave_as_it_was(&self, watch: &Watch<'_>, before: &[Value]) -> Result<(), Fault> {
        let gone = async || {
            let after = self.spared(watch).await?;
            let lost: Vec<Value> = before
                .iter()
                .filter(|one| !after.contains(one))
                .cloned()
                .collect();
            Some(lost)
        };
        // Somebody else may take one away at the same time; nobody takes all of them.
        if gone().await.is_none_or(|lost| lost.len() < before.len()) {
            return Ok(());
        }
        let back = &watch.spares.back;
        let sent = self
            .in_scope(watch, before, async |scope| {
                let answer = self.driver.perform(&back.resolve(&self.target, scope)?).await?;
                let scope = Scope::inside(scope).with("response", &answer.response);
                self.exchange().fault(&answer, &scope).map_or(Ok(()), Err)
            })
            .await;
        let all_back = sent.is_ok() && gone().await.is_some_and(|lost| lost.is_empty());
        let what = if all_back { "put back" } else { "still out" };
        let others = counted(i64::try_from(before.len()).unwrap_or(i64::MAX), "other");
        let code = format!("{others} taken out too: {what}");
        Err(Fault::needs_decision(Reason::OthersAffected).with_code(code))
    }

    async fn in_scope<T>(
        &self,
        watch: &Watch<'_>,
        lost: &[Value],
        run: impl AsyncFnOnce(&Scope<'_>) -> T,
    ) -> T {
        let setting = Setting::new(watch.subject, self.inputs.known());
        let mut uses = Uses::default();
        uses.names = ["inputs", "who", "account", "now"].map(String::from).into();
        let readings = Readings::new();
        let scope = setting.scope(&uses, &readings, Timestamp::UNIX_EPOCH);
        let lost = Value::Array(lost.to_vec());
        let scope = Scope::inside(&scope).with("item", watch.item).with("lost", &lost);
        run(&scope).await
    }
}
