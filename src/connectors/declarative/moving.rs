//! The move of a directory's entry: compiled, and resolved.

use super::{
    compile::Compiler,
    expression::{Scope, Unevaluable},
    references::Uses,
    template::{Place, Template},
};
use crate::{api::definition::Request, connectors::driver::LdapRequest};

/// Moves an entry below another parent, under its own name or another one.
#[derive(Debug)]
pub struct MoveTemplate {
    dn: Template,
    into: Template,
    new_rdn: Option<Template>,
}

impl Compiler<'_> {
    /// A move of an entry.
    pub(super) fn moving(&mut self, request: &Request, path: &str, names: &[&str]) -> Option<MoveTemplate> {
        let field = |name: &str| format!("{path}.{name}");
        let Some(into) = &request.into else {
            self.problems
                .add(field("into"), "missing; name the new parent's DN");
            return None;
        };
        Some(MoveTemplate {
            dn: self.template(request.move_.as_ref()?, Place::Dn, &field("move"), names)?,
            into: self.template(into, Place::Dn, &field("into"), names)?,
            new_rdn: match &request.new_rdn {
                Some(name) => Some(self.template(name, Place::Dn, &field("newRdn"), names)?),
                None => None,
            },
        })
    }
}

impl MoveTemplate {
    /// What the driver is asked for.
    ///
    /// # Errors
    /// An expression without a value, or one that cannot stand in its place.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<LdapRequest, Unevaluable> {
        Ok(LdapRequest::Move {
            dn: self.dn.text(scope)?,
            into: self.into.text(scope)?,
            new_rdn: self.new_rdn.as_ref().map(|name| name.text(scope)).transpose()?,
        })
    }

    /// What it refers to.
    pub fn uses(&self, into: &mut Uses) {
        let all = [&self.dn, &self.into].into_iter().chain(&self.new_rdn);
        all.for_each(|template| template.uses(into));
    }
}
