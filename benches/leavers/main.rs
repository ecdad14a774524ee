//! The figures that this project is held to, on a real kube-apiserver and etcd, with the release binary as the operator in a
//! process of its own under the chart's rights, and twelve simulated systems. Not a test: nothing passes or fails.
//!
//! ```console
//! $ cargo bench --bench leavers                        # everything, about five minutes
//! $ cargo bench --bench leavers -- --quick             # fewer rounds
//! $ cargo bench --bench leavers -- --only burst,limited
//! ```
//!
//! # What is measured
//! - **apply** is the moment before the request that creates the Offboarding is sent by a client in this process.
//! - **first changing request** is when the first system received one (its journal's clock, which is ours).
//! - **verified gone** is when a status with `AccessRevoked=True` arrived at a watch of this process. The journal must show, for
//!   every system, a complete read of user and sessions after the last act; where it does not, that is said.
//! - **chain** is the number of requests to one system that were not on their way together, by the journal; of all leavers,
//!   the shortest.
//! - **leavers a second** is from the first apply of the burst to the last `AccessRevoked=True`, creating included.
//! - **CPU** is user and system time from `/proc/PID/stat` over the burst, creating and watching included for the API server;
//!   **memory** is `VmRSS` five seconds after the last leaver was ready.
//! - **writes** are what the API server's audit log has from the operator's service account about leavers, their records and
//!   events.
//! - **before Retry-After was over** counts every request that arrived after a 429 and before its time, those that were on
//!   their way already among them.
//!
//! Systems, this process, the operator, kube-apiserver and etcd (without fsync) share the machine; the load average and what
//! the systems cost are printed because of that. Compare ratios.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark is written to be read, and a panic is its report"
)]

mod company;
mod journal;
mod machine;
#[path = "../../tests/it/operator/site.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod site;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod systems;
mod table;
mod wire;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use self::{
    company::{Company, Leaver},
    journal::{Story, since_applied},
    systems::{Conduct, SYSTEMS, Systems},
    table::{Row, each, row, spread},
};

/// Chooses the faults, unless `--seed` says otherwise.
const SEED: u64 = 20_260_930;

/// What to do.
struct Options {
    quick: bool,
    /// How many leave at once in the burst.
    leavers: usize,
    only: Vec<String>,
    seed: u64,
}

impl Options {
    /// None when Cargo runs this as a test.
    fn read() -> Option<Self> {
        let mut options = Self {
            quick: false,
            leavers: 500,
            only: vec![],
            seed: SEED,
        };
        let mut given = std::env::args().skip(1);
        let mut bench = false;
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--bench" => bench = true,
                "--quick" => options.quick = true,
                "--leavers" => options.leavers = given.next()?.parse().ok()?,
                "--only" => options.only = given.next()?.split(',').map(str::to_owned).collect(),
                "--seed" => options.seed = given.next()?.parse().ok()?,
                other => panic!(
                    "{other}: use --quick, --only single,distant,burst,limited,faulty, --leavers N, --seed N"
                ),
            }
        }
        bench.then_some(options)
    }

    fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure)
    }

    fn rounds(&self, all: usize, quick: usize) -> usize {
        if self.quick { quick } else { all }
    }
}

