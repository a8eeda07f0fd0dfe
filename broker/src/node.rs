//! Assembly only: what a broker is made of, in the order in which it is opened, and the order in which it stops.
//! Rank 8. Reading it from top to bottom is reading the architecture; it decides nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::Authorizer;
use crate::chain::Partitioners;
use crate::clock::{self, MachineClock, SharedClock};
use crate::config::{BrokerConfig, KafkaListener};
use crate::coordinator::group::{GroupError, Groups};
use crate::delay::DelayService;
use crate::door::{Door, DoorError};
use crate::engine::Engine;
use crate::kafka::{KafkaServer, ListenError};
use crate::limits;
use crate::log::{AppendError, LogDir, LogDirSettings, LogError, UpkeepSettings};
use crate::memory::{Budget, giveback};
use crate::metrics::{Metrics, Process, Section};
use crate::node_facts::NodeFacts;
use crate::tasks::{self, Pulse, TaskFailure, Tasks, Vital, VitalTask};
use crate::topics::{Catalog, TopicError};

/// Why a broker does not start. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The metadata log.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// The committed offsets.
    #[error(transparent)]
    Groups(#[from] GroupError),
    /// The plugin host.
    #[error(transparent)]
    Plugins(#[from] sluice_plugins::HostError),
    /// The delay service.
    #[error(transparent)]
    Delay(#[from] DoorError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A task that the broker cannot go on without failed; a bug. Whoever supervises the process starts it again.
    #[error("{0}; this is a bug: the broker stops, so that it can be started again")]
    Failed(#[from] TaskFailure),
}

impl NodeError {
    /// A bug of ours: not the machine, the settings, or what is in the folder.
    #[must_use]
    pub fn is_bug(&self) -> bool {
        match self {
            NodeError::Failed(_) => true,
            NodeError::Log(error) => is_bug_of_log(error),
            NodeError::Topics(error) => is_bug_of_topics(error),
            NodeError::Groups(error) => match error {
                GroupError::Internal { .. } => true,
                GroupError::Log(error) | GroupError::Append(AppendError::Log(error)) => is_bug_of_log(error),
                GroupError::Topic(error) => is_bug_of_topics(error),
                _ => false,
            },
            NodeError::Delay(error) => matches!(error, DoorError::Internal { .. }),
            NodeError::Plugins(_) | NodeError::Listen(_) => false,
        }
    }
}

fn is_bug_of_log(error: &LogError) -> bool {
    matches!(error, LogError::Internal { .. } | LogError::Panicked { .. })
}

fn is_bug_of_topics(error: &TopicError) -> bool {
    match error {
        TopicError::Internal { .. } => true,
        TopicError::Log(error) => is_bug_of_log(error),
        _ => false,
    }
}

/// One broker over one data directory.
#[derive(Debug)]
pub struct Node {
    log_dir: Arc<LogDir>,
    engine: Arc<Engine>,
    delay: DelayService,
    kafka: KafkaServer,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: Tasks,
    clients: Vec<VitalTask>,
}

impl Node {
    /// Opens everything: when this returns, logs are recovered and ports are bound, and nothing is served yet.
    ///
    /// # Errors
    /// The first thing that could not be opened; what had been opened is closed again.
    pub async fn open(config: Arc<BrokerConfig>, listeners: &[KafkaListener]) -> Result<Node, NodeError> {
        let settings = LogDirSettings::new(config.data_dir.clone());
        Node::open_with(config, listeners, settings, Arc::new(MachineClock)).await
    }

    /// As `open`, over a disk and a clock of the caller's.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_with(
        config: Arc<BrokerConfig>,
        listeners: &[KafkaListener],
        settings: LogDirSettings,
        clock: SharedClock,
    ) -> Result<Node, NodeError> {
        let tasks = Tasks::new();
        #[cfg(feature = "injected-panics")]
        tasks.inject_panics_from_outside();
        let for_log = Arc::clone(&clock);
        let log_dir = tasks::blocking("log-open", move || LogDir::open_for(settings, for_log, tasks)).await??;
        match Node::assemble(config, listeners, Arc::clone(&log_dir), clock).await {
            Ok(node) => Ok(node),
            Err(error) => {
                // A port in use is no crash: the next start should not have to recover.
                if let Err(second) = close(log_dir).await {
                    tracing::warn!("the data directory was not closed cleanly: {second}");
                }
                Err(error)
            }
        }
    }

    async fn assemble(
        config: Arc<BrokerConfig>,
        listeners: &[KafkaListener],
        log_dir: Arc<LogDir>,
        clock: SharedClock,
    ) -> Result<Node, NodeError> {
        let guests_clock = Arc::clone(&clock);
        let plugins = Arc::new(sluice_plugins::Host::open(sluice_plugins::HostConfig {
            memory_bytes: config.plugin_memory_bytes,
            partitioner_timeout: Duration::from_millis(config.plugin_partitioner_timeout_ms),
            clock: sluice_plugins::GuestClock::new(move || u64::try_from(guests_clock.wall().0).unwrap_or(0)),
            spawner: plugin_threads(log_dir.tasks().clone()),
            ..sluice_plugins::HostConfig::new(config.data_dir.join("plugins"))
        })?);
        let upkeep = UpkeepSettings {
            retention_check: Duration::from_millis(config.retention_check_ms),
            producer_expiration_ms: limits::PRODUCER_ID_EXPIRATION_MS,
        };
        let catalog = Catalog::open(Arc::clone(&log_dir), &config, Arc::clone(&clock)).await?;
        let memory = Budget::new(config.memory_max_bytes);
        let state = memory.state().clone();
        let groups = Groups::open(Arc::clone(&catalog), &config, Arc::clone(&clock), state).await?;
        let partitioners = Arc::new(Partitioners::new(plugins));
        let engine = Engine::new(
            config,
            Arc::clone(&clock),
            Arc::clone(&catalog),
            groups,
            partitioners,
            Authorizer::granting_everything(),
            memory,
        );
        let metrics = Metrics::new(log_dir.tasks(), Arc::clone(&clock));
        let process = Process::current(&clock);
        let delay = DelayService::open(Door::new(Arc::clone(&engine)), clock, log_dir.tasks().clone()).await?;
        let kafka = KafkaServer::bind(listeners, Arc::clone(&engine)).await?;
        let all_open = Arc::clone(&log_dir);
        tasks::blocking("data-version", move || all_open.confirm_version()).await??;
        log_dir.begin_upkeep(upkeep)?;
        let tasks = log_dir.tasks().clone();
        metrics.add(Arc::new(process));
        metrics.add(Arc::new(tasks.clone()));
        metrics.add(kafka.section());
        metrics.add(Arc::clone(&engine) as Arc<dyn Section>);
        metrics.add(Arc::clone(&log_dir) as Arc<dyn Section>);
        metrics.add(delay.section());
        let (stop, clients) = (CancellationToken::new(), Vec::new());
        Ok(Node { log_dir, engine, delay, kafka, metrics, stop, tasks, clients })
    }

    /// What this node knows of itself, for the gateway.
    #[must_use]
    pub fn facts(&self) -> NodeFacts {
        NodeFacts::new(Arc::clone(&self.engine), self.metrics.clone())
    }

    /// The door for the gateway.
    #[must_use]
    pub fn door(&self) -> Door {
        Door::new(Arc::clone(&self.engine))
    }

    /// `host:port` of each Kafka listener, as bound.
    #[must_use]
    pub fn kafka_addresses(&self) -> Vec<String> {
        self.kafka.addresses()
    }

    /// Cancel it to stop the broker.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Who owns the broker's tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Runs a vital task that uses the door and has to end before the logs are closed, as the gateway. It ends when the
    /// stop token is cancelled.
    pub fn run_client(&mut self, name: &'static str, client: impl Future<Output = ()> + Send + 'static) {
        self.clients.push(self.tasks.vital(Vital::new(name, self.stop.clone()), client));
    }

    /// Serves until the stop token is cancelled, then drains: ports first, then the delay service, then the logs are flushed
    /// and the shutdown is marked as clean. When a vital task fails, drains what still works, `limits::FAILED_DRAIN` at most.
    ///
    /// # Errors
    /// `Failed` with the vital task; else what kept the shutdown from being clean.
    pub async fn serve(self) -> Result<(), NodeError> {
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        let mut drained = std::pin::pin!(self.serve_and_drain());
        let failure = tokio::select! {
            biased;
            failure = tasks.failed() => failure,
            outcome = &mut drained => return outcome,
        };
        stop.cancel();
        match clock::timeout(limits::FAILED_DRAIN, drained).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the broker did not stop cleanly: {error}"),
            Err(_) => tracing::warn!("the broker did not stop within {:?}", limits::FAILED_DRAIN),
        }
        Err(failure.into())
    }

    async fn serve_and_drain(self) -> Result<(), NodeError> {
        let Node { log_dir, engine, delay, kafka, metrics, stop, tasks, clients } = self;
        let delays_stop = CancellationToken::new();
        let delays = tasks.vital(Vital::new("delay-service", delays_stop.clone()), delay.run(delays_stop.clone()));
        let refusals = engine.refusals().clone().log_held_back(delays_stop.clone());
        let refusals = tasks.vital(Vital::new("refusals-log", delays_stop.clone()), refusals);
        let giveback = giveback::run(delays_stop.clone());
        let giveback = tasks.vital(Vital::new("memory-giveback", delays_stop.clone()), giveback);
        let ports = kafka.start(&stop);
        stop.cancelled().await;
        engine.begin_stop();
        for task in ports.iter().chain(&clients) {
            task.ended().await;
        }
        delays_stop.cancel();
        delays.ended().await;
        refusals.ended().await;
        giveback.ended().await;
        metrics.closed().await;
        engine.closed().await;
        close(log_dir).await
    }

    /// Closes without having served; for tools and tests.
    ///
    /// # Errors
    /// As `serve`.
    pub async fn close(self) -> Result<(), NodeError> {
        self.stop.cancel();
        self.serve().await
    }
}

/// The plugin host's thread is vital: without it a guest that loops would never be stopped.
fn plugin_threads(tasks: Tasks) -> sluice_plugins::Spawner {
    sluice_plugins::Spawner::new(move |sluice_plugins::HostThread { name, wake, work }| {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let may_go_on = move |pulse: &Pulse| {
            pulse.beat();
            !asked.is_cancelled()
        };
        let thread =
            tasks.vital_thread(Vital::new(name, stop), move || wake(), move |pulse| work(&|| may_go_on(pulse)))?;
        Ok(Box::new(move || thread.end()))
    })
}

/// Flushes the logs and marks the stop as clean.
async fn close(log_dir: Arc<LogDir>) -> Result<(), NodeError> {
    Ok(tasks::blocking("log-close", move || log_dir.close()).await??)
}
