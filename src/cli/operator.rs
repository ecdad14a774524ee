//! `offboard operator`: works in a cluster until it is told to stop.

use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    cli::{self, exit, safeguards},
    controller::{
        Operator,
        approval::trust::{Policies, Release},
        runtime::{
            api_client,
            lease::Candidate,
            perimeter::{self, JobRules, Perimeter},
        },
        safeguards::{PersonExpression, ReleaseSafeguards},
    },
    notify::Outbox,
    serve,
    transport::egress::Egress,
};

/// The arguments of `offboard operator`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Namespace to watch. Repeatable. Default: the namespace of the kubeconfig or of the pod.
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Address for signed messages of HR systems (POST /wake/NAMESPACE/SOURCE) and for callbacks of other systems
    /// (POST /callback/TOKEN). Default: not served.
    #[arg(long, value_name = "ADDRESS")]
    pub wake: Option<SocketAddr>,
    /// Name of the Lease, in the pod's own namespace, that elects the active operator. Without it there must be only one operator.
    #[arg(long, value_name = "NAME")]
    pub lease: Option<String>,
    /// File with the channels for notifications. Default: no notifications.
    #[arg(long, value_name = "FILE")]
    pub notifications: Option<PathBuf>,
    /// Network that Connectors may connect to although it is closed by default: this machine, link-local and metadata
    /// addresses, the networks of Services and the API server. Repeatable.
    #[arg(long = "allow-egress", value_name = "CIDR", value_parser = cli::local::network)]
    pub allow_egress: Vec<IpNet>,
    /// Network that no Connector and no notification channel may connect to. Repeatable.
    #[arg(long = "deny-egress", value_name = "CIDR", value_parser = cli::local::network)]
    pub deny_egress: Vec<IpNet>,
    /// Image that `job` definitions may run, or a prefix that ends with `/`. Repeatable. Default: any image.
    #[arg(long = "job-image", value_name = "IMAGE")]
    pub job_images: Vec<String>,
    /// Service account that `job` definitions may use. Repeatable. Default: none.
    #[arg(long = "job-service-account", value_name = "NAME")]
    pub job_service_accounts: Vec<String>,
    /// User name that creates and changes Offboardings for others. Repeatable. The admission policies of the cluster must name
    /// the same users.
    #[arg(long = "automation", value_name = "USER")]
    pub automation: Vec<String>,
    /// Prefix of the names of the admission policies of this release. Without it, the source that an Offboarding names is not
    /// trusted.
    #[arg(long, value_name = "NAME", requires = "user")]
    pub release: Option<String>,
    /// User name of this operator, as the API server knows it.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// What people must say yes to.
    #[command(flatten)]
    pub safeguards: safeguards::Arguments,
    /// CEL expression over `user`, a user name of the API server. It returns the address, number or login name of the person, or
    /// an empty text for nobody. Without it, only approvers count that a policy names.
    #[arg(long, value_name = "EXPRESSION", value_parser = person)]
    pub person: Option<Arc<PersonExpression>>,
}

fn person(text: &str) -> Result<Arc<PersonExpression>, String> {
    PersonExpression::compile(text).map(Arc::new)
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When there is no cluster to work in, or the address to listen on is taken.
pub fn run(arguments: Arguments) -> Result<ExitCode, exit::Error> {
    log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| exit::Error(format!("no runtime: {e}")))?;
    let done = runtime.block_on(operate(arguments));
    // What was abandoned is not waited for.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS).map_err(exit::Error)
}