fn main() {
    let Some(options) = Options::read() else {
        return println!("a benchmark: run it with cargo bench");
    };
    let systems = Systems::start().unwrap();
    about(&options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rows = runtime.block_on(async {
        let mut rows = vec![];
        if options.wants("single") {
            rows.extend(single(&systems, options.rounds(200, 40)).await);
        }
        if options.wants("distant") {
            rows.extend(distant(&systems, options.rounds(50, 10)).await);
        }
        if options.wants("burst") {
            rows.extend(burst(&systems, options.leavers).await);
        }
        if options.wants("limited") {
            rows.extend(limited(&systems, 50, Some(50)).await);
            rows.extend(limited(&systems, 50, None).await);
        }
        if options.wants("faulty") {
            rows.extend(faulty(&systems, 50, options.seed).await);
        }
        rows
    });
    println!("\nload average at the end: {}\n", machine::load());
    table::print(&rows);
}

/// What ran where.
fn about(options: &Options) {
    let version = |program: &str| machine::said(Command::new(support::asset(program)).arg("--version"));
    println!(
        "offboard {} ({})",
        env!("CARGO_PKG_VERSION"),
        machine::said(Command::new("git").args(["describe", "--always", "--dirty"]))
    );
    println!("{}, {}", version("kube-apiserver"), version("etcd"));
    println!(
        "{} cores, {SYSTEMS} systems, seed {}",
        std::thread::available_parallelism().unwrap(),
        options.seed
    );
    println!("load average at the beginning: {}", machine::load());
}

/// Drives `count` leavers, one after the other.
async fn one_by_one(company: &Company, count: usize) -> Vec<Leaver> {
    let mut leavers = vec![];
    for number in 1..=count {
        let mut leaver = [company.apply(number).await];
        company.until_ready(&mut leaver).await;
        // The event that follows the status must not fall into the next round.
        tokio::time::sleep(Duration::from_millis(50)).await;
        leavers.extend(leaver);
    }
    leavers
}

/// Says so when a leaver was shown as done without proof.
fn unproven(
    leavers: &[Leaver],
    journal: &[systems::Entry],
    shown: impl Fn(&Leaver) -> Option<Instant>,
) -> usize {
    let stories = Story::all(journal);
    let proven = |leaver: &&Leaver| {
        let story = stories.get(&leaver.number);
        story.is_some_and(|s| shown(leaver).is_some_and(|at| s.read_after_the_last_act(at, SYSTEMS)))
    };
    leavers.len() - leavers.iter().filter(proven).count()
}

/// Writes for each leaver, by what was written.
fn by_resource(writes: &[support::Write], leavers: usize) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for write in writes {
        let answered = if write.status < 300 { "" } else { " refused" };
        *counts
            .entry(format!("{} {}{answered}", write.verb, write.resource))
            .or_default() += 1;
    }
    let each = counts
        .iter()
        .map(|(what, n)| format!("{what} {:.2}", *n as f64 / leavers as f64));
    each.collect::<Vec<_>>().join(", ")
}

async fn single(systems: &Systems, rounds: usize) -> Vec<Row> {
    systems.begin(Conduct::default());
    let company = Company::found("single", systems, None, "20s").await;
    systems.begin(Conduct::default());
    let written = company.writes().len();
    let leavers = one_by_one(&company, rounds).await;
    let writes = company.writes().len() - written;
    let journal = systems.journal();
    let stories = Story::all(&journal);
    let requests: usize = leavers.iter().map(|l| stories[&l.number].requests()).sum();
    let first = since_applied(&leavers, |l| stories[&l.number].first_change());
    let read = since_applied(&leavers, |l| stories[&l.number].last_read());
    let gone = since_applied(&leavers, |l| l.revoked);
    println!(
        "single: last read of any system after {}; shown without proof: {}",
        spread(read),
        unproven(&leavers, &journal, |l| l.revoked)
    );
    vec![
        row(
            "apply → first changing request, 0 ms (p50 / p99 / max)",
            rounds,
            spread(first),
            ["≤ 5 / ≤ 15 ms", "1.0 / 1.8 ms", "3.6 / 6.7 ms"],
        ),
        row(
            "apply → all access verified gone, 0 ms (p50 / p99 / max)",
            rounds,
            spread(gone),
            ["≤ 10 / ≤ 20 ms", "4.9 / 11.6 ms", "17.5 / 32 ms"],
        ),
        row(
            "requests per leaver and system",
            rounds,
            format!("{:.2}", requests as f64 / (rounds * SYSTEMS) as f64),
            ["≤ 9", "10", "10"],
        ),
        row(
            "API-server writes per clean leaver",
            rounds,
            format!("{:.2}", writes as f64 / rounds as f64),
            ["≤ 4", "2", "2"],
        ),
    ]
}

