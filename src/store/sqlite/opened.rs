//! The database file that is served, as long as it is the one at its path. If another file is found
//! there, or none, all connections are closed, everything that was known is forgotten, and the file
//! that is there then is opened, if it belongs to the same migrations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, OpenFlags};

use super::migrate::{self, Applied};
use super::threads::{Settings, Threads};
use crate::store::error::StoreError;
use crate::store::feed::FeedEvent;

/// How often to check the files when there are no requests.
const LOOK: Duration = Duration::from_millis(50);
/// How often to retry a file that could not be opened.
const RETRY: Duration = Duration::from_millis(500);

/// A database file, and the threads that serve it.
pub(in crate::store) struct Opened {
    settings: Settings,
    /// None while nothing can be served.
    threads: ArcSwapOption<Threads>,
    /// Why nothing can be served.
    why_not: Mutex<String>,
    /// The migrations that had been applied when the first file was opened.
    history: Vec<Applied>,
    /// The last thread of what is open. Locked while files are opened or closed.
    last: Mutex<Option<JoinHandle<()>>>,
    is_closed: AtomicBool,
    /// Triggers a check of the files.
    wake: Sender<()>,
}

impl Opened {
    /// Opens the file, and watches it from now on.
    ///
    /// # Errors
    /// It cannot be opened, or it was never migrated.
    pub(in crate::store) fn new(settings: Settings) -> Result<Arc<Self>, StoreError> {
        let (threads, last) = Threads::start(&settings)?;
        let (wake, woken) = bounded(1);
        let opened = Arc::new(Self {
            history: threads.feed.history().to_vec(),
            threads: ArcSwapOption::from_pointee(threads),
            settings,
            why_not: Mutex::default(),
            last: Mutex::new(Some(last)),
            is_closed: AtomicBool::new(false),
            wake,
        });
        let watched = Arc::downgrade(&opened);
        let watch = move || watch(&watched, &woken);
        thread::Builder::new().name("watch".to_owned()).spawn(watch).map_err(StoreError::Thread)?;
        Ok(opened)
    }

    /// Runs a short action with the threads, which are not closed meanwhile.
    ///
    /// # Errors
    /// There is no file to serve, or those of `act`.
    pub(in crate::store) fn with<T>(
        &self,
        act: impl FnOnce(&Threads) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.threads.load().as_ref() {
            Some(threads) if threads.identity.holds() => act(threads),
            Some(threads) => {
                self.look_now();
                threads.identity.ensure()?;
                act(threads)
            }
            None => Err(self.why_not()),
        }
    }

    /// Whether the clock has every change that was committed before this call, to the file at the
    /// path.
    pub(in crate::store) fn is_current(&self) -> bool {
        self.threads
            .load()
            .as_ref()
            .is_some_and(|threads| threads.identity.holds() && threads.feed.is_current())
    }

    /// Whether the last attempt to read the change log failed.
    pub(in crate::store) fn has_lost_track(&self) -> bool {
        self.threads.load().as_ref().is_none_or(|threads| threads.feed.has_failed())
    }

    /// Closes all connections for good; returns when they are closed.
    pub(in crate::store) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let mut last = self.lock();
        self.lose("the server stops".to_owned(), &mut last);
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_not(&self) -> StoreError {
        StoreError::Lost(self.why_not.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn look_now(&self) {
        // If the channel is full, a check is already requested.
        let _ = self.wake.try_send(());
    }

    /// Closes what is open, and forgets everything that was known about it.
    fn lose(&self, why: String, last: &mut Option<JoinHandle<()>>) {
        *self.why_not.lock().unwrap_or_else(PoisonError::into_inner) = why;
        // Take the threads away first: everything computed from the old file then began before the
        // clock forgets.
        drop(self.threads.swap(None));
        self.settings.subscribers.tell(&FeedEvent::Forgotten);
        if let Some(last) = last.take()
            && last.join().is_err()
        {
            tracing::error!("a database thread has panicked");
        }
    }

    /// Checks whether the file is still the one that is open; if not, opens the one that is there.
    /// Returns how long the result remains valid.
    fn look(&self) -> Duration {
        let mut last = self.lock();
        if self.is_closed.load(Ordering::SeqCst) {
            return LOOK;
        }
        let path = &self.settings.path;
        let found = self.threads.load().as_ref().map(|threads| threads.look(path));
        match found {
            Some(Ok(())) => return LOOK,
            Some(Err(why)) => {
                tracing::error!(database = %path.display(), "{why}; opening the file that is at its path now");
                self.lose(why, &mut last);
            }
            None => {}
        }
        match self.reopen() {
            Ok((threads, thread)) => {
                *last = Some(thread);
                self.settings.subscribers.tell(&FeedEvent::Forgotten);
                self.threads.store(Some(Arc::new(threads)));
                tracing::warn!(database = %path.display(), "now serving the database file that is at its path");
                LOOK
            }
            Err(error) => {
                let mut why = self.why_not.lock().unwrap_or_else(PoisonError::into_inner);
                let first = why.split("; ").next().unwrap_or_default().to_owned();
                let now = format!("{first}; {error}");
                if *why != now {
                    tracing::error!(database = %path.display(), "{error}");
                }
                *why = now;
                RETRY
            }
        }
    }

    fn reopen(&self) -> Result<(Threads, JoinHandle<()>), StoreError> {
        is_fit(&self.settings, &self.history)?;
        Threads::start(&self.settings)
    }
}

/// Whether the file at the path can replace another one with this history. Changes nothing in it:
/// it may belong to somebody else and be there by mistake.
fn is_fit(settings: &Settings, history: &[Applied]) -> Result<(), StoreError> {
    let path = &settings.path;
    if !path.is_file() {
        return Err(StoreError::Lost("there is no database at its path now".to_owned()));
    }
    let unfit =
        |why: String| StoreError::Lost(format!("the file at its path now cannot be served: {why}"));
    let read = || -> rusqlite::Result<Option<String>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOOK)?;
        Ok(match migrate::epoch(&connection)? {
            None => Some("it is not a freshql database".to_owned()),
            Some(_) => match difference(&migrate::applied(&connection)?, history) {
                Some(why) => Some(why),
                None => migrate::check_schema(&connection, &settings.model)?
                    .into_iter()
                    .find(|problem| !problem.is_repaired)
                    .map(|problem| problem.message),
            },
        })
    };
    match read() {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(unfit(why)),
        Err(error) => Err(unfit(error.to_string())),
    }
}

/// How the migrations of a database differ from those at the start of the server. When they were
/// applied is ignored, because every validator includes it.
fn difference(applied: &[Applied], history: &[Applied]) -> Option<String> {
    let has = |list: &[Applied], one: &Applied| {
        list.iter().any(|other| {
            (other.number, &other.name, &other.blake3) == (one.number, &one.name, &one.blake3)
        })
    };
    let name = |one: &Applied| format!("{:04}_{}", one.number, one.name);
    if let Some(missing) = history.iter().find(|one| !has(applied, one)) {
        return Some(format!("it lacks the migration {}; run `freshql migrate up`", name(missing)));
    }
    let more = applied.iter().find(|one| !has(history, one))?;
    Some(format!(
        "it has the migration {}, which this server does not know; restart the server",
        name(more)
    ))
}

/// Checks periodically, until the database is no longer needed.
fn watch(opened: &Weak<Opened>, woken: &Receiver<()>) {
    let mut pause = LOOK;
    loop {
        if woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let Some(opened) = opened.upgrade() else { return };
        pause = opened.look();
    }
}
