//! Tracks what each connection is doing and since when, and decides which ones must close. Times
//! are counted in coarse ticks, so a request costs a few memory stores and no timer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::Limits;

/// The resolution of times.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How long a closing connection waits for its client to read the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// File descriptors reserved for other uses: the database's files for each thread, and a few more.
const OTHER_DESCRIPTORS: usize = 40;

/// A tick; 0 means never.
type Tick = u32;

/// An instruction to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    None = 0,
    /// Answer the requests in progress, then close.
    Finish = 1,
    /// Close at once.
    End = 2,
}

/// What a connection waits for its client to send, and for how long. The greatest value closes
/// first, so waiting for a body ranks below: such a connection is still in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    ForBody(Tick),
    ForRequest(Tick),
}

pub(super) struct Connections {
    limits: Limits,
    most: usize,
    now: Arc<AtomicU32>,
    next: AtomicU64,
    all: Arc<Mutex<HashMap<u64, Arc<Activity>>>>,
}

/// The state of one connection.
pub(super) struct Activity {
    now: Arc<AtomicU32>,
    /// Since when no request is in progress; meaningful only while none is.
    idle_since: AtomicU32,
    /// Since when the head of a request has been arriving.
    head_since: AtomicU32,
    /// Since when the client has not taken any bytes of an answer.
    blocked_since: AtomicU32,
    /// Since when it has been waiting for the client to close, too.
    closing_since: AtomicU32,
    /// Requests whose answers are not yet handed over.
    under_way: AtomicU32,
    /// How many of these are still receiving their bodies.
    receiving: AtomicU32,
    /// Since when any body has been arriving.
    receiving_since: AtomicU32,
    is_http2: AtomicBool,
    order: AtomicU8,
    ordered: Notify,
    /// The bytes read since the last request began: the head of the next one.
    head: Mutex<Vec<u8>>,
}

impl Connections {
    /// `descriptors` is the maximum number of open files of this process.
    pub(super) fn new(limits: Limits, descriptors: Option<usize>) -> Self {
        let available =
            descriptors.map(|all| all.saturating_sub(OTHER_DESCRIPTORS.min(all / 2)).max(1));
        let most = available
            .map_or(limits.max_connections, |available| available.min(limits.max_connections));
        Self {
            limits,
            most,
            now: Arc::new(AtomicU32::new(1)),
            next: AtomicU64::new(0),
            all: Arc::default(),
        }
    }

    /// Registers a connection. It counts for as long as the second value lives.
    pub(super) fn register(&self) -> (Arc<Activity>, Registered) {
        let activity = Arc::new(Activity {
            now: self.now.clone(),
            idle_since: AtomicU32::new(self.now.load(Relaxed)),
            head_since: AtomicU32::new(0),
            blocked_since: AtomicU32::new(0),
            closing_since: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            receiving: AtomicU32::new(0),
            receiving_since: AtomicU32::new(0),
            is_http2: AtomicBool::new(false),
            order: AtomicU8::new(Order::None as u8),
            ordered: Notify::new(),
            head: Mutex::default(),
        });
        let name = self.next.fetch_add(1, Relaxed);
        lock(&self.all).insert(name, activity.clone());
        (activity, Registered { name, all: self.all.clone() })
    }

    /// Whether the maximum number of connections is reached.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.all).len() >= self.most
    }

    /// Whether some connection is waiting for its client.
    pub(super) fn can_make_room(&self) -> bool {
        lock(&self.all).values().any(|activity| activity.waits(0).is_some())
    }

    /// Ends the connection that has waited longest for a request; if none does, the one that has
    /// waited longest for a request's body. False if all are busy.
    pub(super) fn make_room(&self) -> bool {
        let now = self.now.load(Relaxed);
        let all = lock(&self.all);
        let waiting = all.values().filter_map(|activity| Some((activity.waits(now)?, activity)));
        let longest = waiting.max_by_key(|(waits, _)| *waits);
        longest.is_some_and(|(_, activity)| {
            activity.order(Order::End);
            true
        })
    }

    /// Gives all connections the same order.
    pub(super) fn order_all(&self, order: Order) {
        lock(&self.all).values().for_each(|activity| activity.order(order));
    }

    /// Advances the time by one tick, and closes connections that have made the server wait for too
    /// long.
    pub(super) fn tick(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        for activity in lock(&self.all).values() {
            if let Some(order) = activity.overdue(now, &self.limits) {
                activity.order(order);
            }
        }
    }
}