async fn distant(systems: &Systems, rounds: usize) -> Vec<Row> {
    let round_trip = Duration::from_millis(100);
    systems.begin(Conduct::default());
    let company = Company::found("distant", systems, None, "20s").await;
    systems.begin(Conduct {
        round_trip,
        ..Conduct::default()
    });
    let leavers = one_by_one(&company, rounds).await;
    let journal = systems.journal();
    let stories = Story::all(&journal);
    let gone = since_applied(&leavers, |l| l.revoked);
    let chains = leavers
        .iter()
        .map(|l| stories[&l.number].longest_chain(round_trip));
    // Where the API server is slow, requests wait for each other by chance: the shortest chain is what the work needs.
    let chain = u32::try_from(chains.min().unwrap_or(0)).unwrap();
    let over: Vec<_> = gone
        .iter()
        .map(|d| d.saturating_sub(round_trip * chain))
        .collect();
    println!(
        "distant: chain of {chain}; shown without proof: {}",
        unproven(&leavers, &journal, |l| l.revoked)
    );
    vec![
        row(
            "apply → all access verified gone, 100 ms (p50 / p99 / max)",
            rounds,
            spread(gone),
            ["≤ 520 / ≤ 560 ms", "1,016 / 1,019 ms", "1,029 / 1,047 ms"],
        ),
        row(
            "overhead over the longest chain (p50 / p99 / max)",
            rounds,
            spread(over),
            ["≤ 10 ms", "10 ms", "26 ms"],
        ),
    ]
}

async fn burst(systems: &Systems, count: usize) -> Vec<Row> {
    systems.begin(Conduct::default());
    let company = Company::found("burst", systems, None, "20s").await;
    systems.begin(Conduct::default());
    let operator = company.operator.process();
    let (apiserver, etcd) = support::control_plane().processes();
    let processes = [
        format!("/proc/{operator}"),
        format!("/proc/{apiserver}"),
        format!("/proc/{etcd}"),
        systems.thread.clone(),
        "/proc/self".to_owned(),
    ];
    let resting = machine::memory(operator, "VmRSS");
    let written = company.writes().len();
    let before = processes.each_ref().map(|p| machine::cpu(p));
    let began = Instant::now();
    let mut leavers = company.apply_all(1..=count).await;
    let created = began.elapsed();
    company.until_ready(&mut leavers).await;
    let took = leavers
        .iter()
        .filter_map(|l| l.revoked)
        .max()
        .unwrap()
        .duration_since(began);
    // Events follow.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = processes.each_ref().map(|p| machine::cpu(p));
    let peak = machine::memory(operator, "VmHWM");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let written_now = company.writes();
    let writes = written_now.len() - written;
    let cost: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|(b, a)| each(*a - *b, count))
        .collect();
    let journal = systems.journal();
    println!("burst: {}", by_resource(&written_now[written..], count));
    println!(
        "burst: {:.2} s, created after {:.2} s; shown without proof: {}; CPU per leaver in ms: operator {:.2}, API server {:.2}, etcd {:.2}, systems {:.2}, the rest of this process {:.2}; operator's memory in MiB: {:.1} resting, {:.1} at most, {:.1} anonymous at the end",
        took.as_secs_f64(),
        created.as_secs_f64(),
        unproven(&leavers, &journal, |l| l.revoked),
        cost[0],
        cost[1],
        cost[2],
        cost[3],
        cost[4] - cost[3],
        resting as f64 / 1024.0,
        peak as f64 / 1024.0,
        machine::memory(operator, "RssAnon") as f64 / 1024.0,
    );
    vec![
        row(
            "500 leavers at once, 0 ms",
            count,
            format!("{:.0} / s", count as f64 / took.as_secs_f64()),
            ["≥ 150 / s", "122 / s", "52 / s"],
        ),
        row(
            "operator CPU per leaver in that",
            count,
            format!("{:.2} ms", cost[0]),
            ["≤ 3 ms", "5.1 ms", "16.6 ms"],
        ),
        row(
            "API-server writes per leaver / API-server CPU in that",
            count,
            format!("{:.2} / {:.2} ms", writes as f64 / count as f64, cost[1]),
            ["≤ 4 / ≤ 12 ms", "2 / 5.5 ms", "2 / 7.4 ms"],
        ),
        row(
            "memory, steady, 500 leavers done",
            count,
            format!("{:.1} MiB", machine::memory(operator, "VmRSS") as f64 / 1024.0),
            ["≤ 30 MiB", "61 MiB", "67 MiB"],
        ),
    ]
}

