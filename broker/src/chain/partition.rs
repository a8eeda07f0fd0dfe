//! Which partition a message goes to when its producer left that to the broker: what the topic's plugin says, else
//! Kafka's own rule. Stands between the door and the append; never writes and never chooses for the Kafka port.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use sluice_plugins::{Batch, BindError, CallContext, CallError, Host, Partitioner, PluginRef};

use crate::context::{Context, Source};
use crate::ids::{PartitionId, TopicId};
use crate::record::{Message, partition_for_key};

/// Records of one call of a plugin: the time limit of a call is meant for about this many.
const CALL_RECORDS_MAX: usize = 4_096;
/// Bytes of one call, unless one message alone has more.
const CALL_BYTES_MAX: usize = 1024 * 1024;
/// What a record without a timestamp of its own shows to the plugin.
const NO_TIMESTAMP: i64 = -1;

/// Why no partition was chosen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
    /// A config change would bind what cannot be bound; nothing has changed.
    #[error("topic '{topic}' cannot be bound to partitioner '{plugin}': {reason}")]
    BadBinding {
        /// The topic.
        topic: String,
        /// The plugin as the binding would name it.
        plugin: String,
        /// What the host or the plugin says.
        reason: String,
    },
    /// The plugin is not there, damaged, or refuses its configuration: the topic refuses records until that is mended.
    #[error("topic '{topic}' is bound to partitioner '{plugin}': {reason}")]
    Unavailable {
        /// The topic.
        topic: String,
        /// The plugin as the binding names it.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// The plugin failed on these records (trap, time-out, memory, wrong answer) and the policy is to reject.
    #[error("partitioner '{plugin}' of topic '{topic}' failed: {reason}")]
    Failed {
        /// The topic.
        topic: String,
        /// The plugin as the binding names it.
        plugin: String,
        /// How.
        reason: String,
    },
}

/// Bindings of topics to loaded partitioners; looked up by the topic's config on each call, kept while it does not change.
#[derive(Debug)]
pub struct Partitioners {
    host: Arc<Host>,
    bindings: ArcSwap<HashMap<TopicId, Arc<Binding>>>,
    /// Counts the calls with keyless messages, so that each goes to the next partition.
    keyless: AtomicU32,
}

/// What one topic's config said, and the partitioner that was bound for it.
#[derive(Debug)]
struct Binding {
    reference: String,
    config: String,
    topic: Arc<str>,
    partitioner: Partitioner,
}

/// The topic that messages go to, as far as the choice of partitions depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Its identity.
    pub(crate) id: TopicId,
    /// Its name.
    pub(crate) name: &'a str,
    /// How many partitions it has.
    pub(crate) partitions: i32,
    /// The partitioner that it is bound to.
    pub(crate) plugin: Option<BoundPlugin<'a>>,
}

/// A binding as the topic's configs have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundPlugin<'a> {
    /// `name` or `name@version`.
    pub(crate) reference: &'a str,
    /// The text that the plugin is configured with.
    pub(crate) config: &'a str,
}

