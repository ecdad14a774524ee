//! What a definition says once for all its lists, put into the requests that rest on it.
//!
//! # Why
//! Most systems answer every list in one shape, so its paging is written once, and a request that reads a list says `list`
//! instead of `get`. It is an explicit verb, not a default of every `get`: an entry that is read alone has another shape, and
//! a default that must fit both takes a list that is missing for an entry. Requests are written out before anything else
//! looks at them, so that what a record keeps of a definition means the same under a later one.

use super::problems::Problems;
use crate::api::definition::{ConnectorDefinitionSpec, Lists, Request};

/// Writes out what the requests of `spec` leave to its driver section, or to the read that shows the account.
pub(super) fn write_out(spec: &mut ConnectorDefinitionSpec, problems: &mut Problems) {
    if let Some(http) = &spec.http {
        let lists = http.lists.clone();
        for (path, request) in requests(spec) {
            let Some(list) = request.list.take() else { continue };
            if let Some(lists) = &lists {
                written_out(request, list, lists);
            } else {
                request.get = Some(list);
                problems.add(
                    format!("{path}.list"),
                    "needs http.lists, which says how lists are answered; or write get",
                );
            }
        }
    }
    if spec.ldap.is_some()
        && let Some(account) = &mut spec.account
        && let Some(shown) = account.shows.as_ref().and_then(|read| spec.reads.get(read))
    {
        for find in &mut account.find {
            if find.attributes.is_empty() {
                find.attributes.clone_from(&shown.attributes);
            }
        }
    }
}

fn written_out(request: &mut Request, list: String, lists: &Lists) {
    request.get = Some(list);
    for (parameter, value) in &lists.query {
        let own = request.query.entry(parameter.clone());
        own.or_insert_with(|| value.clone());
    }
    if request.items.is_none() {
        request.items.clone_from(&lists.items);
    }
    if request.page.is_none() {
        request.page.clone_from(&lists.page);
    }
}

/// Every request of a definition with its place. Those of `spares` read and put back one element each.
fn requests(spec: &mut ConnectorDefinitionSpec) -> Vec<(String, &mut Request)> {
    let mut all = vec![];
    for (name, input) in &mut spec.inputs {
        let discover = input.discover.as_deref_mut();
        all.extend(discover.map(|request| (format!("inputs.{name}.discover"), request)));
    }
    if let Some(account) = &mut spec.account {
        all.extend(numbered("account.find".to_owned(), &mut account.find));
        let profile = account.profile.as_mut();
        all.extend(profile.map(|request| ("account.profile".to_owned(), request)));
    }
    let reads = spec.reads.iter_mut();
    all.extend(reads.map(|(name, request)| (format!("reads.{name}"), request)));
    for (name, fact) in &mut spec.facts {
        all.extend(numbered(format!("facts.{name}.act"), &mut fact.act));
        all.extend(numbered(format!("facts.{name}.ladder"), &mut fact.ladder));
        all.extend(numbered(format!("facts.{name}.undo"), &mut fact.undo));
    }
    if let Some(people) = &mut spec.people {
        all.extend(numbered("people.everyone".to_owned(), &mut people.everyone));
        all.extend(numbered("people.changed".to_owned(), &mut people.changed));
        let details = people.details.iter_mut();
        all.extend(details.map(|(name, detail)| (format!("people.details.{name}.read"), &mut detail.read)));
    }
    all
}

fn numbered(path: String, requests: &mut [Request]) -> impl Iterator<Item = (String, &mut Request)> {
    let numbered = requests.iter_mut().enumerate();
    numbered.map(move |(index, request)| (format!("{path}[{index}]"), request))
}
