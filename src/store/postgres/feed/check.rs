//! One check: a flight on the feed's own connection that begins with the snapshot, and what follows
//! from its result.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::definition::{self, Watch};
use super::known::{Applied, Known, Schema};
use super::life::{self, Life};
use super::look::{self, Looked};
use super::snapshot::Snapshot;
use crate::config::PostgresUrl;
use crate::model::Model;
use crate::store::change_log::Changes;
use crate::store::error::StoreError;
use crate::store::feed::{Batch, FeedEvent};
use crate::store::postgres::change_log::{self, MOST_AT_ONCE};
use crate::store::postgres::client::{ClientError, Connection, Execute, Parameter, Rows, Session};
use crate::store::postgres::error::unreachable_because;
use crate::store::postgres::migrate::{META, identity_in};
use crate::store::schema::migrations::Applied as AppliedMigration;

/// How long a check may take before its connection is abandoned.
const LONGEST: Duration = Duration::from_secs(20);
/// How often the definition of tables is inspected without any sign of a change: names may come to
/// mean other objects, too.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before connecting again, after the first failure and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The connection, and what only checks need to know.
pub(super) struct Follower {
    url: PostgresUrl,
    session: Session,
    connection: Option<Connected>,
    /// The migrations that were applied when this started.
    history: Vec<AppliedMigration>,
    /// The print of the definition when it was last inspected, and when that was.
    print: i64,
    around: i64,
    looked_at: Instant,
    /// The file of the change log, which TRUNCATE replaces.
    log: i64,
    /// What a check asks to learn of a change of the definition, and the answer for the known
    /// definition.
    watch: Watch,
    watched: Option<Watched>,
    /// If connecting has failed: when, why, and how long to wait before the next attempt.
    failure: Option<(Instant, String, Duration)>,
}

/// The result of an inspection.
#[derive(Debug, Clone, Copy)]
struct Moved {
    /// Whether the definition of tables differs from the one that was inspected last.
    definition: bool,
    /// The file of the change log. If it is another one, records may be gone that were not read.
    log: i64,
}

struct Connected {
    connection: Connection,
    /// The database's oid, as a parameter. None: a pooler may lead to another one at any time.
    database: Option<String>,
}

/// The result of a check's first statement.
struct Now {
    applied: Applied,
    floor: u64,
    watched: Option<Watched>,
}

/// The answer to a [`Watch`]: when the statement was analysed, and a hash of enums and policies.
type Watched = (i64, Option<i64>);

/// Asks for the file of the change log.
const LOG: &str = "SELECT pg_relation_filenode(to_regclass('_freshql_change'))::bigint";
/// The columns of a [`Watch`] follow.
const NOW: &str = "SELECT pg_current_snapshot(), pg_is_in_recovery(),
  (SELECT life FROM _freshql_run WHERE self = tableoid
    AND db = coalesce($1::oid, (SELECT oid FROM pg_database WHERE datname = current_database()))),
  (SELECT floor FROM _freshql_run), pg_postmaster_start_time()";
const WHERE: &str =
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), pg_is_in_recovery()";
pub(in crate::store::postgres) const STANDBY: &str =
    "the server is a standby, which shows changes before they count: connect to the primary server";

impl Follower {
    pub(super) fn new(url: PostgresUrl, session: Session) -> Self {
        let looked_at = Instant::now();
        let (watch, watched) = (Watch::nothing(), None);
        Self {
            url,
            session,
            connection: None,
            history: Vec::new(),
            print: 0,
            around: 0,
            looked_at,
            log: 0,
            watch,
            watched,
            failure: None,
        }
    }

    /// Reads the state from which on subscribers are notified of changes.
    pub(super) async fn begin(&mut self, model: &Model) -> Result<(Applied, Schema), StoreError> {
        let (now, _) = self.read(None).await?;
        let connected = self.connected().await?;
        let history = look::applied(&mut connected.connection).await;
        self.history = self.settled(history).await?;
        let connected = self.connected().await?;
        let log = connected.connection.query(Execute::binary(LOG, &[])).await;
        self.log = definition::print_in(&self.settled(log).await?);
        let schema = self.look(model).await?;
        Ok((now.applied, schema))
    }

    /// See [`Known::era`].
    pub(super) fn era(&self, applied: &Applied) -> i64 {
        applied.server.wrapping_add(self.around)
    }

    pub(super) async fn close(self) {
        if let Some(connected) = self.connection {
            connected.connection.close().await;
        }
    }

