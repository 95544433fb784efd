//! The thread on which mutations run step by step, concurrently. Their futures are created by the
//! layers above, for every driver, and need not be `Send`; the server does the work anyway.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::store::error::StoreError;

/// Creates the future to run, on that thread.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The thread. It ends when this is dropped and everything it runs has ended.
#[derive(Debug)]
pub(super) struct Writers(UnboundedSender<Job>);

impl Writers {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start() -> Result<Self, StoreError> {
        let (jobs, mut queue) = unbounded_channel::<Job>();
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)?;
        let run = move || {
            let all = LocalSet::new();
            all.spawn_local(async move {
                while let Some(job) = queue.recv().await {
                    tokio::task::spawn_local(job());
                }
            });
            runtime.block_on(all);
        };
        std::thread::Builder::new()
            .name("freshql-writers".to_owned())
            .spawn(run)
            .map_err(StoreError::Thread)?;
        Ok(Self(jobs))
    }

    /// Runs this. Waiting for a connection limits how many can be waiting.
    ///
    /// # Errors
    /// The thread has ended.
    pub(super) fn run<F: Future<Output = ()> + 'static>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), StoreError> {
        self.0.send(Box::new(move || Box::pin(make()))).map_err(|_| StoreError::Gone)
    }
}