impl Activity {
    pub(super) fn begin(this: &Arc<Self>, is_http2: bool) -> UnderWay {
        this.under_way.fetch_add(1, Relaxed);
        this.head_since.store(0, Relaxed);
        if is_http2 {
            this.is_http2.store(true, Relaxed);
        }
        UnderWay(this.clone())
    }

    /// The client sent bytes.
    pub(super) fn read(&self, bytes: &[u8]) {
        if self.under_way.load(Relaxed) > 0 || self.is_http2.load(Relaxed) {
            return;
        }
        let mut head = lock(&self.head);
        if self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now.load(Relaxed), Relaxed);
            head.clear();
        }
        head.extend_from_slice(bytes);
    }

    /// Whether the latest head has a line `Content-Length`.
    pub(super) fn has_content_length(&self) -> bool {
        const NAME: &[u8] = b"content-length";
        let head = lock(&self.head);
        head.split(|byte| *byte == b'\n').any(|line| {
            line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
                && line.get(NAME.len()) == Some(&b':')
        })
    }

    /// The client took bytes, or takes none.
    pub(super) fn wrote(&self, is_blocked: bool) {
        if !is_blocked {
            if self.blocked_since.load(Relaxed) != 0 {
                self.blocked_since.store(0, Relaxed);
            }
        } else if self.blocked_since.load(Relaxed) == 0 {
            self.blocked_since.store(self.now.load(Relaxed), Relaxed);
        }
    }

    /// The last answer is written; now the client should close, too.
    pub(super) fn closing(&self) {
        if self.closing_since.load(Relaxed) == 0 {
            self.closing_since.store(self.now.load(Relaxed), Relaxed);
        }
    }

    /// Resolves when there is an order.
    pub(super) async fn ordered(&self) -> Order {
        self.ordered.notified().await;
        match self.order.load(Relaxed) {
            0 => Order::None,
            1 => Order::Finish,
            _ => Order::End,
        }
    }

    /// The body of a request begins to arrive.
    pub(super) fn receive(&self) {
        if self.receiving.fetch_add(1, Relaxed) == 0 {
            self.receiving_since.store(self.now.load(Relaxed), Relaxed);
        }
    }

    /// A body has been received, or was dropped.
    pub(super) fn received(&self) {
        self.receiving.fetch_sub(1, Relaxed);
    }

    /// What the client is waited for, and for how long; None if the client waits for the server, or
    /// the connection must close.
    fn waits(&self, now: Tick) -> Option<Waits> {
        let under_way = self.under_way.load(Relaxed);
        let since = |since: &AtomicU32| now.saturating_sub(since.load(Relaxed));
        if self.order.load(Relaxed) == Order::End as u8 {
            None
        } else if under_way == 0 {
            Some(Waits::ForRequest(since(&self.idle_since)))
        } else {
            let all_do = under_way == self.receiving.load(Relaxed);
            all_do.then(|| Waits::ForBody(since(&self.receiving_since)))
        }
    }

    fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.ordered.notify_one();
        }
    }

    fn overdue(&self, now: Tick, limits: &Limits) -> Option<Order> {
        let lasts = |since: &AtomicU32, limit: Duration| {
            let since = since.load(Relaxed);
            since != 0 && TICK * now.saturating_sub(since) > limit
        };
        if lasts(&self.blocked_since, limits.write_timeout) || lasts(&self.closing_since, LINGER) {
            return Some(Order::End);
        }
        if self.under_way.load(Relaxed) > 0 {
            return None;
        }
        if lasts(&self.head_since, limits.head_timeout) {
            return Some(Order::End);
        }
        // First gracefully, as a proxy may be about to use the connection; then at once.
        let kindly = lasts(&self.idle_since, limits.idle_timeout).then_some(Order::Finish);
        if lasts(&self.idle_since, limits.idle_timeout + LINGER) {
            Some(Order::End)
        } else {
            kindly
        }
    }
}

