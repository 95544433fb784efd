//! The response cache: which stored answer may be given, and when to execute. An entry is valid as
//! long as none of the marks it looks out for was left after it was computed ([`crate::clock`]);
//! nothing is walked when something is written. What is stored, and how it is sent, is the front
//! door's business.

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

/// Bytes that an entry costs beside its value and its marks: key, table slots, counters.
const OVERHEAD: usize = 120;
/// No generation: there are never so many.
const NEVER: u64 = u64::MAX;
/// A small answer, for the first size of the table.
const TYPICAL: usize = 4 << 10;
/// Of the cache's bytes, the share for URLs that are not canonical.
const URL_SHARE: u64 = 32;

/// What an execution gave.
pub struct Executed<R> {
    /// The answer, as it is to be kept.
    pub value: R,
    /// The most bytes that it will take up.
    pub weight: usize,
    /// What it depended on; None if it must not be kept.
    pub touched: Option<Dependencies>,
    /// The newest change that it holds, where that is known: then it can be told what made it
    /// stale.
    pub as_of: Option<Version>,
}

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Stored, and still valid.
    Hit,
    /// Executed: nothing was stored.
    Miss,
    /// Executed: what was stored was no longer valid.
    Stale,
    /// Executed: the cache is off, or does not know the latest changes.
    Bypass,
}

/// What is stored for a request, found without waiting for anything.
pub enum Lookup<R> {
    /// An answer that holds.
    Hit(Arc<Stored<R>>),
    /// Nothing that would do.
    Miss,
    /// An answer, but others may have written since: whether it holds is known once
    /// [`ResponseCache::catch_up`] says that all is ([`ResponseCache::holds`]). Those who wait for
    /// that at the same time share one reading of the change log.
    Check(Unchecked<R>),
}

/// An answer of which nobody knows whether it holds.
pub struct Unchecked<R> {
    stored: Arc<Stored<R>>,
    /// What URLs meant when it was found.
    generation: u64,
}

/// What the cache would do with a question, for a diagnosis.
#[derive(Debug)]
pub enum LookupReport {
    /// Nothing is ever stored.
    Off,
    /// The latest changes are not known, so nothing that is stored counts.
    ChangeLogUnreadable,
    /// Nothing is stored.
    Miss,
    /// What is stored still holds.
    Hit {
        /// See [`Executed::as_of`].
        as_of: Option<Version>,
    },
    /// What is stored no longer holds, or nobody knows whether it does.
    Stale {
        /// See [`Executed::as_of`].
        as_of: Option<Version>,
        /// What it looks out for: sorted.
        marks: Arc<[Mark]>,
        /// It was stored before all that the clock remembers.
        is_forgotten: bool,
    },
}

/// An answer with what is needed to know whether it still holds.
pub struct Stored<R> {
    /// The answer.
    pub value: R,
    marks: Box<[Mark]>,
    computed_at: Revision,
    /// The last revision at which it was known to hold.
    verified_at: AtomicU64,
    /// The generation of documents in which its canonical URL was last found to lead here;
    /// [`NEVER`] at first.
    generation: AtomicU64,
    as_of: Option<Version>,
    weight: u64,
}

/// The answers of one node. `R` is an answer as the front door sends it.
pub struct ResponseCache<R> {
    store: Store,
    consistency: Consistency,
    /// None if the cache is off.
    entries: Option<Cache<Key, Arc<Stored<R>>, ByWeight, PassThroughHasher>>,
    urls: Urls,
    /// Questions that are being executed; who asks the same waits.
    running: InFlight,
    /// For [`Consistency::Bounded`]: when the clock was last known to be current, in milliseconds
    /// since `started`.
    checked_at: Arc<AtomicU64>,
    started: Instant,
    executions: AtomicU64,
}

impl<R> ResponseCache<R> {
    /// A cache of at most this many bytes; none if that is 0.
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

    /// How often something was executed instead of given from here.
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// The key of a question, in this cache and while the process lives: of its canonical URL if it
    /// has one, so that a GET there is found by its URL alone.
    pub fn key(&self, question: &Question<'_>, canonical_url: Option<&str>) -> Key {
        canonical_url.map_or_else(|| Key::of(question), |url| self.urls.key_of(url, None))
    }

    /// What this URL was last answered with (to `who`, where that makes a difference: the token of
    /// the request), if URLs still mean what they meant then ([`Registry::generation`]), and if the
    /// answer still holds. Never waits.
    ///
    /// [`Registry::generation`]: crate::persisted::Registry::generation
    pub fn by_url(&self, url: &str, who: Option<&str>, generation: impl Fn() -> u64) -> Lookup<R> {
        let before = generation();
        let Some(stored) = self.stored_at(self.urls.key_of(url, who), before) else {
            return Lookup::Miss;
        };
        let found = Unchecked { stored, generation: before };
        if !self.is_current() {
            return Lookup::Check(found);
        }
        self.holds(found, generation()).map_or(Lookup::Miss, Lookup::Hit)
    }

