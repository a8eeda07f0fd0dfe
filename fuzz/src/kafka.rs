//! The parsers of the Kafka port that every request passes before anything else sees it.

#[path = "../../broker/src/kafka/bounds.rs"]
pub(super) mod bounds;
#[path = "../../broker/src/kafka/header.rs"]
pub(super) mod header;
#[path = "../../broker/src/kafka/shapes.rs"]
mod shapes;
#[path = "../../broker/src/kafka/versions.rs"]
pub(super) mod versions;