impl Partitioners {
    /// No bindings yet: each is made when its topic first needs it.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Partitioners {
        Partitioners { host, bindings: ArcSwap::default(), keyless: AtomicU32::new(0) }
    }

    /// The plugin host.
    #[must_use]
    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// One partition a message, in order: the bound plugin's choice; else murmur2 of the key as the Java client;
    /// keyless messages share one sticky partition a call.
    ///
    /// # Errors
    /// The bound plugin cannot be used, or failed on these messages; nothing was written then.
    pub(crate) async fn choose(
        &self,
        ctx: &Context,
        target: &Target<'_>,
        messages: &[Message],
    ) -> Result<Vec<PartitionId>, ChainError> {
        let Some(plugin) = &target.plugin else {
            return Ok(self.by_key(target.partitions, messages));
        };
        let binding = self.binding(target, plugin).await?;
        let count = u32::try_from(target.partitions).unwrap_or(1);
        let caller = CallContext {
            topic: Arc::clone(&binding.topic),
            principal: ctx.principal().as_str().into(),
            client_id: Arc::clone(ctx.client_id()),
            source: match ctx.source() {
                Source::Kafka => sluice_plugins::Source::Kafka,
                Source::Http => sluice_plugins::Source::Http,
                // The delay service is the only one of them that chooses partitions.
                Source::Internal => sluice_plugins::Source::Delay,
            },
        };
        let mut chosen = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let (batch, taken) = batch_of(rest).map_err(|reason| binding.failed(reason))?;
            let partitions = binding.partitioner.partition(&caller, count, batch).await;
            for partition in partitions.map_err(|cause| binding.refusal(cause))? {
                // The host has checked that it is below the count, which is an i32.
                chosen.push(PartitionId(i32::try_from(partition).unwrap_or(0)));
            }
            rest = &rest[taken..];
        }
        Ok(chosen)
    }

    /// Called before a config change that binds is accepted: loads the plugin and runs its `init`.
    ///
    /// # Errors
    /// `BadBinding`, with what the host or the plugin says.
    pub(crate) async fn check_binding(&self, topic: &str, plugin: &str, config: &str) -> Result<(), ChainError> {
        let bound = self.bind(plugin, config).await;
        bound.map(drop).map_err(|cause| ChainError::BadBinding {
            topic: topic.to_owned(),
            plugin: plugin.to_owned(),
            reason: cause.to_string(),
        })
    }

    async fn bind(&self, reference: &str, config: &str) -> Result<Partitioner, BindError> {
        self.host.bind(&reference.parse::<PluginRef>()?, config).await
    }

    /// The kept binding, or a new one where the topic's config has changed.
    async fn binding(&self, target: &Target<'_>, plugin: &BoundPlugin<'_>) -> Result<Arc<Binding>, ChainError> {
        let (name, BoundPlugin { reference, config }) = (target.name, *plugin);
        if let Some(binding) = self.bindings.load().get(&target.id)
            && binding.reference == reference
            && binding.config == config
        {
            return Ok(Arc::clone(binding));
        }
        let partitioner = self.bind(reference, config).await.map_err(|cause| unavailable(name, reference, cause))?;
        let binding = Arc::new(Binding {
            reference: reference.to_owned(),
            config: config.to_owned(),
            topic: name.into(),
            partitioner,
        });
        self.bindings.rcu(|bindings| {
            let mut bindings = HashMap::clone(bindings);
            bindings.insert(target.id, Arc::clone(&binding));
            bindings
        });
        Ok(binding)
    }

    /// Forgets the binding of a deleted topic, and with it the instances kept for it.
    pub(crate) fn forget(&self, topic: TopicId) {
        if self.bindings.load().contains_key(&topic) {
            self.bindings.rcu(|bindings| {
                let mut bindings = HashMap::clone(bindings);
                bindings.remove(&topic);
                bindings
            });
        }
    }

    fn by_key(&self, count: i32, messages: &[Message]) -> Vec<PartitionId> {
        let mut sticky = None;
        let mut sticky = || {
            *sticky.get_or_insert_with(|| {
                let turn = self.keyless.fetch_add(1, Ordering::Relaxed) % count.max(1).unsigned_abs();
                PartitionId(i32::try_from(turn).unwrap_or(0))
            })
        };
        messages
            .iter()
            .map(|m| m.key.as_deref().map_or_else(&mut sticky, |key| partition_for_key(key, count)))
            .collect()
    }
}

impl Binding {
    fn failed(&self, reason: String) -> ChainError {
        ChainError::Failed { topic: self.topic.to_string(), plugin: self.reference.clone(), reason }
    }

    fn refusal(&self, cause: CallError) -> ChainError {
        match cause {
            CallError::Unavailable { .. } | CallError::Quarantined { .. } => {
                unavailable(&self.topic, &self.reference, cause)
            }
            CallError::Timeout { .. }
            | CallError::Memory { .. }
            | CallError::Trap { .. }
            | CallError::BadAnswer { .. } => self.failed(cause.to_string()),
        }
    }
}

/// The plugin's name in a binding: `geo@3` is a version of `geo`.
#[must_use]
pub(crate) fn plugin_of(reference: &str) -> &str {
    PluginRef::name_in(reference)
}

fn unavailable(topic: &str, plugin: &str, cause: impl std::fmt::Display) -> ChainError {
    ChainError::Unavailable { topic: topic.to_owned(), plugin: plugin.to_owned(), reason: cause.to_string() }
}

/// The first messages as one batch, and how many they are: at least one.
fn batch_of(messages: &[Message]) -> Result<(Batch, usize), String> {
    let mut batch = Batch::with_capacity(messages.len().min(CALL_RECORDS_MAX), 0);
    for message in messages.iter().take(CALL_RECORDS_MAX) {
        if batch.records() > 0 && batch.bytes().saturating_add(size(message)) > CALL_BYTES_MAX {
            break;
        }
        let headers = message.headers.iter().map(|header| (header.key.as_str(), header.value.as_deref()));
        let timestamp = message.timestamp.map_or(NO_TIMESTAMP, |timestamp| timestamp.0);
        batch
            .push(message.key.as_deref(), message.value.as_deref(), headers, timestamp)
            .map_err(|full| full.to_string())?;
    }
    let taken = batch.records();
    Ok((batch, taken))
}

fn size(message: &Message) -> usize {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers = message.headers.iter().map(|header| header.key.len() + length(&header.value) + 8);
    length(&message.key) + length(&message.value) + headers.sum::<usize>()
}
