//! The resources that rights are asked for, after Kafka's `ResourceType`. A resource is a name; whether it exists is found
//! out by the verb, after the permission: a caller without permission must not learn it from the answer.

use std::fmt;
use std::sync::Arc;

use crate::ids::{TopicName, TopicRef};

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A topic, by name or id.
    Topic,
    /// A group.
    Group,
    /// The cluster as a whole.
    Cluster,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResourceKind::Topic => "topic",
            ResourceKind::Group => "group",
            ResourceKind::Cluster => "cluster",
        })
    }
}

/// Something that a right can be asked for; shown as its name or id.
pub trait Resource: fmt::Display {
    /// Its kind.
    const KIND: ResourceKind;
}

impl Resource for TopicRef {
    const KIND: ResourceKind = ResourceKind::Topic;
}

impl Resource for TopicName {
    const KIND: ResourceKind = ResourceKind::Topic;
}

/// A group by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(Arc<str>);

impl Group {
    /// The group of that id, checked by nobody yet.
    #[must_use]
    pub fn named(id: &str) -> Group {
        Group(id.into())
    }

    /// The group's id.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Resource for Group {
    const KIND: ResourceKind = ResourceKind::Group;
}

/// The cluster; there is one, which Kafka calls `kafka-cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cluster;

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kafka-cluster")
    }
}

impl Resource for Cluster {
    const KIND: ResourceKind = ResourceKind::Cluster;
}
