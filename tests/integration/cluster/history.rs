//! What clients of a cluster have seen, and what that forbids from then on. All values only grow,
//! so a register of the largest value that anybody was shown, or was told to have written, says
//! what every later request must at least be shown: this is linearizability, checked while it runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The state of a row: how often each of its two columns was counted up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// By mutations of one row, and by external writers.
    pub(super) single: i64,
    /// By mutations of both rows of a pair at once.
    pub(super) both: i64,
}

impl Counts {
    fn is_at_least(self, other: Self) -> bool {
        self.single >= other.single && self.both >= other.both
    }

    fn max(self, other: Self) -> Self {
        Self { single: self.single.max(other.single), both: self.both.max(other.both) }
    }
}

/// How many there were of each.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) reads: u64,
    pub(super) not_modified: u64,
    pub(super) writes: u64,
    pub(super) conflicts: u64,
    pub(super) external: u64,
    /// Requests that got no answer, or were told to come back.
    pub(super) unavailable: u64,
    pub(super) faults: u64,
}

#[derive(Debug, Default)]
struct State {
    floors: HashMap<String, Counts>,
    /// What each validator of an answer stands for.
    bodies: HashMap<String, String>,
    /// What each token of a row stands for.
    tokens: HashMap<String, (String, Counts)>,
    /// Tokens with which somebody has won.
    used: HashMap<String, Counts>,
    /// Acknowledged increments of a row, and those of which nobody knows.
    acknowledged: HashMap<String, Counts>,
    unknown: HashMap<String, Counts>,
    violations: Vec<String>,
    tally: Tally,
}

/// What all clients have seen.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<State>);

/// What a request must be shown that begins now.
#[derive(Debug, Clone, Default)]
pub(super) struct Floors(HashMap<String, Counts>);

impl History {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn floors(&self) -> Floors {
        self.with(|state| Floors(state.floors.clone()))
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Tally)) {
        self.with(|state| count(&mut state.tally));
    }

    /// A whole answer: its validator must stand for it alone.
    pub(super) fn answered(&self, url: &str, etag: &str, data: &str) {
        self.with(|state| match state.bodies.entry(format!("{url} {etag}")) {
            Entry::Vacant(entry) => drop(entry.insert(data.to_owned())),
            Entry::Occupied(known) if known.get() == data => {}
            Entry::Occupied(known) => {
                let violation =
                    format!("{etag} of {url} stands for {} and for {data}", known.get());
                state.violations.push(violation);
            }
        });
    }

    /// What the validator of a 304 stands for.
    pub(super) fn meant(&self, url: &str, etag: &str) -> Option<String> {
        self.with(|state| state.bodies.get(&format!("{url} {etag}")).cloned())
    }

    /// These rows were shown to a request that began with these floors.
    pub(super) fn shown(&self, floors: &Floors, how: &str, rows: &[Value]) {
        for row in rows {
            let (id, etag) = (row["id"].as_str().unwrap(), row["etag"].as_str().unwrap());
            let counts = Counts {
                single: row["single"].as_i64().unwrap(),
                both: row["both"].as_i64().unwrap(),
            };
            let floor = floors.0.get(id).copied().unwrap_or_default();
            self.with(|state| {
                if !counts.is_at_least(floor) {
                    state.violations.push(format!(
                        "{how} shows {id} as {counts:?}, which was {floor:?} before it began"
                    ));
                }
                let known = state.floors.entry(id.to_owned()).or_default();
                *known = known.max(counts);
                match state.tokens.entry(etag.to_owned()) {
                    Entry::Vacant(entry) => drop(entry.insert((id.to_owned(), counts))),
                    Entry::Occupied(known) if *known.get() == (id.to_owned(), counts) => {}
                    Entry::Occupied(known) => {
                        let violation = format!(
                            "token {etag} stands for {:?} and for {id} {counts:?}",
                            known.get()
                        );
                        state.violations.push(violation);
                    }
                }
            });
        }
        // All rows of one answer are of one state.
        if let [first, rest @ ..] = rows
            && rest.iter().any(|row| row["both"] != first["both"])
        {
            self.with(|state| {
                state.violations.push(format!("{how} shows half of a mutation: {rows:?}"))
            });
        }
    }

    /// A mutation was acknowledged that expected this token and has counted up so much.
    pub(super) fn won(&self, id: &str, expected: &str, by: Counts) {
        self.with(|state| {
            if state.used.insert(expected.to_owned(), by).is_some() {
                state
                    .violations
                    .push(format!("two mutations have won with the token {expected} of {id}"));
            }
            add(state.acknowledged.entry(id.to_owned()).or_default(), by);
        });
    }

    /// An external writer has committed.
    pub(super) fn written(&self, id: &str, by: Counts) {
        self.with(|state| add(state.acknowledged.entry(id.to_owned()).or_default(), by));
    }

    /// Of this write nobody knows whether it was done.
    pub(super) fn lost_sight(&self, id: &str, by: Counts) {
        self.with(|state| add(state.unknown.entry(id.to_owned()).or_default(), by));
    }

    pub(super) fn violation(&self, what: String) {
        self.with(|state| state.violations.push(what));
    }

    /// What is wrong, the database having these rows in the end, and what there was.
    pub(super) fn judge(self, rows: &[(String, Counts)]) -> (Vec<String>, Tally) {
        let mut state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (id, counts) in rows {
            let least = state.acknowledged.get(id).copied().unwrap_or_default();
            let mut most = least;
            add(&mut most, state.unknown.get(id).copied().unwrap_or_default());
            if !counts.is_at_least(least) || !most.is_at_least(*counts) {
                state.violations.push(format!(
                    "{id} is {counts:?} in the end, and should be {least:?} to {most:?}"
                ));
            }
        }
        (state.violations, state.tally)
    }
}

fn add(to: &mut Counts, by: Counts) {
    to.single += by.single;
    to.both += by.both;
}
