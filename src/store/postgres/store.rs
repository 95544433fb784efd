//! The store on a PostgreSQL server, with pools of connections.

mod mutate;
mod to_the_end;

use std::sync::Arc;
use std::time::Duration;

use super::ahead::{self, Frame, Seen};
use super::change_log;
use super::client::{Connection, Execute, Role, Session, is_about_plans};
use super::error::spoils_pool;
use super::feed::{Feed, Schema};
use super::migrate;
use super::pool::{Lease, Pool};
use super::prune;
use super::values::KeptRow;
use super::writers::Writers;
use crate::clock::Clock;
use crate::config::{ChangeLogLimits, PostgresUrl};
use crate::dependency::Mark;
use crate::model::Model;
use crate::store::change_log::{Record, Search};
use crate::store::error::StoreError;
use crate::store::feed::{Position, Subscriber, Subscribers};
use crate::store::fetched::{Fetched, Noted};
use crate::store::guard::Guard;
use crate::store::reading::Reading;
use crate::store::rendered::Rendered;
use crate::store::source::{Observed, State};
use crate::store::trace::Trace;

/// Writers wait for the disk, not for a processor, and concurrent ones share a flush.
const LEAST_WRITERS: usize = 8;
/// How often an answer is read again because the schema has changed meanwhile.
const READINGS: u32 = 5;

/// What a load balancer may do, or a server that goes on after its standby has taken over.
const OTHER_SERVER: &str = "connections reach different servers: rows would be read from one, and their changes from another";

/// The search path that the session began with, with temporary tables at the end unless it already
/// places them.
const SEARCH_PATH: &str = "SELECT concat_ws(', ', nullif(reset_val, ''),
  CASE WHEN reset_val !~ '\\mpg_temp\\M' THEN 'pg_temp' END) FROM pg_settings WHERE name = 'search_path'";

/// A database on a server. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Parts>);

struct Parts {
    model: Arc<Model>,
    clock: Arc<Clock>,
    feed: Arc<Feed>,
    readers: Arc<Pool>,
    writes: Arc<Pool>,
    writers: Writers,
    /// The statements that writes have needed so far.
    rendered: Rendered,
    /// What surrounds the statements of an answer.
    reading: Frame,
    /// The statement that begins a mutation.
    writing: &'static str,
}

impl Store {
    /// Connects to a migrated database of this model, with at most this many connections for
    /// reading, and an empty clock.
    ///
    /// # Errors
    /// The server cannot be reached or is a standby, or the database was never migrated.
    pub async fn open(
        url: &PostgresUrl,
        readers: usize,
        model: &Arc<Model>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let url = &with_search_path(url).await?;
        let clock = Arc::new(clock);
        let subscribers = Arc::new(Subscribers::new(clock.clone()));
        let session =
            |role| Session { statement_timeout: url.statement_timeout, pooled: url.pooled, role };
        let feed = Feed::start(url, session(Role::Check), model.clone(), subscribers).await?;
        let era = feed.era();
        let pool = |role, size| Pool::new(url.clone(), session(role), size, url.pool_timeout, era);
        let (begin, write) = match url.pooled {
            true => (
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE",
            ),
            false => ("BEGIN", "BEGIN"),
        };
        let reading = Frame { alone: url.pooled.then_some(begin), begin };
        let store = Self(Arc::new(Parts {
            model: model.clone(),
            clock,
            feed,
            readers: pool(Role::Read, readers),
            writes: pool(Role::Write, url.writers.unwrap_or(readers.max(LEAST_WRITERS))),
            writers: Writers::start()?,
            rendered: Rendered::default(),
            reading,
            writing: write,
        }));
        store.identity().await?;
        tokio::spawn(store.0.readers.clone().warm());
        Ok(store)
    }

    /// Here, rows are always fetched ahead.
    #[must_use]
    pub fn fetching_ahead(self) -> Self {
        self
    }