async fn operate(arguments: Arguments) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let (client, default, server) = api_client::client()
        .await
        .map_err(|e| format!("no cluster: {e}"))?;
    let namespaces = if arguments.namespaces.is_empty() {
        vec![default.clone()]
    } else {
        arguments.namespaces
    };
    let mut messages = Egress::new(arguments.allow_egress.clone()).with_named_loopback();
    let server = (server.as_deref(), perimeter::own_service());
    let mut egress = perimeter::egress(&client, server, arguments.allow_egress).await;
    for network in arguments.deny_egress {
        let word = "closed by --deny-egress";
        messages = messages.without(network, word);
        egress = egress.without(network, word);
    }
    let outbox = arguments
        .notifications
        .as_deref()
        .map(channels)
        .unwrap_or_default()
        .with_egress(messages);
    let jobs = JobRules {
        images: arguments.job_images,
        service_accounts: arguments.job_service_accounts,
    };
    let safeguards = ReleaseSafeguards {
        safeguards: arguments.safeguards.safeguards(),
        first_acts: arguments.safeguards.first_acts(),
        person: arguments.person,
    };
    let release = arguments.release.zip(arguments.user).map(|(name, user)| Release {
        name,
        user,
        namespaces: namespaces.clone(),
    });
    let perimeter = Perimeter {
        egress,
        jobs,
        safeguards,
        policies: Policies::new(arguments.automation, release),
    };
    let operator = Operator::new(client.clone(), &namespaces, outbox, perimeter);
    let health = tokio::spawn(serve::serve(arguments.listen, operator.context()));
    let woken = operator.context();
    if arguments.wake.is_some() {
        // Before the first Connector is put together.
        woken.connectors.listen();
    }
    let wake = async move {
        match arguments.wake {
            Some(address) => serve::wake::serve(address, woken)
                .await
                .map_err(|e| format!("{address}: {e}")),
            None => std::future::pending().await,
        }
    };
    let wake = tokio::spawn(wake);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let work = async {
        tracing::info!(?namespaces, "working");
        match arguments.lease {
            None => {
                operator.run(stop).await;
                Ok(())
            }
            Some(name) => {
                let namespace = std::env::var("POD_NAMESPACE").unwrap_or(default);
                let tenure = operator.context().tenure.clone();
                let lease = Candidate::new(&client, &namespace, &name, &identity(), tenure);
                alone(operator, lease, stop).await
            }
        }
    };
    tokio::select! {
        done = work => done,
        served = health => Err(match served {
            Ok(Err(error)) => format!("{}: {error}", arguments.listen),
            _ => "the server for health and metrics ended".to_owned(),
        }),
        served = wake => Err(match served {
            Ok(Err(error)) => error,
            _ => "the server for wake messages ended".to_owned(),
        }),
    }
}

/// The channels. A file that cannot be used keeps messages waiting, never leavers.
fn channels(file: &Path) -> Outbox {
    Outbox::read(file).unwrap_or_else(|error| {
        tracing::error!("nobody is told anything until this is mended: {error}");
        Outbox::unusable()
    })
}

/// The pod's name, or another one for every process.
///
/// # Why
/// A container is started again in its pod only after the last one there has ended, so the new one may go on with the
/// Lease of the old one at once. A name that ended with its process would leave every leaver alone until the Lease runs
/// out.
fn identity() -> String {
    let pod = std::env::var("POD_NAME").ok().filter(|pod| !pod.is_empty());
    pod.unwrap_or_else(|| format!("offboard-{:016x}", rand::random::<u64>()))
}

/// Works only while the lease is ours.
async fn alone(
    operator: Operator,
    mut lease: Candidate,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let context = operator.context();
    let mut stop = pin!(stop);
    context.stand_by(true);
    tokio::select! {
        () = lease.acquire() => {}
        () = &mut stop => return Ok(()),
    }
    context.stand_by(false);
    tracing::info!("acting: the lease is ours");
    let mut lost = false;
    let until = async {
        tokio::select! {
            () = lease.keep() => lost = true,
            () = stop => {}
        }
    };
    operator.run(until).await;
    if lost {
        return Err("the lease is lost: ending, to begin again as one that waits".to_owned());
    }
    lease.release().await;
    Ok(())
}

/// JSON unless a person reads along. Spans of the runtime below us carry names of objects, which may be names of people:
/// they are left out.
#[expect(
    clippy::disallowed_methods,
    reason = "the library escapes in a log what a terminal would do something with"
)]
fn log() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let ours = filter_fn(|about| !(about.is_span() && about.target().starts_with("kube")));
    let lines = tracing_subscriber::fmt::layer();
    let registry = tracing_subscriber::registry().with(filter);
    let set = if std::io::stderr().is_terminal() {
        registry
            .with(lines.with_writer(std::io::stderr).with_filter(ours))
            .try_init()
    } else {
        registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr)
                    .with_filter(ours),
            )
            .try_init()
    };
    // Only a second call in the same process finds it set.
    set.ok();
}