    /// Reads on, and tells the subscribers.
    pub(super) async fn check(&mut self, known: &Known) -> Result<(), StoreError> {
        let before = known.applied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (now, records) = self.read(Some(&before.snapshot)).await?;
        let mut changes = Changes::default();
        let mut is_complete = before.leads_to(&now.applied, now.floor);
        is_complete &= records.iter().map(Rows::len).sum::<usize>() <= MOST_AT_ONCE;
        let mut is_known = is_complete
            && records
                .iter()
                .flat_map(Rows::iter)
                .all(|row| change_log::add(&known.model, &row, &mut changes));
        let moved = self.moved(&before, &now, known).await?;
        is_complete &= moved.log == self.log;
        is_known &= is_complete;
        if moved.definition || !is_known {
            // Known before anything is answered by what the clock then knows.
            let schema = self.look(&known.model).await?;
            let before = known.schema.load();
            is_known &= before.identity == schema.identity && before.guard.is_like(&schema.guard);
            tell(&schema, &before, &known.model);
            drop(before);
            // Before the schema: who knows that one uses no connection with older plans.
            known.era.store(self.era(&now.applied), Ordering::SeqCst);
            known.schema.store(Arc::new(schema));
        }
        // Not before: had one of these steps failed, the next check would have to take it.
        (self.watched, self.log) = (now.watched, moved.log);
        let mut applied = known.applied.lock().unwrap_or_else(PoisonError::into_inner);
        *applied = now.applied;
        if !is_known {
            match is_complete {
                true => tracing::info!("the schema has changed; all cached answers are dropped"),
                false => tracing::warn!(
                    "the change log has a gap, or more new records than are read at once; all cached answers are dropped"
                ),
            }
            known.subscribers.tell(&FeedEvent::Forgotten);
        } else if !changes.is_empty() {
            let batch = Batch { position: applied.position(), changes, own: false };
            known.subscribers.tell(&FeedEvent::Batch(batch));
        }
        known.era.store(self.era(&applied), Ordering::SeqCst);
        known.covered.store(Arc::new(applied.clone()));
        Ok(())
    }

    /// What differs from when it was inspected last. Read in a separate flight, so that its snapshot
    /// is not older than the check's.
    async fn moved(
        &mut self,
        before: &Applied,
        now: &Now,
        known: &Known,
    ) -> Result<Moved, StoreError> {
        if self.watch == Watch::nothing() {
            return Ok(Moved { definition: true, log: self.log });
        }
        let has_changed = match now.watched {
            // A statement that is not prepared is analysed every time.
            Some(_) if self.session.pooled => before.snapshot != now.applied.snapshot,
            watched => watched.is_none() || watched != self.watched,
        };
        if !has_changed && self.looked_at.elapsed() < LOOK {
            return Ok(Moved { definition: false, log: self.log });
        }
        let connected = self.connected().await?;
        let all =
            [definition::PRINT, META, definition::AROUND, LOG].map(|sql| Execute::binary(sql, &[]));
        let all = connected.connection.flight(&all).await;
        let all = self.settled(all).await?;
        self.looked_at = Instant::now();
        // Editing epoch or history by hand, or restoring these rows from a backup, leaves no
        // record.
        let is_known = identity_in(&all[1]).ok() == Some(known.schema.load().identity);
        let is_as_before = definition::print_in(&all[0]) == self.print
            && definition::print_in(&all[2]) == self.around;
        let log = definition::print_in(&all[3]);
        Ok(Moved { definition: !is_known || !is_as_before, log })
    }

    /// Reads the state of the database, and the records that are new since a snapshot.
    async fn read(&mut self, since: Option<&Snapshot>) -> Result<(Now, Vec<Rows>), StoreError> {
        for _ in 0..3 {
            let sql = self.watch.behind(NOW);
            let Connected { database, connection } = self.connected().await?;
            let (xmax, running) = since
                .map(|since| (since.xmax.to_string(), since.running_array()))
                .unwrap_or_default();
            let database = [database.as_deref().map_or(Parameter::Null, Parameter::Text)];
            let (xmax, running) = ([Parameter::Text(&xmax)], [Parameter::Text(&running)]);
            let mut flight = vec![Execute::binary(&sql, &database)];
            if let Some(since) = since {
                flight.push(Execute::binary(change_log::SINCE, &xmax));
                if !since.running.is_empty() {
                    flight.push(Execute::binary(change_log::OF_RUNNING, &running));
                }
            }
            let result = tokio::time::timeout(LONGEST, connection.flight(&flight)).await;
            if let Ok(Err(ClientError::Server(error))) = &result
                && (error.code.starts_with("42") || error.code.starts_with("3F"))
                && self.watch != Watch::nothing()
            {
                // It names something that no longer exists.
                tracing::debug!(%error, "the definition of tables has changed");
                (self.watch, self.watched) = (Watch::nothing(), None);
                let result = result.unwrap_or(Ok(Vec::new()));
                self.settled(result).await.ok();
                continue;
            }
            let mut rows = self
                .settled(result.unwrap_or(Err(ClientError::Late("reading the change log"))))
                .await?;
            let records = rows.split_off(1);
            match now(&rows[0])? {
                Some(now) => return Ok((now, records)),
                // A copy, or empty after a crash: the first server to notice starts a new life.
                None => self.begin_life().await?,
            }
        }
        Err(StoreError::Corrupt("the database does not keep what `_freshql_run` says".to_owned()))
    }