    /// The known changes, and since when they are known.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Always false: only the server knows.
    pub fn is_current(&self) -> bool {
        false
    }

    /// Whether the last attempt to read the change log has failed.
    pub fn has_lost_track(&self) -> bool {
        self.0.feed.has_lost_track()
    }

    /// Returns when the clock has every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        self.0.feed.catch_up().await
    }

    /// [`Self::catch_up`], limited in time.
    ///
    /// # Errors
    /// [`StoreError::Late`], and those of [`Self::catch_up`].
    pub async fn catch_up_within(&self, limit: Duration) -> Result<(), StoreError> {
        self.0.feed.catch_up_within(limit).await
    }

    /// See [`Feed::keep_covered`].
    pub fn keep_covered(&self) {
        self.0.feed.keep_covered();
    }

    /// Notifies this subscriber of every change from now on; returns the position from which on it
    /// does.
    ///
    /// # Errors
    /// None.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<Position, StoreError> {
        Ok(self.0.feed.subscribe(subscriber))
    }

    /// How far the versions of rows can be trusted, as far as that is known.
    ///
    /// # Errors
    /// None.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        Ok(self.0.feed.guard())
    }

    /// Checks that the database accepts writes.
    ///
    /// # Errors
    /// Why it does not, or that it does not answer.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'";
        let mut lease = self.writer().await?;
        let rows = lease.connection().query(Execute::binary(sql, &[])).await?;
        match rows.first().is_some_and(|row| row.is(0)) {
            true => {
                self.0.writes.renew();
                Err(StoreError::Unwritable("the server only reads".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// Checks that the database answers. No operation delays this.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.0.feed.catch_up().await
    }

    /// Closes all connections permanently, and returns when that is done. Operations in progress
    /// may finish.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writes.close().await;
        self.0.feed.close().await;
    }

    /// A connection for reading, for the store's own statements.
    ///
    /// # Errors
    /// None is available.
    pub(super) async fn reader(&self) -> Result<Lease, StoreError> {
        self.0.readers.get(self.0.feed.era()).await
    }

    /// A connection for writing.
    ///
    /// # Errors
    /// None is available.
    pub(super) async fn writer(&self) -> Result<Lease, StoreError> {
        self.0.writes.get(self.0.feed.era()).await
    }

    /// Runs an operation that reads one state of the database, with an optional trace, and returns
    /// when the clock has everything that this state has. The database's work is limited in time.
    ///
    /// # Errors
    /// [`StoreError::Late`], [`StoreError::Overloaded`], [`StoreError::Lost`], and the operation's
    /// own errors.
    pub async fn answer<R: Reading>(
        &self,
        _steps: u64,
        reading: R,
        observed: bool,
    ) -> Result<(R::Output, Option<Observed>), R::Error> {
        let mut why_not = "the schema of the database has changed while it was read";
        for _ in 0..READINGS {
            let mut trace = observed.then(Trace::default);
            let schema = self.0.feed.schema();
            let (fetched, seen) = match self.fetch(&reading, trace.as_mut()).await {
                Ok(fetched) => fetched,
                Err(error) => match self.explained(error, &schema).await {
                    // The statements fit the schema as it is now.
                    None => continue,
                    Some(error) => return Err(error.into()),
                },
            };
            let covered = self.0.feed.cover(&seen.snapshot, seen.server).await;
            if self.0.feed.server() != seen.server {
                self.0.readers.renew();
                why_not = OTHER_SERVER;
                continue;
            }
            if let Err(error) = covered {
                // It is not kept, and nothing that is kept is given out until the log can be read
                // again.
                tracing::debug!(%error, "an answer leaves before its changes are known");
                if self.identity().await? != schema.identity {
                    continue;
                }
            }
            // By now, a check has seen all changes to the schema that the snapshot includes. No
            // check has replaced the known schema since it was loaded, so there were none.
            if !Arc::ptr_eq(&schema, &self.0.feed.schema()) {
                continue;
            }
            let state = State { identity: schema.identity, guard: schema.guard.clone() };
            let Some(mut trace) = trace else { return Ok((reading.read(&state, &fetched)?, None)) };
            let noted = Noted::new(&fetched);
            let output = reading.read(&state, &noted)?;
            trace.needed(&noted.asked());
            let observed = Observed { statements: trace.into_ran(), as_of: seen.newest };
            return Ok((output, Some(observed)));
        }
        Err(StoreError::Lost(why_not.to_owned()).into())
    }

    async fn fetch<R: Reading>(
        &self,
        reading: &R,
        mut trace: Option<&mut Trace>,
    ) -> Result<(Fetched<KeptRow>, Seen), StoreError> {
        let mut is_repeated = false;
        loop {
            let mut lease = self.reader().await?;
            let is_old = lease.is_old;
            let levels = reading.levels();
            let read = ahead::snapshot(
                lease.connection(),
                &self.0.model,
                &self.0.reading,
                levels,
                trace.as_deref_mut(),
            )
            .await;
            let may_repeat = match &read {
                // The server may have closed the connection since it was last used.
                Err(error) if spoils_pool(error) => {
                    self.0.readers.renew();
                    is_old
                }
                Err(error) if is_about_plans(error) => {
                    lease.connection().reset().await?;
                    true
                }
                Ok(_) | Err(_) => false,
            };
            if is_repeated || !may_repeat {
                return read.map_err(StoreError::from);
            }
            is_repeated = true;
        }
    }

    /// Why a statement failed that was made for this state of the schema. If the schema no longer
    /// has what it needs, that is the reason; None if it has changed and has everything.
    async fn explained(&self, error: StoreError, known: &Schema) -> Option<StoreError> {
        let StoreError::Database(cause) = &error else { return Some(error) };
        if self.catch_up().await.is_err() {
            return Some(error);
        }
        let now = self.0.feed.schema();
        match now.guard.is_whole() {
            false => Some(StoreError::Unguarded(cause.to_string())),
            true if now.identity != known.identity => None,
            true => Some(error),
        }
    }

    /// Which database this is, and which state of its schema.
    async fn identity(&self) -> Result<[u8; 16], StoreError> {
        let mut lease = self.reader().await?;
        migrate::identity_in(&lease.connection().query(Execute::text(migrate::META, &[])).await?)
    }

    /// Deletes records of the change log that are too old or too many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prune(&self, limits: ChangeLogLimits) -> Result<usize, StoreError> {
        // What is deleted must be known here first; otherwise the clock would have to forget
        // everything.
        self.catch_up().await?;
        let mut lease = self.writer().await?;
        Ok(prune::prune(lease.connection(), limits, self.0.feed.read_below()).await?)
    }

    /// The records of the change log that left one of these marks (sorted), up to `limit`. For
    /// diagnosis: it may take a while.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn touching(
        &self,
        model: &Arc<Model>,
        marks: Arc<[Mark]>,
        search: Search,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let mut lease = self.reader().await?;
        Ok(change_log::touching(lease.connection(), model, &marks, search, limit).await?)
    }
}

/// With the search path that the role has now. Were it changed later, new connections would find
/// other tables than the connection that learns of their changes. Temporary tables come last:
/// behind a pooler, another program may have left some in the server's session, which would hide
/// ours.
async fn with_search_path(url: &PostgresUrl) -> Result<PostgresUrl, StoreError> {
    let session = Session { pooled: url.pooled, ..Session::new(Role::Check) };
    let mut connection = Connection::connect(url, session).await?;
    let rows = connection.query(Execute::text(SEARCH_PATH, &[])).await?;
    connection.close().await;
    let search_path = rows.first().map(|row| row.string(0));
    Ok(PostgresUrl { search_path, ..url.clone() })
}
