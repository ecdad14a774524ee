//! Figures beside their goals and beside what a user would pick instead.

use std::time::Duration;

/// One line of the table.
pub struct Row {
    figure: &'static str,
    count: usize,
    ours: String,
    goal: &'static str,
    controller_runtime: &'static str,
    kopf: &'static str,
}

/// A figure over `count` cases; then the goal, controller-runtime's and kopf's figure as `shared/design.md` has them.
pub fn row(
    figure: &'static str,
    count: usize,
    ours: impl Into<String>,
    [goal, controller_runtime, kopf]: [&'static str; 3],
) -> Row {
    Row {
        figure,
        count,
        ours: ours.into(),
        goal,
        controller_runtime,
        kopf,
    }
}

/// `1.2 / 3.4 / 5.6 ms`: the median, the 99th of a hundred, the longest.
pub fn spread(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |share: f64| {
        let place = (share * all.len().saturating_sub(1) as f64).round() as usize;
        all.get(place).map_or(f64::NAN, |d| d.as_secs_f64() * 1000.0)
    };
    format!("{:.1} / {:.1} / {:.1} ms", at(0.5), at(0.99), at(1.0))
}

/// Milliseconds each.
pub fn each(total: Duration, count: usize) -> f64 {
    total.as_secs_f64() * 1000.0 / count as f64
}

/// Prints the table as Markdown.
pub fn print(rows: &[Row]) {
    println!("| figure | n | ours | goal | controller-runtime | kopf |");
    println!("|---|---|---|---|---|---|");
    for row in rows {
        let Row {
            figure,
            count,
            ours,
            goal,
            controller_runtime,
            kopf,
        } = row;
        println!("| {figure} | {count} | {ours} | {goal} | {controller_runtime} | {kopf} |");
    }
}
