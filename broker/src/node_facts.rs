//! What a node knows of itself: its name in the cluster, its memory budget, the owner of its tasks, and whether it is ready.
//! Rank 6, over the engine. The gateway gets it beside the door, because a cluster behind the door could not answer these.

use std::sync::Arc;

use crate::engine::Engine;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::tasks::Tasks;

/// The facts of one node. Clones share them.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    engine: Arc<Engine>,
    metrics: Metrics,
}

impl NodeFacts {
    /// The facts of the node with this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, metrics: Metrics) -> NodeFacts {
        NodeFacts { engine, metrics }
    }

    /// Kafka's cluster id: 22 characters.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        self.engine.cluster_id()
    }

    /// This broker's number.
    #[must_use]
    pub fn node_id(&self) -> i32 {
        self.engine.config().node_id
    }

    /// The one budget for everything that clients make the broker hold.
    #[must_use]
    pub fn memory(&self) -> &Budget {
        self.engine.memory()
    }

    /// What the node shows of itself.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where a refused request is counted and logged.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        self.engine.refusals()
    }

    /// The owner of the broker's tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        self.engine.tasks()
    }

    /// Readiness: `Some(why not)` when a vital task has failed, or a partition is poisoned, damaged or offline; the text names
    /// the first one and says how many more there are. Costs a look at every partition.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        self.engine.unready()
    }
}
