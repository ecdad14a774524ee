//! Parses the command line and calls one library function.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use offboard::cli;

/// Makes a leaver's last day certain.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the `CustomResourceDefinition`s, or writes them into a folder.
    Crds {
        /// The folder to write one file for each kind into.
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        /// The folder of a chart's templates to write one template for each kind into.
        #[arg(long, value_name = "DIR")]
        chart: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Crds { write, chart: None } => cli::crds::run(write),
        Command::Crds {
            write: None,
            chart: Some(folder),
        } => cli::crds::chart(&folder),
        Command::Crds {
            write,
            chart: Some(folder),
        } => cli::crds::chart(&folder).and_then(|()| cli::crds::run(write)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("offboard: {error}");
            ExitCode::FAILURE
        }
    }
}
