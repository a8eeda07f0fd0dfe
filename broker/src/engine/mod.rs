//! Raw verbs over topics, logs and groups: what the Kafka port and the door's local half call. Rank 5. The only gate:
//! topics, groups, logs and plugins are reached through these verbs alone, and each takes the permits of `auth/`. Never remote,
//! knows no wire format.

pub(crate) mod append_once;
pub(crate) mod broker_configs;
pub(crate) mod configs;
pub(crate) mod delete_records;
pub(crate) mod error;
pub mod fetch;
pub(crate) mod follow;
pub mod groups;
pub(crate) mod held;
mod id_blocks;
pub(crate) mod keyed_log;
pub(crate) mod offsets;
pub(crate) mod openings;
pub(crate) mod plugins;
pub mod produce;
pub(crate) mod producer_ids;
mod shown;
pub(crate) mod topics;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::auth::Authorizer;
use crate::chain::Partitioners;
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::coordinator::group::Groups;
use crate::log::LogError;
use crate::memory::Budget;
use crate::refusals::Refusals;
use crate::tasks::{Changes, Tasks};
use crate::topics::Catalog;

use id_blocks::ProducerIds;
use openings::Openings;

pub use error::{EngineError, InvalidRequest};

/// The broker's verbs. One is made by `node.rs` and shared by every door.
#[derive(Debug)]
pub struct Engine {
    config: Arc<BrokerConfig>,
    clock: SharedClock,
    catalog: Arc<Catalog>,
    groups: Arc<Groups>,
    partitioners: Arc<Partitioners>,
    producer_ids: ProducerIds,
    memory: Budget,
    refusals: Refusals,
    /// Where batches are opened, looked through and compressed.
    openings: Openings,
    stopping: CancellationToken,
    /// Members of groups that live inside of the broker.
    members: Changes,
    auth: Authorizer,
}

impl Engine {
    /// Wires the verbs over what `node.rs` has opened.
    #[must_use]
    pub fn new(
        config: Arc<BrokerConfig>,
        clock: SharedClock,
        catalog: Arc<Catalog>,
        groups: Arc<Groups>,
        partitioners: Arc<Partitioners>,
        auth: Authorizer,
        memory: Budget,
    ) -> Arc<Engine> {
        let producer_ids = ProducerIds::new(Arc::clone(&catalog));
        let refusals = Refusals::new(Arc::clone(&clock));
        let stopping = CancellationToken::new();
        let members = catalog.tasks().changes("group-member");
        Arc::new(Engine {
            config,
            clock,
            catalog,
            groups,
            partitioners,
            producer_ids,
            memory,
            refusals,
            openings: Openings::new(),
            stopping,
            members,
            auth,
        })
    }

    /// Who may do what: asked before every verb.
    #[must_use]
    pub fn auth(&self) -> &Authorizer {
        &self.auth
    }

    /// The broker's settings.
    #[must_use]
    pub(crate) fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// The one budget for everything that clients make the broker hold.
    #[must_use]
    pub(crate) fn memory(&self) -> &Budget {
        &self.memory
    }

    /// Where a refused request is counted and logged.
    #[must_use]
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The queues for whatever opens or builds batches.
    #[must_use]
    pub(crate) fn openings(&self) -> &Openings {
        &self.openings
    }

    /// Where time comes from.
    #[must_use]
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Who owns the broker's tasks.
    #[must_use]
    pub(crate) fn tasks(&self) -> &Tasks {
        self.catalog.tasks()
    }

    /// Runs a member of a group inside of the broker. It ends when its token is cancelled, which the broker's stop does too.
    pub(crate) fn run_member<F: Future<Output = ()> + Send + 'static>(
        &self,
        member: impl FnOnce(CancellationToken) -> F,
    ) -> CancellationToken {
        let stop = self.stopping.child_token();
        self.members.spawn(member(stop.clone()));
        stop
    }

    /// Kafka's cluster id: 22 characters.
    #[must_use]
    pub(crate) fn cluster_id(&self) -> &str {
        self.catalog.cluster_id()
    }

    /// Readiness: `Some(why not)` when a partition is poisoned, damaged or offline; the text names it and says how many more.
    /// Costs a look at every partition.
    #[must_use]
    pub(crate) fn unready(&self) -> Option<String> {
        if let Some(failure) = self.tasks().failure() {
            return Some(format!("the broker stops: {failure}"));
        }
        let mut first = None;
        let mut more = 0;
        for topic in self.catalog.topics() {
            for partition in topic.partitions().iter() {
                // One that is being deleted is no illness.
                match partition.usable() {
                    Ok(()) | Err(LogError::Deleted { .. }) => {}
                    Err(error) if first.is_none() => first = Some(error),
                    Err(_) => more += 1,
                }
            }
        }
        // A coordinator's shard that a bug has unloaded: its partition is well.
        let Some(first) = first else { return self.groups.failure().or_else(|| self.out_of_service()) };
        Some(if more == 0 { first.to_string() } else { format!("{first} (and {more} more partitions)") })
    }

    fn out_of_service(&self) -> Option<String> {
        let (first, count) = self.tasks().out_of_service()?;
        let more = if count > 1 { format!(" (and {} more services)", count - 1) } else { String::new() };
        Some(format!("{first}; it does nothing until the broker restarts{more}"))
    }

    /// Ends long polls and waiting joins, so that connections can drain. Nothing that was begun is given up.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
        self.groups.stop();
    }

    /// Waits for members inside of the broker to leave, and for the changes of groups and topics that are under way, before
    /// the log directory is closed.
    pub async fn closed(&self) {
        self.members.closed().await;
        self.groups.closed().await;
        self.catalog.closed().await;
    }
}
