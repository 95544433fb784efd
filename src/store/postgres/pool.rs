//! A pool of connections. Waiting for a connection is limited in time. If a caller abandons a
//! flight, a task cancels it on the server and reads to its end, or closes the connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::{ClientError, Connection, Session, TransactionStatus};
use super::error::unreachable_because;
use super::feed::STANDBY;
use crate::config::PostgresUrl;
use crate::store::error::StoreError;

/// How long an abandoned connection may take to become usable again.
const DRAIN: Duration = Duration::from_secs(5);
/// How many callers may wait for each connection. More are refused at once, so that an overload
/// shows as such, not as latency.
const WAITING: usize = 256;
/// How long to wait before connecting again after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Connections for one purpose.
#[derive(Debug)]
pub(super) struct Pool {
    url: PostgresUrl,
    session: Session,
    /// The most recently used connection first: its statements are prepared.
    idle: Mutex<VecDeque<Connection>>,
    permits: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
    /// How long to wait for a connection.
    patience: Duration,
    outage: Mutex<Option<Outage>>,
    /// Increased when open connections must no longer be used.
    generation: AtomicU32,
    /// See [`Self::get`].
    era: AtomicI64,
}

/// The server could not be reached.
#[derive(Debug)]
struct Outage {
    why: String,
    until: Instant,
    pause: Duration,
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    generation: u32,
    /// Whether it has been used before.
    pub(super) is_old: bool,
    pool: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(
        url: PostgresUrl,
        session: Session,
        size: usize,
        patience: Duration,
        era: i64,
    ) -> Arc<Self> {
        Arc::new(Self {
            url,
            session,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(size)),
            size,
            waiting: AtomicUsize::new(0),
            patience,
            outage: Mutex::default(),
            generation: AtomicU32::new(0),
            era: AtomicI64::new(era),
        })
    }

    /// A connection: an open one if possible, unless it was opened in another era.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if too many callers wait or none was free for too long,
    /// [`StoreError::Lost`] if the server cannot be reached.
    pub(super) async fn get(self: &Arc<Self>, era: i64) -> Result<Lease, StoreError> {
        if self.era.swap(era, Ordering::AcqRel) != era {
            self.renew();
        }
        let permit = self.permit().await?;
        let generation = self.generation.load(Ordering::Acquire);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while idle.as_mut().is_some_and(Connection::has_ended) {
            idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        }
        let lease = |connection, is_old| Lease {
            connection: Some(connection),
            generation,
            is_old,
            pool: self.clone(),
            permit: Some(permit),
        };
        match idle {
            Some(connection) => Ok(lease(connection, true)),
            None => self.connect().await.map(|connection| lease(connection, false)),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permits = self.permits.clone();
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        if self.permits.is_closed() {
            return Err(StoreError::Gone);
        }
        let _waiting = Waiting::new(&self.waiting);
        if self.waiting.load(Ordering::Relaxed) > WAITING.saturating_mul(self.size) {
            return Err(StoreError::Overloaded);
        }
        match tokio::time::timeout(self.patience, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(StoreError::Gone),
            Err(_) => Err(StoreError::Overloaded),
        }
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        if let Some(outage) = &*self.outage.lock().unwrap_or_else(PoisonError::into_inner)
            && Instant::now() < outage.until
        {
            return Err(StoreError::Lost(outage.why.clone()));
        }
        match Connection::connect(&self.url, self.session).await {
            Ok(connection) if connection.is_of_standby() => {
                Err(self.failed(&ClientError::Login(STANDBY.to_owned())))
            }
            Ok(connection) => {
                *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(connection)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Pauses before the next attempt: a server that is starting must not be flooded.
    fn failed(&self, error: &ClientError) -> StoreError {
        let why = unreachable_because(error);
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = outage.as_ref().map_or(BACKOFF.0, |outage| (outage.pause * 2).min(BACKOFF.1));
        if outage.is_none() {
            tracing::warn!(%error, "cannot connect to the database");
        }
        // Between half the pause and all of it, so that the nodes of a cluster do not connect at
        // the same moment.
        let jitter = f64::from(uuid::Uuid::now_v7().as_bytes()[15]) / 512.0 + 0.5;
        *outage =
            Some(Outage { why: why.clone(), until: Instant::now() + pause.mul_f64(jitter), pause });
        StoreError::Lost(why)
    }

    /// Opens connections up to the maximum, so that no request has to wait for that later.
    pub(super) async fn warm(self: Arc<Self>) {
        for _ in 0..self.size {
            let Ok(permit) = self.permits.clone().try_acquire_owned() else { return };
            if self.idle.lock().unwrap_or_else(PoisonError::into_inner).len() + 1 > self.size {
                return;
            }
            let generation = self.generation.load(Ordering::Acquire);
            let Ok(connection) = self.connect().await else { return };
            let (pool, permit) = (self.clone(), Some(permit));
            let lease =
                Lease { connection: Some(connection), generation, is_old: false, pool, permit };
            lease.put_last();
        }
    }

    /// Closes idle connections now, and the others when they are returned: the server is gone, or
    /// has become read-only.
    pub(super) fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Closes all connections permanently, after operations in progress have ended.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(u32::try_from(self.size).unwrap_or(u32::MAX));
        let _ = tokio::time::timeout(DRAIN, all).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            connection.close().await;
        }
    }

    fn give_back(&self, connection: Connection, generation: u32, to_the_back: bool) {
        let is_good =
            !connection.is_broken() && generation == self.generation.load(Ordering::Acquire);
        if is_good && !self.permits.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if to_the_back {
                idle.push_back(connection);
            } else {
                idle.push_front(connection);
            }
        }
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is there until the lease is dropped")
    }

    fn put_last(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection, self.generation, true);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let is_ready = !connection.is_busy() && connection.status() == TransactionStatus::Idle;
        if is_ready || connection.is_broken() {
            return self.pool.give_back(connection, self.generation, false);
        }
        // Without a runtime, the connection is closed, which also ends its transaction.
        let Ok(runtime) = Handle::try_current() else { return };
        let (pool, permit, generation) = (self.pool.clone(), self.permit.take(), self.generation);
        runtime.spawn(async move {
            let end = async {
                if connection.is_busy() {
                    connection.cancel_token().cancel().await?;
                }
                connection.drain().await
            };
            if matches!(tokio::time::timeout(DRAIN, end).await, Ok(Ok(()))) {
                pool.give_back(connection, generation, false);
            }
            drop(permit);
        });
    }
}

/// Counts the callers that wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