    /// The answer, if it holds now that the caller has waited for [`Self::catch_up`]. The
    /// generation once more: what is known of the documents now may have come with the changes just
    /// learned.
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

    /// From now on this URL leads to this question, whose answer this is; where `who` is given, for
    /// that token only. `generation` is that from before the URL was resolved.
    pub fn remember_url(
        &self,
        url: &str,
        who: Option<&str>,
        key: Key,
        stored: &Stored<R>,
        generation: u64,
    ) {
        let at = self.urls.key_of(url, who);
        if at == key {
            stored.generation.store(generation, Ordering::Relaxed);
        } else if self.entries.is_some() {
            self.urls.insert(at, key, generation);
        }
    }

    /// The answer to a question: stored if it still holds, and else executed, once for all that ask
    /// at the same time. `is_checked`: the caller has waited for [`Self::catch_up`] since it was
    /// asked.
    ///
    /// # Errors
    /// Those of `execute`; errors are never kept.
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
        let turn = FlightGuard::new(&self.running, key);
        // What nobody has stored, and nobody executes just now, is executed whatever others have
        // written; where to ask for that costs a round trip, nobody does.
        let is_cheap = !self.store.covers_answers();
        let first =
            turn.mutex.try_lock().ok().filter(|_| !is_cheap && entries.peek(&key).is_none());
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
                let mine = turn.mutex.lock().await;
                // Whoever had the turn before has perhaps executed it after this request came, when
                // the clock had all that this request must be shown; then its answer will do, even
                // if it has been overtaken since.
                let will_do = |stored: &Arc<Stored<R>>| {
                    stored.computed_at >= asked_at || self.is_valid(stored)
                };
                if let Some(stored) = entries.get(&key).filter(will_do) {
                    return Ok((stored, Source::Hit));
                }
                mine
            }
        };
        // Before the snapshot is opened: what it does not hold comes later than this.
        let computed_at = self.store.clock().revision();
        let executed = self.execute(execute).await?;
        // The answer leaves only when the clock has all that its snapshot holds; else one who asks
        // later could be given an older answer that still counts as valid. A bound makes no
        // difference: answers never run backwards.
        let is_known = match self.store.covers_answers() {
            true => !self.store.has_lost_track(),
            false => self.catch_up_fully().await,
        };
        let source = if is_known { source } else { Source::Bypass };
        let keep = is_known && executed.touched.is_some();
        let stored = Arc::new(Stored::new(executed, computed_at));
        if keep {
            entries.insert(key, stored.clone());
        }
        Ok((stored, source))
    }

    /// What the cache would do with a question now. Leaves no trace.
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

    /// Whether the clock has all that was committed before this call, or (bounded) a little earlier
    /// by others.
    fn is_current(&self) -> bool {
        let now = self.started.elapsed();
        if let Consistency::Bounded(bound) = self.consistency {
            let checked_at = Duration::from_millis(self.checked_at.load(Ordering::Relaxed));
            // Within the bound others may not be seen, but what was written here must be.
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

    /// Waits until the clock has all that was committed before this call, or (bounded) a little
    /// earlier by others; false if the change log cannot be read.
    pub async fn catch_up(&self) -> bool {
        self.is_current() || self.catch_up_fully().await
    }

    /// Waits until the clock has all that was committed before this call; false if the change log
    /// cannot be read.
    async fn catch_up_fully(&self) -> bool {
        let now = self.started.elapsed();
        match self.store.catch_up().await {
            Ok(()) => {
                self.checked(now);
                true
            }
            // Told once, by who has noticed.
            Err(StoreError::Lost(_)) => false,
            Err(error) => {
                tracing::error!(%error, "cannot read the change log; nothing is answered from the cache");
                false
            }
        }
    }

    fn checked(&self, at: Duration) {
        self.checked_at.store(milliseconds(at), Ordering::Relaxed);
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

/// Asks again and again what others have written, so that no request has to: within a bound there
/// are two checks, of which one may take as long as half of it. Ends when nobody has the cache any
/// more.
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
        let marks = executed.touched.map_or_else(Box::default, |touched| touched.marks());
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

/// Questions that are being executed, and how many requests have to do with each.
type InFlight = DashMap<Key, Shared>;

#[derive(Default)]
struct Shared {
    mutex: Arc<tokio::sync::Mutex<()>>,
    requests: usize,
}

/// Leaves no trace of an execution that nobody waits for, however it ended.
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
        // Counted under the map's lock, so that of several that end at once the last one removes
        // it.
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