    async fn begin_life(&mut self) -> Result<(), StoreError> {
        let connected = self.connected().await?;
        let result = life::begin(&mut connected.connection).await;
        self.settled(result).await
    }

    async fn look(&mut self, model: &Model) -> Result<Schema, StoreError> {
        let history = self.history.clone();
        let connected = self.connected().await?;
        let result = look::look(&mut connected.connection, model, &history).await;
        let Looked { schema, print, around, watch } = self.settled(result).await?;
        (self.print, self.around) = (print, around);
        (self.watch, self.looked_at) = (watch, Instant::now());
        schema.ok_or_else(|| {
            StoreError::Corrupt("the database has no epoch: it was never migrated".to_owned())
        })
    }

    async fn connected(&mut self) -> Result<&mut Connected, StoreError> {
        if self.connection.as_ref().is_some_and(|connected| connected.connection.is_broken()) {
            self.connection = None;
        }
        let connected = match self.connection.take() {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(connected))
    }

    async fn connect(&mut self) -> Result<Connected, StoreError> {
        if let Some((at, why, pause)) = &self.failure
            && at.elapsed() < *pause
        {
            return Err(StoreError::Lost(why.clone()));
        }
        match connect(&self.url, self.session).await {
            Ok(connected) => {
                if self.failure.take().is_some() {
                    tracing::info!("the database answers again");
                }
                Ok(connected)
            }
            Err(error) => {
                let pause = self
                    .failure
                    .as_ref()
                    .map_or(PAUSES.0, |(.., pause)| (*pause * 2).min(PAUSES.1));
                if self.failure.is_none() {
                    tracing::error!(%error, "cannot read the change log; nothing is answered from the cache");
                }
                let why = unreachable_because(&error);
                self.failure = Some((Instant::now(), why.clone(), pause));
                Err(StoreError::Lost(why))
            }
        }
    }

    /// After an error, it is unknown what the connection will still receive.
    async fn settled<T>(&mut self, result: Result<T, ClientError>) -> Result<T, StoreError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                let is_lost = error.server().is_none_or(|error| error.is_fatal);
                tracing::warn!(%error, "cannot read the change log");
                if let Some(connected) = self.connection.take()
                    && !is_lost
                {
                    connected.connection.close().await;
                }
                Err(StoreError::Lost(unreachable_because(&error)))
            }
        }
    }
}

async fn connect(url: &PostgresUrl, session: Session) -> Result<Connected, ClientError> {
    let mut connection = Connection::connect(url, session).await?;
    let rows = connection.query(Execute::text(WHERE, &[])).await?;
    let row = rows.first();
    if row.is_some_and(|row| row.is(1)) {
        return Err(ClientError::Login(STANDBY.to_owned()));
    }
    let database = row.filter(|_| !session.pooled).map(|row| row.string(0));
    Ok(Connected { connection, database })
}

/// None if no server has started this life of the database yet.
fn now(rows: &Rows) -> Result<Option<Now>, StoreError> {
    let broken = || StoreError::Corrupt("the database does not tell its snapshot".to_owned());
    let row = rows.first().ok_or_else(broken)?;
    if row.is(1) {
        return Err(StoreError::Lost(STANDBY.to_owned()));
    }
    let snapshot = row.bytes(0).and_then(Snapshot::read).ok_or_else(broken)?;
    let Some(Life { life, floor }) = Life::read(&row, 2, 3) else { return Ok(None) };
    let server = row.int(4).ok_or_else(broken)?;
    let watched = row.int(5).map(|analysed| (analysed, row.int(6)));
    Ok(Some(Now { applied: Applied { snapshot, life, server }, floor, watched }))
}

/// Logs what is no longer guarded, and what is guarded again.
fn tell(now: &Schema, before: &Schema, model: &Model) {
    let (known, reasons) = (before.guard.reasons(model), now.guard.reasons(model));
    for reason in reasons.iter().filter(|reason| !known.contains(reason)) {
        tracing::error!("answers have no ETag and are not cached: {reason}");
    }
    if !known.is_empty() && reasons.is_empty() {
        tracing::info!("the versions of all rows are kept again");
    }
}
