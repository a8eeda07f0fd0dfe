//! STUB to be replaced. Topics listed, described, made, deleted.
#![allow(missing_docs)]
use super::{Context, Door, DoorError};
use crate::ids::TopicId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    pub id: TopicId,
    pub internal: bool,
    pub partitions: i32,
    pub configs: Vec<(String, String)>,
}

pub use crate::topics::NewTopic;

impl Door {
    pub fn topics(&self, _ctx: &Context, _with_internal: bool) -> Vec<TopicInfo> {
        todo!()
    }
    pub fn topic(&self, _ctx: &Context, _name: &str) -> Result<TopicInfo, DoorError> {
        todo!()
    }
    pub async fn create_topic(&self, _ctx: &Context, _wish: NewTopic) -> Result<TopicInfo, DoorError> {
        todo!()
    }
    pub async fn delete_topic(&self, _ctx: &Context, _name: &str) -> Result<(), DoorError> {
        todo!()
    }
}
