//! The connections of one database file, and the threads that own them: how they start and end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;

use super::connection::{open_existing, open_reader, run};
use super::feed::Feed;
use super::identity::Identity;
use super::jobs::{FeedJob, QUEUE, ReadJob, SLOW_QUEUE, WriteJob};
use super::meter::Meter;
use super::snapshot::Snapshot;
use super::writable::Writable;
use super::writer::Writer;
use crate::model::Model;
use crate::store::error::StoreError;
use crate::store::feed::Subscribers;
use crate::store::rendered::Rendered;

/// The settings for opening a database.
pub(in crate::store) struct Settings {
    pub(in crate::store) path: PathBuf,
    /// The number of reading connections.
    pub(in crate::store) readers: usize,
    pub(in crate::store) model: Arc<Model>,
    pub(in crate::store) subscribers: Arc<Subscribers>,
    /// The runtime from which replies are sent.
    pub(in crate::store) runtime: Handle,
}

/// How often a read-only file is checked again.
const READ_ONLY: Duration = Duration::from_secs(1);

/// The threads of one database file. They end when this is dropped.
pub(in crate::store) struct Threads {
    /// For operations that are quick, or presumably quick.
    pub(in crate::store) readers: Sender<ReadJob>,
    /// For operations that have turned out to be slow.
    pub(in crate::store) slow_readers: Sender<ReadJob>,
    pub(in crate::store) writer: Sender<WriteJob>,
    pub(in crate::store) follower: Sender<FeedJob>,
    pub(in crate::store) feed: Arc<Feed>,
    pub(in crate::store) identity: Arc<Identity>,
    pub(in crate::store) writable: Arc<Writable>,
    /// Set if the file could not be opened for writing, with the number of seconds after which that
    /// was last retried.
    read_only: Option<(Instant, AtomicU64)>,
}

impl Threads {
    /// Opens the connections and starts their threads. Also returns the thread that ends last: when
    /// it has ended, all connections are closed and no write-ahead log is left, unless another
    /// program has the database open.
    ///
    /// # Errors
    /// The file cannot be opened, or is replaced by another one meanwhile.
    pub(in crate::store) fn start(
        settings: &Settings,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let Settings { path, readers, model, subscribers, runtime } = settings;
        let mut connection = open_existing(path)?;
        let feed = Arc::new(Feed::start(&connection, model.clone(), subscribers.clone())?);
        let identity = Arc::new(Identity::of(path, &connection)?);
        let writable = Arc::new(Writable::default());
        let is_read_only = connection.is_readonly("main")?;
        if is_read_only {
            writable
                .failed(&StoreError::Unwritable("the database file can only be read".to_owned()));
        }
        let mut reading = Vec::new();
        let start_readers =
            |name: &str, count: usize, queue: usize, reading: &mut Vec<JoinHandle<()>>| {
                let (sender, jobs) = bounded::<ReadJob>(queue);
                for number in 0..count {
                    let mut connection = open_reader(path)?;
                    let meter = Meter::of(&mut connection)?;
                    let (jobs, feed, identity) = (jobs.clone(), feed.clone(), identity.clone());
                    let run = move || read_loop(&connection, &meter, (&feed, &identity), &jobs);
                    reading.push(spawn(format!("{name}-{number}"), run)?);
                }
                Ok::<_, StoreError>(sender)
            };
        let quick = start_readers("reader", (*readers).max(1), QUEUE, &mut reading)?;
        let slow = start_readers("slow-reader", (readers / 2).max(1), SLOW_QUEUE, &mut reading)?;
        let (follower, follow_jobs) = bounded::<FeedJob>(QUEUE);
        let (following, followed, watched) = (open_reader(path)?, feed.clone(), identity.clone());
        reading.push(spawn("follower".to_owned(), move || {
            for job in follow_jobs {
                job(watched.ensure().and_then(|()| followed.catch_up(&following)));
            }
        })?);
        // Each connection opens the files by name.
        identity.check().map_err(|moved| StoreError::Lost(moved.to_string()))?;
        let (writer, write_jobs) = bounded::<WriteJob>(QUEUE);
        let meter = Meter::of(&mut connection)?;
        let (fed, known, last_write, runtime) =
            (feed.clone(), identity.clone(), writable.clone(), runtime.clone());
        let last = spawn("writer".to_owned(), move || {
            let (writable, rendered) = (last_write, Rendered::default());
            let writer = Writer {
                connection,
                meter,
                feed: fed,
                identity: known,
                writable,
                rendered,
                runtime,
            };
            writer.run(&write_jobs);
            // The last connection to close checkpoints the log into the database. If two close at
            // the same time, each takes the other for the last one and leaves it to that.
            if !reading.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok()) {
                tracing::error!("a database thread has panicked");
            }
            if let Err(error) = writer.identity.leave(&writer.connection) {
                tracing::warn!(%error, "the write-ahead log could not be written into the database file whole");
            }
        })?;
        let read_only = is_read_only.then(|| (Instant::now(), AtomicU64::new(0)));
        Ok((
            Self {
                readers: quick,
                slow_readers: slow,
                writer,
                follower,
                feed,
                identity,
                writable,
                read_only,
            },
            last,
        ))
    }

    /// Checks whether the file must be reopened.
    ///
    /// # Errors
    /// Why it must be reopened.
    pub(in crate::store) fn look(&self, path: &Path) -> Result<(), String> {
        if !self.identity.holds() {
            return Err(self
                .identity
                .ensure()
                .err()
                .map_or_else(String::new, |error| error.to_string()));
        }
        let Some((since, tried_at)) = &self.read_only else { return Ok(()) };
        let now = since.elapsed();
        if now < Duration::from_secs(tried_at.load(Ordering::Relaxed)) + READ_ONLY
            || !is_writable(path)
        {
            return Ok(());
        }
        tried_at.store(now.as_secs(), Ordering::Relaxed);
        Err("the database could only be read, and can be written now".to_owned())
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new().name(name).spawn(run).map_err(StoreError::Thread)
}

/// Runs a reader's jobs, each in its own snapshot.
fn read_loop(
    connection: &Connection,
    meter: &Meter,
    (feed, identity): (&Feed, &Identity),
    jobs: &Receiver<ReadJob>,
) {
    for job in jobs.iter().filter(|job| !job.is_given_up()) {
        if let Err(error) = identity.ensure() {
            (job.run)(Err(error));
            continue;
        }
        // A panic in a job drops its reply, and leaves the thread usable for the next one.
        let outcome = catch_unwind(AssertUnwindSafe(|| match run(connection, "BEGIN") {
            Ok(()) => {
                meter.set(job.waiting, job.allowance);
                meter.run(true);
                (job.run)(Ok(&Snapshot::new(connection, meter, feed)));
                meter.run(false);
                run(connection, "COMMIT")
            }
            Err(error) => {
                (job.run)(Err(error.into()));
                Ok(())
            }
        }));
        if !matches!(outcome, Ok(Ok(()))) && !connection.is_autocommit() {
            meter.run(false);
            let _ = run(connection, "ROLLBACK");
        }
    }
}

/// Whether the file can be opened for writing. SQLite must open it, because nobody else may close
/// it.
pub(super) fn is_writable(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).and_then(|connection| connection.is_readonly("main"))
        == Ok(false)
}
