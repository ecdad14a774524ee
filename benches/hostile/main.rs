//! What every input that once stopped the operator costs it now, all of them in one run: the memory that it takes at most, and
//! how long `/livez` takes meanwhile. On a real kube-apiserver and etcd, with the release binary as the operator in a process of
//! its own under the chart's rights. It ends with 1 where a figure is beyond its goal, or an input was not seen.
//!
//! ```console
//! $ cargo bench --bench hostile                        # everything, about a minute
//! $ cargo bench --bench hostile -- --only crowds,keys  # some: ber, crowds, expressions, keys, strangers, zeros
//! ```
//!
//! # What is measured
//! - **memory** is `VmHWM` of the operator's process, from its start.
//! - **`/livez`** is asked for every 20 ms by a thread of this process, with a connection of its own each time; the slowest
//!   answer counts, from before the connection to the last byte.
//! - Each input is there until what it leads to has been shown: what a system with it does is said below the table.
//!
//! Systems, this process, the operator, kube-apiserver and etcd share the machine.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark is written to be read, and a panic is its report"
)]

#[path = "../../tests/it/operator/keys_and_tokens.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod keys_and_tokens;
#[path = "../leavers/machine.rs"]
#[allow(dead_code, reason = "the other benchmark uses more of it")]
mod machine;
mod pulse;
#[path = "../../tests/it/operator/site.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod site;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod systems;

use std::{
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    keys_and_tokens::Plenty,
    pulse::Pulse,
    site::Site,
    systems::{Crowd, Zeros},
};
use crate::support::{free_port, poll};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_mins(4);
/// Members of one group.
const MEMBERS: usize = 45_000;
/// The goals: memory in MiB, and how long health may take.
const GOAL: (u64, Duration) = (160, Duration::from_secs(1));

/// Two loops in each other, and a text that is doubled forty times.
const COSTLY: [&str; 2] = [
    "lists.range(100000).exists(a, lists.range(100000).exists(b, a + b < 0))",
    "['0123456789abcdef'].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)\
     .map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)\
     .map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)\
     .map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).size() == 1",
];

/// Which inputs are given; none when Cargo runs this as a test.
fn wanted() -> Option<Vec<String>> {
    let mut given = std::env::args().skip(1);
    let (mut bench, mut only) = (false, vec![]);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--bench" => bench = true,
            "--only" => only = given.next()?.split(',').map(str::to_owned).collect(),
            other => panic!("{other}: use --only ber,crowds,expressions,keys,strangers,zeros"),
        }
    }
    bench.then_some(only)
}

