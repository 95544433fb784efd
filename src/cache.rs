//! The response cache: which stored answer may be used, and when to execute. A write walks no
//! entries. Instead, an entry is valid as long as none of its marks has changed since it was
//! computed ([`crate::clock`]). What an answer contains and how it is sent is up to the front door.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use self::urls::Urls;
use crate::clock::Revision;
use crate::config::Consistency;
use crate::dependency::{Dependencies, Mark, PassThroughHasher, Version};
use crate::question::Question;
use crate::store::{Store, StoreError};

mod key;
mod urls;

pub use self::key::Key;

/// Bytes that an entry costs in addition to its value and its marks: key, table slots, counters.
const OVERHEAD: usize = 120;
/// A generation that is never reached.
const NEVER: u64 = u64::MAX;
/// The size of a small answer, to choose the table's initial size.
const TYPICAL: usize = 4 << 10;
/// One part in this many of the cache's bytes is for URLs that are not canonical.
const URL_SHARE: u64 = 32;

/// The result of an execution.
pub struct Executed<R> {
    /// The answer, in the form in which it is stored.
    pub value: R,
    /// An upper bound of its size in bytes.
    pub weight: usize,
    /// What it depends on; None if it must not be stored.
    pub dependencies: Option<Dependencies>,
    /// The newest change that it reflects, if known. Needed to tell what made it stale.
    pub as_of: Option<Version>,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was stored, and is still valid.
    Hit,
    /// It was executed: nothing was stored.
    Miss,
    /// It was executed: the stored answer was no longer valid.
    Stale,
    /// It was executed: the cache is off, or does not know the latest changes.
    Bypass,
}

/// The result of a lookup that does not wait.
pub enum Lookup<R> {
    /// A valid answer.
    Hit(Arc<Stored<R>>),
    /// No usable answer.
    Miss,
    /// An answer that may be stale, because others may have written since. Wait for
    /// [`ResponseCache::catch_up`], then ask [`ResponseCache::holds`]. Concurrent waiters share one
    /// read of the change log.
    Check(Unchecked<R>),
}

/// A stored answer that may be stale.
pub struct Unchecked<R> {
    stored: Arc<Stored<R>>,
    /// The generation of documents when it was found.
    generation: u64,
}

/// What the cache would do with a question, as a diagnosis.
#[derive(Debug)]
pub enum LookupReport {
    /// The cache is off.
    Off,
    /// The latest changes are unknown, so no stored answer is used.
    ChangeLogUnreadable,
    /// No answer is stored.
    Miss,
    /// A valid answer is stored.
    Hit {
        /// See [`Executed::as_of`].
        as_of: Option<Version>,
    },
    /// The stored answer is no longer valid, or may not be.
    Stale {
        /// See [`Executed::as_of`].
        as_of: Option<Version>,
        /// Its marks, sorted.
        marks: Arc<[Mark]>,
        /// It was stored before the oldest change that the clock remembers.
        is_forgotten: bool,
    },
}

/// A stored answer, with what decides whether it is still valid.
pub struct Stored<R> {
    /// The answer.
    pub value: R,
    marks: Box<[Mark]>,
    computed_at: Revision,
    /// The latest revision at which it was known to be valid.
    verified_at: AtomicU64,
    /// The generation of documents in which its canonical URL last resolved to it; initially
    /// [`NEVER`].
    generation: AtomicU64,
    as_of: Option<Version>,
    weight: u64,
}

/// The stored answers of one node. `R` is an answer in the form in which the front door sends it.
pub struct ResponseCache<R> {
    store: Store,
    consistency: Consistency,
    /// None if the cache is off.
    entries: Option<Cache<Key, Arc<Stored<R>>, ByWeight, PassThroughHasher>>,
    urls: Urls,
    /// Questions being executed; requests that ask the same question wait.
    running: InFlight,
    /// For [`Consistency::Bounded`]: when the clock was last known to be current, in milliseconds
    /// since `started`.
    checked_at: Arc<AtomicU64>,
    started: Instant,
    executions: AtomicU64,
}

