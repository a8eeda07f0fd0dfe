//! Follows the topics: one task for each partition of each delay topic. It starts when the partition appears and ends when
//! the topic is deleted; a stop waits for all of them. A task that panics, which a record may cause, stays ended until the broker restarts; the others
//! go on. A broker without delay topics has one task that waits for a change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::counts::DelayCounts;
use super::proxy::{Proxy, Shared};
use super::route::{ProxyTopic, Router};
use super::state_record::{ProxyKey, State};
use super::state_topic::StateTopic;
use crate::clock::SharedClock;
use crate::door::topics::TopicInfo;
use crate::door::{Context, Door, DoorError};
use crate::ids::PartitionId;
use crate::limits;
use crate::metrics::Section;
use crate::tasks::{self, Parts, TaskFailure, Tasks};

/// The delay service of one broker.
#[derive(Debug)]
pub struct DelayService {
    door: Door,
    ctx: Context,
    tasks: Tasks,
    shared: Arc<Shared>,
    states: HashMap<ProxyKey, State>,
    /// Why nothing is delivered, if so.
    unreadable: Option<DoorError>,
    /// The partitions whose task has panicked.
    failed: Vec<(ProxyKey, TaskFailure)>,
}

impl DelayService {
    /// Reads what was delivered from `__sluice_delays`, where that topic exists. When it is damaged the broker serves all the
    /// same and delivers nothing: the waiting records stay in their delay topics.
    ///
    /// # Errors
    /// A bug: the task that reads the states ended abnormally.
    pub async fn open(door: Door, clock: SharedClock, tasks: Tasks) -> Result<DelayService, DoorError> {
        let ctx = Context::internal("delay");
        let store = StateTopic::open(&door, &ctx)?;
        let steps = Semaphore::new(limits::DELAY_STEPS_AT_ONCE);
        let counts = DelayCounts::new(Arc::clone(&clock));
        let long_reads = Semaphore::new(limits::DELAY_LONG_READS_AT_ONCE);
        let shared = Arc::new(Shared { store, clock, steps, long_reads, counts });
        let loading = Arc::clone(&shared);
        let loaded = tasks::blocking("delay-load", move || loading.store.load()).await?;
        let (states, unreadable) = match loaded {
            Ok(states) => (states, None),
            Err(error) => (HashMap::new(), Some(error)),
        };
        Ok(DelayService { door, ctx, tasks, shared, states, unreadable, failed: Vec::new() })
    }

    /// What is counted here, for `/metrics`.
    #[must_use]
    pub(crate) fn section(&self) -> Arc<dyn Section> {
        Arc::clone(&self.shared.counts) as Arc<dyn Section>
    }

    /// Delivers until `stop` is cancelled; then finishes every step under way and records what is done.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Some(error) = &self.unreadable {
            tracing::error!("no delayed record is delivered until this is repaired and the broker restarted: {error}");
            return stop.cancelled().await;
        }
        self.forget_deleted().await;
        let mut changes = self.door.topic_changes();
        let mut running: HashSet<ProxyKey> = HashSet::new();
        let mut proxies: Parts<(ProxyKey, Result<(), TaskFailure>)> = Parts::default();
        loop {
            changes.mark_seen();
            self.show_failed();
            for proxy in self.proxies(&running) {
                running.insert(proxy.key);
                let (key, stop, tasks) = (proxy.key, stop.clone(), self.tasks.clone());
                let name = format!("delay-proxy {}", proxy.name());
                proxies.spawn(async move { (key, tasks.caught(name, proxy.run(stop)).await) });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                more = changes.changed() => if !more { break },
                Some((key, ended)) = proxies.next_ended() => match ended {
                    Ok(()) => {
                        running.remove(&key);
                        self.shared.counts.forget(&key);
                    }
                    // It would read the same record again. Its records stay: the partition still holds them.
                    Err(failure) => self.failed.push((key, failure)),
                },
            }
        }
        while proxies.next_ended().await.is_some() {}
    }

    /// Readiness names what is not delivered, unless its topic was deleted.
    fn show_failed(&mut self) {
        self.failed.retain(|(key, _)| {
            let needed = self.door.has_topic(&self.ctx, key.topic);
            if !needed {
                self.shared.counts.forget(key);
            }
            needed
        });
        self.shared.counts.set_stopped(self.failed.len());
        self.tasks.set_out_of_service(self.failed.iter().map(|(_, failure)| failure.clone()).collect());
    }

    /// States of topics that were deleted while the service was not running.
    async fn forget_deleted(&mut self) {
        let deleted = |key: &ProxyKey| !self.door.has_topic(&self.ctx, key.topic);
        let keys: Vec<ProxyKey> = self.states.keys().copied().filter(deleted).collect();
        for key in keys {
            self.states.remove(&key);
            if let Err(error) = self.shared.store.write(&key, None).await {
                tracing::warn!("the state of a deleted delay topic stays: {error}");
            }
        }
    }

    /// Every partition of a delay topic that has no task yet.
    fn proxies(&mut self, running: &HashSet<ProxyKey>) -> Vec<Proxy> {
        let mut found = Vec::new();
        for topic in self.door.delay_topics(&self.ctx) {
            for number in 0..topic.partitions {
                let key = ProxyKey { topic: topic.id, partition: PartitionId(number) };
                if !running.contains(&key) {
                    found.extend(self.proxy(&topic, key));
                }
            }
        }
        found
    }

    fn proxy(&mut self, topic: &TopicInfo, key: ProxyKey) -> Option<Proxy> {
        let delay = topic.delay.clone()?;
        let partition = self.door.follow(&self.ctx, key.topic, key.partition).ok()?;
        let router = Router {
            door: self.door.clone(),
            ctx: self.ctx.clone(),
            proxy: ProxyTopic { name: topic.name.clone(), id: topic.id, target: delay.target },
            partition: key.partition,
        };
        let state = self.states.remove(&key).unwrap_or_default();
        partition.hold(state.done);
        let counts = self.shared.counts.begin(key, &topic.name, partition.clone(), state.done);
        Some(Proxy {
            shared: Arc::clone(&self.shared),
            key,
            delay: delay.delay,
            partition,
            router,
            state,
            unsaved: false,
            next: HashMap::new(),
            head_due: None,
            counts,
            steps: 1,
            long: false,
        })
    }
}
