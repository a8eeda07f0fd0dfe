//! Started and initialised instances of one module with one configuration, kept between calls. Holds at most as many as
//! may run at once, because taking one needs a permit.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{BindError, CallError};
use crate::guest::engine::Wasm;
use crate::guest::instance::{InitError, Instance, StartError};
use crate::guest::module::Module;
use crate::world::World;

/// The pool.
pub(crate) struct Pool<W: World> {
    module: Arc<Module>,
    config: Arc<str>,
    idle: Mutex<Vec<Instance<W>>>,
}

/// Why no instance could be made.
#[derive(Debug)]
pub(crate) enum NewInstanceError {
    Start(StartError),
    Init(InitError),
}

impl<W: World> Pool<W> {
    pub(crate) fn new(module: Arc<Module>, config: Arc<str>) -> Pool<W> {
        Pool { module, config, idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// A kept instance, if there is one.
    pub(crate) fn kept(&self) -> Option<Instance<W>> {
        self.idle.lock().pop()
    }

    /// A new instance, initialised. The caller has a permit.
    pub(crate) async fn start(&self, wasm: &Wasm) -> Result<Instance<W>, NewInstanceError> {
        let mut instance = Instance::start(wasm, &self.module).await.map_err(NewInstanceError::Start)?;
        instance.init(wasm, &self.config).await.map_err(NewInstanceError::Init)?;
        Ok(instance)
    }

    /// Takes back an instance whose last call succeeded.
    pub(crate) fn put_back(&self, instance: Instance<W>) {
        if !instance.worn() {
            self.idle.lock().push(instance);
        }
    }
}

impl NewInstanceError {
    /// As text for whoever binds or uploads.
    pub(crate) fn reason(&self) -> String {
        match self {
            NewInstanceError::Start(StartError::WrongWorld(reason))
            | NewInstanceError::Init(InitError::Refused(reason)) => reason.clone(),
            NewInstanceError::Start(StartError::Failed(failed)) => format!("it does not start: {failed}"),
            NewInstanceError::Init(InitError::Failed(failed)) => format!("init failed: {failed}"),
        }
    }

    /// As the failure of a call that needed the instance of `plugin`.
    pub(crate) fn of_call(self, plugin: &str) -> CallError {
        match self {
            NewInstanceError::Start(StartError::Failed(failed)) | NewInstanceError::Init(InitError::Failed(failed)) => {
                failed
            }
            other => {
                let cause = BindError::Init { name: plugin.to_owned(), reason: other.reason() };
                CallError::Unavailable { cause }
            }
        }
    }
}