/// A request in progress, until its answer is handed over or dropped.
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now.load(Relaxed), Relaxed);
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// Removes the connection from the list when it ends.
pub(super) struct Registered {
    name: u64,
    all: Arc<Mutex<HashMap<u64, Arc<Activity>>>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let second = Duration::from_secs(1);
        Limits {
            head_timeout: second,
            idle_timeout: 3 * second,
            write_timeout: 2 * second,
            ..Limits::default()
        }
    }

    /// The order after this many quarters of a second.
    fn after(connections: &Connections, activity: &Activity, quarters: u32) -> u8 {
        (0..quarters).for_each(|_| connections.tick());
        activity.order.load(Relaxed)
    }

    #[test]
    fn heads_idle_connections_and_slow_readers_time_out() {
        let connections = Connections::new(limits(), None);
        let (idle, _a) = connections.register();
        let (half, _b) = connections.register();
        half.read(b"GET / HT");
        let (busy, _c) = connections.register();
        let under_way = Activity::begin(&busy, false);
        let (stuck, _d) = connections.register();
        let _stuck = Activity::begin(&stuck, false);
        stuck.wrote(true);
        assert_eq!((after(&connections, &half, 4), after(&connections, &half, 1)), (0, 2));
        assert_eq!((after(&connections, &stuck, 3), after(&connections, &stuck, 1)), (0, 2));
        assert_eq!((after(&connections, &idle, 3), after(&connections, &idle, 1)), (0, 1));
        assert_eq!(after(&connections, &busy, 100), 0, "its own limits are elsewhere");
        drop(under_way);
        assert_eq!((after(&connections, &busy, 12), after(&connections, &busy, 1)), (0, 1));
    }

    #[test]
    fn the_longest_idle_connection_is_closed_first() {
        let connections = Connections::new(Limits { max_connections: 3, ..limits() }, None);
        let (busy, _a) = connections.register();
        let _under_way = Activity::begin(&busy, false);
        let (older, _b) = connections.register();
        connections.tick();
        let (newer, _c) = connections.register();
        assert!(connections.is_full() && connections.make_room());
        let order = |activity: &Activity| activity.order.load(Relaxed);
        assert_eq!((order(&busy), order(&older), order(&newer)), (0, 2, 0));
        assert!(connections.make_room() && !connections.can_make_room());
        assert_eq!((order(&busy), order(&older), order(&newer)), (0, 2, 2));
    }

    #[test]
    fn slow_bodies_are_closed_after_idle_connections() {
        let connections = Connections::new(limits(), None);
        let (older, _a) = connections.register();
        let _older = Activity::begin(&older, false);
        older.receive();
        connections.tick();
        let (newer, _b) = connections.register();
        let _newer = (Activity::begin(&newer, true), Activity::begin(&newer, true));
        newer.receive();
        connections.tick();
        let (idle, _c) = connections.register();
        let order = |activity: &Activity| activity.order.load(Relaxed);
        assert!(connections.make_room() && connections.make_room());
        assert_eq!((order(&older), order(&newer), order(&idle)), (2, 0, 2));
        assert!(!connections.can_make_room(), "one of its requests is being answered");
        newer.receive();
        assert!(connections.can_make_room());
        newer.received();
        assert!(!connections.make_room());
    }

    #[test]
    fn few_file_descriptors_are_divided_fairly() {
        let most = |descriptors| Connections::new(Limits::default(), descriptors).most;
        assert_eq!((most(None), most(Some(1 << 20)), most(Some(1024))), (10_000, 10_000, 984));
        assert_eq!((most(Some(80)), most(Some(60)), most(Some(0))), (40, 30, 1));
    }
}
