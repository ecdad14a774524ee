//! Expressions that would take for ever: of a policy, and of a definition.

use offboard::connectors::declarative::builtin;

use super::Scene;
use crate::{
    operator::site::{PATIENCE, Site},
    support::{poll, unique},
};

const COSTLY: &str = "lists.range(100000).exists(a, lists.range(100000).exists(b, a + b < 0))";

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_would_take_for_ever_is_said_where_it_is_and_nothing_else_waits() {
    let mut scene = Scene::new("costly", "jane").await;
    let policies = Site::new("costly-policy");
    policies.lets_in(&scene.site);
    policies.policy(&format!("{{when: \"{COSTLY}\"}}"));
    policies.leaver("leaver-1", &scene.email);
    // As the built-in one, but for what holds of an account that is closed.
    let own = unique("costly");
    let holds = "(has(reads.user.active) &&";
    let scim = builtin("scim").unwrap();
    assert!(scim.contains(holds));
    let text = scim.replace(holds, &format!("({COSTLY} || has(reads.user.active) &&"));
    scene
        .site
        .apply(&text.replace("  name: scim\n", &format!("  name: {own}\n")));
    scene.site.secret("costly", "token", scene.crm.token());
    let inputs = format!("{{url: '{}'}}", scene.crm.base());
    scene.site.connector("costly", &own, &inputs);
    drop(scene.operator);
    let namespaces = [
        format!("--namespace={}", policies.namespace),
        "--lease=offboard".to_owned(),
    ];
    scene.operator = scene.site.start_with(&namespaces.each_ref().map(String::as_str));
    scene.leaves();
    let shown = || {
        let of = |site: &Site| site.get("offboarding/leaver-1")["status"].to_string();
        [of(&policies), of(&scene.site)]
            .iter()
            .all(|status| status.contains("ExpressionTooCostly"))
    };
    assert!(
        poll(PATIENCE, shown),
        "{:#}\n{:#}",
        policies.get("offboarding/leaver-1")["status"],
        scene.site.get("offboarding/leaver-1")["status"]
    );
    scene.the_healthy_system_is_done();
    assert!(scene.operator.http("/livez").contains("200 OK"));
    let renewed = || scene.site.get("lease/offboard")["spec"]["renewTime"].clone();
    let before = renewed();
    assert!(poll(PATIENCE, || renewed() != before), "{}", scene.operator.log());
    assert!(scene.operator.http("/livez").contains("200 OK"));
    scene
        .site
        .kubectl(&["delete", "connectordefinition", &own], "")
        .expect_ok();
}