fn main() -> ExitCode {
    let Some(only) = wanted() else {
        println!("a benchmark: run it with cargo bench");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let missed = runtime.block_on(measure(&|input| {
        only.is_empty() || only.iter().any(|name| name == input)
    }));
    missed.iter().for_each(|what| println!("MISSED: {what}"));
    ExitCode::from(u8::from(!missed.is_empty()))
}

/// Everything that is given, and what shows that it was met.
type Met = Vec<(&'static str, Box<dyn Fn() -> bool + Send>)>;

/// Gives the inputs and prints the figures; what is beyond its goal, and what was not seen.
async fn measure(wants: &dyn Fn(&str) -> bool) -> Vec<String> {
    let site: &'static Site = Box::leak(Box::new(Site::new("hostile")));
    let mut arguments = vec![];
    let mut met: Met = vec![];
    if wants("zeros") {
        let zeros = Zeros::start().await;
        for n in 0..4 {
            let name = format!("zeros-{n}");
            site.secret(&name, "token", "t");
            site.connector(&name, "scim", &format!("{{url: '{}'}}", zeros.url));
        }
        met.push((
            "8 MiB of zeros from four systems, each three times",
            Box::new(move || zeros.asked() >= 12),
        ));
    }
    if wants("crowds") {
        site.apply(include_str!("definition.yaml"));
        for n in 0..4 {
            let crowd = Crowd::start(MEMBERS).await;
            let name = format!("crowd-{n}");
            site.secret(&name, "token", "t");
            site.connector(&name, "crowded", &format!("{{url: '{}'}}", crowd.url));
            met.push((
                "45,000 members: proven that she is none any more",
                Box::new(move || crowd.left() && proven(site, &name, "GroupsLeft")),
            ));
        }
    }
    if wants("keys") {
        let keys = Plenty::start((3_000, 1_000), (30_000, 400)).await;
        site.apply(&keys_and_tokens::DEFINITION.replace("NAME", "plenty"));
        site.secret("plenty", "token", "t");
        site.connector("plenty", "plenty", &format!("{{url: '{}'}}", keys.url));
        met.push((
            "3,000 keys and 30,000 tokens: proven that none is left",
            Box::new(move || keys.left() == (0, 0) && proven(site, "plenty", "TokensDeleted")),
        ));
    }
    if wants("ber") {
        let servers = [
            ("nested", systems::nested_ber()),
            ("endless", systems::endless_ber()),
        ];
        for (name, (address, asked)) in servers {
            site.secrets(name, &[("username", "cn=offboard"), ("password", "p")]);
            let inputs = format!("{{url: 'ldap://{address}', base: 'dc=example,dc=com'}}");
            site.connector(name, "openldap", &inputs);
            met.push((
                "nested and endless BER, each twice",
                Box::new(move || asked.load(std::sync::atomic::Ordering::SeqCst) >= 2),
            ));
        }
    }
    if wants("expressions") {
        for when in COSTLY {
            // A leaver of whom one policy cannot be asked is asked about no other one.
            let policies: &'static Site = Box::leak(Box::new(Site::new("costly")));
            policies.lets_in(site);
            arguments.push(format!("--namespace={}", policies.namespace));
            policies.policy(&format!("{{when: \"{when}\"}}"));
            policies.leaver("jane", "jane@example.com");
            met.push((
                "costly expressions of policies: said at the Offboarding",
                Box::new(move || {
                    let status = policies.get("offboarding/jane")["status"].to_string();
                    status.contains("ExpressionTooCostly")
                }),
            ));
        }
    }
    let door = SocketAddr::from(([127, 0, 0, 1], free_port()));
    arguments.push(format!("--wake={door}"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let operator = site.start_with(&arguments);
    assert!(
        poll(PATIENCE, || operator.http("/readyz").contains("200 OK")),
        "{}",
        operator.log()
    );
    let resting = machine::memory(operator.process(), "VmHWM") / 1024;
    let pulse = Pulse::of(operator.address());
    let began = Instant::now();
    site.leaver("jane", "jane@example.com");
    let strangers = if wants("strangers") {
        systems::half_open(door, 1140).await
    } else {
        vec![]
    };
    let (mut lines, mut missed) = (vec![], vec![]);
    for (what, shown) in met {
        let seen = poll(PATIENCE.saturating_sub(began.elapsed()), shown);
        let word = if seen { "seen" } else { "NOT SEEN" };
        if !seen {
            missed.push(what.to_owned());
        }
        lines.push(format!(
            "{what}: {word} after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
    }
    let answers = pulse.stop();
    let peak = machine::memory(operator.process(), "VmHWM") / 1024;
    println!("| figure | ours | goal |\n|---|---|---|");
    println!(
        "| memory at most, under all inputs at once | {peak} MiB | ≤ {} MiB |",
        GOAL.0
    );
    println!(
        "| slowest /livez meanwhile, of {} ({} without an answer) | {:.0} ms | ≤ {:.0} ms |",
        answers.count,
        answers.bad,
        answers.slowest.as_secs_f64() * 1000.0,
        GOAL.1.as_secs_f64() * 1000.0
    );
    println!(
        "memory when ready: {resting} MiB, at the end: {} MiB; {} half-open connections; load {}",
        machine::memory(operator.process(), "VmRSS") / 1024,
        strangers.len(),
        machine::load()
    );
    lines.iter().for_each(|line| println!("{line}"));
    for definition in ["crowded", "plenty"] {
        drop(site.kubectl(
            &["delete", "--ignore-not-found", "connectordefinition", definition],
            "",
        ));
    }
    if peak > GOAL.0 {
        missed.push(format!("memory: {peak} MiB"));
    }
    if answers.slowest > GOAL.1 || answers.bad > 0 {
        missed.push(format!(
            "/livez: {:.0} ms, {} without an answer",
            answers.slowest.as_secs_f64() * 1000.0,
            answers.bad
        ));
    }
    missed
}

/// Whether the operator shows this fact of the system `row` as proven.
fn proven(site: &Site, row: &str, fact: &str) -> bool {
    let status = site.get("offboarding/jane")["status"].clone();
    let rows = status["systems"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|found| found["name"] == row);
    let conditions = row.and_then(|row| row["conditions"].as_array().cloned());
    let mut conditions = conditions.unwrap_or_default().into_iter();
    conditions.any(|c| c["type"] == fact && c["reason"] == "Verified")
}
