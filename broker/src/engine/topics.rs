//! STUB to be replaced. Topics made, grown and deleted, with what hangs on them.
#![allow(missing_docs)]
use std::sync::Arc;

use super::produce::TopicRef;
use super::{Engine, EngineError};
use crate::config::Context;
use crate::topics::{NewTopic, Topic};

impl Engine {
    /// Refuses internal names and checks bindings before anything is made.
    pub async fn create_topic(
        &self,
        _ctx: &Context,
        _wish: NewTopic,
        _validate_only: bool,
    ) -> Result<Option<Arc<Topic>>, EngineError> {
        todo!()
    }
    /// Also forgets the groups' offsets (rule 16).
    pub async fn delete_topic(&self, _ctx: &Context, _topic: &TopicRef) -> Result<Arc<Topic>, EngineError> {
        todo!()
    }
    pub async fn grow_topic(
        &self,
        _ctx: &Context,
        _name: &str,
        _count: i32,
        _validate_only: bool,
    ) -> Result<(), EngineError> {
        todo!()
    }
    pub fn resolve(&self, _topic: &TopicRef) -> Result<Arc<Topic>, EngineError> {
        todo!()
    }
    /// For Metadata and Produce: made where auto-create is on and the caller allows it.
    pub async fn resolve_or_create(
        &self,
        _ctx: &Context,
        _name: &str,
        _may_create: bool,
    ) -> Result<Arc<Topic>, EngineError> {
        todo!()
    }
}
