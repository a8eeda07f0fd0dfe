//! How a test makes a task panic: by its name, from within the process or through a FIFO. Not in a product.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use super::injected::Waker;
use super::{Pulse, Shared, Tasks};

/// Names a FIFO; each line written there is the name of a task that is to panic.
const FIFO: &str = "SLUICE_TESTS_PANICS";

impl Tasks {
    /// Makes one running task of that name panic: a vital one, or one that serves a request. Where none runs, the next one
    /// that begins.
    pub fn inject_panic(&self, name: &str) {
        self.shared.injected.asked.send_modify(|asked| asked.push(name.to_owned()));
        let wakers = self.shared.injected.wakers.lock().clone();
        wakers.iter().for_each(|wake| wake());
    }

    /// Injects what another process writes into the FIFO that the environment names.
    pub(crate) fn inject_panics_from_outside(&self) {
        let Some(path) = std::env::var_os(FIFO) else { return };
        let tasks = self.clone();
        // Ends with the process, or with its last writer.
        std::thread::spawn(move || {
            let Ok(fifo) = std::fs::File::open(path) else { return };
            BufReader::new(fifo).lines().map_while(Result::ok).for_each(|name| tasks.inject_panic(&name));
        });
    }

    pub(super) fn injectable<F>(&self, name: &Arc<str>, work: F) -> impl Future<Output = F::Output> + Send + use<F>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let (shared, name) = (Arc::clone(&self.shared), Arc::clone(name));
        async move {
            tokio::select! {
                biased;
                () = asked(&shared, &name) => panic!("injected"),
                done = work => done,
            }
        }
    }

    pub(super) fn pulse(&self, name: &Arc<str>, wake: &Waker) -> Pulse {
        self.shared.injected.wakers.lock().push(Arc::clone(wake));
        Pulse { injected: Some((Arc::clone(&self.shared), Arc::clone(name))) }
    }
}

async fn asked(shared: &Shared, name: &str) {
    let mut asked = shared.injected.asked.subscribe();
    loop {
        if shared.injected.take(name) {
            return;
        }
        if asked.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
