//! The last check of an upload: the guest starts, and takes the configuration of every topic that would follow it.

use std::sync::Arc;

use crate::error::{HostError, UploadError};
use crate::guest::engine::Wasm;
use crate::guest::instance::{Instance, StartError};
use crate::guest::module::Module;
use crate::guest::pool::{NewInstanceError, Pool};
use crate::world::World;

/// A topic that uses the active version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The topic's name.
    pub topic: String,
    /// The plugin's configuration there.
    pub config: String,
}

/// Starts the module once, and once more for each configuration that it will be used with.
///
/// # Errors
/// `WrongWorld`, `Start`, or `Init` with every topic whose configuration is refused.
pub(crate) async fn try_out<W: World>(wasm: &Wasm, module: &Arc<Module>, bound: &[Bound]) -> Result<(), UploadError> {
    let _permit = wasm.permits.acquire().await.map_err(|_| UploadError::Host(HostError::Closing))?;
    Instance::<W>::start(wasm, module).await.map_err(|cause| match cause {
        StartError::WrongWorld(reason) => UploadError::WrongWorld { reason },
        StartError::Failed(failed) => UploadError::Start { reason: failed.to_string() },
    })?;
    let mut tried: Vec<(&str, Option<String>)> = Vec::new();
    let mut refused: Vec<String> = Vec::new();
    let mut first = None;
    for Bound { topic, config } in bound {
        let known = tried.iter().find(|(text, _)| text == config).map(|(_, reason)| reason.clone());
        let reason = match known {
            Some(reason) => reason,
            None => {
                let pool = Pool::<W>::new(Arc::clone(module), config.as_str().into());
                let reason = pool.start(wasm).await.err().as_ref().map(NewInstanceError::reason);
                tried.push((config, reason.clone()));
                reason
            }
        };
        if let Some(reason) = reason {
            refused.push(topic.clone());
            first.get_or_insert(reason);
        }
    }
    match first {
        Some(reason) => Err(UploadError::Init { topics: refused, reason }),
        None => Ok(()),
    }
}
