//! A connection for code that may block, whether or not it runs within a runtime.

use tokio::runtime::{Builder, Runtime};

use super::{ClientError, Connection, Execute, Rows, Session};
use crate::config::PostgresUrl;

/// A connection whose methods block.
#[derive(Debug)]
pub struct Blocking {
    connection: Connection,
    /// Present until this is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Waits for nothing, since waiting is not allowed within another runtime.
        self.runtime.take().map(Runtime::shutdown_background).unwrap_or_default();
    }
}

impl Blocking {
    /// See [`Connection::connect`].
    ///
    /// # Errors
    /// Those of [`Connection::connect`].
    pub fn connect(url: &PostgresUrl, session: Session) -> Result<Self, ClientError> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(ClientError::Lost)?;
        match run(Some(&runtime), Connection::connect(url, session)) {
            Ok(connection) => Ok(Self { connection, runtime: Some(runtime) }),
            Err(error) => {
                // As in `drop`.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// See [`Connection::flight`].
    ///
    /// # Errors
    /// Those of [`Connection::flight`].
    pub fn flight(&mut self, executes: &[Execute<'_>]) -> Result<Vec<Rows>, ClientError> {
        run(self.runtime.as_ref(), self.connection.flight(executes))
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// Those of [`Connection::flight`].
    pub fn query(&mut self, execute: Execute<'_>) -> Result<Rows, ClientError> {
        run(self.runtime.as_ref(), self.connection.query(execute))
    }

    /// See [`Connection::script`].
    ///
    /// # Errors
    /// Those of [`Connection::script`].
    pub fn script(&mut self, sql: &str) -> Result<Vec<Rows>, ClientError> {
        run(self.runtime.as_ref(), self.connection.script(sql))
    }

    /// The connection itself, for what does not block.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Runs a future to completion on a separate thread: the caller's may belong to another runtime,
/// which forbids blocking.
fn run<T: Send>(runtime: Option<&Runtime>, future: impl Future<Output = T> + Send) -> T {
    let runtime = runtime.expect("it is there until this is dropped");
    std::thread::scope(|scope| match scope.spawn(|| runtime.block_on(future)).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
