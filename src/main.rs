//! Parses the command line and calls one library function.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use offboard::{
    cli::{self, exit, local::Permissions, plan::Output, state::State},
    core::schedule,
};

/// A pass makes and drops very many small objects. The platform's allocator spends half of the processor on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes a leaver's last day certain: every access revoked, every file handed over, each proven by reading it back.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 changes (plan --detailed-exitcode), 3 waits for a person, \
    4 access where none should be, 64 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what would be done about the leavers of a folder. Changes nothing.
    Plan {
        /// A folder of manifests, or one file.
        #[arg(short, long = "file", value_name = "DIR")]
        file: PathBuf,
        /// Where the state is kept. Default: a folder for these manifests in `$XDG_STATE_HOME/offboard`, or else in
        /// `~/.local/state/offboard`; the first line of output says which.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How the plan is written.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
        /// Exit with 2 when something would be changed.
        #[arg(long)]
        detailed_exitcode: bool,
        /// The people whose signed Approvals count, and their keys: a file as OpenSSH's `allowed_signers`. Default: none counts.
        #[arg(long, value_name = "FILE")]
        approvers: Option<PathBuf>,
        #[command(flatten)]
        permissions: Permissions,
    },
    /// Drives the leavers of a folder to the end, without a cluster. Can be stopped and run again at any time.
    Run {
        /// A folder of manifests, or one file.
        #[arg(short, long = "file", value_name = "DIR")]
        file: PathBuf,
        /// Where the state is kept. Default: a folder for these manifests in `$XDG_STATE_HOME/offboard`, or else in
        /// `~/.local/state/offboard`; the first line of output says which.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How long to stay for what will happen by itself, such as `10m`.
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
        wait: SignedDuration,
        /// The people whose signed Approvals count, and their keys: a file as OpenSSH's `allowed_signers`. Default: none counts.
        #[arg(long, value_name = "FILE")]
        approvers: Option<PathBuf>,
        #[command(flatten)]
        permissions: Permissions,
        /// The file with the channels for messages to people. Default: nobody is told anything.
        #[arg(long, value_name = "FILE")]
        notifications: Option<PathBuf>,
    },
    /// Shows what is known about the leavers of a folder.
    Status {
        /// Only this leaver.
        leaver: Option<String>,
        /// The folder of manifests, or one file of it, as it was given to `run`.
        #[arg(short, long = "file", value_name = "DIR", default_value = ".")]
        file: PathBuf,
        /// Where the state is kept, if `run` was told so.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How it is written.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
        /// Exit with 3 when something waits for a person, 4 when access is left past the deadline.
        #[arg(long)]
        exit_status: bool,
    },
    /// Shows who is in the set of changes that the guard of a `LeaverSource` holds. Asks the cluster, with your own rights.
    Held {
        /// The `LeaverSource`.
        source: String,
        /// Its namespace. Default: the one of the kubeconfig.
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// How it is written.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Works in a cluster until told to stop: what the chart starts.
    Operator(cli::operator::Arguments),
    /// Checks definitions, or shows the built-in ones.
    Definition {
        #[command(subcommand)]
        command: DefinitionCommand,
    },
    /// Prints the `CustomResourceDefinition`s, or writes them into a folder.
    Crds {
        /// The folder to write one file for each kind into.
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        /// The folder of a chart's templates to write one template for each kind into.
        #[arg(long, value_name = "DIR", conflicts_with = "write")]
        chart: Option<PathBuf>,
    },
    /// Starts a small company inside the process, offboards a leaver from it and proves that nothing is left.
    #[cfg(feature = "demo")]
    Demo {
        /// The folder for manifests and the report.
        #[arg(long, value_name = "DIR", default_value = "offboard-demo")]
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum DefinitionCommand {
    /// Checks that a definition is sound, without a cluster and without the system.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lists the built-in definitions, or prints one.
    Show {
        /// Its name.
        name: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            // A closed terminal has nobody to read this.
            error.print().ok();
            return code.into();
        }
    };
    match command(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            cli::terminal::line(true, format_args!("offboard: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn command(command: Command) -> Result<ExitCode, exit::Error> {
    match command {
        Command::Plan {
            file,
            state,
            output,
            detailed_exitcode,
            approvers,
            permissions,
        } => {
            let state = State::choose(&file, state)?;
            wait_for(cli::plan::run(
                &file,
                &state,
                &permissions,
                approvers.as_deref(),
                (output, detailed_exitcode),
            ))
        }
        Command::Run {
            file,
            state,
            wait,
            approvers,
            permissions,
            notifications,
        } => {
            let state = State::choose(&file, state)?;
            wait_for(cli::run::run(
                &file,
                &state,
                &permissions,
                wait,
                (notifications.as_deref(), approvers.as_deref()),
            ))
        }
        Command::Status {
            leaver,
            file,
            state,
            output,
            exit_status,
        } => {
            let state = State::choose(&file, state)?;
            cli::status::run(&state, leaver.as_deref(), output, exit_status)
        }
        Command::Held {
            source,
            namespace,
            output,
        } => wait_for(cli::held::run(&source, namespace, output)),
        Command::Operator(arguments) => cli::operator::run(arguments),
        Command::Definition {
            command: DefinitionCommand::Check { files },
        } => cli::definition::check(&files),
        Command::Definition {
            command: DefinitionCommand::Show { name },
        } => cli::definition::show(name.as_deref()),
        Command::Crds {
            chart: Some(folder), ..
        } => Ok(cli::crds::chart(&folder).map(|()| ExitCode::SUCCESS)?),
        Command::Crds { write, chart: None } => Ok(cli::crds::run(write).map(|()| ExitCode::SUCCESS)?),
        #[cfg(feature = "demo")]
        Command::Demo { folder } => wait_for(cli::demo::run(&folder)),
    }
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    schedule::duration(text).map_err(|error| error.to_string())
}

fn wait_for(work: impl Future<Output = Result<ExitCode, exit::Error>>) -> Result<ExitCode, exit::Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}
