//! A few threads for work that takes milliseconds of CPU time, so that requests answered in
//! microseconds by the connection threads never wait behind it.

use std::num::NonZero;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::failure::Failure;
use crate::graphql::Code;

/// The maximum number of requests here at a time; each holds its body and what is made of it.
const ROOM: usize = 32;

/// The threads, and permits for new requests.
pub(super) struct Aside {
    /// None only while this is being dropped.
    runtime: Option<Runtime>,
    room: Arc<Semaphore>,
}

impl Aside {
    /// One thread for every two cores.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub(super) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut builder = Builder::new_multi_thread();
        // A request stays here to its end, so this runtime needs I/O: the request may have to
        // connect to the database.
        let runtime =
            builder.worker_threads((cores / 2).max(1)).thread_name("aside").enable_all().build()?;
        Ok(Self { runtime: Some(runtime), room: Arc::new(Semaphore::new(ROOM)) })
    }

    /// Runs this work aside, for as long as the caller waits for it.
    ///
    /// # Errors
    /// `OVERLOADED`: too many requests are here already.
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
    {
        let Ok(_room) = self.room.try_acquire() else {
            return Err(Failure::new(Code::Overloaded, "too many long requests wait; try again"));
        };
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        // A set of one task, because dropping a set aborts its tasks.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, runtime.handle());
        match tasks.join_next().await.expect("one task was spawned") {
            Ok(done) => Ok(done),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A task may drop the last handle, and a task must not block on threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
