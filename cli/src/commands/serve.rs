//! `sluice serve`: settings, logging, file limit, then the broker and its gateway until a signal; then they drain in the
//! order in which they depend on each other. Decides no policy of the broker.

use std::io::IsTerminal;
use std::sync::Arc;

use sluice_broker::limits;
use sluice_broker::node::{Node, NodeError};
use sluice_broker::tasks::TaskFailure;
use sluice_gateway::{Gateway, GatewayConfig, ListenError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{PrintFormat, ServeArgs};
use crate::config::{BadConfig, Config, Settings};
use crate::output::{Banner, complain, say};
use crate::reference;

/// The exit code of a bug: `EX_SOFTWARE` of `sysexits.h`.
const BUG: u8 = 70;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The log filter.
    #[error("SLUICE_LOG: '{text}' is not a log filter: {cause}")]
    LogFilter { text: String, cause: String },
    /// The system.
    #[error("{doing}: {cause}")]
    System { doing: &'static str, cause: std::io::Error },
    /// The broker did not start.
    #[error(transparent)]
    Start(NodeError),
    /// The gateway did not start.
    #[error(transparent)]
    Http(#[from] ListenError),
    /// The broker did not stop cleanly.
    #[error("the broker did not stop cleanly: {0}")]
    Stop(NodeError),
    /// A vital task of the broker failed while it served.
    #[error(transparent)]
    Failed(TaskFailure),
}

impl Failure {
    /// 2 before anything was served, 1 after; 70 (`EX_SOFTWARE` of `sysexits.h`) for a bug of ours, after which a
    /// supervisor should start the broker again.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => BUG,
            Failure::Start(error) | Failure::Stop(error) if error.is_bug() => BUG,
            Failure::Stop(_) => 1,
            _ => 2,
        }
    }
}

/// Runs until a signal stops it.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.print_config == Some(PrintFormat::Markdown) {
        say(&reference::as_markdown());
        return Ok(());
    }
    let env = std::env::vars_os().filter_map(|(name, text)| {
        // A value that is not UTF-8 becomes one that no setting takes.
        Some((name.into_string().ok()?, text.to_string_lossy().into_owned()))
    });
    let settings = Settings::read(args, env)?;
    if args.print_config == Some(PrintFormat::Toml) {
        say(&reference::as_toml(&settings));
        return Ok(());
    }
    let of_services = settings.of_services().to_vec();
    let config = settings.into_config()?;
    start_logging()?;
    for name in of_services {
        tracing::debug!("the environment variable {name} describes a Service of Kubernetes: it is no setting");
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Failure::System { doing: "the runtime does not start", cause })?;
    let ended = runtime.block_on(serve(config));
    if ended.as_ref().is_err_and(|failure| failure.exit_code() == BUG) {
        // A thread that hangs would keep the process alive.
        runtime.shutdown_background();
    }
    ended
}

async fn serve(config: Config) -> Result<(), Failure> {
    let broker = Arc::new(config.broker);
    let mut node = Node::open(Arc::clone(&broker), &config.kafka).await.map_err(Failure::Start)?;
    let (gateway, signals) = match open_rest(&config.gateway, &node).await {
        Ok(opened) => opened,
        Err(failure) => {
            // A port in use is not a crash: the next start must not need a recovery.
            node.close().await.map_err(Failure::Stop)?;
            return Err(failure);
        }
    };
    let banner = Banner {
        kafka: node.kafka_addresses(),
        http: http_addresses(&config.gateway.listen, gateway.addresses()),
        data_dir: &broker.data_dir,
        cluster_id: node.facts().cluster_id().to_owned(),
    };
    say(&banner.text());
    node.tasks().last_resort(limits::FAILED_END, |failure| {
        complain(&Failure::Failed(failure.clone()).to_string());
        std::process::exit(BUG.into());
    });
    let stop = node.stop_token();
    node.run_client("gateway", gateway.serve(stop.clone()));
    let ended = until_stopped(node.serve(), &stop, signals).await;
    ended.map_err(|error| match error {
        NodeError::Failed(failure) => Failure::Failed(failure),
        error => Failure::Stop(error),
    })
}

/// The first signal stops the broker in order; the second one, whenever it comes, ends the process as it stands.
async fn until_stopped<T>(serving: impl Future<Output = T>, stop: &CancellationToken, mut signals: Signals) -> T {
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        (name, _) = signals.next() => {
            tracing::info!("{name}: finishing what is in flight; a second signal stops at once");
            stop.cancel();
        }
    }
    tokio::select! {
        ended = serving => ended,
        (_, code) = signals.next() => std::process::exit(code),
    }
}

async fn open_rest(config: &GatewayConfig, node: &Node) -> Result<(Gateway, Signals), Failure> {
    let gateway = Gateway::bind(config, node.door(), node.facts()).await?;
    let signals = Signals::new().map_err(|cause| Failure::System { doing: "signals cannot be waited for", cause })?;
    Ok((gateway, signals))
}

/// The addresses as the settings name them: `localhost` is two addresses with one port.
fn http_addresses(listen: &[String], bound: Vec<String>) -> Vec<String> {
    let all_local = listen.iter().all(|text| text.starts_with("localhost:"));
    let shown = bound.into_iter().map(|address| match address.rsplit_once(':') {
        Some((_, port)) if all_local => format!("localhost:{port}"),
        _ => address,
    });
    let mut shown: Vec<String> = shown.collect();
    shown.dedup();
    shown
}

/// The signals that stop the broker.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    fn new() -> Result<Signals, std::io::Error> {
        Ok(Signals { interrupts: signal(SignalKind::interrupt())?, terminations: signal(SignalKind::terminate())? })
    }

    /// The next one's name, and the exit code of a process that it ends.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupts.recv() => ("SIGINT", 130),
            _ = self.terminations.recv() => ("SIGTERM", 143),
        }
    }
}

fn start_logging() -> Result<(), Failure> {
    let text = std::env::var("SLUICE_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|cause| Failure::LogFilter { text: text.clone(), cause: cause.to_string() })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A line that cannot be written (to a file on a full disk) is lost: printing to stderr would panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Raises the limit of open files to what the system allows: each partition and each connection holds some open.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!("the limit of open files stays at {:?}: {cause}", limit.current);
    }
}

#[cfg(test)]
mod tests {
    use sluice_broker::coordinator::group::GroupError;
    use sluice_broker::log::LogError;
    use sluice_broker::tasks::AbnormalEnd;
    use sluice_broker::topics::TopicError;

    use super::*;

    #[test]
    fn a_bug_ends_with_code_70_whenever_it_comes_and_other_failures_with_2_before_the_service_and_1_after() {
        let panicked = TaskFailure { task: "log-open".into(), end: AbnormalEnd::Panicked("a bug".to_owned()) };
        let internal = || LogError::Internal { what: "a bug".to_owned() };
        let in_use = || LogError::InUse { path: "folder".into() };
        assert_eq!(Failure::Failed(panicked.clone()).exit_code(), 70);
        assert_eq!(Failure::Start(panicked.into()).exit_code(), 70);
        assert_eq!(Failure::Start(TopicError::Log(internal()).into()).exit_code(), 70);
        assert_eq!(Failure::Start(GroupError::Internal { what: "a bug".to_owned() }.into()).exit_code(), 70);
        assert_eq!(Failure::Stop(internal().into()).exit_code(), 70);
        assert_eq!(Failure::Start(in_use().into()).exit_code(), 2);
        assert_eq!(Failure::Stop(in_use().into()).exit_code(), 1);
    }
}
