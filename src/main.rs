//! Parses the command line and calls one library function.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use offboard::{
    cli::{
        self, definition::trial::Subject as TrialSubject, exit, local::Permissions, plan::Output,
        state::State,
    },
    core::schedule,
};

/// A pass makes and drops very many small objects. The platform's allocator spends half of the processor on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes a leaver's last day certain: every access revoked, every file handed over, each proven by reading it back.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 success, 1 failure, 2 changes (plan --detailed-exitcode), 3 a person has to act, \
    4 access where none should be, 64 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what would be done for the leavers of a folder, without changing anything.
    Plan {
        /// Folder of manifests, or one file.
        #[arg(short, long = "file", value_name = "DIR")]
        file: PathBuf,
        /// Folder of the state. Default: a folder for these manifests in `$XDG_STATE_HOME/offboard`, or else in
        /// `~/.local/state/offboard`; the first line of the output names it.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Output format.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
        /// Exit with 2 if there are changes.
        #[arg(long)]
        detailed_exitcode: bool,
        /// File with the approvers and their keys, in the format of OpenSSH's `allowed_signers`. Default: no Approval counts.
        #[arg(long, value_name = "FILE")]
        approvers: Option<PathBuf>,
        #[command(flatten)]
        permissions: Permissions,
    },
    /// Offboard the leavers of a folder, without a cluster. Can be stopped and run again at any time.
    Run {
        /// Folder of manifests, or one file.
        #[arg(short, long = "file", value_name = "DIR")]
        file: PathBuf,
        /// Folder of the state. Default: a folder for these manifests in `$XDG_STATE_HOME/offboard`, or else in
        /// `~/.local/state/offboard`; the first line of the output names it.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How long to wait for changes that are still on their way, such as `10m`.
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
        wait: SignedDuration,
        /// File with the approvers and their keys, in the format of OpenSSH's `allowed_signers`. Default: no Approval counts.
        #[arg(long, value_name = "FILE")]
        approvers: Option<PathBuf>,
        #[command(flatten)]
        permissions: Permissions,
        /// File with the channels for notifications. Default: no notifications.
        #[arg(long, value_name = "FILE")]
        notifications: Option<PathBuf>,
    },
    /// Show the status of the leavers of a folder.
    Status {
        /// Name or uid of one leaver.
        leaver: Option<String>,
        /// Folder of manifests, or one file, as given to `run`.
        #[arg(short, long = "file", value_name = "DIR", default_value = ".")]
        file: PathBuf,
        /// Folder of the state, if `run` used another one.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Output format.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
        /// Exit with 3 if a person has to act, and with 4 if access is left past the deadline.
        #[arg(long)]
        exit_status: bool,
    },
    /// List the people whose changes the guard of a `LeaverSource` holds. Reads the cluster with your own rights.
    Held {
        /// Name of the `LeaverSource`.
        source: String,
        /// Namespace of the source. Default: the namespace of the kubeconfig.
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Output format.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Run the operator in a cluster. The chart starts this command.
    Operator(cli::operator::Arguments),
    /// Checks definitions, or shows the built-in ones.
    Definition {
        #[command(subcommand)]
        command: DefinitionCommand,
    },
    /// Print the `CustomResourceDefinition`s, or write them to a folder.
    Crds {
        /// Folder to write one file per kind to.
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        /// Folder of a chart's templates to write one template per kind to.
        #[arg(long, value_name = "DIR", conflicts_with = "write")]
        chart: Option<PathBuf>,
    },
    /// Start a small company in this process, offboard a leaver, and prove that no access is left.
    #[cfg(feature = "demo")]
    Demo {
        /// Folder for the manifests and the report.
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
    /// Tries a definition on one leaver: shows each request, each read, whose each account is and why, and what each expression
    /// comes to. Changes nothing. Exit codes: 0 everything has a value, 1 something has none.
    Try {
        #[command(flatten)]
        subject: TrialSubject,
        /// A folder that `record` wrote: the system is not asked. A request that has no answer there is an error.
        #[arg(long, value_name = "DIR")]
        answers: Option<PathBuf>,
    },
    /// Asks the system what `try` asks it, and writes each exchange into a file, without credentials. They name people.
    Record {
        #[command(flatten)]
        subject: TrialSubject,
        /// The folder to write to. It must be new or empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Explains a field of definitions, such as `account.find` or `facts.holds`; `names` and `functions` of expressions. Without a
    /// path: the fields at the top.
    Explain {
        /// The field, with dots; or `names`, or `functions`.
        path: Option<String>,
    },
    /// Writes a definition to begin with, as NAME.yaml. Leaves a file that is there as it is.
    New {
        /// Its name.
        name: String,
        /// The built-in definition to copy. Default: a small one over HTTP with comments.
        #[arg(long, value_name = "DEFINITION")]
        like: Option<String>,
        /// An OpenAPI description (2.0 or 3.x, JSON or YAML) to take paths and fields from.
        #[arg(long, value_name = "OPENAPI-FILE", conflicts_with = "like")]
        from: Option<PathBuf>,
        /// The folder to write to.
        #[arg(long, value_name = "DIR", default_value = ".")]
        to: PathBuf,
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
            command: DefinitionCommand::Explain { path },
        } => cli::definition::explain::run(path.as_deref()),
        Command::Definition {
            command: DefinitionCommand::New { name, like, from, to },
        } => cli::definition::new::run(&name, like.as_deref(), from.as_deref(), &to),
        Command::Definition {
            command: DefinitionCommand::Try { subject, answers },
        } => wait_for(cli::definition::trial::run(&subject, answers.as_deref())),
        Command::Definition {
            command: DefinitionCommand::Record { subject, to },
        } => wait_for(cli::definition::trial::record(&subject, &to)),
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
