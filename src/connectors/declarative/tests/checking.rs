//! Mistakes that can be seen before anything is asked, each with its place.

use super::*;

#[test]
fn what_can_never_be_meant_is_refused_with_its_place() {
    let cases = [
        (
            "none: reads.groups",
            "holds: size(reads.groups) == '0'",
            "facts.GroupsLeft.holds: compares a number with a text",
        ),
        (
            "holds: '!reads.user.active'",
            "holds: size(reads.groups)",
            "facts.Suspended.holds: is a number, and must be true or false",
        ),
        (
            "holds: '!reads.user.active'",
            "holds: '!size(reads.groups)'",
            "facts.Suspended.holds: a number stands where true or false is needed",
        ),
        (
            "holds: '!reads.user.active'",
            "holds: now == '2026-01-01'",
            "facts.Suspended.holds: compares an instant with a text",
        ),
        (
            "absent: response.status == 404",
            "absent: response.status == '404'",
            "account.find[1].absent: compares a number with a text",
        ),
        (
            "absent: response.status == 404",
            "absent: string(response.status)",
            "account.find[1].absent: is a text, and must be true or false",
        ),
        (
            "delete: '/groups/${item.id}/members/${account.id}'",
            "delete: '/groups/${item.id}/members/{account.id}'",
            "facts.GroupsLeft.act[0].delete: {account.id} is sent as it stands: write ${account.id}",
        ),
        (
            "get: '/users/${account.id}' }",
            "get: 'https://small/users/${account.id}' }",
            "reads.user.get: an absolute address",
        ),
        (
            "post: '/users/${account.id}/lock'",
            "get: '/users/${account.id}/lock'",
            "facts.Locked.ladder[0].get: an act changes something and get only reads",
        ),
        (
            "same: item.mail == who.email",
            "same: item.mail == 'a@b'",
            "account.same: compares item with who",
        ),
        (
            "same: item.mail == who.email",
            "same: has(who.email)",
            "account.same: compares item with who",
        ),
        (
            "patch: '/users/${account.id}', json: { active: true }",
            "patch: '/users/${secrets.token}', json: { active: true }",
            "facts.Suspended.undo[0].patch: unknown name 'secrets'",
        ),
        (
            "post: '/users/${account.id}/ban'",
            "post: '/users/${account.name}/ban'",
            "facts.Locked.ladder[1].post: names are reused",
        ),
    ];
    for (from, to, expected) in cases {
        let problems = changed(from, to);
        assert!(problems.contains(expected), "{to}: {expected} in\n{problems}");
    }
}

#[test]
fn what_is_not_known_is_never_complained_of() {
    for holds in [
        "reads.user.count == '0'",
        "reads.user.active == null",
        "reads.groups.exists(g, g.id == 1) && reads.groups.all(g, g.name != 'x')",
        "size(reads.groups.filter(g, g.id == 1).map(g, g.id)) == 0",
        "reads.groups.exists_one(g, g.id == 1)",
        "(reads.user.active ? 'a' : 1) == 1",
        "timestamp(reads.user.at) >= since + duration('1m')",
        "string(account.id) + '1' == account.name",
    ] {
        sound(&DEFINITION.replace("holds: '!reads.user.active'", &format!("holds: \"{holds}\"")));
    }
}
