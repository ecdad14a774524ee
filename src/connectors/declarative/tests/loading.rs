//! What a definition may say, and how it is told what is wrong.

use super::*;

#[test]
fn a_sound_definition_orders_its_facts_by_edges_then_class() {
    let names: Vec<String> = sound(DEFINITION).facts().iter().map(|f| f.name.clone()).collect();
    assert_eq!(
        names,
        [
            "Suspended",
            "Locked",
            "GroupsLeft",
            "FilesMoved",
            "RightsKnown",
            "Spare"
        ]
    );
}

#[test]
fn a_misspelt_field_is_refused_with_its_path() {
    let problems = changed("delete: '/groups", "delet: '/groups");
    assert!(
        problems.starts_with("facts.GroupsLeft.act[0].delet: unknown field"),
        "{problems}"
    );
}

#[test]
fn an_unknown_name_is_refused_with_its_path() {
    let problems = changed("/groups/${item.id}/members", "/groups/${grup.id}/members");
    assert!(
        problems.starts_with("facts.GroupsLeft.act[0].delete: unknown name 'grup'"),
        "{problems}"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = DEFINITION
        .replace("after: [Suspended]", "after: [Suspendet]")
        .replace("none: reads.groups", "none: reads.grups")
        .replace("shows: user", "shows: usr");
    let problems = wrong(&text).to_string();
    for part in [
        "facts.GroupsLeft.after[0]: there is no fact 'Suspendet'; 'Suspended' is meant?",
        "facts.GroupsLeft.none: there is no read 'grups'",
        "account.shows: there is no read 'usr'",
    ] {
        assert!(problems.contains(part), "{part} in\n{problems}");
    }
}

#[test]
fn where_the_id_is_in_what_is_read_is_said_beside_the_read() {
    let problems = changed("shows: user", "echo: item.id");
    assert!(
        problems.contains("account.echo: needs account.shows: name the read whose answers carry the id"),
        "{problems}"
    );
}

#[test]
fn a_sum_of_lists_is_no_list_of_which_none_may_be_left() {
    let text = DEFINITION
        .replace(
            "none: reads.groups",
            "holds: size(reads.groups) + size(reads.rights) == 0",
        )
        .replace(
            "act: [{ delete: '/groups",
            "act: [{ each: reads.groups, delete: '/groups",
        )
        .replace("leave ${count} groups", "leave groups");
    sound(&text);
}

#[test]
fn how_many_are_left_is_known_only_where_none_may_be() {
    let problems = changed(
        "holds: has(reads.user.locked)",
        "holds: has(reads.user.locked)\n      says: '${count}'",
    );
    assert!(
        problems.starts_with("facts.Locked.says: unknown name 'count'"),
        "{problems}"
    );
}

/// The definition with these named values.
fn with_values(values: &str, from: &str, to: &str) -> String {
    assert!(DEFINITION.contains(from), "{from}");
    let text = DEFINITION.replacen(from, to, 1);
    text.replacen("  facts:\n", &format!("  values: {values}\n  facts:\n"), 1)
}

#[test]
fn named_values_are_checked_where_they_are_given_and_where_they_are_used() {
    for (values, from, to, problem) in [
        (
            "{ a: values.b, b: '[values.c]', c: values.a }",
            "",
            "",
            "values.a: refers to itself: a → b → c → a",
        ),
        ("{ a: values.a }", "", "", "values.a: refers to itself: a → a"),
        ("{ a: item.id }", "", "", "values.a: unknown name 'item'"),
        (
            "{ a: response.status }",
            "",
            "",
            "values.a: unknown name 'response'",
        ),
        (
            "{ a: reads.grups }",
            "",
            "",
            "values.a: there is no read 'grups'; 'groups' is meant?",
        ),
        ("{ a: reads }", "", "", "values.a: write reads.NAME"),
        (
            "{ left: reads.groups }",
            "none: reads.groups",
            "none: values.lefd",
            "facts.GroupsLeft.none: there is no value 'lefd'; 'left' is meant?",
        ),
        (
            "{ left: reads.groups }",
            "none: reads.groups",
            "holds: values == {}",
            "facts.GroupsLeft.holds: write values.NAME",
        ),
        (
            "{ left: reads.groups }",
            "none: reads.groups",
            "none: '[1].filter(reads, size(values.left) > 0)'",
            "facts.GroupsLeft.none: 'reads' means something else in the loop around values.left",
        ),
        (
            "{ mine: reads.user.id }",
            "filter: 'mail eq ${quoted(who.email)}'",
            "filter: '${values.mine}'",
            "account.find[0].query.filter: unknown name 'reads'",
        ),
        (
            "{ a: '[[1].all(x, true)].all(y, y)' }",
            "holds: '!reads.user.active'",
            "holds: '[1].all(z, [1].all(w, values.a))'",
            "facts.Suspended.holds: more than 2 loops inside each other",
        ),
    ] {
        let problems = wrong(&with_values(values, from, to)).to_string();
        assert!(problems.contains(problem), "{problem} in\n{problems}");
    }
}

#[test]
fn values_of_values_do_not_grow_without_bound() {
    type Doubled = fn(usize) -> String;
    let doubled: [Doubled; 2] = [
        |of| format!("[values.v{of}, values.v{of}]"),
        |of| format!("[1].exists(x, [values.v{of}] == [values.v{of}])"),
    ];
    for doubled in doubled {
        let values = (1..60).map(|n| format!("v{n}: '{}'", doubled(n - 1)));
        let values: Vec<String> = values.collect();
        let values = format!("{{ v0: reads.groups, {} }}", values.join(", "));
        let problems = wrong(&with_values(&values, "", "")).to_string();
        assert!(
            problems.contains("with its values more than 4096 parts"),
            "{problems}"
        );
    }
}

#[test]
fn a_chain_of_values_has_an_end() {
    let chain = |length: usize| {
        let values = (0..length).map(|n| format!("v{n}: values.v{}", n + 1));
        let values: Vec<String> = values.collect();
        with_values(
            &format!("{{ {}, v{length}: reads.groups }}", values.join(", ")),
            "",
            "",
        )
    };
    let problems = wrong(&chain(1_000)).to_string();
    assert!(problems.contains("values: more than 200 values"), "{problems}");
    let (name, spec) = parse(&chain(199)).unwrap();
    assert!(Definition::compile(&name, spec).is_ok());
}

#[test]
fn hostile_expressions_are_refused_before_they_are_parsed() {
    for (hostile, complaint) in [
        ("(".repeat(500), "nested deeper"),
        (format!("r'\\\\' + {}", "(".repeat(500)), "nested deeper"),
        (format!("'''it's''' + {}", "(".repeat(500)), "nested deeper"),
        ("!".repeat(500), "nested deeper"),
        (format!("{}true", "true ? false : ".repeat(60)), "nested deeper"),
        (format!("'{}' == ''", "x".repeat(2000)), "bytes long"),
        (
            "[1].all(a, [1].all(b, [1].all(c, a == b)))".to_owned(),
            "loops inside each other",
        ),
        ("nosuch(1)".to_owned(), "unknown function"),
        ("reads".to_owned(), "write reads.NAME"),
    ] {
        let problems = changed("holds: has(reads.user.locked)", &format!("holds: \"{hostile}\""));
        assert!(problems.contains(complaint), "{complaint} in {problems}");
        assert!(problems.starts_with("facts.Locked.holds: "), "{problems}");
    }
}

#[test]
fn rules_about_facts_are_checked() {
    for (from, to, complaint) in [
        (
            "class: Entitlements",
            "class: Entitlements\n      irreversible: true",
            "facts.GroupsLeft.irreversible",
        ),
        (
            "class: Entitlements",
            "class: Entitlements\n      proof: None",
            "facts.GroupsLeft.after",
        ),
        (
            "holds: '!reads.user.active'",
            "settle: 5m",
            "facts.Suspended.holds: missing",
        ),
        (
            "holds: '!reads.user.active'",
            "holds: 'true'\n      settle: soon",
            "facts.Suspended.settle",
        ),
        (
            "class: Credentials",
            "class: Credentials\n      act: [{ post: /x }]",
            "facts.Locked.ladder",
        ),
        (
            "class: Access",
            "class: Access\n      requires: [GroupsLeft]",
            "facts.Suspended: waits for itself",
        ),
        (
            "get: '/groups/${item.id}/rights'",
            "get: '/g/${reads.rights}'",
            "reads.rights: refers to itself",
        ),
        ("pattern: 'https?://.+'", "pattern: '('", "inputs.url.pattern"),
        (
            "offset: {",
            "next: response.body.next, offset: {",
            "reads.groups.page",
        ),
        (
            "snapshot: reads.groups.map(g, g.id)",
            "optional: false",
            "there is no fact 'GroupsLeft' with a snapshot",
        ),
        (
            "patch: '/users/${account.id}', json: { active: false",
            "entry: x, json: { active: false",
            "belongs to ldap",
        ),
        (
            "get: '/users/${account.id}' }",
            "delete: '/users/${account.id}' }",
            "a look changes nothing",
        ),
        (
            "password: '${random}'",
            "password: 'x${random + \"\"}'",
            "a hole of its own",
        ),
        (
            "get: '/users/${account.id}' }",
            "get: '/users/${account.id' }",
            "a hole is not closed",
        ),
    ] {
        let problems = changed(from, to);
        assert!(problems.contains(complaint), "{complaint} in\n{problems}");
    }
}

#[test]
fn a_statement_with_a_hole_is_refused() {
    let text = r"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: db }
spec:
  title: DB
  sql: { dialect: Postgresql, host: h, port: '5432' }
  account: { find: [{ statement: 'select 1 where x = ${who.email}' }], id: item.id, name: item.id, same: 'true' }
  facts: { A: { class: Access, holds: 'true' } }
";
    let problems = wrong(text).to_string();
    assert!(
        problems.starts_with("account.find[0].statement: a statement has no"),
        "{problems}"
    );
}

#[test]
fn inputs_are_checked_and_named() {
    let script = Script::new(usual);
    let given = BTreeMap::from([("url".to_owned(), json!("ftp://x")), ("uri".to_owned(), json!(1))]);
    let Err(problems) = sound(DEFINITION).build(&given, Options::default(), script.clone()) else {
        panic!()
    };
    assert_eq!(
        problems.to_string(),
        "spec.inputs.uri: unknown input; the definition knows url\nspec.inputs.url: must match https?://.+"
    );
    let Err(problems) = sound(DEFINITION).build(&BTreeMap::new(), Options::default(), script) else {
        panic!()
    };
    assert_eq!(problems.to_string(), "spec.inputs.url: missing; set it");
}

#[test]
fn optional_facts_are_there_only_when_asked_for_and_skipped_ones_never() {
    let script = Script::new(usual);
    let options = Options {
        include: vec!["Spare".into()],
        skip: vec!["Suspended".into()],
        ..Options::default()
    };
    let connector = sound(DEFINITION)
        .build(&inputs(), options, script.clone())
        .ok()
        .unwrap();
    let facts = &connector.capabilities().facts;
    assert!(facts.iter().any(|fact| fact.name == "Spare"));
    assert!(!facts.iter().any(|fact| fact.name == "Suspended"));
    assert!(
        facts.iter().all(|fact| fact.after.is_empty()),
        "an edge to a skipped fact is no edge"
    );
    assert!(
        !small(&script)
            .capabilities()
            .facts
            .iter()
            .any(|fact| fact.name == "Spare")
    );
}

#[test]
fn an_input_that_the_system_tells_needs_a_default_and_a_look_that_changes_nothing() {
    let with = |input: &str| changed("    url: {", &format!("    paged: {{ {input} }}\n    url: {{"));
    for (input, complaint) in [
        (
            "type: Boolean, discover: { get: /about }",
            "inputs.paged.default: missing",
        ),
        (
            "default: x, discover: { post: /about, when: who.email }",
            "inputs.paged.discover.when: unknown name 'who'",
        ),
        (
            "default: x, discover: { put: /about }",
            "inputs.paged.discover.put: a look changes nothing",
        ),
        (
            "default: x, discover: { get: '/about/${account.id}' }",
            "inputs.paged.discover.get: unknown name 'account'",
        ),
        (
            "default: x, discover: { get: '/about/${inputs.nosuch}' }",
            "inputs.paged.discover: there is no input 'nosuch'",
        ),
    ] {
        let problems = with(input);
        assert!(problems.contains(complaint), "{complaint} in {problems}");
    }
    let problems = changed(
        "pattern: 'https?://.+'",
        "default: http://small, discover: { get: /about }",
    );
    assert!(
        problems.contains("inputs.url.discover: the driver section uses it"),
        "{problems}"
    );
}

#[test]
fn a_fact_that_is_reported_tells_where_and_cannot_be_read() {
    let text = DEFINITION.replace(
        "http: { base: '${inputs.url}/v1' }",
        "http: { base: '${inputs.url}/v1', callback: { base: 'https://offboard.example.com' } }",
    );
    let fact = |fact: &str| text.replace("Spare: { class: Record, optional: true, holds: 'true' }", fact);
    let good = "Spare: { class: Record, proof: None, reported: true, act: [{ post: '/x', json: { to: '${callback}' } }] }";
    let spec = sound(&fact(good));
    let spare = spec.facts().iter().find(|fact| fact.name == "Spare").unwrap();
    assert_eq!(spare.reported, Some(jiff::SignedDuration::from_hours(168)));
    for (bad, complaint) in [
        (
            good.replace("proof: None, ", "holds: 'true', "),
            "facts.Spare.reported: only goes with proof: None",
        ),
        (
            good.replace("${callback}", "me"),
            "facts.Spare.reported: its act must tell the system where",
        ),
        (
            good.replace("post: '/x'", "post: '/x/${callback}'"),
            "'callback' is a secret and has no place in an address",
        ),
        (
            good.replace(
                " }] }",
                " }], undo: [{ post: '/x', json: { to: '${callback}' } }] }",
            ),
            "facts.Spare.undo: nobody waits for an answer",
        ),
    ] {
        let problems = wrong(&fact(&bad)).to_string();
        assert!(problems.contains(complaint), "{complaint} in\n{problems}");
    }
    let without = fact(good).replace(", callback: { base: 'https://offboard.example.com' }", "");
    let problems = wrong(&without).to_string();
    assert!(problems.contains("http.callback"), "{problems}");
}

#[test]
fn another_word_in_what_is_sent_or_where_is_another_digest_of_its_fact() {
    let script = Script::new(|_| (200, json!({})));
    let digests = |text: &str, url: &str| -> BTreeMap<String, String> {
        let given = BTreeMap::from([("url".to_owned(), json!(url))]);
        let built = sound(text).build(&given, Options::default(), script.clone());
        let built = built.unwrap_or_else(|problems| panic!("{problems}"));
        let facts = built.capabilities().facts.iter();
        facts
            .map(|fact| (fact.name.clone(), fact.digest.clone()))
            .collect()
    };
    let own = digests(DEFINITION, "http://small");
    assert_eq!(own, digests(DEFINITION, "http://small"));
    let elsewhere = digests(DEFINITION, "http://small/x");
    assert!(
        own.iter().all(|(name, digest)| elsewhere[name] != *digest),
        "another base"
    );
    let act = DEFINITION.find("act:").unwrap();
    let (before, after) = DEFINITION.split_at(act);
    let sent = format!("{before}{}", after.replacen("/users/", "/people/", 1));
    let other = digests(&sent, "http://small");
    let changed = own.iter().filter(|(name, digest)| other[*name] != **digest);
    assert_eq!(changed.count(), 1, "only the fact whose request is another one");
    let read = DEFINITION.replacen("/users/${account.id}/groups", "/users/${account.id}/all", 1);
    assert!(
        digests(&read, "http://small")
            .iter()
            .all(|(name, digest)| own[name] != *digest)
    );
}

#[test]
fn a_code_is_one_word() {
    let problems = changed("http: { base:", "http: { codes: [E42, error- read-only], base:");
    assert!(problems.contains("http.codes[1]"), "{problems}");
}

#[test]
fn a_list_needs_to_know_how_lists_are_answered() {
    let problems = changed(
        "{ get: '/users/${account.id}/groups',",
        "{ list: '/users/${account.id}/groups',",
    );
    assert_eq!(
        problems,
        "reads.groups.list: needs http.lists, which says how lists are answered; or write get"
    );
}
