//! `__sluice_delays`: the last state of each proxy partition, durable when `write` returns. When it cannot be read nothing is
//! delivered, because the service would not know what it has delivered.

use std::collections::HashMap;

use super::state_record::{BadState, ProxyKey, State};
use crate::door::error::StorageFailure;
use crate::door::{Context, Door, DoorError, KeyedLog};

const STATE_TOPIC: &str = "__sluice_delays";

/// The topic of the states.
#[derive(Debug)]
pub(super) struct StateTopic {
    log: KeyedLog,
}

impl StateTopic {
    pub(super) fn open(door: &Door, ctx: &Context) -> Result<StateTopic, DoorError> {
        Ok(StateTopic { log: door.keyed_log(ctx, STATE_TOPIC)? })
    }

    /// The last state of every proxy partition. Blocking.
    pub(super) fn load(&self) -> Result<HashMap<ProxyKey, State>, DoorError> {
        let damaged = |error: BadState| StorageFailure::Broken { reason: format!("{STATE_TOPIC}-0: {error}") };
        let mut states = HashMap::new();
        for (key, value) in self.log.load()? {
            let key = ProxyKey::decode(&key).map_err(damaged)?;
            states.insert(key, State::decode(&value).map_err(damaged)?);
        }
        Ok(states)
    }

    /// Durable when this returns. `None` forgets the proxy partition.
    pub(super) async fn write(&self, key: &ProxyKey, state: Option<&State>) -> Result<(), DoorError> {
        self.log.put(key.encode(), state.map(State::encode)).await
    }
}