/// With `told`, the Connectors name the limit; without, only 429 and `Retry-After` tell it.
async fn limited(systems: &Systems, count: usize, told: Option<u32>) -> Vec<Row> {
    let per_second = 50;
    systems.begin(Conduct::default());
    let company = Company::found("limited", systems, told, "20s").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    systems.begin(Conduct {
        per_second: Some(per_second),
        ..Conduct::default()
    });
    let written = company.writes().len();
    let began = Instant::now();
    let mut leavers = company.apply_all(1..=count).await;
    company.until_ready(&mut leavers).await;
    let took = leavers
        .iter()
        .filter_map(|l| l.revoked)
        .max()
        .unwrap()
        .duration_since(began);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let writes = company.writes().len() - written;
    let journal = systems.journal();
    let ideal = journal.len() as f64 / SYSTEMS as f64 / f64::from(per_second);
    println!(
        "limited: {} requests, {} refused; these requests take {ideal:.1} s at best; shown without proof: {}",
        journal.len(),
        journal::refused(&journal),
        unproven(&leavers, &journal, |l| l.revoked)
    );
    vec![row(
        if told.is_some() {
            "50 leavers, 50 requests/s per system, the Connectors say so: time / requests before Retry-After was over / writes per leaver"
        } else {
            "the same, only 429 and Retry-After say so"
        },
        count,
        format!(
            "{:.1} s / {} / {:.1}",
            took.as_secs_f64(),
            journal::early(&journal),
            writes as f64 / count as f64
        ),
        [
            "≤ 10.5 s / 0 / ≤ 8",
            "41.7 s / 19,804 / 23",
            "> 50 s / 44,386 / 111",
        ],
    )]
}

async fn faulty(systems: &Systems, count: usize, seed: u64) -> Vec<Row> {
    systems.begin(Conduct::default());
    let company = Company::found("faulty", systems, None, "2s").await;
    systems.begin(Conduct {
        faulty: 40,
        seed,
        ..Conduct::default()
    });
    let began = Instant::now();
    let mut leavers = company.apply_all(1..=count).await;
    company.until_ready(&mut leavers).await;
    let took = leavers
        .iter()
        .filter_map(|l| l.ready)
        .max()
        .unwrap()
        .duration_since(began);
    let journal = systems.journal();
    systems.behave();
    let faults = journal
        .iter()
        .filter(|e| e.status.is_none_or(|s| s == 500))
        .count();
    let open = leavers.iter().filter(|l| !systems.closed(l.number)).count();
    println!(
        "faulty: {:.1} s; {faults} of {} requests met a fault, {} leavers met one; ready with access left: {open}",
        took.as_secs_f64(),
        journal.len(),
        journal::met(&journal, |e| e.status.is_none_or(|s| s == 500)),
    );
    vec![row(
        "50 leavers under ~4 % faults: \"Ready\" without a read after the last act",
        count,
        format!("{} of {count}", unproven(&leavers, &journal, |l| l.ready)),
        ["0", "2 of 50", "0 of 50"],
    )]
}