impl<R> ResponseCache<R> {
    /// A cache of at most this many bytes; 0 turns it off.
    pub fn new(store: Store, capacity: u64, consistency: Consistency) -> Self {
        let items = usize::try_from(capacity).unwrap_or(usize::MAX) / TYPICAL;
        let (for_urls, for_answers) = (capacity / URL_SHARE, capacity - capacity / URL_SHARE);
        let (checked_at, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
        if let Consistency::Bounded(bound) = consistency
            && store.covers_answers()
        {
            store.keep_covered();
            tokio::spawn(keep_checked(
                store.clone(),
                bound / 2,
                started,
                Arc::downgrade(&checked_at),
            ));
        }
        Self {
            store,
            consistency,
            entries: (capacity > 0).then(|| {
                Cache::with(
                    items,
                    for_answers,
                    ByWeight,
                    PassThroughHasher::default(),
                    DefaultLifecycle::default(),
                )
            }),
            urls: Urls::new(for_urls),
            running: DashMap::new(),
            checked_at,
            started,
            executions: AtomicU64::new(0),
        }
    }

    /// How many answers were executed instead of taken from the cache.
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// The key of a question in this cache, valid while the process lives. A question with a
    /// canonical URL is stored under the key of that URL, so that a GET finds it by the URL alone.
    pub fn key(&self, question: &Question<'_>, canonical_url: Option<&str>) -> Key {
        canonical_url.map_or_else(|| Key::of(question), |url| self.urls.key_of(url, None))
    }

    /// The answer that this URL last got (with this `token`, if the answer
    /// depends on it), provided that it is still valid and that URLs have kept their meaning since
    /// ([`Registry::generation`]). Never waits.
    ///
    /// [`Registry::generation`]: crate::persisted::Registry::generation
    pub fn by_url(
        &self,
        url: &str,
        token: Option<&str>,
        generation: impl Fn() -> u64,
    ) -> Lookup<R> {
        let before = generation();
        let Some(stored) = self.stored_at(self.urls.key_of(url, token), before) else {
            return Lookup::Miss;
        };
        let found = Unchecked { stored, generation: before };
        if !self.is_current() {
            return Lookup::Check(found);
        }
        self.holds(found, generation()).map_or(Lookup::Miss, Lookup::Hit)
    }

    /// The answer, if it is still valid now that the caller has waited for [`Self::catch_up`]. The
    /// generation is compared again because the batch just read may also have changed the
    /// documents.
    pub fn holds(&self, found: Unchecked<R>, generation: u64) -> Option<Arc<Stored<R>>> {
        let Unchecked { stored, generation: before } = found;
        (self.is_valid(&stored) && generation == before).then_some(stored)
    }

    fn stored_at(&self, key: Key, generation: u64) -> Option<Arc<Stored<R>>> {
        let entries = self.entries.as_ref()?;
        match entries.get(&key) {
            Some(stored) => {
                (stored.generation.load(Ordering::Relaxed) == generation).then_some(stored)
            }
            None => entries.get(&self.urls.get(key, generation)?),
        }
    }

    /// Makes this URL lead to this question, whose answer is `stored`; if `token` is given, for
    /// that token alone. `generation` is the one from before the URL was resolved.
    pub fn remember_url(
        &self,
        url: &str,
        token: Option<&str>,
        key: Key,
        stored: &Stored<R>,
        generation: u64,
    ) {
        let at = self.urls.key_of(url, token);
        if at == key {
            stored.generation.store(generation, Ordering::Relaxed);
        } else if self.entries.is_some() {
            self.urls.insert(at, key, generation);
        }
    }

    /// The answer to a question: the stored one if it is valid, otherwise one execution shared by
    /// all concurrent requests. `is_checked` says that the caller has waited for [`Self::catch_up`]
    /// since the request arrived.
    ///
    /// # Errors
    /// Those of `execute`; errors are never stored.
    pub async fn answer<E, F, Fut>(
        &self,
        key: Key,
        is_checked: bool,
        execute: F,
    ) -> Result<(Arc<Stored<R>>, Source), E>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Executed<R>, E>>,
    {
        let Some(entries) = &self.entries else { return self.bypass(execute).await };
        let flight = FlightGuard::new(&self.running, key);
        // If the answer is neither stored nor being executed, it must be executed whatever others
        // have written. Skip the check then if it costs a round trip.
        let is_cheap = !self.store.covers_answers();
        let first =
            flight.mutex.try_lock().ok().filter(|_| !is_cheap && entries.peek(&key).is_none());
        let mut source = Source::Miss;
        let _mine = match first {
            Some(first) => first,
            None => {
                if !is_checked && !self.catch_up().await {
                    return self.bypass(execute).await;
                }
                let asked_at = self.store.clock().revision();
                match entries.get(&key) {
                    Some(stored) if self.is_valid(&stored) => return Ok((stored, Source::Hit)),
                    Some(_) => source = Source::Stale,
                    None => {}
                }
                let mine = flight.mutex.lock().await;
                // The previous holder of the lock may have executed the question after this request
                // arrived, when the clock already had everything that this request must see. Its
                // answer is then good enough, even if it has been invalidated since.
                let will_do = |stored: &Arc<Stored<R>>| {
                    stored.computed_at >= asked_at || self.is_valid(stored)
                };
                if let Some(stored) = entries.get(&key).filter(will_do) {
                    return Ok((stored, Source::Hit));
                }
                mine
            }
        };
        // Read this before the snapshot is opened: every change that the snapshot lacks has a later
        // revision.
        let computed_at = self.store.clock().revision();
        let executed = self.execute(execute).await?;
        // Do not return the answer before the clock has everything that its snapshot contains.
        // Otherwise a later request could get an older answer that still counts as valid. This
        // applies with a consistency bound, too: answers never go backwards.
        let is_known = match self.store.covers_answers() {
            true => !self.store.has_lost_track(),
            false => self.catch_up_fully().await,
        };
        let source = if is_known { source } else { Source::Bypass };
        let keep = is_known && executed.dependencies.is_some();
        let stored = Arc::new(Stored::new(executed, computed_at));
        if keep {
            entries.insert(key, stored.clone());
        }
        Ok((stored, source))
    }

    /// What the cache would do with a question now. Changes nothing.
    pub async fn inspect(&self, key: Key) -> LookupReport {
        let Some(entries) = &self.entries else { return LookupReport::Off };
        if !self.catch_up().await {
            return LookupReport::ChangeLogUnreadable;
        }
        let Some(stored) = entries.peek(&key) else { return LookupReport::Miss };
        let (clock, as_of) = (self.store.clock(), stored.as_of);
        let verified_at = stored.verified_at();
        if clock.is_unchanged(&stored.marks, verified_at) {
            return LookupReport::Hit { as_of };
        }
        let is_forgotten = !clock.remembers(verified_at);
        LookupReport::Stale { as_of, marks: stored.marks.as_ref().into(), is_forgotten }
    }

    async fn bypass<E, F, Fut>(&self, execute: F) -> Result<(Arc<Stored<R>>, Source), E>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Executed<R>, E>>,
    {
        let executed = self.execute(execute).await?;
        // It is not kept, so nobody will ask whether it is still valid.
        let executed = Executed { dependencies: None, ..executed };
        Ok((Arc::new(Stored::new(executed, self.store.clock().revision())), Source::Bypass))
    }

    async fn execute<T, F, Fut>(&self, execute: F) -> T
    where
        F: Fn() -> Fut,
        Fut: Future<Output = T>,
    {
        self.executions.fetch_add(1, Ordering::Relaxed);
        execute().await
    }

    /// Whether the clock has everything that was committed before this call; with a bound, changes
    /// by others may be missing for that long.
    fn is_current(&self) -> bool {
        let now = self.now();
        if let (Consistency::Bounded(bound), Some(now)) = (self.consistency, now) {
            let checked_at = Duration::from_millis(self.checked_at.load(Ordering::Relaxed));
            // Within the bound, others' changes may be missing, but not this node's own.
            if checked_at > Duration::ZERO
                && now < checked_at + bound
                && !self.store.has_lost_track()
            {
                return true;
            }
        }
        let is_current = self.store.is_current();
        if is_current {
            self.checked(now);
        }
        is_current
    }

    /// Waits until the clock has everything that was committed before this call, or with a bound, a
    /// little earlier by others. False if the change log cannot be read.
    pub async fn catch_up(&self) -> bool {
        self.is_current() || self.catch_up_fully().await
    }

    /// Waits until the clock has everything that was committed before this call. False if the
    /// change log cannot be read.
    async fn catch_up_fully(&self) -> bool {
        self.has_caught_up(self.store.catch_up()).await
    }

    /// Waits until the clock has everything that was committed before this call. False if the
    /// change log cannot be read within this time.
    pub async fn catch_up_within(&self, limit: Duration) -> bool {
        self.has_caught_up(self.store.catch_up_within(limit)).await
    }

    async fn has_caught_up(&self, reading: impl Future<Output = Result<(), StoreError>>) -> bool {
        let now = self.now();
        match reading.await {
            Ok(()) => {
                self.checked(now);
                true
            }
            // Logged once, where it was detected.
            Err(StoreError::Lost(_) | StoreError::Late) => false,
            Err(error) => {
                tracing::error!(%error, "cannot read the change log; nothing is answered from the cache");
                false
            }
        }
    }

    /// The time for [`Self::checked`]. None without a bound, which alone needs it.
    fn now(&self) -> Option<Duration> {
        match self.consistency {
            Consistency::Strict => None,
            Consistency::Bounded(_) => Some(self.started.elapsed()),
        }
    }

    fn checked(&self, at: Option<Duration>) {
        if let Some(at) = at {
            self.checked_at.store(milliseconds(at), Ordering::Relaxed);
        }
    }

    fn is_valid(&self, stored: &Stored<R>) -> bool {
        let clock = self.store.clock();
        let now = clock.revision();
        let verified_at = stored.verified_at();
        if verified_at == now {
            return true;
        }
        let is_unchanged = clock.is_unchanged(&stored.marks, verified_at);
        if is_unchanged {
            stored.verified_at.store(now.0, Ordering::Relaxed);
        }
        is_unchanged
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Checks periodically what others have written, so that no request has to. Two checks fit into one
/// bound, and each may take up to half of it. Ends when the cache is dropped.
async fn keep_checked(
    store: Store,
    pause: Duration,
    started: Instant,
    checked_at: Weak<AtomicU64>,
) {
    loop {
        let begun = started.elapsed();
        let is_known = store.catch_up().await.is_ok();
        let Some(checked_at) = checked_at.upgrade() else { return };
        if is_known {
            checked_at.fetch_max(milliseconds(begun).max(1), Ordering::Relaxed);
        }
        drop(checked_at);
        tokio::time::sleep(
            pause.saturating_sub(started.elapsed() - begun).max(Duration::from_millis(1)),
        )
        .await;
    }
}

impl<R> Stored<R> {
    fn new(executed: Executed<R>, computed_at: Revision) -> Self {
        let marks =
            executed.dependencies.map_or_else(Box::default, |dependencies| dependencies.marks());
        let weight = executed.weight + size_of_val(&*marks) + size_of::<Self>() + OVERHEAD;
        Self {
            value: executed.value,
            marks,
            computed_at,
            verified_at: AtomicU64::new(computed_at.0),
            generation: AtomicU64::new(NEVER),
            as_of: executed.as_of,
            weight: weight as u64,
        }
    }

    fn verified_at(&self) -> Revision {
        Revision(self.verified_at.load(Ordering::Relaxed))
    }
}

/// Questions being executed, with the number of requests involved in each.
type InFlight = DashMap<Key, Shared>;

#[derive(Default)]
struct Shared {
    mutex: Arc<tokio::sync::Mutex<()>>,
    requests: usize,
}

/// Removes the question from [`InFlight`] when the last request leaves, however its execution
/// ended.
struct FlightGuard<'a> {
    running: &'a InFlight,
    key: Key,
    mutex: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> FlightGuard<'a> {
    fn new(running: &'a InFlight, key: Key) -> Self {
        let mut shared = running.entry(key).or_default();
        shared.requests += 1;
        Self { running, key, mutex: shared.mutex.clone() }
    }
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        // Counted under the map's lock, so that exactly the last of several concurrent drops
        // removes the entry.
        self.running.remove_if_mut(&self.key, |_, shared| {
            shared.requests -= 1;
            shared.requests == 0
        });
    }
}

#[derive(Clone)]
struct ByWeight;

impl<R> Weighter<Key, Arc<Stored<R>>> for ByWeight {
    fn weight(&self, _: &Key, stored: &Arc<Stored<R>>) -> u64 {
        stored.weight
    }
}

#[cfg(test)]
mod tests;
