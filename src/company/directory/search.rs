//! Searches: scopes, filters, attributes asked for, pages (RFC 4511 section 4.5, RFC 2696).

use ldap3_proto::{
    control::LdapControl,
    proto::{
        LdapFilter, LdapMsg, LdapOp, LdapPartialAttribute, LdapResultCode as Code, LdapSearchRequest,
        LdapSearchResultEntry, LdapSearchScope, LdapSubstringFilter,
    },
};

use super::{
    result,
    tree::{Entry, Refusal, Tree, normal},
};

/// The most entries that are given without pages.
const LARGEST: usize = 500;

/// The entries found and the end of the search.
pub(super) fn answer(
    bound: &str,
    tree: &Tree,
    id: i32,
    request: &LdapSearchRequest,
    controls: &[LdapControl],
) -> Vec<LdapMsg> {
    let found = match found(bound, tree, request) {
        Ok(found) => found,
        Err(refusal) => return vec![end(id, Err(refusal), Vec::new())],
    };
    let page = controls.iter().find_map(|control| match control {
        LdapControl::SimplePagedResults { size, cookie } => Some((*size, cookie)),
        _ => None,
    });
    let limit = usize::try_from(request.sizelimit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let (from, to, controls) = match page {
        None => (0, found.len().min(LARGEST), Vec::new()),
        Some((size, cookie)) => {
            // The cookie is the number of entries given so far.
            let from = String::from_utf8_lossy(cookie).parse().unwrap_or(0);
            let to = found.len().min(from + usize::try_from(size).unwrap_or(0));
            let more = to < found.len() && size > 0;
            let cookie = if more {
                to.to_string().into_bytes()
            } else {
                Vec::new()
            };
            (
                from,
                to,
                vec![LdapControl::SimplePagedResults { size: 0, cookie }],
            )
        }
    };
    let complete = page.is_some() || found.len() <= LARGEST;
    let given = found.iter().take(to).skip(from).take(limit);
    let mut messages: Vec<_> = given.map(|entry| shown(id, entry, request)).collect();
    let outcome = if complete && messages.len() == to.saturating_sub(from) {
        Ok(())
    } else {
        Err(Refusal(Code::SizeLimitExceeded, ""))
    };
    messages.push(end(id, outcome, controls));
    messages
}

fn end(id: i32, outcome: Result<(), Refusal>, controls: Vec<LdapControl>) -> LdapMsg {
    LdapMsg::new_with_ctrls(id, LdapOp::SearchResultDone(result(outcome)), controls)
}

fn found(bound: &str, tree: &Tree, request: &LdapSearchRequest) -> Result<Vec<Entry>, Refusal> {
    if request.base.is_empty() && request.scope == LdapSearchScope::Base {
        return Ok(vec![root()]);
    }
    // Who is not logged in is not told whether something is there.
    if bound.is_empty() || tree.entry(&request.base).is_none() {
        return Err(Refusal(Code::NoSuchObject, ""));
    }
    let base = normal(&request.base);
    let depth = base.split(',').count();
    let mut found = tree.below(&request.base, request.scope != LdapSearchScope::Base);
    found.retain(|entry| {
        let name = normal(&entry.dn);
        let in_scope = match request.scope {
            LdapSearchScope::Base | LdapSearchScope::Subtree => true,
            LdapSearchScope::OneLevel => name.split(',').count() == depth + 1,
            LdapSearchScope::Children => name != base,
        };
        in_scope && matches(&request.filter, entry)
    });
    Ok(found)
}

fn root() -> Entry {
    Entry::new(
        "",
        &[
            ("objectClass", "top"),
            ("supportedLDAPVersion", "3"),
            ("supportedControl", "1.2.840.113556.1.4.319"),
            ("supportedExtension", super::WHO_AM_I),
            ("vendorName", "offboard demo"),
        ],
    )
}

fn shown(id: i32, entry: &Entry, request: &LdapSearchRequest) -> LdapMsg {
    let asked = |name: &str| request.attrs.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    let users = request.attrs.is_empty() || asked("*");
    let plain = entry.shown(false).filter(|(name, _)| users || asked(name));
    let operational = entry.shown(true).filter(|(name, _)| asked("+") || asked(name));
    let attributes = plain
        .chain(operational)
        .map(|(name, values)| LdapPartialAttribute {
            atype: name.to_owned(),
            vals: if request.typesonly {
                Vec::new()
            } else {
                values.iter().map(|value| value.clone().into_bytes()).collect()
            },
        })
        .collect();
    let dn = entry.dn.clone();
    LdapMsg::new(
        id,
        LdapOp::SearchResultEntry(LdapSearchResultEntry { dn, attributes }),
    )
}

fn matches(filter: &LdapFilter, entry: &Entry) -> bool {
    let secret = |name: &str| name.eq_ignore_ascii_case("userPassword");
    match filter {
        LdapFilter::And(all) => all.iter().all(|filter| matches(filter, entry)),
        LdapFilter::Or(any) => any.iter().any(|filter| matches(filter, entry)),
        LdapFilter::Not(filter) => !matches(filter, entry),
        LdapFilter::Present(name) => !secret(name) && !entry.values(name).is_empty(),
        LdapFilter::Equality(name, value) | LdapFilter::Approx(name, value) => {
            !secret(name) && entry.has(name, value)
        }
        LdapFilter::Substring(name, parts) => {
            !secret(name) && entry.values(name).iter().any(|value| contains(value, parts))
        }
        LdapFilter::GreaterOrEqual(name, least) => entry.values(name).iter().any(|value| value >= least),
        LdapFilter::LessOrEqual(name, most) => entry.values(name).iter().any(|value| value <= most),
        LdapFilter::Extensible(_) => false,
    }
}

fn contains(value: &str, parts: &LdapSubstringFilter) -> bool {
    let value = value.to_lowercase();
    let initial = parts.initial.as_deref().unwrap_or_default().to_lowercase();
    let Some(mut rest) = value.strip_prefix(initial.as_str()) else {
        return false;
    };
    for part in &parts.any {
        let part = part.to_lowercase();
        let Some(at) = rest.find(&part) else { return false };
        rest = &rest[at + part.len()..];
    }
    let last = parts.final_.as_deref().unwrap_or_default().to_lowercase();
    rest.ends_with(&last)
}
