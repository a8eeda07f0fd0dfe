//! Every fact that a verb of the door can fail with, and the parts it is made of, under one name: who stands on the door
//! looks no further down to tell them apart.

pub use crate::chain::ChainError;
pub use crate::coordinator::group::GroupError;
pub use crate::engine::EngineError as DoorError;
pub use crate::log::{AppendError, LogError};
pub use crate::record::RecordError;
pub use crate::topics::TopicError;
