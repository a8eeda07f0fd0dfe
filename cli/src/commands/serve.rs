//! `sluice serve`: settings, logging, file limit, then the broker and its gateway until a signal; then they drain in the
//! order in which they depend on each other. Decides no policy of the broker.

use std::io::IsTerminal;
use std::sync::Arc;

use sluice_broker::node::{Node, NodeError};
use sluice_gateway::{Gateway, GatewayConfig, ListenError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{PrintFormat, ServeArgs};
use crate::config::{BadConfig, Config, Settings};
use crate::output::{Banner, say};
use crate::reference;

/// Why the command did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for cannot be.
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
}

impl Failure {
    /// 2 before anything was served, 1 after.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Stop(_) => 1,
            _ => 2,
        }
    }
}

/// Runs until it is told to stop.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.print_config == Some(PrintFormat::Markdown) {
        say(&reference::as_markdown());
        return Ok(());
    }
    let env = std::env::vars_os().filter_map(|(name, text)| {
        // A value that is not text becomes one that no setting takes.
        Some((name.into_string().ok()?, text.to_string_lossy().into_owned()))
    });
    let settings = Settings::read(args, env)?;
    if args.print_config == Some(PrintFormat::Toml) {
        say(&reference::as_toml(&settings));
        return Ok(());
    }
    let config = settings.into_config()?;
    start_logging()?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Failure::System { doing: "the runtime does not start", cause })?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let broker = Arc::new(config.broker);
    let node = Node::open(Arc::clone(&broker), &config.kafka).await.map_err(Failure::Start)?;
    let (gateway, signals) = match open_rest(&config.gateway, &node).await {
        Ok(opened) => opened,
        Err(failure) => {
            // A port in use is no crash: the next start should not have to recover.
            node.close().await.map_err(Failure::Stop)?;
            return Err(failure);
        }
    };
    let banner = Banner {
        kafka: node.kafka_addresses(),
        http: http_addresses(&config.gateway.listen, gateway.addresses()),
        data_dir: &broker.data_dir,
        cluster_id: node.door().cluster_id().to_owned(),
    };
    say(&banner.text());
    node.clients().spawn(gateway.serve(node.stop_token()));
    let stop = node.stop_token();
    let waiting = tokio::spawn(async move {
        signals.await;
        stop.cancel();
    });
    let ended = node.serve().await.map_err(Failure::Stop);
    waiting.abort();
    ended
}

async fn open_rest(
    config: &GatewayConfig,
    node: &Node,
) -> Result<(Gateway, impl Future<Output = ()> + use<>), Failure> {
    let gateway = Gateway::bind(config, node.door()).await?;
    let signals = signals().map_err(|cause| Failure::System { doing: "signals cannot be waited for", cause })?;
    Ok((gateway, signals))
}

/// As people wrote them: `localhost` is two addresses with one port, and they know it by its name.
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

/// Ends at the first signal to stop; the second one, whenever it comes, ends the process as it stands.
fn signals() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    Ok(async move {
        let name = tokio::select! {
            _ = interrupts.recv() => "SIGINT",
            _ = terminations.recv() => "SIGTERM",
        };
        tracing::info!("{name}: finishing what is in flight; a second signal stops at once");
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = interrupts.recv() => 130,
                _ = terminations.recv() => 143,
            };
            std::process::exit(code);
        });
    })
}

fn start_logging() -> Result<(), Failure> {
    let text = std::env::var("SLUICE_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|cause| Failure::LogFilter { text: text.clone(), cause: cause.to_string() })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // What cannot be written (a log file on the disk that is full) is lost: saying so on stderr would panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Each partition and each connection holds files open: as many as the system lets this process have.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!("the limit of open files stays at {:?}: {cause}", limit.current);
    }
}
