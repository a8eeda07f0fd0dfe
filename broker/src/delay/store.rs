//! `__sluice_delays`: the last state of each proxy partition, durable when `write` returns. If it cannot be read nothing is
//! delivered: without it the service would not know what it has delivered.

use std::collections::HashMap;

use super::state::{ProxyKey, State};
use crate::door::error::LogError;
use crate::door::keyed_log::KeyedLog;
use crate::door::{Door, DoorError};

/// Where the states are.
const STATE_TOPIC: &str = "__sluice_delays";

/// The states' log.
#[derive(Debug)]
pub(super) struct Store {
    log: KeyedLog,
}

impl Store {
    pub(super) fn new(door: &Door) -> Store {
        Store { log: door.keyed_log(STATE_TOPIC) }
    }

    /// The last state of every proxy partition. Blocking.
    pub(super) fn load(&self) -> Result<HashMap<ProxyKey, State>, DoorError> {
        let damaged = |error: super::state::BadState| LogError::Offline {
            partition: format!("{STATE_TOPIC}-0"),
            reason: error.to_string(),
        };
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
